/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { checkFunction } from '../../core/given.ts';
import { isPromise } from '../../core/types.ts';
import type { MakeOperator } from '../operator.ts';
import { startValue } from '../start-value.ts';

/** What `fn` returns and what goes on. */
export type Accumulation =
  /** `fn` gives the new state, which goes on. */
  | 'state'
  /** `fn` gives the new state; a pair of it and the result, which is the same, goes on. */
  | 'withState'
  /** `fn` gives the new state and what goes on. */
  | 'returnsState';

/** The state of an `accumulate` that has seen no value. It is never stored. */
const NONE: unique symbol = Symbol('millrace.accumulate.none');

/**
 * Folds values into a state. Without `start` the first value becomes the state and goes on as it is.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own; `fn` is synchronous.
 * - *State*: one value per key of a keyed stream, else one. Unchanged by a value for which `fn` throws; changed by one that fails further down.
 * - *Delivery*: each value once.
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a start value that cannot be copied, see `start-value.ts`.
 */
export function accumulate(
  fn: (state: unknown, value: unknown) => unknown,
  start: { readonly value: unknown } | undefined,
  shape: Accumulation,
): MakeOperator {
  checkFunction('accumulate', fn);
  const first: () => unknown = start === undefined ? () => NONE : startValue(start.value);
  if (shape === 'returnsState') return splitting(fn, first);
  return (output, scope) => {
    const state = scope.state(first);
    return (value, event) => {
      const before = state.get(event);
      const after = before === NONE ? value : fn(before, value);
      if (isPromise(after)) throw asynchronous();
      state.set(event, after);
      return output.next(shape === 'state' ? after : [after, after], event);
    };
  };
}

function splitting(
  fn: (state: unknown, value: unknown) => unknown,
  first: () => unknown,
): MakeOperator {
  return (output, scope) => {
    const state = scope.state(first);
    return (value, event) => {
      const pair = fn(state.get(event), value);
      if (!Array.isArray(pair)) throw isPromise(pair) ? asynchronous() : noPair(pair);
      state.set(event, pair[0]);
      return output.next(pair[1], event);
    };
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
