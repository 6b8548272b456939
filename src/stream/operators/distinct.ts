/**
 * @module
 */
import { NONE } from '../none.ts';
import type { MakeOperator } from '../operator.ts';
import { same } from '../same.ts';
import { synchronous } from '../synchronous.ts';

/**
 * Leaves out values that are the same as the one before: by `key`, else by themselves, as `Map` compares (objects by identity).
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own; a value that is left out is dealt with at once.
 * - *State*: the key of the last value, per key of a keyed stream. In an app keys that are objects are never the same.
 * - *Delivery*: each value at most once, as it came. One that fails further down counts as passed on.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * // a thermometer that shows whole degrees
 * await Stream.from([20.1, 20.4, 21.2]).distinct({ key: Math.round }).toArray(); // => [20.1, 21.2]
 * ```
 */
export function distinct(given: ((value: unknown) => unknown) | undefined): MakeOperator {
  const key = given === undefined ? undefined : synchronous('key of distinct', given);
  return (output, scope) => {
    const last = scope.state((): unknown => NONE);
    return (value, event) => {
      const now = key === undefined ? value : key(value);
      const before = last.get(event);
      if (same(now, before)) return;
      last.set(event, now);
      return output.next(value, event);
    };
  };
}
