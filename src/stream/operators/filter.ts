/**
 * @module
 */
import { checkFunction } from '../../core/given.ts';
import { isPromise } from '../../core/types.ts';
import { Lane } from '../lane.ts';
import type { MakeOperator, Receive } from '../operator.ts';

/**
 * Passes on the values for which `predicate` gives something true, now or later.
 *
 * - *Order*: kept.
 * - *Back-pressure*: a value that is not passed on is dealt with at once. While an asynchronous predicate is under way, up to 10,000 values
 *   wait, then `MR_OVERFLOW`.
 * - *State*: none.
 * - *Delivery*: each value at most once, as it came.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const isMember = async (name: string) => name !== 'eve'; // asks a service
 * await Stream.from(['ann', 'eve', 'bob']).filter(isMember).toArray(); // => ['ann', 'bob']
 * ```
 */
export function filter(predicate: (value: unknown) => unknown): MakeOperator {
  checkFunction('filter', predicate);
  return (output) => {
    let busy = false;
    const receive: Receive = (value, event) => {
      if (busy) return lane.wait(value, event);
      const passes = predicate(value);
      if (passes === true) return output.next(value, event);
      if (passes === false) return;
      if (isPromise(passes)) return lane.hold(passes, value, event);
      if (passes) return output.next(value, event);
    };
    const mark = (now: boolean): void => void (busy = now);
    const lane = new Lane('filter', mark, receive, (passes, value, event) =>
      passes ? output.next(value, event) : undefined,
    );
    return { inputs: [receive], close: () => lane.close() };
  };
}
