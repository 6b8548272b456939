/**
 * Row keys: how a task's state is addressed in its changelog and in its checkpoint.
 *
 * ```
 * u8 length of the store's name, name, u8 kind, then
 *   kind 0 (keyed):    canonical key
 *   kind 1 (windowed): u64 big-endian window start + 2^63, canonical key
 *   kind 2 (expired):  u64 big-endian window start + 2^63   — changelog only: every window that starts below it is gone
 * ```
 *
 * Windowed rows sort by start, so expiry is one range.
 *
 * @module
 */
import { assert } from '../core/errors.ts';

const KEYED = 0;
const WINDOWED = 1;
const EXPIRED = 2;
/** What is added to the upper half of a start, so that starts before 1970 sort before the others. */
const BIAS = 2 ** 31;

/** What a row key says. `start` is NaN for keyed rows. */
export interface RowAddress {
  readonly store: string;
  readonly start: number;
  /** The canonical key; empty for an expiry. */
  readonly key: Uint8Array;
  /** The row says that all windows below `start` are gone. */
  readonly expired: boolean;
}

/** Prefix of all rows of a store that are keyed, windowed, or marks of expiry. */
export interface RowPrefixes {
  readonly keyed: Buffer;
  readonly windowed: Buffer;
  readonly expired: Buffer;
}

/** The prefixes of `store`; a store has at most 255 bytes of name. */
export function rowPrefixes(store: string): RowPrefixes {
  const name = Buffer.from(store);
  assert(name.length <= 255, 'the name of a state store is too long', { store });
  const prefix = (kind: number): Buffer =>
    Buffer.concat([Buffer.of(name.length), name, Buffer.of(kind)]);
  return { keyed: prefix(KEYED), windowed: prefix(WINDOWED), expired: prefix(EXPIRED) };
}

/** Row key of `key` in a keyed store. */
export function keyedRow(prefixes: RowPrefixes, key: Uint8Array): Buffer {
  return Buffer.concat([prefixes.keyed, key]);
}

/** Row key of `key` in the window that starts at `start`. */
export function windowedRow(prefixes: RowPrefixes, start: number, key: Uint8Array): Buffer {
  const { windowed } = prefixes;
  const row = Buffer.allocUnsafe(windowed.length + 8 + key.length);
  row.set(windowed, 0);
  writeStart(row, start, windowed.length);
  row.set(key, windowed.length + 8);
  return row;
}

/** Changelog key that says: every window that starts below `start` is gone. */
export function expiredRow(prefixes: RowPrefixes, start: number): Buffer {
  const row = Buffer.allocUnsafe(prefixes.expired.length + 8);
  row.set(prefixes.expired, 0);
  writeStart(row, start, prefixes.expired.length);
  return row;
}

/** Reads a row key. The key bytes are a view. */
export function readRow(row: Uint8Array): RowAddress {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  const length = bytes[0] as number;
  const store = bytes.toString('utf8', 1, 1 + length);
  const kind = bytes[1 + length];
  const rest = 2 + length;
  if (kind === KEYED)
    return { store, start: Number.NaN, key: bytes.subarray(rest), expired: false };
  const start = (bytes.readUInt32BE(rest) - BIAS) * 2 ** 32 + bytes.readUInt32BE(rest + 4);
  return { store, start, key: bytes.subarray(rest + 8), expired: kind === EXPIRED };
}

function writeStart(row: Buffer, start: number, at: number): void {
  // In halves: the biased start as a whole would have more digits than a number holds.
  const upper = Math.floor(start / 2 ** 32);
  row.writeUInt32BE(upper + BIAS, at);
  row.writeUInt32BE(start - upper * 2 ** 32, at + 4);
}
