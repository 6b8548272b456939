/**
 * Builds the topology of an app from its graph.
 *
 * 1. Every source node, every source of closed windows and every `groupBy` is a root. The region of a root is what can be reached
 *    from it without passing another `groupBy`.
 * 2. Regions that share a node or a table belong together, and so do a table's updates and its closed windows.
 * 3. Of those that share only a source topic, the synchronous ones belong together too; each asynchronous one stays a
 *    sub-topology of its own, so that a slow agent holds up nobody but itself.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { GraphNode } from '../stream/node.ts';
import type { SubTopology, Topology, TopologyCut, TopologyInput } from './topology.ts';

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
  readonly tables: readonly string[];
}

interface Region {
  readonly root: GraphNode;
  readonly nodes: Set<GraphNode>;
  readonly cuts: GraphNode[];
}

/**
 * @throws `MR_TOPOLOGY_INVALID`, `MR_NAME_TAKEN` or `MR_NAME_MISSING`, saying what to write instead.
 */
export function buildTopology(graph: AppGraph): Topology {
  const regions = findRegions(graph);
  const components = findComponents(graph, regions);
  const built = new Builder(graph, components).build();
  return { app: graph.app, subTopologies: built, tables: graph.tables };
}

function findRegions(graph: AppGraph): Map<GraphNode, Region> {
  const regions = new Map<GraphNode, Region>();
  const roots = [...graph.sources.map(({ node }) => node), ...graph.closed.map(({ node }) => node)];
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

/** Groups regions into the future sub-topologies. */
function findComponents(graph: AppGraph, regions: ReadonlyMap<GraphNode, Region>): Region[][] {
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
  }
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

function isAsynchronous(node: GraphNode): boolean {
  return node.kind === 'agent';
}

/** Names components and measures them, upstream before downstream. */
class Builder {
  readonly #graph: AppGraph;
  readonly #components: readonly Region[][];
  readonly #home = new Map<GraphNode, Region[]>();
  readonly #done = new Map<Region[], SubTopology>();
  readonly #underWay = new Set<Region[]>();

  constructor(graph: AppGraph, components: readonly Region[][]) {
    this.#graph = graph;
    this.#components = components;
    for (const component of components)
      for (const { cuts } of component) for (const cut of cuts) this.#home.set(cut, component);
  }

  build(): SubTopology[] {
    const all = this.#components.map((component) => this.#sub(component));
    const names = new Set<string>();
    for (const { name } of all) {
      if (names.has(name))
        throw new MillraceError(
          'MR_NAME_TAKEN',
          `two parts of the app are both called ${name}; rename an agent, or give a groupBy a name`,
        );
      names.add(name);
    }
    return all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  #sub(component: Region[]): SubTopology {
    const done = this.#done.get(component);
    if (done !== undefined) return done;
    if (this.#underWay.has(component))
      throw new MillraceError(
        'MR_TOPOLOGY_INVALID',
        'the graph of the app goes in a circle through a groupBy; send to a topic to close a circle',
      );
    this.#underWay.add(component);
    const sub = this.#make(component);
    this.#done.set(component, sub);
    return sub;
  }

  #make(component: Region[]): SubTopology {
    const nodes = new Set(component.flatMap((region) => [...region.nodes]));
    const sources = this.#graph.sources.filter(({ node }) =>
      component.some(({ root }) => root === node),
    );
    const cutRoots = component
      .filter(({ root }) => root.role.role === 'cut')
      .map(({ root }) => root);
    const agents = [...nodes]
      .filter(isAsynchronous)
      .map((node) => node.name ?? '')
      .toSorted();
    const sourcePartitions = Math.max(0, ...sources.map(({ partitions }) => partitions));

    const inputs: TopologyInput[] = [];
    for (const topic of new Set(sources.map((source) => source.topic))) {
      const ofTopic = sources.filter((source) => source.topic === topic);
      inputs.push({
        topic,
        role: 'source',
        partitions: ofTopic[0]?.partitions ?? 0,
        roots: ofTopic.map(({ node }) => node),
        upstreamTasks: 0,
      });
    }
    const bases: string[] = [];
    for (const root of cutRoots) {
      const upstream = this.#sub(this.#home.get(root) as Region[]);
      const base = `${upstream.name}-${cutName(root)}`;
      bases.push(base);
      inputs.push({
        topic: this.#repartitionTopic(base),
        role: 'repartition',
        partitions: explicitPartitions(root) ?? (sourcePartitions || upstream.partitions),
        roots: [root],
        upstreamTasks: upstream.partitions,
      });
    }
    const name =
      agents.length > 0
        ? `agent-${agents.join('+')}`
        : [...new Set(sources.map(({ topic }) => topic)), ...bases].toSorted().join('+');
    const partitions = Math.max(...inputs.map((input) => input.partitions));
    const tables = [
      ...new Set(
        [...nodes].flatMap((node) => (node.role.role === 'table' ? [nameOf(node.role.table)] : [])),
      ),
    ];
    const states = this.#states(name, nodes);
    const stateful = tables.length > 0 || states.length > 0 || agents.length > 0;
    const unequal = inputs.find((input) => input.partitions !== partitions);
    if (stateful && unequal !== undefined)
      throw new MillraceError(
        'MR_TOPOLOGY_INVALID',
        `${inputs.map((input) => `${input.topic} (${input.partitions} partitions)`).join(' and ')} feed the same state but are not partitioned alike; give the topics the same number of partitions, or put groupBy(…) in front of one`,
        { details: { subTopology: name } },
      );
    const closed = this.#graph.closed.filter(({ node }) =>
      component.some(({ root }) => root === node),
    );
    return {
      name,
      inputs: inputs.toSorted((a, b) => (a.topic < b.topic ? -1 : 1)),
      cuts: this.#cuts(name, partitions, component, closed),
      tables: tables.toSorted(),
      closed: closed.map(({ node, table }) => ({ node, table })),
      states,
      agents,
      asynchronous: agents.length > 0,
      partitions,
    };
  }

  #cuts(
    name: string,
    partitions: number,
    component: readonly Region[],
    closed: AppGraph['closed'],
  ): TopologyCut[] {
    const taken = new Map<string, GraphNode>();
    const cuts = [...new Set(component.flatMap((region) => region.cuts))];
    return cuts.map((node) => {
      const base = `${name}-${cutName(node)}`;
      if (taken.has(base))
        throw new MillraceError(
          'MR_NAME_TAKEN',
          `two groupBy behind ${name} are both called ${cutName(node)}; share one stream between them, or give one of them a name: groupBy(…, { name: '…' })`,
          { details: { subTopology: name, name: cutName(node) } },
        );
      taken.set(base, node);
      const downstream =
        this.#components.find((other) => other.some(({ root }) => root === node)) ?? [];
      const sourcePartitions = Math.max(
        0,
        ...this.#graph.sources
          .filter((source) => downstream.some(({ root }) => root === source.node))
          .map((source) => source.partitions),
      );
      const reaching = component
        .filter((region) => region.cuts.includes(node))
        .map(({ root }) => root);
      return {
        node,
        topic: this.#repartitionTopic(base),
        partitions: explicitPartitions(node) ?? (sourcePartitions || partitions),
        transparentFrom: this.#transparentFrom(node),
        delayMs: Math.max(
          0,
          ...closed
            .filter((source) => reaching.includes(source.node))
            .map(({ graceMs }) => graceMs),
        ),
      };
    });
  }

  /** The topic whose values arrive at `node` as they were read, if there is exactly one. */
  #transparentFrom(node: GraphNode): string | undefined {
    const topics = new Set<string | undefined>();
    const open = [...node.parents];
    const seen = new Set<GraphNode>();
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      if (at.role.role === 'operator' && at.role.transparent) open.push(...at.parents);
      else if (at.role.role === 'cut') {
        const home = this.#home.get(at);
        topics.add(
          home === undefined
            ? undefined
            : this.#repartitionTopic(`${this.#sub(home).name}-${cutName(at)}`),
        );
      } else topics.add(this.#graph.sources.find((source) => source.node === at)?.topic);
    }
    const [only] = topics;
    return topics.size === 1 ? only : undefined;
  }

  #states(name: string, nodes: ReadonlySet<GraphNode>): { node: GraphNode; name: string }[] {
    const taken = new Set<string>();
    return [...nodes]
      .filter((node) => node.role.role === 'operator' && node.role.stateful)
      .map((node) => {
        const state = `${name}.${node.name ?? node.kind}`;
        if (taken.has(state))
          throw new MillraceError(
            'MR_NAME_MISSING',
            `two ${node.kind} behind ${name} keep state under one name; give each a name: ${node.kind}(…, { name: '…' })`,
            { details: { subTopology: name, kind: node.kind } },
          );
        taken.add(state);
        return { node, name: state };
      });
  }

  #repartitionTopic(base: string): string {
    return `${this.#graph.group}-${base}-repartition`;
  }
}

function cutName(node: GraphNode): string {
  const name = node.role.role === 'cut' ? node.role.name : undefined;
  if (name === undefined)
    throw new MillraceError(
      'MR_NAME_MISSING',
      "a groupBy with a function needs a name for its topic: groupBy(fn, { name: '…' })",
    );
  return name;
}

function explicitPartitions(node: GraphNode): number | undefined {
  return node.role.role === 'cut' ? node.role.partitions : undefined;
}

function nameOf(table: object): string {
  return 'name' in table ? String(table.name) : '';
}
