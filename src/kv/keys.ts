/**
 * What all stores agree on about keys: how long they may be, and their order.
 *
 * Inside a store a key is its *name*: a string with one character per byte. JavaScript compares such strings character by
 * character, so names sort as the bytes do, and they can be keys of a Map.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';

/**
 * The longest key of every store of this package, in bytes: what lmdb takes on pages of 4 KiB. One number for all, so that what
 * passes on a simulated store passes on a disk.
 */
export const MAX_KEY_BYTES = 1978;

/**
 * Checks the key of one entry.
 *
 * @throws {@link MillraceError} `MR_KEY_INVALID` when it is empty or longer than {@link MAX_KEY_BYTES}.
 */
export function checkKey(key: Uint8Array): void {
  const { length } = key;
  if (length > 0 && length <= MAX_KEY_BYTES) return;
  throw new MillraceError(
    'MR_KEY_INVALID',
    length === 0
      ? 'a key of the store must not be empty'
      : `a key of the store has ${length} bytes, more than the ${MAX_KEY_BYTES} allowed; store long keys under their hash`,
    { details: { keyBytes: length, maxKeyBytes: MAX_KEY_BYTES } },
  );
}

/** The name of a key. */
export function nameOf(key: Uint8Array): string {
  const buffer = Buffer.isBuffer(key) ? key : Buffer.from(key.buffer, key.byteOffset, key.length);
  return buffer.toString('latin1');
}

/** The key of a name, in memory of its own. */
export function keyOf(name: string): Uint8Array {
  const key = Buffer.allocUnsafeSlow(name.length);
  key.write(name, 'latin1');
  return key;
}

/** A copy of some bytes for somebody outside, in memory of its own. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** @throws always: a table that the store was not opened with. */
export function unknownTable(table: string, tables: Iterable<string>): never {
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `the store has no table ${JSON.stringify(table)}; it was opened with ${[...tables].join(', ')}`,
    { details: { table } },
  );
}

/** The error of every call after the store was closed. */
export function closedError(): MillraceError {
  return new MillraceError('MR_CLOSED', 'the store has been closed');
}
