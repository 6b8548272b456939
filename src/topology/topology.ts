/**
 * The topology of an app: its graph, cut into sub-topologies at repartition topics. Pure data.
 *
 * A sub-topology on one partition number is a task. Names are durable: they come from topics, agents, tables and the names that
 * the user gave, never from a counter, so that state finds its way back after the program has changed.
 *
 * @module
 */
import type { GraphNode } from '../stream/node.ts';
import type { WindowShape } from '../window/definition.ts';

/** A topic that a sub-topology reads. */
export interface TopologyInput {
  readonly topic: string;
  readonly role: 'source' | 'repartition';
  readonly partitions: number;
  /** Nodes that take its records: source nodes, or the `groupBy` nodes in front of the repartition topic. */
  readonly roots: readonly GraphNode[];
  /** How many tasks write it. 0 for source topics. */
  readonly upstreamTasks: number;
}

/** A `groupBy` that ends a sub-topology. */
export interface TopologyCut {
  readonly node: GraphNode;
  /** The repartition topic. */
  readonly topic: string;
  readonly partitions: number;
  /** Values arrive here as they were read, so that their bytes can be passed on. Then the topic they came from, else `undefined`. */
  readonly transparentFrom: string | undefined;
  /** How far event times behind this cut may lie behind the stream time of the task, in milliseconds: the grace of closed windows. */
  readonly delayMs: number;
}

/** A part of the graph between topics. */
export interface SubTopology {
  readonly name: string;
  readonly inputs: readonly TopologyInput[];
  readonly cuts: readonly TopologyCut[];
  /** Tables that its declared streams update. */
  readonly tables: readonly string[];
  /** Source nodes of the closed windows of those tables. */
  readonly closed: readonly { readonly table: string; readonly node: GraphNode }[];
  /** Source nodes of the changes of tables that live in its tasks. */
  readonly changes: readonly { readonly table: string; readonly node: GraphNode }[];
  /** Nodes with state of their own, and the name of the state. */
  readonly states: readonly { readonly node: GraphNode; readonly name: string }[];
  readonly agents: readonly string[];
  /** Topics that it sends to by `through`. */
  readonly through: readonly { readonly topic: string; readonly partitions: number }[];
  /** Whether its events may wait for something; then its tasks drain before they commit. */
  readonly asynchronous: boolean;
  /** Number of its tasks. */
  readonly partitions: number;
}

/** A whole app. */
export interface Topology {
  readonly app: string;
  readonly subTopologies: readonly SubTopology[];
  /** All tables of the app, those used by agents only included. */
  readonly tables: readonly string[];
  /** What the windows are of those that have windows. */
  readonly windows: Readonly<Record<string, WindowShape>>;
}

/** Name of the changelog topic of a sub-topology. */
export function changelogTopic(group: string, subTopology: string): string {
  return `${group}-${subTopology}-changelog`;
}

/** Id of a task. */
export function taskId(subTopology: string, partition: number): string {
  return `${subTopology}/${partition}`;
}
