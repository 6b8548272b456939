/**
 * UTF-8 that is never wrong in silence: what is not UTF-8 is told apart from U+FFFD, and a byte order mark is kept.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';

const SHORT = 24;

/** The bytes of `text`, the caller's to keep. Lone surrogates become U+FFFD: check `isWellFormed()` first. */
export function encodeUtf8(text: string): Uint8Array {
  const length = text.length;
  // Most keys are a few ASCII characters, for which a call out of JavaScript costs several times the work.
  if (length > SHORT) return Buffer.from(text, 'utf8');
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return Buffer.from(text, 'utf8');
    bytes[i] = unit;
  }
  return bytes;
}

/** The text of `bytes` from `from` to before `to`, or `undefined` if they are not UTF-8. */
export function decodeUtf8(
  bytes: Uint8Array,
  from: number = 0,
  to: number = bytes.length,
): string | undefined {
  const text = bufferOf(bytes).toString('utf8', from, to);
  // Wrong bytes come out as U+FFFD, which is rare in texts, so that most are not read twice.
  if (text.includes('\u{fffd}') && !isUtf8(bytes.subarray(from, to))) return undefined;
  return text;
}

/** The same bytes as a Buffer, not copied. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
