/**
 * Regions of an app's graph, and which of them belong together.
 *
 * 1. Every source node, every source of closed windows or changes and every `groupBy` is a root. The region of a root is what can be reached
 *    from it without passing another `groupBy`.
 * 2. Regions that share a node or a table belong together, and so do a table's updates, its closed windows and its changes.
 * 3. Of those that share only a source topic, the synchronous ones belong together too; each asynchronous one stays a
 *    sub-topology of its own, so that a slow agent holds up nobody but itself.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { showNode } from '../stream/graph.ts';
import type { GraphNode } from '../stream/node.ts';
import type { WindowShape } from '../window/definition.ts';
import { joinChanges } from './change-regions.ts';
import { isAsynchronous, nameOf } from './nodes.ts';
import { checkParents, sourcesOf } from './sources.ts';

/** What an app declared. */
export interface AppGraph {
  readonly app: string;
  /** Prefix of the app's internal topics. */
  readonly group: string;
  /** Source nodes of topics. */
  readonly sources: readonly {
    readonly node: GraphNode;
    readonly topic: string;
    readonly partitions: number;
  }[];
  /** Source nodes of closed windows. */
  readonly closed: readonly {
    readonly node: GraphNode;
    readonly table: string;
    readonly graceMs: number;
  }[];
  /** Source nodes of the changes of tables, and the agent that was named as using the table. Default: none. */
  readonly changes?:
    | readonly {
        readonly node: GraphNode;
        readonly table: string;
        readonly by?: string | undefined;
      }[]
    | undefined;
  readonly tables: readonly string[];
  /** What the windows are of the tables that have windows. Default: none has. */
  readonly windows?: Readonly<Record<string, WindowShape>> | undefined;
}

/** What can be reached from a root without passing another `groupBy`. */
export interface Region {
  readonly root: GraphNode;
  readonly nodes: Set<GraphNode>;
  /** Where it ends. */
  readonly cuts: GraphNode[];
}

/** The regions of all roots that anything hangs on. */
export function findRegions(graph: AppGraph): Map<GraphNode, Region> {
  const regions = new Map<GraphNode, Region>();
  const roots = sourcesOf(graph);
  for (let root = roots.pop(); root !== undefined; root = roots.pop()) {
    if (regions.has(root)) continue;
    const region: Region = { root, nodes: new Set([root]), cuts: [] };
    const open = [...root.children];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      if (node.role.role === 'cut') {
        // Nobody reads behind it, so nothing needs to be written.
        if (node.children.length === 0) continue;
        if (!region.cuts.includes(node)) region.cuts.push(node);
        roots.push(node);
      } else if (!region.nodes.has(node)) {
        region.nodes.add(node);
        open.push(...node.children);
      }
    }
    regions.set(root, region);
  }
  for (const [root] of regions) if (root.children.length === 0) regions.delete(root);
  return regions;
}

/**
 * Groups regions into the future sub-topologies.
 *
 * @throws `MR_TOPOLOGY_INVALID` for closed windows of a table that no declared stream updates, and as {@link joinChanges}.
 */
export function findComponents(
  graph: AppGraph,
  regions: ReadonlyMap<GraphNode, Region>,
): Region[][] {
  const parent = new Map<GraphNode, GraphNode>();
  const find = (node: GraphNode): GraphNode => {
    let root = node;
    for (let up = parent.get(root); up !== undefined; up = parent.get(root)) root = up;
    return root;
  };
  const join = (a: GraphNode, b: GraphNode): void => {
    const [rootA, rootB] = [find(a), find(b)];
    if (rootA !== rootB) parent.set(rootA, rootB);
  };
  const owners = new Map<unknown, GraphNode>();
  const own = (thing: unknown, root: GraphNode): void => {
    const owner = owners.get(thing);
    if (owner === undefined) owners.set(thing, root);
    else join(owner, root);
  };
  for (const { root, nodes, cuts } of regions.values()) {
    for (const node of [...nodes, ...cuts]) {
      if ((node.concurrency ?? 1) > 1)
        throw new MillraceError(
          'MR_TOPOLOGY_INVALID',
          `a ${node.kind} of an app's stream asks for a concurrency of ${node.concurrency ?? 1}, but a task processes one event at a time; leave it out: the partitions of the topic work side by side`,
          { details: { kind: node.kind } },
        );
      checkHolds(node);
      checkParents(graph, node);
      if (node !== root) own(node, root);
      if (node.role.role === 'table') own(`table ${nameOf(node.role.table)}`, root);
    }
  }
  for (const { node, table } of graph.closed) {
    if (!regions.has(node)) continue;
    if (!owners.has(`table ${table}`))
      throw new MillraceError(
        'MR_TOPOLOGY_INVALID',
        `the closed windows of table ${table} are used, but no declared stream updates the table; update it with a stream's update(${table}, …), since closed() follows the task that does`,
        { details: { table } },
      );
    own(`table ${table}`, node);
    checkBehindClosed(table, regions.get(node));
  }
  joinChanges(graph, regions, {
    owner: (table) => owners.get(`table ${table}`),
    find,
    join,
  });
  const asynchronous = new Set<GraphNode>();
  for (const { root, nodes } of regions.values())
    if ([...nodes].some(isAsynchronous)) asynchronous.add(find(root));
  const topics = new Map(graph.sources.map(({ node, topic }) => [node, topic]));
  const byTopic = new Map<string, GraphNode>();
  for (const { root } of regions.values()) {
    const topic = topics.get(root);
    if (topic === undefined || asynchronous.has(find(root))) continue;
    const first = byTopic.get(topic);
    if (first === undefined) byTopic.set(topic, root);
    else join(first, root);
  }
  const groups = new Map<GraphNode, Region[]>();
  for (const region of regions.values()) {
    const root = find(region.root);
    groups.set(root, [...(groups.get(root) ?? []), region]);
  }
  return [...groups.values()];
}

/** What an operator holds back without saving it would be gone after a crash, although its events are committed. */
function checkHolds(node: GraphNode): void {
  if (node.role.role !== 'operator' || node.role.holds === undefined) return;
  throw new MillraceError(
    'MR_TOPOLOGY_INVALID',
    `${showNode(node)} on a stream of an app holds values back that a crash would lose, although they count as processed; ${node.role.holds}`,
    { details: { kind: node.kind } },
  );
}

/** Results of closed windows come when stream time has passed them: in the same task the windows of another table would be closed to them. */
function checkBehindClosed(table: string, region: Region | undefined): void {
  for (const { role } of region?.nodes ?? [])
    if (role.role === 'table' && '~window' in role.table)
      throw new MillraceError(
        'MR_TOPOLOGY_INVALID',
        `the closed windows of table ${table} feed the windows of table ${nameOf(role.table)} in the same task, where they would all be late; put groupBy(…) before update(${nameOf(role.table)}, …)`,
        { details: { table } },
      );
}
