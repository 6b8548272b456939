/**
 * Values as JSON text, the default: readable by everything and everyone.
 *
 * It is `JSON.stringify` and `JSON.parse` and their rules: what they change on the way (dates become text, `NaN` becomes
 * `null`, members that are `undefined` are left out, `-0` becomes `0`) this changes too; use `msgpack` where that matters.
 * Members called `__proto__` or `constructor` are data like any other.
 *
 * @module
 */
import { messageOf, MillraceError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import { excerpt, excerptText } from './excerpt.ts';
import { decodeUtf8, encodeUtf8 } from './text.ts';

/** A {@link Codec} whose bytes are JSON text. */
export interface JsonCodec extends Codec<unknown> {
  encodeText(value: unknown): string;
}

/**
 * JSON in UTF-8 (RFC 8259), without a byte order mark.
 *
 * `encode` throws `MR_ENCODE_FAILED` for what has no JSON form (`undefined`, functions, symbols, bigints, cycles) and
 * `decode` throws `MR_DECODE_FAILED` for what is not JSON or not UTF-8.
 */
export const json: JsonCodec = {
  name: 'json',
  encodeText,
  encode: (value) => encodeUtf8(encodeText(value)),
  decode(bytes) {
    const text = decodeUtf8(bytes);
    if (text === undefined) throw malformed(bytes, 'it is not UTF-8');
    try {
      return JSON.parse(text);
    } catch (error) {
      throw malformed(bytes, undefined, error);
    }
  },
};

function encodeText(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw unencodable(value, messageOf(error).split('\n', 1)[0] ?? '', error);
  }
  // The type of JSON.stringify hides that it answers with undefined.
  if (text === undefined)
    throw unencodable(value, `a value of type ${typeof value} has no JSON form`);
  return text;
}

function unencodable(value: unknown, why: string, cause?: unknown): MillraceError {
  return new MillraceError(
    'MR_ENCODE_FAILED',
    `${excerpt(value)} cannot be written as JSON: ${why}; send plain data, or declare the topic with codec: msgpack, which carries bigint, Date, Map, Set, undefined and bytes`,
    { cause, details: { codec: 'json' } },
  );
}

function malformed(bytes: Uint8Array, why: string | undefined, cause?: unknown): MillraceError {
  // The parser's own text quotes the input, at a length that nobody chose: it stays in the cause.
  return new MillraceError(
    'MR_DECODE_FAILED',
    `these ${bytes.length} bytes are not JSON${why === undefined ? '' : `, ${why}`}: ${excerptText(bytes)}`,
    { cause, details: { codec: 'json', bytes: bytes.length } },
  );
}
