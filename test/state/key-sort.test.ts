import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { orderOfKeys } from '../../src/state/key-sort.ts';

function order(keys: readonly Uint8Array[]): number[] {
  let end = 0;
  const ends = Uint32Array.from(keys, (key) => (end += key.length));
  return [...orderOfKeys(Buffer.concat(keys), ends)];
}

function expected(keys: readonly Uint8Array[]): number[] {
  return keys
    .map((key, i) => [key, i] as const)
    .toSorted(([a, i], [b, j]) => Buffer.compare(a, b) || i - j)
    .map(([, i]) => i);
}

/** Few different bytes, zeros and the greatest among them, so that keys agree for a while. */
const byte = fc.constantFrom(0, 0, 1, 0x7f, 0x80, 0xff);
const ending = fc.array(byte, { maxLength: 20 });
const key = fc
  .tuple(fc.constantFrom('', 'table\0', `table\0${'k'.repeat(40)}`), ending)
  .map(([start, end]) => Buffer.concat([Buffer.from(start), Uint8Array.from(end)]));

describe('the order of keys', () => {
  test('is that of their bytes, and equal keys keep theirs', () => {
    fc.assert(
      fc.property(fc.array(key, { maxLength: 300, size: 'max' }), (keys) => {
        expect(order(keys)).toEqual(expected(keys));
      }),
      { numRuns: 200 },
    );
  });

  test('of many keys that are equal, or differ in zeros at their ends, or in their last byte', () => {
    const long = Buffer.alloc(1_000, 0x61);
    for (const make of [
      () => Buffer.from('same'),
      (i: number) => Buffer.alloc((i * 7) % 40),
      (i: number) => Buffer.concat([long, Buffer.of((i * 31) % 251)]),
      () => Buffer.alloc(0),
      (i: number) => Buffer.from(`key-${(i * 7_919) % 1_000}`),
    ]) {
      const keys = Array.from({ length: 1_000 }, (_, i) => make(i));
      expect(order(keys)).toEqual(expected(keys));
    }
  });
});
