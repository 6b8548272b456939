/**
 * Boxes: kinds of value that msgpackr would change on the way, as extension types of their own.
 *
 * ```
 * 77 Map                      [key, value, key, value, …]
 * 78 bigint                   signed hexadecimal text; so a 64-bit integer of other programs can be a number where it is safe
 * 79 object with odd names    [name, value, …]; msgpackr renames `__proto__`
 * 80 text starting with U+FEFF its UTF-8 as bytes; msgpackr drops a byte order mark where its native helper is missing
 * ```
 *
 * As with Sets of msgpackr, the extension itself has one byte, 0, and the content follows as the next value.
 *
 * @module
 */
import { addExtension } from 'msgpackr';

import { decodeUtf8, encodeUtf8 } from '../text.ts';

/** Keys and values of a Map, in turn. */
export class MapBox {
  readonly flat: readonly unknown[];
  constructor(flat: readonly unknown[]) {
    this.flat = flat;
  }
}
/** Names and members of an object, in turn. */
export class ObjectBox extends MapBox {}
export class BigIntBox {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}
export class TextBox {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/**
 * Makes the boxes known to msgpackr. Types 0 to 100 are the application's by msgpackr's rules; its registry is one for all who
 * use this copy of it, so doing it again changes nothing.
 */
export function registerBoxes(): void {
  // The one that is registered last is looked at first, so ObjectBox comes after its base class.
  for (const extension of extensions) addExtension(extension);
}

const extensions = [
  {
    Class: MapBox,
    type: 77,
    write: (box: MapBox) => box.flat,
    read: (flat: unknown) => new Map(pairs(flat)),
  },
  {
    Class: BigIntBox,
    type: 78,
    write: ({ value }: BigIntBox) => value.toString(16),
    read(text: unknown) {
      const digits = typeof text === 'string' ? /^(-?)([0-9a-f]+)$/.exec(text) : null;
      if (digits === null) throw new Error('a bigint is malformed');
      const magnitude = BigInt(`0x${digits[2]}`);
      return digits[1] === '-' ? -magnitude : magnitude;
    },
  },
  {
    Class: ObjectBox,
    type: 79,
    write: (box: ObjectBox) => box.flat,
    read: (flat: unknown) =>
      // fromEntries defines members, it never assigns: `__proto__` is a name like any other.
      Object.fromEntries(
        pairs(flat).map(([name, member]) => {
          if (typeof name !== 'string') throw new Error('the name of a member is not text');
          return [name, member];
        }),
      ),
  },
  {
    Class: TextBox,
    type: 80,
    write: ({ text }: TextBox) => encodeUtf8(text),
    read(bytes: unknown) {
      const text = bytes instanceof Uint8Array ? decodeUtf8(bytes) : undefined;
      if (text === undefined) throw new Error('a text is malformed');
      return text;
    },
  },
];

function pairs(flat: unknown): [unknown, unknown][] {
  if (!Array.isArray(flat) || flat.length % 2 !== 0) throw new Error('a map is malformed');
  const result: [unknown, unknown][] = [];
  for (let i = 0; i < flat.length; i += 2) result.push([flat[i], flat[i + 1]]);
  return result;
}
