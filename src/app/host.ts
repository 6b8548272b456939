/**
 * What topics, tables and agents need from the app that declared them.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../core/clock.ts';
import type { TopicFormat } from '../runtime/format.ts';
import type { GraphNode, IterateOptions } from '../stream/node.ts';
import type { Processing } from '../table/processing.ts';

export interface Host {
  readonly clock: Clock;
  readonly processing: Processing;
  /** The open broker; opens it at the first call. */
  broker(): Promise<Broker>;
  /** Creates a declared topic if it is not there yet. */
  ensureTopic(format: TopicFormat): Promise<Broker>;
  /** Why a topic's stream can only be iterated: the app runs already. */
  sealed(format: TopicFormat): string | undefined;
  /** Iterates a topic, apart from the app's tasks. */
  iterate(format: TopicFormat, options: IterateOptions): AsyncIterableIterator<unknown>;
  /** A topic's stream was asked for, before the app was started. */
  addSource(node: GraphNode, format: TopicFormat): void;
  /** A source in front of `node` that this app did not declare, if there is one. */
  foreignSource(node: GraphNode): GraphNode | undefined;
}
