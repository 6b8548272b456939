/**
 * The identity of keys: their canonical bytes, the same in every program and on every broker.
 *
 * A string that does not start with U+0000 is its UTF-8, as other Kafka clients write it. Everything else starts with a 0
 * byte and a letter:
 *
 * ```
 * s  string that starts with U+0000: its UTF-8
 * n  number: 8 bytes in the order of the numbers. -0 is 0, NaN is refused
 * i  bigint: length and magnitude, in the order of the integers
 * t  true, without payload           f  false, without payload
 * b  Uint8Array: its bytes
 * j  plain object or array: canonical JSON, members sorted by name
 * ```
 *
 * So `1`, `1n` and `'1'` are three keys, and `{ a, b }` and `{ b, a }` are one. The bytes of strings sort by code point. A record
 * without a key is not the business of this format: `null` and `undefined` are refused. At most 65,000 bytes.
 *
 * @module
 */
export { canonicalKey, decodeKey, encodeKey, MAX_KEY_BYTES } from './key-bytes.ts';
export { KeyInterner } from './key-interner.ts';
export {
  compareKeyIds,
  keyBytesOfId,
  keyId,
  keyIdAt,
  keyRef,
  keyRefFromBytes,
  keyRefOfId,
  writeKeyOfId,
} from './key-ref.ts';
