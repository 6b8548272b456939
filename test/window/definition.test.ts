import { describe, expect, test } from 'vitest';

import type { Duration } from '../../src/core/duration.ts';
import { hoppingWindow, tumblingWindow, windowShape } from '../../src/window/definition.ts';
import type { WindowLengths } from '../../src/window/definition.ts';
import { expectError } from '../codec/support.ts';

const dayMs = 86_400_000;

describe('tumbling', () => {
  test('takes durations of every form', () => {
    expect(tumblingWindow('1h')).toEqual({
      kind: 'tumbling',
      sizeMs: 3_600_000,
      stepMs: 3_600_000,
      graceMs: 0,
      retentionMs: dayMs,
    });
    expect(tumblingWindow(1, { grace: '10m', retention: '7d' })).toEqual({
      kind: 'tumbling',
      sizeMs: 1,
      stepMs: 1,
      graceMs: 600_000,
      retentionMs: 7 * dayMs,
    });
    expect(tumblingWindow('90s', { grace: undefined, retention: undefined }).sizeMs).toBe(90_000);
  });

  test('keeps windows for a day, or as long as the grace if that is longer', () => {
    expect(tumblingWindow('1h', { grace: '1h' }).retentionMs).toBe(dayMs);
    expect(tumblingWindow('1h', { grace: '2d' }).retentionMs).toBe(2 * dayMs);
    expect(tumblingWindow('30d').retentionMs).toBe(dayMs);
  });

  test('grace and retention may be equal, and nothing', () => {
    expect(tumblingWindow('1h', { grace: '5m', retention: '5m' }).retentionMs).toBe(300_000);
    expect(tumblingWindow('1h', { grace: 0, retention: 0 }).retentionMs).toBe(0);
  });

  test.each<[Duration, WindowLengths, RegExp]>([
    [0, {}, /size is 0, which is not a duration of at least 1 ms/],
    [-1, {}, /size is -1/],
    ['0s', {}, /size is "0s"/],
    [Number.NaN, {}, /size is NaN/],
    [Infinity, {}, /size is Infinity/],
    ['soon' as Duration, {}, /size is "soon"/],
    [undefined as unknown as Duration, {}, /size is undefined/],
    [1.5, {}, /size is 1\.5 ms, which is not a whole number of milliseconds/],
    ['1.5ms', {}, /size is 1\.5 ms/],
    [2 ** 53, {}, /size is 9007199254740992 ms, .*at most 9007199254740991/],
    ['1h', { grace: -1 }, /grace is -1/],
    ['1h', { grace: 0.25 }, /grace is 0\.25 ms, which is not a whole number/],
    ['1h', { retention: '2.5ms' }, /retention is 2\.5 ms, which is not a whole number/],
    ['1h', { retention: 1e300 }, /retention is 1e\+300 ms/],
    ['1h', { retention: 'x' as Duration }, /retention is "x"/],
    [
      '1h',
      { grace: '10m', retention: '5m' },
      /retention \(300000 ms\) is shorter than grace \(600000 ms\).*raise retention/,
    ],
  ])('%o with %o is refused', (size, lengths, text) => {
    expectError('MR_OPTION_INVALID', () => tumblingWindow(size, lengths), text);
    expectError('MR_OPTION_INVALID', () => hoppingWindow(size, '1h', lengths), text);
  });
});

describe('hopping', () => {
  test('has a step', () => {
    expect(hoppingWindow('1h', '10m', { grace: '1m' })).toEqual({
      kind: 'hopping',
      sizeMs: 3_600_000,
      stepMs: 600_000,
      graceMs: 60_000,
      retentionMs: dayMs,
    });
  });

  test('may step by its size, or not divide it', () => {
    expect(hoppingWindow(10, 10)).toMatchObject({ kind: 'hopping', sizeMs: 10, stepMs: 10 });
    expect(hoppingWindow(10, 3)).toMatchObject({ sizeMs: 10, stepMs: 3 });
  });

  test.each<[Duration, Duration, RegExp]>([
    ['10s', 0, /step is 0, which is not a duration of at least 1 ms/],
    ['10s', -5, /step is -5/],
    ['10s', 'now' as Duration, /step is "now"/],
    ['10s', 0.5, /step is 0\.5, which is not a duration of at least 1 ms/],
    ['10s', 1.5, /step is 1\.5 ms, which is not a whole number/],
    ['10s', '11s', /step \(11000 ms\) is longer than size \(10000 ms\)/],
    [10_001, 1, /into 10001 of them, more than 10000; give a longer step/],
    ['7d', '1m', /into 10080 of them/],
  ])('%o every %o is refused', (size, step, text) => {
    expectError('MR_OPTION_INVALID', () => hoppingWindow(size, step), text);
  });

  test('10,000 windows for an event are the most', () => {
    expect(hoppingWindow(10_000, 1).stepMs).toBe(1);
    expect(hoppingWindow(99_999, 10).sizeMs).toBe(99_999);
  });
});

test('the shape is what may not change: size, and step where windows overlap', () => {
  expect(windowShape(tumblingWindow('1s', { grace: 5 }))).toBe(1_000);
  expect(windowShape(hoppingWindow('1s', 250))).toEqual([1_000, 250]);
});
