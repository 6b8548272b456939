/**
 * What is in a picture of a graph, whatever it is drawn with.
 *
 * @module
 */
import { graphOf, inTopologicalOrder } from '../graph.ts';
import type { GraphNode } from '../node.ts';
import { shapeOf } from './shape.ts';
import type { Shape } from './shape.ts';
import { oneLine } from './text.ts';

/** A node as it is drawn. */
export interface PictureNode {
  /** `n0`, `n1`, … */
  readonly id: string;
  /** What stands in it, from the top. */
  readonly lines: readonly string[];
  readonly shape: Shape;
}

/** An edge as it is drawn. */
export interface PictureEdge {
  readonly from: string;
  readonly to: string;
  /** What stands beside it, from the top. */
  readonly lines: readonly string[];
}

export interface Picture {
  readonly nodes: readonly PictureNode[];
  readonly edges: readonly PictureEdge[];
}

/**
 * The whole graph that `start` belongs to, parents before children. An edge has its place among those that leave its node, from 0, if
 * there are several. A node that joins a stream with itself has one edge from it.
 *
 * @param note What else there is to say about an edge. Default: nothing.
 */
export function pictureOf<N extends GraphNode>(
  start: N,
  note: (from: N, to: N) => string | undefined = () => undefined,
): Picture {
  const children = (node: GraphNode): readonly N[] => node.children as readonly N[];
  const graph = [...graphOf(start)];
  // A source that a cycle leads back to has parents. The last of the roots is the first to be walked from: cycles are cut in front of a source.
  const isRoot = ({ role, parents }: N): boolean => role.role === 'source' || parents.length === 0;
  const order = inTopologicalOrder([...graph, ...graph.filter(isRoot)], children);
  const ids = new Map<GraphNode, string>(order.map((node, i) => [node, `n${i}`]));

  const edges: PictureEdge[] = [];
  for (const from of order)
    for (const [place, to] of children(from).entries()) {
      const said = note(from, to);
      edges.push({
        from: ids.get(from) as string,
        to: ids.get(to) as string,
        lines: [
          ...(from.children.length > 1 ? [String(place)] : []),
          ...(said === undefined ? [] : [said]),
        ],
      });
    }
  return {
    nodes: order.map((node, i) => ({ id: `n${i}`, lines: linesOf(node), shape: shapeOf(node) })),
    edges,
  };
}

/** Its kind and what tells it from others; its name on a line of its own if it has both. */
function linesOf({ kind, name, label }: GraphNode): string[] {
  const told = label ?? name;
  const first = told === undefined ? kind : `${kind} ${oneLine(told)}`;
  return label === undefined || name === undefined || name === label
    ? [first]
    : [first, oneLine(name)];
}
