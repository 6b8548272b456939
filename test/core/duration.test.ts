import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { durationMs } from '../../src/core/duration.ts';
import type { Duration } from '../../src/core/duration.ts';

describe('durationMs', () => {
  test.each<[Duration, number]>([
    [0, 0],
    [1_500, 1_500],
    [0.5, 0.5],
    ['500ms', 500],
    ['10s', 10_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['1.5s', 1_500],
    ['1.1h', 3_960_000],
    ['0ms', 0],
  ])('%s is %d ms', (value, ms) => {
    expect(durationMs(value, 'grace')).toBe(ms);
  });

  test('numbers and texts in milliseconds are the same', () => {
    fc.assert(
      fc.property(fc.nat(), (ms) => {
        expect(durationMs(`${ms}ms`, 'x')).toBe(durationMs(ms, 'x'));
      }),
    );
  });

  test.each<unknown>([
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '',
    's',
    '10',
    '10 s',
    ' 10s',
    '10s\n',
    '-5s',
    '+5s',
    '1e3ms',
    '.5s',
    '5.s',
    '10S',
    '10sec',
    '1h30m',
    '9'.repeat(400) + 'd',
    '__proto__',
    'constructor',
    undefined,
    null,
    10n,
    true,
    {},
    [10],
    Symbol('s'),
    () => 10,
  ])('refuses %s', (value) => {
    expect(() => durationMs(value as Duration, 'retention')).toThrow(
      expect.objectContaining({
        code: 'MR_OPTION_INVALID',
        message: expect.stringMatching(/^retention is .+ not a duration; give/s) as string,
      }),
    );
  });

  test('names the least duration', () => {
    expect(durationMs('1s', 'interval', 1_000)).toBe(1_000);
    expect(() => durationMs('999ms', 'interval', 1_000)).toThrow('of at least 1000 ms');
  });
});
