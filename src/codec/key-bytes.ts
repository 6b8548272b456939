/**
 * Canonical bytes of keys; the format is described in `key.ts`. One key has one encoding: what {@link decodeKey} accepts is
 * exactly what {@link encodeKey} writes, so that equal bytes mean equal keys and different bytes different keys.
 *
 * @module
 */
import { messageOf, MillraceError } from '../core/errors.ts';
import { canonicalJson, frozenJson } from './canonical-json.ts';
import type { Codec } from './codec.ts';
import { excerpt, excerptHex } from './excerpt.ts';
import { decodeBigInt, decodeNumber, encodeBigInt, encodeNumber } from './ordered.ts';
import { bufferOf, decodeUtf8, encodeUtf8 } from './text.ts';

/** Longest encoded key, in bytes. A frame has room for 65,534: a table row adds the names of its table and window. */
export const MAX_KEY_BYTES = 65_000;

const TAG = {
  bytes: 0x62, // b
  false: 0x66, // f
  bigint: 0x69, // i
  json: 0x6a, // j
  number: 0x6e, // n
  string: 0x73, // s
  true: 0x74, // t
} as const;

const empty = new Uint8Array(0);

/**
 * The canonical bytes of `key`, the caller's to keep.
 *
 * @throws {@link MillraceError} `MR_KEY_INVALID` for `null`, `undefined`, `NaN`, lone surrogates, functions, symbols, instances
 * of classes, objects that hold such values, and keys of more than {@link MAX_KEY_BYTES} encoded bytes.
 */
export function encodeKey(key: unknown): Uint8Array {
  switch (typeof key) {
    case 'string':
      return encodeString(key);
    case 'number':
      if (Number.isNaN(key)) throw invalid(key, 'NaN is not equal to itself');
      return tagged(TAG.number, encodeNumber(key));
    case 'bigint':
      return tagged(TAG.bigint, encodeBigInt(key));
    case 'boolean':
      return tagged(key ? TAG.true : TAG.false, empty);
    case 'object':
      if (key === null) break;
      if (key instanceof Uint8Array) return tagged(TAG.bytes, key);
      return tagged(TAG.json, encodeUtf8(jsonOf(key)));
    case 'undefined':
    case 'function':
    case 'symbol':
    default:
      break;
  }
  throw invalid(key, `a key is a string, number, bigint, boolean, Uint8Array or plain data`);
}

/**
 * The key that {@link encodeKey} turned into `bytes`. Objects and arrays come back frozen, with their members in canonical order.
 *
 * @throws {@link MillraceError} `MR_DECODE_FAILED` for bytes that it did not write. Bytes that do not start with 0 are UTF-8
 * text, whoever wrote them.
 */
export function decodeKey(bytes: Uint8Array): unknown {
  if (bytes.length > MAX_KEY_BYTES) throw undecodable(bytes, `it is longer than ${MAX_KEY_BYTES}`);
  if (bytes[0] !== 0) return text(bytes, 0);
  const tag = bytes[1];
  switch (tag) {
    case TAG.string:
      if (bytes[2] !== 0) throw undecodable(bytes, 'it is marked as text that starts with U+0000');
      return text(bytes, 2);
    case TAG.number:
      return payload(bytes, decodeNumber);
    case TAG.bigint:
      return payload(bytes, decodeBigInt);
    case TAG.true:
    case TAG.false:
      if (bytes.length !== 2) throw undecodable(bytes, 'a boolean has no payload');
      return tag === TAG.true;
    case TAG.bytes:
      return new Uint8Array(bytes.subarray(2));
    case TAG.json:
      return payload(bytes, (json) => frozenJson(text(json, 0)));
    case undefined:
    default:
      throw undecodable(bytes, 'it starts with 0 and no known tag');
  }
}

/** Keys of every kind in their canonical bytes: what topics use that declare no other key codec. */
export const canonicalKey: Codec<unknown> = { name: 'key', encode: encodeKey, decode: decodeKey };

function encodeString(key: string): Uint8Array {
  if (key.length > MAX_KEY_BYTES) throw tooLong(key.length, 'at least ');
  if (!key.isWellFormed())
    throw invalid(
      key,
      'it has half of a surrogate pair, which has no UTF-8 form; try toWellFormed()',
    );
  const bytes = encodeUtf8(key);
  if (bytes[0] === 0) return tagged(TAG.string, bytes);
  if (bytes.length > MAX_KEY_BYTES) throw tooLong(bytes.length);
  return bytes;
}

function tagged(tag: number, payloadBytes: Uint8Array): Uint8Array {
  const length = payloadBytes.length + 2;
  if (length > MAX_KEY_BYTES) throw tooLong(length);
  const bytes = new Uint8Array(length);
  bytes[1] = tag;
  bytes.set(payloadBytes, 2);
  return bytes;
}

function jsonOf(key: object): string {
  try {
    return canonicalJson(key, MAX_KEY_BYTES);
  } catch (error) {
    throw invalid(key, messageOf(error), error);
  }
}

function text(bytes: Uint8Array, from: number): string {
  const decoded = decodeUtf8(bytes, from);
  if (decoded === undefined)
    throw undecodable(bytes, 'it is not UTF-8; for binary keys declare keyCodec: bytes');
  return decoded;
}

function payload<T>(bytes: Uint8Array, decode: (payloadBytes: Uint8Array) => T): T {
  try {
    return decode(bufferOf(bytes).subarray(2));
  } catch (error) {
    if (MillraceError.is(error)) throw error;
    throw undecodable(bytes, messageOf(error).slice(0, 120), error);
  }
}

function tooLong(length: number, atLeast = ''): MillraceError {
  return new MillraceError(
    'MR_KEY_INVALID',
    `a key of ${atLeast}${length} encoded bytes is longer than ${MAX_KEY_BYTES}; use a shorter one, such as a hash of it`,
    { details: { bytes: length, maxBytes: MAX_KEY_BYTES } },
  );
}

function invalid(key: unknown, why: string, cause?: unknown): MillraceError {
  return new MillraceError('MR_KEY_INVALID', `${excerpt(key)} cannot be a key: ${why}`, { cause });
}

function undecodable(bytes: Uint8Array, why: string, cause?: unknown): MillraceError {
  return new MillraceError(
    'MR_DECODE_FAILED',
    `these ${bytes.length} bytes are not a key of millrace: ${why}; they begin with ${excerptHex(bytes)}`,
    { cause, details: { codec: 'key', bytes: bytes.length } },
  );
}
