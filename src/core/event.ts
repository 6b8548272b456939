/**
 * What travels beside a value through a graph: where it came from, its key and its time.
 *
 * @module
 */
import type { Effects } from './effects.ts';
import type { Headers } from './types.ts';

/**
 * A key with the two forms that the hot path needs. Brokers intern it: equal keys of a partition are one object,
 * so that its string hash is computed once.
 */
export interface KeyRef {
  /** The decoded key, as the program sees it. */
  readonly key: unknown;
  /** Canonical form for use in a `Map`: equal exactly when the canonical bytes are equal. */
  readonly id: string;
  /** Canonical bytes; see `codec/key.ts`. */
  readonly bytes: Uint8Array;
}

/** Encoded values by offset. */
export interface RawValues {
  /** A view of the value of a record; `null` for no value. */
  valueAt(offset: number): Uint8Array | null;
}

/**
 * The record behind the value that is being processed. A task moves one cell from record to record; whoever keeps it
 * beyond the promise that it returned must copy it first. In-process pipelines pass `null`.
 */
export interface EventCell {
  topic: string;
  partition: number;
  /** Position in its partition, from 0. */
  offset: number;
  /** Event time, integer milliseconds since 1970. */
  timestamp: number;
  /** `null`: the record has no key. */
  key: KeyRef | null;
  headers: Headers | null;
  /** Where its encoded value lies, as it was read; see {@link rawValueOf}. */
  raw: RawValues | null;
  /** What its processing has done so far; `null` where it need not be taken back. */
  effects: Effects | null;
  /** Where it is, when several events of a task are under way at once; else `null`. */
  flight: Flight | null;
}

/** The encoded value of an event as it was read; `null` for no value, and where nothing was. Few ask, so it is found only then. */
export function rawValueOf(event: EventCell): Uint8Array | null {
  return event.raw === null ? null : event.raw.valueAt(event.offset);
}

/** Where an event is that is under way beside others. Shared by all copies of its cell. */
export interface Flight {
  /** In how many queues it waits. It can be taken back from there. */
  queues: number;
  /** User code has it. */
  delivered: boolean;
  /** It was taken back, and will come again: whoever still meets it lets it go. */
  withdrawn: boolean;
  /** Stream time with this event and all before it, whether those are finished or not. */
  readonly streamTime: number;
  /** Told when it has come to a queue; may withdraw it there and then. */
  readonly onQueued?: (() => void) | undefined;
  /** Whether events that were taken behind it are under way or done. */
  readonly isOvertaken?: (() => boolean) | undefined;
}
