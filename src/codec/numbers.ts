/**
 * Numbers of a fixed width, big-endian, as Java's and most other Kafka clients write them.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import { excerpt } from './excerpt.ts';
import { bufferOf } from './text.ts';

/**
 * A 32-bit integer in 4 bytes, −2³¹ to 2³¹ − 1; `-0` comes back as `0`.
 *
 * `encode` throws `MR_ENCODE_FAILED` for every other value, `decode` throws `MR_DECODE_FAILED` for another length.
 */
export const int32: Codec<number> = {
  name: 'int32',
  encode(value) {
    if (typeof value !== 'number' || (value | 0) !== value)
      throw unencodable(value, 'int32', `an integer from -2147483648 to 2147483647`);
    const encoded = Buffer.allocUnsafeSlow(4);
    encoded.writeInt32BE(value);
    return encoded;
  },
  decode: (bytes) => sized(bytes, 4, 'int32').readInt32BE(),
};

/**
 * A number in the 8 bytes of IEEE 754 binary64; every number comes back, `NaN`, `-0` and the infinities too.
 *
 * `encode` throws `MR_ENCODE_FAILED` for what is not a number, `decode` throws `MR_DECODE_FAILED` for another length.
 */
export const float64: Codec<number> = {
  name: 'float64',
  encode(value) {
    if (typeof value !== 'number') throw unencodable(value, 'float64', 'a number');
    const encoded = Buffer.allocUnsafeSlow(8);
    encoded.writeDoubleBE(value);
    return encoded;
  },
  decode: (bytes) => sized(bytes, 8, 'float64').readDoubleBE(),
};

function unencodable(value: unknown, codec: string, expected: string): MillraceError {
  return new MillraceError(
    'MR_ENCODE_FAILED',
    `${excerpt(value)} is not ${expected}; the codec ${codec} carries nothing else`,
    { details: { codec } },
  );
}

function sized(bytes: Uint8Array, length: number, codec: string): Buffer {
  if (bytes.length !== length)
    throw new MillraceError(
      'MR_DECODE_FAILED',
      `a value of the codec ${codec} has ${length} bytes, but these are ${bytes.length}; the topic was probably written with another codec`,
      { details: { codec, bytes: bytes.length } },
    );
  return bufferOf(bytes);
}
