import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  chooseAgainInMs,
  chooseInput,
  NOTHING_READY,
  WAIT,
} from '../../src/window/choose-input.ts';
import type { ChooseLimits, InputView } from '../../src/window/choose-input.ts';

const ready = (next: number): InputView => ({
  next,
  atEnd: false,
  emptyForMs: 0,
  idleInMs: Infinity,
  time: next - 1,
});

/** At its end for `emptyForMs`; idle in `idleInMs`. */
const ended = (time: number, idleInMs: number, emptyForMs = 0): InputView => ({
  next: Number.NaN,
  atEnd: true,
  emptyForMs,
  idleInMs,
  time,
});

/** A fetch is under way. */
const unknown = (time: number, emptyForMs: number): InputView => ({
  next: Number.NaN,
  atEnd: false,
  emptyForMs,
  idleInMs: Infinity,
  time,
});

const free: ChooseLimits = { maxIdleWaitMs: 0, maxSkewMs: Infinity };
const patient: ChooseLimits = { maxIdleWaitMs: 100, maxSkewMs: Infinity };
const tight: ChooseLimits = { maxIdleWaitMs: 0, maxSkewMs: 10 };

describe('the next input', () => {
  test.each<[string, InputView[], ChooseLimits, number, number]>([
    ['the only one', [ready(5)], tight, 0, Infinity],
    ['the least time', [ready(7), ready(3), ready(5)], tight, 1, Infinity],
    ['the first of equal ones', [ready(3), ready(3)], tight, 0, Infinity],
    ['none', [], free, NOTHING_READY, Infinity],
    ['none has a record', [ended(1, 5), unknown(1, 0)], free, NOTHING_READY, Infinity],
    ['an unknown one is waited for', [unknown(1, 0), ready(9)], free, WAIT, Infinity],
    ['one at its end too', [ended(1, 500), ready(9)], patient, WAIT, 100],
    ['for so long', [ended(1, 401, 99), ready(9)], patient, WAIT, 1],
    ['and no longer', [ended(1, 400, 100), ready(9)], patient, 1, Infinity],
    ['or until it is idle', [ended(1, 30), ready(9)], patient, WAIT, 30],
    [
      'the longest wait counts',
      [ended(1, 500, 40), ready(9), ended(1, 500, 10)],
      patient,
      WAIT,
      90,
    ],
    ['within the skew of one at its end', [ended(1, 500), ready(11)], tight, 1, Infinity],
    ['beyond it, until that is idle', [ended(1, 500), ready(12)], tight, WAIT, 500],
    ['which then no longer counts', [ended(1, 0), ready(12)], tight, 1, Infinity],
    ['one that has said nothing yet', [ended(-Infinity, 7), ready(12)], tight, WAIT, 7],
    ['and no limit of skew', [ended(-Infinity, 7), ready(12)], free, 1, Infinity],
    [
      'an unknown one that is behind is waited for',
      [unknown(1, 100), ready(12)],
      tight,
      WAIT,
      Infinity,
    ],
    [
      'inputs that have records are never too far behind',
      [ready(1), ready(1_000)],
      tight,
      0,
      Infinity,
    ],
  ])('%s', (_, inputs, limits, chosen, again) => {
    expect(chooseInput(inputs, limits)).toBe(chosen);
    expect(chooseAgainInMs(inputs, limits)).toBe(again);
  });

  test('when it waits and nothing changes but time, it goes on after the wait that it told of', () => {
    const input = fc.oneof(
      fc.integer({ min: 0, max: 50 }).map(ready),
      fc
        .tuple(fc.integer({ min: -5, max: 50 }), fc.integer({ min: 0, max: 300 }))
        .map(([time, idleInMs]) => ended(time, idleInMs)),
      fc
        .tuple(fc.integer({ min: 45, max: 50 }), fc.integer({ min: 0, max: 300 }))
        .map(([time, emptyForMs]) => unknown(time, emptyForMs)),
    );
    fc.assert(
      fc.property(
        fc.array(input, { maxLength: 5 }),
        fc.constantFrom(free, patient, tight),
        (inputs, limits) => {
          const times = inputs.map(({ next }) => next).filter((next) => !Number.isNaN(next));
          const chosen = chooseInput(inputs, limits);
          if (times.length === 0) {
            expect(chosen).toBe(NOTHING_READY);
          } else if (chosen !== WAIT) {
            expect((inputs[chosen] as InputView).next).toBe(Math.min(...times));
          } else {
            const later = chooseAgainInMs(inputs, limits);
            expect(later).toBeGreaterThan(0);
            // Only news of the unknown one helps.
            if (later === Infinity) return;
            const then = inputs.map((view) => ({
              ...view,
              emptyForMs: view.emptyForMs + later,
              idleInMs: view.idleInMs - later,
            }));
            expect(chooseInput(then, limits)).toBeGreaterThanOrEqual(0);
          }
        },
      ),
    );
  });
});
