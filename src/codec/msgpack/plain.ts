/**
 * What the fast readers and writers have in common: limits, and the answer of one that has met something that is not its own.
 *
 * A _plain_ value is `null`, `undefined`, a boolean, number, string or Date, or an array or object of plain values. Everything
 * else, and whatever is rare or malformed, is left to `general.ts`.
 *
 * @module
 */

/** How deep arrays, objects, maps and sets may be nested. */
export const MAX_DEPTH = 100;

/** The answer for bytes or values that `general.ts` has to look at. */
export const NOT_PLAIN: unique symbol = Symbol('not plain');

/** Texts that msgpackr would change: they are written in a box, and are not plain. */
export function isOddText(text: string): boolean {
  return text.charCodeAt(0) === 0xfeff || text === '__proto__';
}

/** A text as MessagePack: its length in the shortest form, and its UTF-8. For texts under 65,536 bytes, as names of members are. */
export function packedText(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const { length } = bytes;
  const head =
    length < 0x20
      ? [0xa0 | length]
      : length < 0x100
        ? [0xd9, length]
        : [0xda, length >>> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), bytes]);
}
