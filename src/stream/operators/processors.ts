/**
 * @module
 */
import { checkFunction } from '../../core/given.ts';
import { isPromise } from '../../core/types.ts';
import { Lane } from '../lane.ts';
import type { MakeOperator, Receive } from '../operator.ts';

/**
 * Passes each value through functions, one after the other, each awaited. Without functions values go on as they are.
 *
 * - *Order*: kept.
 * - *Back-pressure*: as of `map`, one value at a time.
 * - *State*: none.
 * - *Delivery*: each value once; a value for which a function throws is not passed on, and the functions after that one are not called.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const trim = (text: string) => text.trim();
 * const lower = (text: string) => text.toLowerCase();
 * await Stream.from([' Ann', 'BOB ']).processors(trim, lower).toArray(); // => ['ann', 'bob']
 * ```
 */
export function processors(fns: readonly ((value: unknown) => unknown)[]): MakeOperator {
  for (const fn of fns) checkFunction('processors', fn);
  return (output) => {
    let busy = false;
    const receive: Receive = (value, event) => {
      if (busy) return lane.wait(value, event);
      const result = inTurn(fns, value, 0);
      if (isPromise(result)) return lane.hold(result, value, event);
      return output.next(result, event);
    };
    const mark = (now: boolean): void => void (busy = now);
    const lane = new Lane('processors', mark, receive, (result, _value, event) =>
      output.next(result, event),
    );
    return { inputs: [receive], close: () => lane.close() };
  };
}

/** What the functions from `from` on make of a value; a promise from the first one that gives a promise. */
function inTurn(
  fns: readonly ((value: unknown) => unknown)[],
  value: unknown,
  from: number,
): unknown {
  let result = value;
  for (let i = from; i < fns.length; i++) {
    result = (fns[i] as (value: unknown) => unknown)(result);
    if (isPromise(result))
      return i === fns.length - 1
        ? result
        : Promise.resolve(result).then((awaited) => inTurn(fns, awaited, i + 1));
  }
  return result;
}
