import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { encodeKey, keyRef, MAX_KEY_BYTES } from '../../src/codec/key.ts';
import {
  expiredRow,
  keyedRow,
  readRow,
  rowPrefixes,
  windowedRow,
} from '../../src/state/row-key.ts';
import { expectError } from '../codec/support.ts';
import { builder, key } from './support.ts';

const store = fc.oneof(
  fc.constantFrom('t', 'tt', 'late', 'departures-origin.accumulate/', 'Ä', 'x'.repeat(255)),
  fc.string({ maxLength: 20 }),
);
/** Every time that an event may have, and starts of windows around the ends of that range. */
const start = fc.oneof(
  fc.integer({ min: -100, max: 100 }),
  fc.maxSafeInteger(),
  fc.constantFrom(
    0,
    -1,
    2 ** 32,
    -(2 ** 32),
    2 ** 51,
    -(2 ** 51),
    -(2 ** 51) - 1,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
    -(2 ** 54),
  ),
);
const compare = (a: number, b: number): number => (a < b ? -1 : a > b ? 1 : 0);

describe('what is written is read', () => {
  test('keyed rows', () => {
    fc.assert(
      fc.property(store, key, (name, rowKey) => {
        const { bytes } = keyRef(rowKey);
        const row = readRow(keyedRow(rowPrefixes(name), bytes));
        expect(row.store).toBe(name);
        expect(row.start).toBeNaN();
        expect(row.expired).toBe(false);
        expect(Buffer.compare(row.key, bytes)).toBe(0);
      }),
    );
  });

  test('windowed rows and marks of expiry', () => {
    fc.assert(
      fc.property(store, start, key, (name, at, rowKey) => {
        const { bytes } = keyRef(rowKey);
        const prefixes = rowPrefixes(name);
        const row = readRow(windowedRow(prefixes, at, bytes));
        expect([row.store, row.start, row.expired]).toEqual([name, at, false]);
        expect(Buffer.compare(row.key, bytes)).toBe(0);
        const mark = readRow(expiredRow(prefixes, at));
        expect([mark.store, mark.start, mark.expired, mark.key.length]).toEqual([
          name,
          at,
          true,
          0,
        ]);
      }),
    );
  });

  test('from the middle of a larger buffer', () => {
    const row = windowedRow(rowPrefixes('late'), -3_600_000, encodeKey('ATL'));
    const padded = Buffer.concat([Buffer.from('before'), row, Buffer.from('after')]);
    const read = readRow(new Uint8Array(padded.buffer, padded.byteOffset + 6, row.length));
    expect(read.store).toBe('late');
    expect(read.start).toBe(-3_600_000);
    expect(Buffer.from(read.key).toString()).toBe('ATL');
  });
});

describe('order', () => {
  test('windowed rows of a store sort by start, then by key, before 1970 too', () => {
    fc.assert(
      fc.property(store, start, start, key, key, (name, a, b, keyA, keyB) => {
        const prefixes = rowPrefixes(name);
        const [bytesA, bytesB] = [encodeKey(keyA), encodeKey(keyB)];
        const rows = Buffer.compare(
          windowedRow(prefixes, a, bytesA),
          windowedRow(prefixes, b, bytesB),
        );
        expect(rows).toBe(compare(a, b) || Buffer.compare(bytesA, bytesB));
      }),
    );
  });

  test('the rows below a start are one range', () => {
    fc.assert(
      fc.property(store, start, start, key, (name, at, bound, rowKey) => {
        const prefixes = rowPrefixes(name);
        const row = windowedRow(prefixes, at, encodeKey(rowKey));
        const inRange =
          Buffer.compare(row, prefixes.windowed) >= 0 &&
          Buffer.compare(row, windowedRow(prefixes, bound, new Uint8Array())) < 0;
        expect(inRange).toBe(at < bound);
      }),
    );
  });

  test('stores do not mix, even when one name begins with another', () => {
    fc.assert(
      fc.property(store, store, start, key, (a, b, at, rowKey) => {
        fc.pre(a !== b);
        const row = windowedRow(rowPrefixes(a), at, encodeKey(rowKey));
        const { windowed, keyed, expired } = rowPrefixes(b);
        for (const prefix of [windowed, keyed, expired])
          expect(row.subarray(0, prefix.length).equals(prefix)).toBe(false);
      }),
    );
  });
});

test('a store with a name of more than 255 bytes is a defect, found at once', () => {
  expect(rowPrefixes('ä'.repeat(127)).keyed).toHaveLength(256);
  expectError('MR_INTERNAL', () => rowPrefixes('ä'.repeat(128)), /too long/);
});

test('the longest key in the store with the longest name fits into a record of a changelog', () => {
  const longest = encodeKey('x'.repeat(MAX_KEY_BYTES));
  const changelog = builder();
  changelog.add(0, windowedRow(rowPrefixes('x'.repeat(255)), 0, longest), Buffer.from('1'));
  expect(changelog.count).toBe(1);
});
