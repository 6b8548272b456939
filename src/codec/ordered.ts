/**
 * Numbers and bigints as bytes that sort as they do.
 *
 * @module
 */
import { bufferOf } from './text.ts';

/**
 * 8 bytes whose unsigned order is the order of the numbers: binary64, big-endian, with the sign bit of numbers from 0 up
 * flipped and all bits of negative ones. `-0` is `0`. Not for `NaN`.
 */
export function encodeNumber(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(8);
  bytes.writeDoubleBE(value === 0 ? 0 : value);
  if (value < 0) invert(bytes);
  else bytes[0] = bytes[0]! ^ 0x80;
  return bytes;
}

/** The inverse of {@link encodeNumber}. @throws for every other input. */
export function decodeNumber(bytes: Uint8Array): number {
  if (bytes.length !== 8) throw new Error('a number has 8 bytes');
  const copy = Buffer.from(bytes);
  if (copy[0]! < 0x80) invert(copy);
  else copy[0] = copy[0]! ^ 0x80;
  const value = copy.readDoubleBE();
  if (Number.isNaN(value) || Object.is(value, -0)) throw new Error('NaN and -0 have no encoding');
  return value;
}

/**
 * Bytes whose order (unsigned, a prefix before what it begins) is the order of the integers: a head that holds the length,
 * then the magnitude, big-endian without leading zeros. The head of a magnitude of n bytes is `0x80 + n` up to n = 126, else
 * `0xff` and n in two bytes. A negative integer is the bytes of its opposite, all inverted. At most 65,535 bytes of magnitude.
 */
export function encodeBigInt(value: bigint): Uint8Array {
  const digits = value === 0n ? '' : (value < 0n ? -value : value).toString(16);
  const magnitude = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
  const length = magnitude.length;
  if (length > 0xffff) return new Uint8Array(length + 3); // beyond every limit: only its length is looked at
  const head = length <= 126 ? [0x80 + length] : [0xff, length >> 8, length & 0xff];
  const bytes = new Uint8Array(head.length + length);
  bytes.set(head);
  bytes.set(magnitude, head.length);
  if (value < 0n) invert(bytes);
  return bytes;
}

/** The inverse of {@link encodeBigInt}. @throws for every other input. */
export function decodeBigInt(bytes: Uint8Array): bigint {
  const negative = (bytes[0] ?? 0) < 0x80;
  const copy = Buffer.from(bytes);
  if (negative) invert(copy);
  const first = copy[0] ?? 0;
  const headLength = first === 0xff ? 3 : 1;
  const length = first === 0xff ? ((copy[1] ?? 0) << 8) | (copy[2] ?? 0) : first - 0x80;
  if (copy.length !== headLength + length || (headLength === 3 && length <= 126))
    throw new Error('the length of an integer is wrong');
  if (length === 0) {
    if (negative) throw new Error('zero has no sign');
    return 0n;
  }
  if (copy[headLength] === 0) throw new Error('an integer has leading zeros');
  const magnitude = BigInt(`0x${bufferOf(copy).toString('hex', headLength)}`);
  return negative ? -magnitude : magnitude;
}

function invert(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = ~bytes[i]!;
}
