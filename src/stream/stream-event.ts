/**
 * A value together with what travels beside it, as programs see it.
 *
 * @module
 */
import type { EventCell } from '../core/event.ts';
import type { Headers } from '../core/types.ts';

/** What can be read of an event. */
export interface EventView<T, K = null> {
  readonly value: T;
  readonly key: K;
  /** Event time, integer milliseconds since 1970. */
  readonly timestamp: number;
  readonly headers: Headers;
  /** Empty for values that did not come from a topic. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
}

/** The readable part of an event: a copy, since cells move on. */
export function eventView<T, K>(value: T, event: EventCell): EventView<T, K> {
  return {
    value,
    key: (event.key?.key ?? null) as K,
    timestamp: event.timestamp,
    headers: event.headers ?? {},
    topic: event.topic,
    partition: event.partition,
    // Results of closed windows stand at no place in a topic.
    offset: BigInt(Math.max(0, event.offset)),
  };
}

/** The event of a value that came from no record: in a process, where nothing was grouped. */
export function bareEvent<T>(value: T, timestamp: number): EventView<T> {
  return { value, key: null, timestamp, headers: {}, topic: '', partition: 0, offset: 0n };
}
