/**
 * What an app has declared, for tools that look at it from outside, such as the command line.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import type { TopicFormat } from '../runtime/format.ts';
import type { Topology } from '../topology/topology.ts';
import type { SendOptions } from './batch.ts';
import type { RecordMetadata } from './sender.ts';

/** A topic, whatever its types. */
export interface AnyTopic {
  readonly name: string;
  readonly '~format': TopicFormat;
  send(value: unknown, options?: SendOptions & { readonly key?: unknown }): Promise<RecordMetadata>;
}

/** A table, whatever its types: `[key, row]` of plain ones, {@link AnyWindowRow} of those with windows. */
export interface AnyTable {
  readonly name: string;
  snapshot(): AsyncIterable<unknown>;
}

/** A row of a table with windows. */
export interface AnyWindowRow {
  readonly key: unknown;
  readonly window: { readonly start: number; readonly end: number };
  readonly value: unknown;
}

/** The parts of an app, by name. */
export interface AppParts {
  /** Its group on the broker: id and version. */
  readonly group: string;
  /** As it was given; may hold secrets. */
  readonly brokerUrl: string;
  /** The app's own broker; opened at the first call, closed with the app. */
  broker(): Promise<Broker>;
  /** @throws `MR_TOPOLOGY_INVALID` and the like, as `start` would. */
  topology(): Topology;
  readonly topics: ReadonlyMap<string, AnyTopic>;
  readonly tables: ReadonlyMap<string, AnyTable>;
  /** Agents, with the topic that each can be sent to directly, if there is one. */
  readonly agents: ReadonlyMap<string, AnyTopic | undefined>;
}
