/**
 * What travels beside a value through a graph: where it came from, its key and its time.
 *
 * @module
 */
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
  /** The encoded value as it was read. */
  raw: Uint8Array | null;
}
