/**
 * Strings as plain UTF-8.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import { excerpt, excerptText } from './excerpt.ts';
import { decodeUtf8, encodeUtf8 } from './text.ts';

/**
 * A string as UTF-8, nothing added: a byte order mark is text like any other.
 *
 * `encode` throws `MR_ENCODE_FAILED` for what is not a string and for lone surrogates, which have no UTF-8 form;
 * `decode` throws `MR_DECODE_FAILED` for what is not UTF-8.
 */
export const utf8: Codec<string> = {
  name: 'utf8',
  encode(value) {
    if (typeof value !== 'string')
      throw unencodable(`${excerpt(value)} is not a string; the codec utf8 carries nothing else`);
    if (!value.isWellFormed())
      throw unencodable(
        `${excerpt(value)} has half of a surrogate pair, which has no UTF-8 form; it was probably cut within a character: try toWellFormed()`,
      );
    return encodeUtf8(value);
  },
  decode(bytes) {
    const text = decodeUtf8(bytes);
    if (text === undefined)
      throw new MillraceError(
        'MR_DECODE_FAILED',
        `these ${bytes.length} bytes are not UTF-8: ${excerptText(bytes)}; for binary data declare the codec bytes`,
        { details: { codec: 'utf8', bytes: bytes.length } },
      );
    return text;
  },
};

function unencodable(message: string): MillraceError {
  return new MillraceError('MR_ENCODE_FAILED', message, { details: { codec: 'utf8' } });
}
