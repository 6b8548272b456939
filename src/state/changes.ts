/**
 * Changes: the last word of some changelog frames on each row.
 *
 * A mark of expiry deletes what was written before it and nothing that was written after it, so its place among the records counts.
 *
 * @module
 */
import type { FrameView } from '../broker/frame-view.ts';
import { MAX_ROW_KEY_BYTES } from './checkpoint-rows.ts';
import { orderOfKeys } from './key-sort.ts';
import { EXPIRED, readRow, rowPrefixes, WINDOWED, windowedRow } from './row-key.ts';

/** Rows and what they become. */
export interface RowChanges {
  readonly count: number;
  /** Where row key {@link RowChanges.keyStart} to {@link RowChanges.keyEnd} lie. */
  readonly keys: Buffer;
  keyStart(i: number): number;
  keyEnd(i: number): number;
  /** A view; `null`: the row is deleted. */
  value(i: number): Uint8Array | null;
}

/** Row keys from `from` (included) to `to` (not included). */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

/** To be applied in this order: first what has expired goes, then rows change. */
export interface Changes {
  readonly expired: readonly KeyRange[];
  /** Ascending by row key. */
  readonly rows: RowChanges;
  /** Rows whose keys do not fit into a page. */
  readonly long: RowChanges;
}

/** A mark of expiry: rows of its table below `to` that were written before record `record` are gone. */
interface ExpiryMark {
  readonly record: number;
  readonly to: Buffer;
}

/** The changes in `frames`, which are one behind the other and stay in memory as long as the changes. */
export function changesOf(frames: readonly FrameView[]): Changes {
  const records = new Records(frames);
  const { keys, ends, marks } = records;
  const order = orderOfKeys(keys, ends);
  let rows = 0;
  const long: number[] = [];
  for (let i = 0; i < order.length; i++) {
    const at = order[i] as number;
    const start = records.keyStart(at);
    const end = ends[at] as number;
    const next = order[i + 1];
    // Of equal keys the last one has the last word. Empty ones are marks of expiry.
    if (start === end || (next !== undefined && records.sameKey(at, next))) continue;
    if (marks.size > 0 && isExpired(marks, keys.subarray(start, end), at)) continue;
    if (end - start > MAX_ROW_KEY_BYTES) long.push(at);
    else order[rows++] = at;
  }
  return {
    expired: [...marks.values()].map(rangeOf),
    rows: new Picked(records, order.subarray(0, rows)),
    long: new Picked(records, Uint32Array.from(long)),
  };
}

/** Some of the records. */
class Picked implements RowChanges {
  readonly keys: Buffer;
  readonly #records: Records;
  readonly #picked: Uint32Array;

  constructor(records: Records, picked: Uint32Array) {
    this.keys = records.keys;
    this.#records = records;
    this.#picked = picked;
  }

  get count(): number {
    return this.#picked.length;
  }

  keyStart(i: number): number {
    return this.#records.keyStart(this.#picked[i] as number);
  }

  keyEnd(i: number): number {
    return this.#records.ends[this.#picked[i] as number] as number;
  }

  value(i: number): Uint8Array | null {
    return this.#records.value(this.#picked[i] as number);
  }
}

/** The records of some frames one after the other, their keys in one piece. Marks of expiry are kept apart, and leave an empty key that says nothing. */
class Records {
  readonly marks = new Map<string, ExpiryMark[]>();
  readonly keys: Buffer;
  readonly ends: Uint32Array;
  readonly #frames: readonly FrameView[];
  /** Number of the first record of each frame. */
  readonly #firsts: number[] = [];

  constructor(frames: readonly FrameView[]) {
    this.#frames = frames;
    let count = 0;
    let bytes = 0;
    for (const frame of frames) {
      count += frame.count;
      bytes += frame.byteLength;
    }
    this.keys = Buffer.allocUnsafeSlow(bytes);
    this.ends = new Uint32Array(count);
    let record = 0;
    let end = 0;
    for (const frame of frames) {
      this.#firsts.push(record);
      for (let i = 0; i < frame.count; i++) {
        const start = frame.keyStart(i);
        const length = frame.keyEnd(i) - start;
        if (kindOf(frame.bytes, start) === EXPIRED)
          addMark(this.marks, frame.key(i) as Uint8Array, record);
        else {
          copy(frame.bytes, start, length, this.keys, end);
          end += length;
        }
        this.ends[record++] = end;
      }
    }
  }

  keyStart(at: number): number {
    return at === 0 ? 0 : (this.ends[at - 1] as number);
  }

  sameKey(a: number, b: number): boolean {
    const { keys } = this;
    let i = this.keyStart(a);
    let j = this.keyStart(b);
    const end = this.ends[a] as number;
    if (end - i !== (this.ends[b] as number) - j) return false;
    for (; i < end; i++, j++) if (keys[i] !== keys[j]) return false;
    return true;
  }

  /** The value of record `at`. */
  value(at: number): Uint8Array | null {
    let low = 0;
    let high = this.#firsts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#firsts[middle] as number) <= at) low = middle;
      else high = middle - 1;
    }
    return (this.#frames[low] as FrameView).value(at - (this.#firsts[low] as number));
  }
}

function copy(from: Buffer, start: number, length: number, to: Buffer, at: number): void {
  // Short keys are quicker byte by byte than with a call out of JavaScript.
  if (length > 48) from.copy(to, at, start, start + length);
  else for (let i = 0; i < length; i++) to[at + i] = from[start + i] as number;
}

function kindOf(row: Uint8Array, start: number): number {
  return row[start + 1 + (row[start] as number)] as number;
}

function addMark(marks: Map<string, ExpiryMark[]>, rowKey: Uint8Array, record: number): void {
  const { store, start } = readRow(rowKey);
  const to = windowedRow(rowPrefixes(store), start, new Uint8Array());
  const all = marks.get(store);
  if (all === undefined) marks.set(store, [{ record, to }]);
  else {
    // What an earlier mark says, a later and higher one says too.
    while (all.length > 0 && Buffer.compare((all.at(-1) as ExpiryMark).to, to) <= 0) all.pop();
    all.push({ record, to });
  }
}

/** Whether the row that record `record` wrote was expired by a later one. */
function isExpired(
  marks: ReadonlyMap<string, readonly ExpiryMark[]>,
  rowKey: Uint8Array,
  record: number,
): boolean {
  if (kindOf(rowKey, 0) !== WINDOWED) return false;
  // The marks that are left fall: the first of those behind the record is the highest.
  const mark = marks.get(readRow(rowKey).store)?.find((each) => each.record > record);
  return mark !== undefined && Buffer.compare(rowKey, mark.to) < 0;
}

/** All that the marks of one table delete. */
function rangeOf(marks: readonly ExpiryMark[]): KeyRange {
  const { to } = marks[0] as ExpiryMark;
  return { from: to.subarray(0, to.length - 8), to };
}
