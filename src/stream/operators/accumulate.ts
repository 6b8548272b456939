/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { checkFunction } from '../../core/given.ts';
import { isPromise } from '../../core/types.ts';
import { NONE } from '../none.ts';
import type { MakeOperator, OperatorState, Output, Receive } from '../operator.ts';
import { startValue } from '../start-value.ts';

/** What `fn` returns and what goes on. */
export type Accumulation =
  /** `fn` gives the new state, which goes on. */
  | 'state'
  /** `fn` gives the new state; a pair of it and the result, which is the same, goes on. */
  | 'withState'
  /** `fn` gives the new state and what goes on. */
  | 'returnsState'
  /** `fn` gives the new state and a result; both go on. */
  | 'both';

/**
 * Folds values into a state. Without `start` the first value becomes the state and goes on as it is. A value of `resetOn` puts the state back to
 * the start: that of its key, or all of it if it has none.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own; `fn` is synchronous.
 * - *State*: one value per key of a keyed stream, else one. Unchanged by a value for which `fn` throws; changed by one that fails further down.
 * - *Delivery*: each value once. One for which `fn` returns a promise, or no pair where one is due, fails with `MR_ARGUMENT_INVALID`.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * // the balance after each booking
 * await Stream.from([100, -30])
 *   .accumulate((balance, booking) => balance + booking, { start: 50 })
 *   .toArray(); // => [150, 120]
 *
 * // whether each jump is the best so far
 * await Stream.from([6.8, 6.5, 7.1])
 *   .mapState(0, (best, jump) => [Math.max(best, jump), jump > best])
 *   .toArray(); // => [true, false, true]
 * ```
 *
 * @param resets Whether there is a second input, that of `resetOn`.
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a start value that cannot be copied, see `start-value.ts`.
 */
export function accumulate(
  fn: (state: unknown, value: unknown) => unknown,
  start: { readonly value: unknown } | undefined,
  shape: Accumulation,
  resets = false,
): MakeOperator {
  checkFunction('accumulate', fn);
  const first: () => unknown = start === undefined ? () => NONE : startValue(start.value);
  return (output, scope) => {
    const state = scope.state(first);
    const receive =
      shape === 'returnsState' || shape === 'both'
        ? splitting(fn, state, output, shape === 'both')
        : folding(fn, state, output, shape === 'withState');
    return resets ? { inputs: [receive, (_value, event) => state.reset(event)] } : receive;
  };
}

function folding(
  fn: (state: unknown, value: unknown) => unknown,
  state: OperatorState<unknown>,
  output: Output,
  pairs: boolean,
): Receive {
  const fold: Receive = (value, event) => {
    const before = state.get(event);
    const after = before === NONE ? value : fn(before, value);
    if (typeof after === 'object' && isPromise(after)) throw asynchronous();
    state.set(event, after);
    return output.next(after, event);
  };
  if (!pairs) return fold;
  const next: Output = output;
  return folding(fn, state, { next: (after, event) => next.next([after, after], event) }, false);
}

function splitting(
  fn: (state: unknown, value: unknown) => unknown,
  state: OperatorState<unknown>,
  output: Output,
  both: boolean,
): Receive {
  return (value, event) => {
    const before = state.get(event);
    const pair = before === NONE ? [value, value] : fn(before, value);
    if (!Array.isArray(pair)) throw isPromise(pair) ? asynchronous() : noPair(pair);
    state.set(event, pair[0]);
    return output.next(both ? [pair[0], pair[1]] : pair[1], event);
  };
}

function asynchronous(): MillraceError {
  return new MillraceError(
    'MR_ARGUMENT_INVALID',
    'the function of accumulate or mapState returned a promise, which cannot be a state; do what has to be waited for in a map before it',
  );
}

function noPair(result: unknown): MillraceError {
  return new MillraceError(
    'MR_ARGUMENT_INVALID',
    `the function returned ${result === null ? 'null' : typeof result}; it has to return a pair [state, output]`,
  );
}
