/**
 * What topics, tables and agents need from the app that declared them.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../core/clock.ts';
import type { TopicFormat } from '../runtime/format.ts';
import type { GraphNode } from '../stream/node.ts';
import type { Processing } from '../table/processing.ts';

export interface Host {
  readonly clock: Clock;
  readonly processing: Processing;
  /** The open broker; opens it at the first call. */
  broker(): Promise<Broker>;
  /** Creates a declared topic if it is not there yet. */
  ensureTopic(format: TopicFormat): Promise<Broker>;
  /** A topic's stream was asked for. */
  addSource(node: GraphNode, format: TopicFormat): void;
}
