/**
 * Short pictures of values and bytes for error texts. They never throw, never run code of the value, and hold at most
 * {@link MAX_EXCERPT} characters on one line.
 *
 * @module
 */
import { inspect } from 'node:util';

import { excerptFlat } from './excerpt-flat.ts';
import { sample } from './sample.ts';
import { bufferOf } from './text.ts';

/** Longest excerpt, in UTF-16 units. */
export const MAX_EXCERPT = 80;

/** Beginning of `value` as Node prints it. */
export function excerpt(value: unknown): string {
  try {
    const flat = excerptFlat(value, MAX_EXCERPT);
    if (flat !== undefined) return shorten(flat);
    return cut(
      inspect(sample(value), {
        breakLength: Number.POSITIVE_INFINITY,
        compact: true,
        customInspect: false,
        depth: 3,
        maxArrayLength: 10,
        maxStringLength: MAX_EXCERPT,
      }),
    );
  } catch {
    return `a value of type ${typeof value}`;
  }
}

/** Beginning of `bytes` as text; what cannot be shown is a middle dot. */
export function excerptText(bytes: Uint8Array): string {
  return cut(bufferOf(bytes).toString('utf8', 0, 4 * MAX_EXCERPT));
}

/** Beginning of `bytes` in hexadecimal. */
export function excerptHex(bytes: Uint8Array): string {
  const shown = (MAX_EXCERPT - 1) / 2;
  const digits = bufferOf(bytes).toString('hex', 0, shown);
  return bytes.length > shown ? `${digits}…` : digits;
}

function cut(text: string): string {
  const line = text.slice(0, 4 * MAX_EXCERPT).replaceAll(/[\p{Cc}\u{2028}\u{2029}\u{fffd}]/gu, '·');
  return shorten(line).toWellFormed().replaceAll('\u{fffd}', '·');
}

function shorten(line: string): string {
  return line.length > MAX_EXCERPT ? `${line.slice(0, MAX_EXCERPT - 1)}…` : line;
}
