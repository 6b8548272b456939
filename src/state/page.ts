/**
 * Pages: how a checkpoint stores rows, some hundred together, in order of their keys.
 *
 * ```
 * u32 CRC-32 of the page's row key and of what follows, u16 count, count × { u16 end of key, u32 end of value }, keys, values
 * ```
 *
 * A page holds the rows from its own row key on, up to that of the next page. Ends are counted from the first key and the first value. Numbers
 * are little-endian.
 *
 * One row in the store for each row of a table would cost several times as much to write and to load: a commit of the store touches whole
 * pages of its file anyway.
 *
 * @module
 */
import { crc32 } from 'node:zlib';

import type { RawRows } from './cell.ts';

/** Pages are filled to this many bytes; with the header of the store's own page that is 4 KiB. A single row may be larger. */
export const MAX_PAGE_BYTES = 4_072;

/** What stands in front of the entries. */
export const PAGE_HEADER_BYTES = 6;
/** What a row takes besides its key and value. */
export const PAGE_ENTRY_BYTES = 6;

/** A page as it was read. */
export class Page implements RawRows {
  readonly count: number;
  /** The whole page. Keys and values lie in it one behind the other. */
  readonly bytes: Buffer;
  /** The same bytes; reads from it compile to a single load each. */
  readonly #view: DataView;
  readonly #keys: number;
  readonly #values: number;

  /** @param bytes those of a page that {@link defectOfPage} finds nothing wrong with; kept. */
  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.count = this.#view.getUint16(4, true);
    this.#keys = PAGE_HEADER_BYTES + PAGE_ENTRY_BYTES * this.count;
    this.#values = this.#keys;
    this.#values = this.keyStart(this.count);
  }

  /** Where key `i` begins; for `i === count` where the last one ends. */
  keyStart(i: number): number {
    if (i === 0) return this.#keys;
    return this.#keys + this.#view.getUint16(PAGE_HEADER_BYTES + PAGE_ENTRY_BYTES * (i - 1), true);
  }

  keyEnd(i: number): number {
    return this.keyStart(i + 1);
  }

  /** Where value `i` begins; for `i === count` where the last one ends. */
  valueStart(i: number): number {
    if (i === 0) return this.#values;
    return (
      this.#values + this.#view.getUint32(PAGE_HEADER_BYTES + PAGE_ENTRY_BYTES * (i - 1) + 2, true)
    );
  }

  valueEnd(i: number): number {
    return this.valueStart(i + 1);
  }

  /** A view of row key `i`. */
  key(i: number): Buffer {
    return this.bytes.subarray(this.keyStart(i), this.keyEnd(i));
  }

  rawValue(i: number): Buffer {
    return this.bytes.subarray(this.valueStart(i), this.valueEnd(i));
  }

  /** How many bytes the rows from `from` to before `to` take. */
  rowBytes(from: number, to: number): number {
    return (
      PAGE_ENTRY_BYTES * (to - from) +
      (this.keyStart(to) - this.keyStart(from)) +
      (this.valueStart(to) - this.valueStart(from))
    );
  }

  /** Index of the first row from `low` on whose key is not below the one in `keys` from `start` to `end`. */
  lowerBound(
    keys: Uint8Array,
    start: number = 0,
    end: number = keys.length,
    low: number = 0,
  ): number {
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.compareKey(middle, keys, start, end) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Compares row key `i` with the one in `keys` from `start` to `end`: negative when it sorts before. */
  compareKey(i: number, keys: Uint8Array, start: number = 0, end: number = keys.length): number {
    const { bytes } = this;
    const ownEnd = this.keyEnd(i);
    let at = this.keyStart(i);
    let other = start;
    for (; at < ownEnd && other < end; at++, other++) {
      const difference = (bytes[at] as number) - (keys[other] as number);
      if (difference !== 0) return difference;
    }
    return ownEnd - at - (end - other);
  }
}

/** Writes the checksum of a page that is otherwise complete, and is stored under `rowKey`. */
export function sealPage(rowKey: Uint8Array, page: Buffer): Buffer {
  page.writeUInt32LE(checksum(rowKey, page), 0);
  return page;
}

/** What is wrong with a stored page, or `undefined`. */
export function defectOfPage(rowKey: Uint8Array, bytes: Uint8Array): string | undefined {
  const page = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (page.length < PAGE_HEADER_BYTES) return `it has ${page.length} bytes, fewer than a header`;
  if (page.readUInt32LE(0) !== checksum(rowKey, page)) return 'its checksum is wrong';
  return addsUp(page) ? undefined : 'its lengths do not add up';
}

/** Whether all keys and values lie in the page, one behind the other. */
function addsUp(page: Buffer): boolean {
  const count = page.readUInt16LE(4);
  const keys = PAGE_HEADER_BYTES + PAGE_ENTRY_BYTES * count;
  if (keys > page.length) return false;
  let keyEnd = 0;
  let valueEnd = 0;
  for (let at = PAGE_HEADER_BYTES; at < keys; at += PAGE_ENTRY_BYTES) {
    const nextKey = page.readUInt16LE(at);
    const nextValue = page.readUInt32LE(at + 2);
    if (nextKey < keyEnd || nextValue < valueEnd) return false;
    keyEnd = nextKey;
    valueEnd = nextValue;
  }
  return keys + keyEnd + valueEnd === page.length;
}

function checksum(rowKey: Uint8Array, page: Buffer): number {
  return crc32(page.subarray(4), crc32(rowKey));
}
