/**
 * Row keys: how a task's state is addressed in its changelog and in its checkpoint.
 *
 * ```
 * u8 length of the store's name, name, u8 kind, then
 *   kind 0 (keyed):    canonical key
 *   kind 1 (windowed): u64 big-endian window start + 2^63, canonical key
 *   kind 2 (expired):  u64 big-endian window start + 2^63   — changelog only: every window that starts below it is gone
 *   kind 3 (timed):    canonical key                        — of a store whose rows expire; the value begins with the time of its last write
 * ```
 *
 * Windowed rows sort by start, so expiry is one range.
 *
 * @module
 */
import { excerptHex } from '../codec/excerpt.ts';
import { assert, MillraceError } from '../core/errors.ts';

export const KEYED = 0;
export const WINDOWED = 1;
export const EXPIRED = 2;
export const TIMED = 3;
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
  /** The row belongs to a store whose rows expire. */
  readonly timed: boolean;
}

/** Prefix of all rows of a store that are keyed, windowed, marks of expiry, or keyed and timed. */
export interface RowPrefixes {
  readonly keyed: Buffer;
  readonly windowed: Buffer;
  readonly expired: Buffer;
  readonly timed: Buffer;
}

/** The prefixes of `store`; a store has at most 255 bytes of name. */
export function rowPrefixes(store: string): RowPrefixes {
  const name = Buffer.from(store);
  assert(name.length <= 255, 'the name of a state store is too long', { store });
  const prefix = (kind: number): Buffer =>
    Buffer.concat([Buffer.of(name.length), name, Buffer.of(kind)]);
  return {
    keyed: prefix(KEYED),
    windowed: prefix(WINDOWED),
    expired: prefix(EXPIRED),
    timed: prefix(TIMED),
  };
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

/** Reads a row key. The key bytes are a view. @throws `MR_CORRUPT` for bytes that are none. */
export function readRow(row: Uint8Array): RowAddress {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  const length = bytes[0] ?? 0;
  const store = bytes.toString('utf8', 1, 1 + length);
  const kind = bytes[1 + length];
  const rest = 2 + length;
  if (kind === KEYED || kind === TIMED)
    return {
      store,
      start: Number.NaN,
      key: bytes.subarray(rest),
      expired: false,
      timed: kind === TIMED,
    };
  if ((kind !== WINDOWED && kind !== EXPIRED) || bytes.length < rest + 8)
    throw new MillraceError(
      'MR_CORRUPT',
      `${bytes.length} bytes beginning with ${excerptHex(bytes)} are not the key of a row; restore the directory from a backup`,
      { domain: 'external' },
    );
  const start = readStart(bytes, rest);
  return { store, start, key: bytes.subarray(rest + 8), expired: kind === EXPIRED, timed: false };
}

/** The window start that is written at `at`, as {@link windowedRow} writes it. */
export function readStart(row: Buffer, at: number): number {
  return (row.readUInt32BE(at) - BIAS) * 2 ** 32 + row.readUInt32BE(at + 4);
}

/** The least row key above all that begin with `prefix`. */
export function afterPrefix(prefix: Uint8Array): Buffer {
  const end = Buffer.from(prefix);
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end[at] as number;
    if (byte === 0xff) continue;
    end[at] = byte + 1;
    return end.subarray(0, at + 1);
  }
  throw new MillraceError('MR_INTERNAL', 'a prefix of row keys has no end', { domain: 'internal' });
}

function writeStart(row: Buffer, start: number, at: number): void {
  // In halves: the biased start as a whole would have more digits than a number holds.
  const upper = Math.floor(start / 2 ** 32);
  row.writeUInt32BE(upper + BIAS, at);
  row.writeUInt32BE(start - upper * 2 ** 32, at + 4);
}
