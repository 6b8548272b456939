import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Duration } from '../../src/core/duration.ts';
import { closesAt, keptFrom, tumblingWindow, windowStart } from '../../src/window/tumbling.ts';
import type { WindowOptions } from '../../src/window/tumbling.ts';
import { expectError } from '../codec/support.ts';

const dayMs = 86_400_000;

describe('definition', () => {
  test('takes durations of every form', () => {
    expect(tumblingWindow('1h')).toEqual({
      kind: 'tumbling',
      sizeMs: 3_600_000,
      graceMs: 0,
      retentionMs: dayMs,
    });
    expect(tumblingWindow(1, { grace: '10m', retention: '7d' })).toEqual({
      kind: 'tumbling',
      sizeMs: 1,
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

  test.each<[Duration, WindowOptions, RegExp]>([
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
  ])('%o with %o is refused', (size, options, text) => {
    expectError('MR_OPTION_INVALID', () => tumblingWindow(size, options), text);
  });
});

describe('window of a time', () => {
  test.each([
    [0, 10, 0],
    [9, 10, 0],
    [10, 10, 10],
    [-1, 10, -10],
    [-10, 10, -10],
    [-11, 10, -20],
    [7, 1, 7],
    [-7, 1, -7],
    [Date.UTC(2001, 0, 1, 0, 59), 3_600_000, Date.UTC(2001, 0, 1)],
    [Date.UTC(1969, 11, 31, 23, 59), 3_600_000, Date.UTC(1969, 11, 31, 23)],
  ])('%d lies in the window of %d ms that starts at %d', (timestamp, sizeMs, start) => {
    expect(windowStart(timestamp, sizeMs)).toBe(start);
  });

  test('every time lies in exactly one window, whose start is a multiple of the size', () => {
    const time = fc.integer({ min: -(2 ** 51), max: 2 ** 51 });
    const size = fc.oneof(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 400 * dayMs }),
    );
    fc.assert(
      fc.property(time, size, (timestamp, sizeMs) => {
        const start = windowStart(timestamp, sizeMs);
        expect(start).toBeLessThanOrEqual(timestamp);
        expect(start + sizeMs).toBeGreaterThan(timestamp);
        expect(Math.abs(start % sizeMs)).toBe(0);
      }),
    );
  });
});

describe('life of a window', () => {
  const window = tumblingWindow(10, { grace: 3, retention: 20 });

  test('it closes when stream time reaches its end and grace', () => {
    expect(closesAt(window, 100)).toBe(113);
    expect(closesAt(window, -10)).toBe(3);
  });

  test('it is kept until stream time has passed its end and retention', () => {
    // The window from 100 to 110 is kept up to stream time 130.
    expect(keptFrom(window, 130)).toBe(100);
    expect(keptFrom(window, 131)).toBe(101);
  });

  test('before stream time is known everything is kept', () => {
    expect(keptFrom(window, -Infinity)).toBe(-Infinity);
  });

  test('a window that takes events is always kept, and stays kept while stream time goes on to its close', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 0, max: 200 }),
        fc.integer({ min: 0, max: 200 }),
        fc.integer({ min: -1_000, max: 1_000 }),
        fc.integer({ min: -1_000, max: 1_000 }),
        (size, grace, more, timestamp, streamTime) => {
          const any = tumblingWindow(size, { grace, retention: grace + more });
          const start = windowStart(timestamp, size);
          if (closesAt(any, start) > streamTime)
            expect(start).toBeGreaterThan(keptFrom(any, streamTime));
          // At the very moment it closes it can still be read.
          expect(start).toBeGreaterThanOrEqual(keptFrom(any, closesAt(any, start)));
        },
      ),
    );
  });
});
