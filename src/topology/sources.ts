/**
 * The sources of an app's graph, and those that are not its own.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { reachable, showNode } from '../stream/graph.ts';
import type { GraphNode } from '../stream/node.ts';
import type { AppGraph } from './regions.ts';

/** The sources that the app declared. */
export function sourcesOf(graph: AppGraph): GraphNode[] {
  return [...graph.sources, ...graph.closed, ...(graph.changes ?? [])].map(({ node }) => node);
}

/** A source in front of `node` that belongs to another app, if there is one. */
export function foreignSource(graph: AppGraph, node: GraphNode): GraphNode | undefined {
  const own = new Set(sourcesOf(graph));
  for (const each of reachable([node], ({ parents }) => parents))
    if (each.role.role === 'source' && !own.has(each)) return each;
  return undefined;
}

/**
 * Refuses a node that has values of another app too: its tasks would never see them, in silence.
 *
 * @throws `MR_TOPOLOGY_INVALID`
 */
export function checkParents(graph: AppGraph, node: GraphNode): void {
  // With one parent there is nothing to mix: where it comes from was looked at before.
  const foreign = node.parents.length > 1 ? foreignSource(graph, node) : undefined;
  if (foreign === undefined) return;
  throw new MillraceError(
    'MR_TOPOLOGY_INVALID',
    `${showNode(node)} mixes streams of app ${graph.app} with one of ${showNode(foreign)}, which belongs to another app; declare the topic in app ${graph.app} too, and use its stream`,
    { details: { kind: node.kind, source: foreign.name ?? foreign.kind } },
  );
}
