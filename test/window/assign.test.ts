import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  closesAt,
  firstOpenStart,
  firstStart,
  keptFrom,
  lastStart,
} from '../../src/window/assign.ts';
import { hoppingWindow, tumblingWindow } from '../../src/window/definition.ts';
import type { WindowDefinition } from '../../src/window/definition.ts';
import vectors from './vectors.json' with { type: 'json' };

const dayMs = 86_400_000;

function startsOf(window: WindowDefinition, time: number): number[] {
  const starts: number[] = [];
  for (let at = firstStart(window, time); at <= lastStart(window, time); at += window.stepMs)
    starts.push(at);
  return starts;
}

const time = fc.integer({ min: -(2 ** 51), max: 2 ** 51 });
const anyWindow = fc
  .tuple(
    fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 400 * dayMs })),
    fc.integer({ min: 1, max: 30 }),
    fc.integer({ min: 0, max: 20 }),
    fc.integer({ min: 0, max: 200 }),
    fc.integer({ min: 0, max: 200 }),
  )
  .map(([size, parts, odd, grace, more]) => {
    const step = Math.min(size, Math.ceil(size / parts) + odd);
    return hoppingWindow(size, step, { grace, retention: grace + more });
  });

describe('the windows of a time', () => {
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
  ])('%d lies in the window of %d ms that starts at %d', (at, sizeMs, start) => {
    expect(startsOf(tumblingWindow(sizeMs), at)).toEqual([start]);
  });

  test.each(vectors.windows)('as in Faust: $size every $step at $time', (vector) => {
    const window = hoppingWindow(vector.size, vector.step);
    expect(startsOf(window, vector.time)).toEqual(vector.starts);
    expect(lastStart(window, vector.time)).toBe(vector.current);
    for (const [back, start] of Object.entries(vector.delta))
      expect(lastStart(window, vector.time - Number(back))).toBe(start);
  });

  test.each(vectors.kafkaStreams.windows)('as in Kafka Streams: $size every $step', (vector) => {
    expect(startsOf(hoppingWindow(vector.size, vector.step), vector.time)).toEqual(vector.starts);
  });

  test.each(vectors.otherwise.windows)(
    'starts are aligned where Faust aligns ends: $size every $step at $time',
    (vector) => {
      const starts = startsOf(hoppingWindow(vector.size, vector.step), vector.time);
      expect(starts).not.toEqual(vector.starts);
      for (const start of starts) expect(Math.abs(start % vector.step)).toBe(0);
    },
  );

  test('are all multiples of the step that hold it, and no others', () => {
    fc.assert(
      fc.property(time, anyWindow, (at, window) => {
        const { sizeMs, stepMs } = window;
        const starts = startsOf(window, at);
        for (const start of starts) {
          expect(Math.abs(start % stepMs)).toBe(0);
          expect(start).toBeLessThanOrEqual(at);
          expect(start + sizeMs).toBeGreaterThan(at);
        }
        expect((starts[0] as number) - stepMs + sizeMs).toBeLessThanOrEqual(at);
        expect((starts.at(-1) as number) + stepMs).toBeGreaterThan(at);
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

  test('before stream time is known everything is kept and open', () => {
    expect(keptFrom(window, -Infinity)).toBe(-Infinity);
    expect(firstOpenStart(window, -1_000, -Infinity, -Infinity)).toBe(-1_000);
  });

  test.each(vectors.stale)('no longer than in Faust: $end at $streamTime', (vector) => {
    const { size, step, retention, end, streamTime, stale } = vector;
    const kept = end - size >= keptFrom(hoppingWindow(size, step, { retention }), streamTime);
    expect(kept).toBe(end >= streamTime - retention);
    if (stale && end !== streamTime - retention) expect(kept).toBe(false);
  });

  test('the first open window is the first that has not closed, by its grace or before by a shorter one', () => {
    fc.assert(
      fc.property(
        anyWindow,
        fc.integer({ min: -1_000, max: 1_000 }),
        fc.oneof(fc.constant(-Infinity), fc.integer({ min: -1_500, max: 1_500 })),
        fc.oneof(fc.constant(-Infinity), fc.integer({ min: -1_500, max: 1_500 })),
        (any, at, streamTime, closedTo) => {
          const first = firstStart(any, at);
          const open = firstOpenStart(any, first, streamTime, closedTo);
          expect(Math.abs((open - first) % any.stepMs)).toBe(0);
          const isOpen = (start: number): boolean =>
            closesAt(any, start) > streamTime && start + any.sizeMs > closedTo;
          expect(isOpen(open)).toBe(true);
          if (open > first) expect(isOpen(open - any.stepMs)).toBe(false);
          else expect(open).toBe(first);
        },
      ),
    );
  });

  test('a window that takes events is always kept, and stays kept while stream time goes on to its close', () => {
    fc.assert(
      fc.property(
        anyWindow,
        fc.integer({ min: -1_000, max: 1_000 }),
        fc.integer({ min: -1_000, max: 1_000 }),
        (any, at, streamTime) => {
          for (const start of startsOf(any, at).slice(0, 20)) {
            if (closesAt(any, start) > streamTime)
              expect(start).toBeGreaterThan(keptFrom(any, streamTime));
            // At the very moment it closes it can still be read.
            expect(start).toBeGreaterThanOrEqual(keptFrom(any, closesAt(any, start)));
          }
        },
      ),
    );
  });
});
