/**
 * Builds the topology of an app from its graph: names its parts, connects them, and checks that they fit together. What belongs together
 * is the matter of `regions.ts`.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { GraphNode } from '../stream/node.ts';
import { isAsynchronous, nameOf } from './nodes.ts';
import { findComponents, findRegions } from './regions.ts';
import type { AppGraph, Region } from './regions.ts';
import { changelogTopic } from './topology.ts';
import type { SubTopology, Topology, TopologyCut, TopologyInput } from './topology.ts';

/** Longest internal name of a broker, in characters. */
const MAX_TOPIC_LENGTH = 249;

/** Longest name of an operator's state: with the slash that marks it, what a row key takes. */
const MAX_STATE_LENGTH = 254;

/**
 * @throws `MR_TOPOLOGY_INVALID`, `MR_NAME_TAKEN`, `MR_NAME_MISSING` or `MR_NAME_INVALID`, saying what to write instead.
 */
export function buildTopology(graph: AppGraph): Topology {
  const regions = findRegions(graph);
  const components = findComponents(graph, regions);
  const built = new Builder(graph, components).build();
  return {
    app: graph.app,
    subTopologies: built,
    tables: graph.tables,
    windows: graph.windows ?? {},
  };
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
    for (const sub of all) this.#checkLengths(sub);
    return all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Names are put together, so that each of their parts may be fine and the whole too long. */
  #checkLengths({ name, cuts, states }: SubTopology): void {
    for (const topic of [changelogTopic(this.#graph.group, name), ...cuts.map((cut) => cut.topic)])
      if (topic.length > MAX_TOPIC_LENGTH)
        throw new MillraceError(
          'MR_NAME_INVALID',
          `${topic} is a name of ${topic.length} characters for a topic of the app, more than ${MAX_TOPIC_LENGTH}; give topics, agents or groupBy(…, { name }) shorter names`,
          { details: { subTopology: name, topic } },
        );
    for (const state of states)
      if (state.name.length > MAX_STATE_LENGTH)
        throw new MillraceError(
          'MR_NAME_INVALID',
          `${state.name} is a name of ${state.name.length} characters for a state, more than ${MAX_STATE_LENGTH}; give the topic or the operator a shorter name`,
          { details: { subTopology: name, state: state.name } },
        );
  }

  #sub(component: Region[]): SubTopology {
    const done = this.#done.get(component);
    if (done !== undefined) return done;
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
      const home = this.#home.get(root) as Region[];
      if (this.#underWay.has(home) && !this.#done.has(home))
        throw new MillraceError(
          'MR_TOPOLOGY_INVALID',
          `the graph of the app goes in a circle through the groupBy ${cutName(root)}: what feeds it and what reads it share a table or an agent; use a table for each side, or send to a topic to close the circle`,
          { details: { groupBy: cutName(root) } },
        );
      const upstream = this.#sub(home);
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
    const closed = this.#graph.closed.filter(({ node }) =>
      component.some(({ root }) => root === node),
    );
    const changes = (this.#graph.changes ?? []).filter(({ node }) =>
      component.some(({ root }) => root === node),
    );
    if (inputs.length === 0)
      throw new MillraceError(
        'MR_TOPOLOGY_INVALID',
        `no topic feeds the closed windows of ${closed.map(({ table }) => table).join(' and ')}; update one of the tables with the stream of a topic`,
        { details: { tables: closed.map(({ table }) => table) } },
      );
    const name =
      agents.length > 0
        ? `agent-${agents.join('.')}`
        : [...new Set(sources.map(({ topic }) => topic)), ...bases].toSorted().join('.');
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
    return {
      name,
      inputs: inputs.toSorted((a, b) => (a.topic < b.topic ? -1 : 1)),
      cuts: this.#cuts(name, partitions, component, closed),
      tables: tables.toSorted(),
      closed: closed.map(({ node, table }) => ({ node, table })),
      changes: changes.map(({ node, table }) => ({ node, table })),
      states,
      agents,
      through: this.#through(nodes),
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
    const made = cuts.map((node) => {
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
      // What closed windows do to a table comes out of its changes.
      const changed = (this.#graph.changes ?? []).some((source) => reaching.includes(source.node));
      return {
        node,
        topic: this.#repartitionTopic(base),
        partitions: explicitPartitions(node) ?? (sourcePartitions || partitions),
        transparentFrom: this.#transparentFrom(node),
        delayMs: Math.max(
          0,
          ...closed
            .filter((source) => changed || reaching.includes(source.node))
            .map(({ graceMs }) => graceMs),
        ),
      };
    });
    return made.toSorted((a, b) => (a.topic < b.topic ? -1 : 1));
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

  #through(nodes: ReadonlySet<GraphNode>): SubTopology['through'] {
    const names = new Set(
      [...nodes].flatMap(({ kind, role }) =>
        kind === 'through' && role.role === 'sink' ? [nameOf(role.target)] : [],
      ),
    );
    return [...names].toSorted().map((topic) => ({
      topic,
      // `through` made a source of the topic as well.
      partitions: this.#graph.sources.find((source) => source.topic === topic)?.partitions ?? 0,
    }));
  }

  #states(name: string, nodes: ReadonlySet<GraphNode>): { node: GraphNode; name: string }[] {
    const taken = new Set<string>();
    const made = [...nodes]
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
    return made.toSorted((a, b) => (a.name < b.name ? -1 : 1));
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
