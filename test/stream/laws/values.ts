/**
 * What the laws draw, and how they wait.
 *
 * @module
 */
import fc from 'fast-check';
import { sleep } from '../../../src/core/clock.ts';
import type { Clock, VirtualClock } from '../../../src/core/clock.ts';

/** Values with many repetitions, and a few that have none. */
export const numbers: fc.Arbitrary<number[]> = fc.array(
  fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 0, max: 6 }) }, fc.integer()),
  { maxLength: 24 },
);

/** Sizes and counts. */
export const small: fc.Arbitrary<number> = fc.integer({ min: 1, max: 5 });

/** A value, and how long a function is busy with it: not at all below 0, one turn at 0. */
export interface Delayed {
  readonly value: number;
  readonly delayMs: number;
}

export const delayed: fc.Arbitrary<Delayed[]> = fc.array(
  fc.record({ value: fc.integer({ min: 0, max: 6 }), delayMs: fc.integer({ min: -2, max: 5 }) }),
  { maxLength: 20 },
);

/** `result`, now or later. */
export function after<R>(clock: Clock, delayMs: number, result: R): R | Promise<R> {
  return delayMs < 0 ? result : sleep(clock, delayMs).then(() => result);
}

/** Moves time until `work` has settled, at most so far. */
export async function settle(
  clock: VirtualClock,
  work: void | Promise<unknown>,
  withinMs = 10_000,
): Promise<void> {
  let done = work === undefined;
  const over = (): void => void (done = true);
  work?.then(over, over);
  for (let i = 0; i < withinMs && !done; i++) await clock.advance(1);
  if (!done) throw new Error(`not settled within ${withinMs} ms`);
  await work;
}

/** Resolves when all these emits have been answered; rejects as the first that failed. */
export async function allAnswered(emits: readonly (void | Promise<unknown>)[]): Promise<void> {
  await Promise.all(emits.map(async (emit) => emit));
}
