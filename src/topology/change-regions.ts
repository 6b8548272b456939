/**
 * Where the changes of a table flow: in the part of the app that its rows live in.
 *
 * That is the part of the declared stream that updates it. For a table that only agents use the graph does not say it: then it is the part of
 * the agent that was named, or the one part that has agents.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { GraphNode } from '../stream/node.ts';
import { isAsynchronous, nameOf } from './nodes.ts';
import type { AppGraph, Region } from './regions.ts';

/** Regions under way to components; see `regions.ts`. */
interface Joining {
  /** The root of a region that updates a table. */
  owner(table: string): GraphNode | undefined;
  /** Stands for all roots that were joined with `root`. */
  find(root: GraphNode): GraphNode;
  join(a: GraphNode, b: GraphNode): void;
}

/**
 * Joins the region of each table's changes with the region of its rows.
 *
 * @throws `MR_TOPOLOGY_INVALID` when that is not known, and when the changes of a table lead to an update of itself.
 */
export function joinChanges(
  graph: AppGraph,
  regions: ReadonlyMap<GraphNode, Region>,
  joining: Joining,
): void {
  const used = (graph.changes ?? []).filter(({ node }) => regions.has(node));
  checkCircles(used, regions);
  for (const { node, table } of used) {
    const owner = joining.owner(table);
    if (owner !== undefined) joining.join(owner, node);
  }
  // An agent behind changes that have found their home is part of that home.
  for (const { node, table, by } of used)
    if (joining.owner(table) === undefined)
      joining.join(homeOf(table, node, by, regions, joining), node);
}

function homeOf(
  table: string,
  node: GraphNode,
  by: string | undefined,
  regions: ReadonlyMap<GraphNode, Region>,
  joining: Joining,
): GraphNode {
  const homes = new Map<GraphNode, string>();
  for (const { root, nodes } of regions.values()) {
    // Who follows the changes is not who makes them.
    if (joining.find(root) === joining.find(node)) continue;
    for (const agent of nodes)
      if (isAsynchronous(agent) && (by === undefined || agent.name === by))
        homes.set(joining.find(root), agent.name ?? '');
  }
  const [home] = homes.keys();
  if (home !== undefined && homes.size === 1) return home;
  if (by !== undefined)
    throw new MillraceError(
      'MR_TOPOLOGY_INVALID',
      `the changes of table ${table} were asked for by agent ${by}, which is not an agent of the app that could make them; name the agent that uses the table`,
      { details: { table, agent: by } },
    );
  throw new MillraceError(
    'MR_TOPOLOGY_INVALID',
    homes.size === 0
      ? `the changes of table ${table} are used, but no declared stream updates the table and no agent could; update it with a stream's update(${table}, …), or in an agent`
      : `the changes of table ${table} are used, and the rows may live with any of the agents ${[...homes.values()].toSorted().join(', ')}; say which of them uses the table: ${table}.changes({ by: agent })`,
    { details: { table, agents: [...homes.values()].toSorted() } },
  );
}

/** A change flows on at once: one that led to a change of the same table would never end. */
function checkCircles(
  changes: readonly { readonly node: GraphNode; readonly table: string }[],
  regions: ReadonlyMap<GraphNode, Region>,
): void {
  const leadsTo = new Map(
    changes.map(({ node, table }) => [
      table,
      [...(regions.get(node)?.nodes ?? [])].flatMap(({ role }) =>
        role.role === 'table' ? [nameOf(role.table)] : [],
      ),
    ]),
  );
  for (const { table } of changes) {
    const reached = new Set(leadsTo.get(table));
    // A set goes on with what is added to it during the walk.
    for (const other of reached) for (const next of leadsTo.get(other) ?? []) reached.add(next);
    if (reached.has(table))
      throw new MillraceError(
        'MR_TOPOLOGY_INVALID',
        `the changes of table ${table} lead to an update of the same table, which would go on for ever; put groupBy(…) between, or use another table`,
        { details: { table } },
      );
  }
}
