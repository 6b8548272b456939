/**
 * Bytes as base64 text, for systems in between that carry only text.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { bytesOnly } from './bytes.ts';
import type { Codec } from './codec.ts';
import { excerptText } from './excerpt.ts';
import { bufferOf } from './text.ts';

/**
 * Base64 with padding (RFC 4648 section 4), one text for one value: `decode` throws `MR_DECODE_FAILED` for line breaks,
 * missing padding, the URL alphabet and unused bits that are not zero. `encode` throws `MR_ENCODE_FAILED` for what is not bytes.
 */
export const base64: Codec<Uint8Array> = {
  name: 'base64',
  encode: (value) => Buffer.from(bufferOf(bytesOnly(value, 'base64')).toString('base64'), 'latin1'),
  decode(bytes) {
    const text = bufferOf(bytes).toString('latin1');
    const decoded = Buffer.from(text, 'base64');
    // Node's decoder skips what it does not know; only the canonical text survives the way back.
    if (decoded.toString('base64') !== text)
      throw new MillraceError(
        'MR_DECODE_FAILED',
        `these ${bytes.length} bytes are not canonical base64: ${excerptText(bytes)}`,
        { details: { codec: 'base64', bytes: bytes.length } },
      );
    return new Uint8Array(decoded);
  },
};
