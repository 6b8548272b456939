/**
 * From which of its inputs a task takes the next event.
 *
 * The one with the least event time, so that results do not depend on which input happens to be faster. An input without a record stands in the
 * way in three cases: while it is not known whether it has one; for `maxIdleWaitMs` after its last one, since an older record may be about to be
 * sent; and while it is more than `maxSkewMs` behind, since stream time goes by it. One that has been at its end for so long that it counts as
 * idle never does.
 *
 * @module
 */

/** An input as it is now. Times in milliseconds. */
export interface InputView {
  /** Event time of its next record; NaN when none is ready. */
  readonly next: number;
  /** Without a record: whether it is at its end, as far as is known. */
  readonly atEnd: boolean;
  /** How long it has been without a record. */
  readonly emptyForMs: number;
  /** When it will count as idle if it gets no record; 0 or less: it does. `Infinity` while it is not at its end. */
  readonly idleInMs: number;
  /** Stream time of the input; -Infinity before anything is known. */
  readonly time: number;
}

/** How long inputs wait for one another. */
export interface ChooseLimits {
  /** How long to wait for an input that is at its end. */
  readonly maxIdleWaitMs: number;
  /** How far an input may run ahead of one that has no record and is not idle. `Infinity`: as far as it likes. */
  readonly maxSkewMs: number;
}

/** No input has a record. */
export const NOTHING_READY = -1;

/** An input has a record, and has to wait for another one. */
export const WAIT = -2;

/** Index of the input to take the next event from, or {@link NOTHING_READY}, or {@link WAIT}. Of equal times the first input comes first. */
export function chooseInput(inputs: readonly InputView[], limits: ChooseLimits): number {
  const best = leastReady(inputs);
  if (best < 0) return NOTHING_READY;
  const { next } = inputs[best] as InputView;
  for (const input of inputs) if (waitForMs(input, next, limits) > 0) return WAIT;
  return best;
}

/** Milliseconds until {@link chooseInput} may answer otherwise although no input has changed; `Infinity` when it will not. */
export function chooseAgainInMs(inputs: readonly InputView[], limits: ChooseLimits): number {
  const best = leastReady(inputs);
  if (best < 0) return Infinity;
  const { next } = inputs[best] as InputView;
  let longest = 0;
  for (const input of inputs) longest = Math.max(longest, waitForMs(input, next, limits));
  return longest > 0 ? longest : Infinity;
}

function leastReady(inputs: readonly InputView[]): number {
  let best = -1;
  let least = Number.NaN;
  for (let i = 0; i < inputs.length; i++) {
    const { next } = inputs[i] as InputView;
    if (Number.isNaN(next) || next >= least) continue;
    best = i;
    least = next;
  }
  return best;
}

/** How much longer an event of time `next` has to wait for `input`; 0 for not at all. */
function waitForMs(input: InputView, next: number, limits: ChooseLimits): number {
  if (!Number.isNaN(input.next) || input.idleInMs <= 0) return 0;
  if (!input.atEnd) return Infinity;
  const waitMs = Math.max(0, Math.min(limits.maxIdleWaitMs - input.emptyForMs, input.idleInMs));
  const ahead = limits.maxSkewMs !== Infinity && next - input.time > limits.maxSkewMs;
  return ahead ? input.idleInMs : waitMs;
}
