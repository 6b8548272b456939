/** What data may do to a terminal, how wide it is, and how numbers are written. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { bytes, count, cut, duration, many, printable, time, widthOf } from '../../src/cli/text.ts';

describe('printable', () => {
  test.each([
    ['plain text', 'plain text'],
    ['\u001b[31mred\u0007', '\\x1b[31mred\\x07'],
    ['two\nlines\r', 'two\\x0alines\\x0d'],
    ['c1: \u009b2J', 'c1: \\x9b2J'],
    ['turned \u202eback', 'turned \\u202eback'],
    ['half \ud800', 'half \\ud800'],
    ['Grüße, 世界, 👩‍👩‍👧', 'Grüße, 世界, 👩‍👩‍👧'],
  ])('%j', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });
});

test.each([
  ['abc', 3],
  ['', 0],
  ['é', 1],
  ['e\u0301', 1],
  ['世界', 4],
  ['👍🏽', 2],
])('%j is %d columns wide', (text, width) => {
  expect(widthOf(text)).toBe(width);
});

describe('cut', () => {
  test.each([
    ['abcdef', 6, 'abcdef'],
    ['abcdef', 5, 'abcd…'],
    ['abcdef', 1, '…'],
    ['abcdef', 0, ''],
    ['世界', 3, '世…'],
  ])('%j to %d', (text, columns, shown) => {
    expect(cut(text, columns)).toBe(shown);
  });

  test('is never wider than asked for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(20), (text, columns) => {
        expect(widthOf(cut(text, columns))).toBeLessThanOrEqual(columns);
      }),
    );
  });
});

test('numbers, sizes, times and durations', () => {
  expect(count(1_234_567)).toBe('1,234,567');
  expect([many(1, 'record'), many(2_000, 'record')]).toEqual(['1 record', '2,000 records']);
  expect([0, 1_023, 1_024, 12_700_000, 5 * 2 ** 40].map(bytes)).toEqual([
    '0 B',
    '1023 B',
    '1.00 KiB',
    '12.1 MiB',
    '5.00 TiB',
  ]);
  expect([time(0), time(2 ** 53 - 1)]).toEqual([
    '1970-01-01T00:00:00.000Z',
    String(Number.MAX_SAFE_INTEGER),
  ]);
  expect([0, 250, 5_400_000, 604_800_000, 90_061_001].map(duration)).toEqual([
    '0ms',
    '250ms',
    '1h 30m',
    '7d',
    '1d 1h',
  ]);
});
