/**
 * Rows by key that expire: a row is gone once stream time has reached the time of its last write and the store's time to live.
 *
 * The time of the last write stands in front of the encoded value, 8 bytes. Reading hides what has expired; sweeps delete it,
 * a bounded number of rows at each commit: in order of time while memory holds all rows, else a page of the stored rows after the
 * other, round and round.
 *
 * @module
 */
import type { Codec } from '../codec/codec.ts';
import type { Effects } from '../core/effects.ts';
import { assert } from '../core/errors.ts';
import { isAbsent, RAW, rawOf } from './cell.ts';
import type { Cell } from './cell.ts';
import { KeyedStore } from './keyed-store.ts';
import { TimeHeap } from './time-heap.ts';

const TIME_BYTES = 8;

/** A value and the event time of its last write. Never changed: a write makes another. */
class Timed {
  readonly value: unknown;
  readonly time: number;

  constructor(value: unknown, time: number) {
    this.value = value;
    this.time = time;
  }
}

/** A keyed store whose rows expire. */
export class TimedStore extends KeyedStore {
  #ttlMs = Infinity;
  #streamTime: () => number = () => -Infinity;
  /** By time of their last write, or an earlier one; made by the first sweep. */
  #heap: TimeHeap | undefined;
  /** Where the next sweep over the stored rows begins. */
  #sweptTo: Uint8Array | undefined;

  /** In front of the keys of its rows. */
  override get prefix(): Buffer {
    return this.prefixes.timed;
  }

  override use(codec: Codec<unknown>): void {
    super.use(timed(codec));
  }

  /** Says how long rows live, in milliseconds. Until then nothing expires. */
  live(ttlMs: number): void {
    this.#ttlMs = ttlMs;
  }

  /** Says where stream time is read, milliseconds since 1970. Until then nothing expires for who reads. */
  follow(streamTime: () => number): void {
    this.#streamTime = streamTime;
  }

  /** As that of any store, and `undefined` for a row that has expired. */
  override read(cell: Cell, effects: Effects | null = null): unknown {
    const row = super.read(cell, effects);
    return row instanceof Timed && !this.#expired(row.time) ? row.value : undefined;
  }

  override write(
    cell: Cell,
    value: unknown,
    effects: Effects | null = null,
    time: number = Number.NaN,
  ): void {
    if (value === undefined) {
      super.write(cell, undefined, effects);
      return;
    }
    assert(Number.isSafeInteger(time), 'a row that expires was written without a time', {
      table: this.name,
      time,
    });
    const before = isAbsent(cell) ? Infinity : timeOf(cell);
    super.write(cell, new Timed(value, time), effects);
    // A row stays where it is in the heap until its time there has come, unless it is to be looked at earlier.
    if (time < before) this.#heap?.push(time, cell);
  }

  /**
   * Deletes rows that have expired at `streamTime`. Looks at up to `limit` rows. Call it between events: nothing of it is undone.
   * Returns how many were deleted.
   */
  expire(streamTime: number, limit: number): number {
    const before = streamTime - this.#ttlMs;
    if (before === -Infinity) return 0;
    if (this.complete) return this.#expireMemory(before, limit);
    this.#heap = undefined;
    return this.#expireStored(before, limit);
  }

  protected override isMutable(value: unknown): boolean {
    return super.isMutable((value as Timed).value);
  }

  protected override copyOf(value: unknown): object | undefined {
    const { value: inner, time } = value as Timed;
    const copy = super.copyOf(inner);
    return copy === undefined ? undefined : new Timed(copy, time);
  }

  /** Rows written at or before `before` are too old. */
  #expireMemory(before: number, limit: number): number {
    // Times that were passed over leave more in the heap than there are rows.
    if (this.#heap === undefined || this.#heap.size > 2 * this.size + 64) {
      this.#heap = new TimeHeap();
      for (const cell of this.all.cells()) if (!isAbsent(cell)) this.#heap.push(timeOf(cell), cell);
    }
    const heap = this.#heap;
    let deleted = 0;
    for (let looks = 0; looks < limit && heap.first <= before; looks++) {
      const cell = heap.pop() as Cell;
      if (!this.holds(cell) || isAbsent(cell)) continue;
      const time = timeOf(cell);
      if (time > before) {
        heap.push(time, cell);
        continue;
      }
      super.write(cell, undefined);
      deleted++;
    }
    return deleted;
  }

  #expireStored(before: number, limit: number): number {
    let deleted = 0;
    let looks = 0;
    let last: Cell | undefined;
    for (const cell of this.all.stored(this.#sweptTo)) {
      if (looks++ === limit) break;
      last = cell;
      if (isAbsent(cell) || timeOf(cell) > before) continue;
      super.write(this.all.keep(cell), undefined);
      deleted++;
    }
    this.#sweptTo =
      last === undefined || looks <= limit ? undefined : Buffer.concat([last.ref.bytes, ZERO]);
    return deleted;
  }

  #expired(time: number): boolean {
    return this.#streamTime() - time >= this.#ttlMs;
  }
}

/** Between a key and its successor there is no other. */
const ZERO: Uint8Array = Uint8Array.of(0);

/** When a row was written last. Nothing is decoded for it. */
function timeOf(cell: Cell): number {
  if ((cell.state & RAW) === 0) return (cell.value as Timed).time;
  const raw = rawOf(cell);
  return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).readDoubleLE(0);
}

/** Values with their times in front. */
function timed(codec: Codec<unknown>): Codec<unknown> {
  return {
    name: codec.name,
    encode: (value) => {
      const { value: inner, time } = value as Timed;
      const encoded = codec.encode(inner);
      const bytes = Buffer.allocUnsafe(TIME_BYTES + encoded.length);
      bytes.writeDoubleLE(time, 0);
      bytes.set(encoded, TIME_BYTES);
      return bytes;
    },
    decode: (bytes) =>
      new Timed(
        codec.decode(bytes.subarray(TIME_BYTES)),
        Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readDoubleLE(0),
      ),
    encodeInto: (value, target, at) => {
      if (codec.encodeInto === undefined || target.length - at < TIME_BYTES) return -1;
      const { value: inner, time } = value as Timed;
      target.writeDoubleLE(time, at);
      return codec.encodeInto(inner, target, at + TIME_BYTES);
    },
  };
}
