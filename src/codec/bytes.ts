/**
 * Bytes as they are.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import { excerpt } from './excerpt.ts';

/**
 * The bytes themselves, copied both ways: neither side sees what the other does to its array later. A Buffer comes back as a
 * plain Uint8Array. `encode` throws `MR_ENCODE_FAILED` for what is not a Uint8Array.
 */
export const bytes: Codec<Uint8Array> = {
  name: 'bytes',
  encode: (value) => new Uint8Array(bytesOnly(value, 'bytes')),
  decode: (encoded) => new Uint8Array(encoded),
};

/** `value` if it is bytes. @throws {@link MillraceError} `MR_ENCODE_FAILED`, naming `codec`. */
export function bytesOnly(value: Uint8Array, codec: string): Uint8Array {
  if (!(value instanceof Uint8Array))
    throw new MillraceError(
      'MR_ENCODE_FAILED',
      `${excerpt(value)} is not a Uint8Array; the codec ${codec} carries bytes and nothing else`,
      { details: { codec } },
    );
  return value;
}
