/**
 * What the tests of plain reading and writing share: plain values, records of one shape, and a comparison that sees the order of
 * members too.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util';

import * as fc from 'fast-check';

import { text } from '../support.ts';

/** So many objects of a shape are enough for the shape to be compiled: see `shapes.ts`. */
export const ENOUGH = 40;

/** Numbers on both sides of every boundary between forms. */
export const numbers: readonly number[] = [
  ...[7, 8, 15, 16, 31, 32, 33, 52, 53].flatMap((bits) =>
    [-1, 0, 1].flatMap((step) => [2 ** bits + step, -(2 ** bits) + step]),
  ),
  ...[0, -0, 1, -1, -31, -32, -33, 0.5, -0.1, 1e300, 5e-324],
  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
];

/** Texts on both sides of every boundary between forms, ASCII and not. */
export const texts: readonly string[] = [
  0, 1, 3, 4, 5, 7, 8, 9, 10, 11, 15, 16, 23, 24, 25, 31, 32, 33, 63, 64, 85, 86, 255, 256, 257,
  21_845, 65_535, 65_536,
].flatMap((length) =>
  ['x', 'é', '漢', '😀', `ab`].map((unit) =>
    unit
      .repeat(length)
      .slice(0, length)
      .replace(/[\u{d800}-\u{dbff}]$/u, '.'),
  ),
);

const leaf = fc.oneof(
  text,
  fc.integer(),
  fc.integer({ min: -200, max: 70_000 }),
  fc.maxSafeInteger(),
  fc.double(),
  fc.boolean(),
  fc.constantFrom(null, undefined, ...numbers),
  fc.constantFrom(...texts.filter((each) => each.length < 300)),
  fc.date({ noInvalidDate: false }),
  fc.date({ min: new Date(0), max: new Date(1_000 * 2 ** 32) }),
);

/** Names of members; some look like numbers, some like code. */
const name: fc.Arbitrary<string> = fc.oneof(
  text,
  fc.integer({ min: 0, max: 40 }).map(String),
  fc.constantFrom('date', 'delay', 'a', 'constructor', 'toJSON', 'hasOwnProperty', '__proto_'),
  fc.constantFrom(
    `"`,
    `\\`,
    `'`,
    '`${x}`',
    '\n',
    '\u{2028}',
    `"]}; throw 1; //`,
    '*/',
    'a'.repeat(31),
  ),
);

const { any } = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('any')),
    fc.array(fc.tuple(name, tie('any'))).map((members) => Object.fromEntries(members)),
  ),
}));

/** Values that are plain, but for a few: odd texts and names, times out of range. */
export const plainValue: fc.Arbitrary<unknown> = any;

/** Many objects of one shape. */
export const ofOneShape: fc.Arbitrary<readonly object[]> = fc
  .uniqueArray(name, { minLength: 1, maxLength: 20 })
  .chain((names) =>
    fc
      .array(
        fc.tuple(
          ...names.map((each) => fc.oneof(leaf, any).map((value) => [each, value] as const)),
        ),
        { minLength: 3, maxLength: 3 },
      )
      .map((rows) =>
        Array.from({ length: ENOUGH }, (_, i) =>
          Object.fromEntries(rows[i % rows.length] as (readonly [string, unknown])[]),
        ),
      ),
  );

/** Equal, with members in the same order. */
export function same(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(a, b) && JSON.stringify(order(a)) === JSON.stringify(order(b));
}

function order(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return 0;
  if (Array.isArray(value)) return value.map((member) => order(member));
  return Object.entries(value).map(([each, member]) => [each, order(member)]);
}
