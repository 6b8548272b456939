/**
 * The graph as it is declared: nodes, edges, and the questions that are asked of them.
 *
 * Invariant: `parent.children` holds `child` exactly when `child.parents` holds `parent`.
 *
 * @module
 */
import { assert, MillraceError } from '../core/errors.ts';
import type { GraphNode, NodeRole, NodeSource } from './node.ts';
import type { MakeOperator } from './operator.ts';

/** Everything about a node but its neighbours. */
export interface NodeDescription {
  /** The operator: `'map'`, `'filter'`, … */
  readonly kind: string;
  /** The name that the user gave, if any. */
  readonly name?: string | undefined;
  /** What tells it from others of its kind that have no name, for pictures and errors; see `picture/label.ts`. */
  readonly label?: string | undefined;
  readonly role: NodeRole;
  readonly make: MakeOperator;
  /** In a process its operator may end it while what is in front goes on. */
  readonly endsByItself?: true | undefined;
  /** How many values it works on at once; default 1. */
  readonly concurrency?: number | undefined;
}

/** The one implementation of {@link GraphNode}. */
export class Node implements GraphNode {
  readonly kind: string;
  readonly name: string | undefined;
  readonly label: string | undefined;
  readonly role: NodeRole;
  readonly make: MakeOperator;
  readonly concurrency: number;
  /** Whether it runs in this process, rather than in the tasks of an app. */
  readonly alive: boolean = false;
  readonly parents: Node[] = [];
  readonly children: Node[] = [];

  constructor(description: NodeDescription) {
    this.kind = description.kind;
    this.name = description.name;
    this.label = description.label;
    this.role = description.role;
    this.make = description.make;
    this.concurrency = description.concurrency ?? 1;
  }

  /** `<map>`, `<map double>`. */
  toString(): string {
    return showNode(this);
  }
}

/** `<map>`, or `<map double>` with what tells it from others: its name, else its label. */
export function showNode({ kind, name, label }: GraphNode): string {
  return tagOf({ kind, name: name ?? label });
}

/** `<map>`, or `<map double>` with the name that the user gave: what stays when a function is renamed. */
export function tagOf({ kind, name }: Pick<GraphNode, 'kind' | 'name'>): string {
  return name === undefined ? `<${kind}>` : `<${kind} ${name}>`;
}

/** A node without parents that passes on what it is given. `source` is what feeds it in an app, `null` in a process. */
export function sourceNode(kind: string, source: NodeSource | null, name?: string): GraphNode {
  return new Node({
    kind,
    name: name ?? source?.name,
    role: { role: 'source', source },
    make: (output) => (value, event) => output.next(value, event),
  });
}

/**
 * Adds a node to the graph of an app, behind others. The same parent may be given twice, for two inputs.
 *
 * @throws {@link MillraceError} `MR_NOT_IN_AN_APP` behind a stream of this process; `MR_ARGUMENT_INVALID` behind a source of an app that runs.
 */
export function childNode(parents: readonly GraphNode[], description: NodeDescription): GraphNode {
  const nodes = parents.map((parent) => ownNode(parent));
  for (const node of nodes)
    if (node.alive)
      throw new MillraceError(
        'MR_NOT_IN_AN_APP',
        `${node.toString()} is a stream of this process, and an app reads topics; send its values to a topic, and use topic.stream()`,
        { details: { kind: description.kind, stream: node.name ?? node.kind } },
      );
  for (const { role } of nodes)
    if (role.role === 'source' && role.source?.sealed !== undefined)
      throw new MillraceError('MR_ARGUMENT_INVALID', role.source.sealed, {
        details: { kind: description.kind, source: role.source.name },
      });
  const child = new Node(description);
  for (const node of nodes) link(node, child);
  return child;
}

/** The node as this file made it. */
export function ownNode(node: GraphNode): Node {
  assert(node instanceof Node, 'a node was not made by sourceNode or childNode', {
    kind: node.kind,
  });
  return node;
}

/** Adds an edge; the child comes last among its parent's children. */
export function link(parent: Node, child: Node): void {
  child.parents.push(parent);
  if (!parent.children.includes(child)) parent.children.push(child);
}

/** Removes all edges from `parent` to `child`; says which places among the child's parents became free, last first. */
export function unlink(parent: Node, child: Node): number[] {
  const places: number[] = [];
  for (let i = child.parents.length - 1; i >= 0; i--)
    if (child.parents[i] === parent) {
      child.parents.splice(i, 1);
      places.push(i);
    }
  const at = parent.children.indexOf(child);
  if (at >= 0) parent.children.splice(at, 1);
  return places;
}

/** `roots` and everything that `next` leads to from them, in any order. */
export function reachable<N extends GraphNode>(
  roots: readonly N[],
  next: (node: N) => readonly N[],
): Set<N> {
  const seen = new Set(roots);
  // A set goes on with what is added to it during the walk.
  for (const node of seen) for (const neighbour of next(node)) seen.add(neighbour);
  return seen;
}

/** All nodes that edges connect with `node`, itself included. */
export function graphOf<N extends GraphNode>(node: N): Set<N> {
  return reachable([node], ({ parents, children }) => [...parents, ...children] as N[]);
}

/**
 * `roots` and everything that `next` leads to from them, parents before children. Edges that close a cycle are disregarded.
 */
export function inTopologicalOrder<N extends GraphNode>(
  roots: readonly N[],
  next: (node: N) => readonly N[],
): N[] {
  // Depth first, and the reverse of the order in which nodes are left. Without recursion: chains may be long.
  const left: N[] = [];
  const seen = new Set<N>();
  const path: { node: N; children: readonly N[]; at: number }[] = [];
  const enter = (node: N): void => {
    if (seen.has(node)) return;
    seen.add(node);
    path.push({ node, children: next(node).toReversed(), at: 0 });
  };
  for (const root of roots.toReversed()) {
    enter(root);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const child = top.children[top.at++];
      if (child !== undefined) enter(child);
      else {
        left.push(top.node);
        path.pop();
      }
    }
  }
  return left.toReversed();
}
