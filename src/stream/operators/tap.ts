/**
 * @module
 */
import { checkFunction } from '../../core/given.ts';
import { isPromise } from '../../core/types.ts';
import { Lane } from '../lane.ts';
import type { MakeOperator, Receive } from '../operator.ts';

/**
 * Calls `fn` with each value, waits for it, and passes the value on as it came.
 *
 * - *Order*: kept.
 * - *Back-pressure*: as of `map`, one call at a time.
 * - *State*: none.
 * - *Delivery*: each value once; a value for which `fn` throws is not passed on.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * let done = 0;
 * await Stream.from(['a.png', 'b.png'])
 *   .tap(() => (done += 1))
 *   .toArray(); // => ['a.png', 'b.png']
 * done; // => 2
 * ```
 */
export function tap(fn: (value: unknown) => unknown): MakeOperator {
  checkFunction('tap', fn);
  return (output) => {
    let busy = false;
    const receive: Receive = (value, event) => {
      if (busy) return lane.wait(value, event);
      const result = fn(value);
      if (isPromise(result)) return lane.hold(result, value, event);
      return output.next(value, event);
    };
    const mark = (now: boolean): void => void (busy = now);
    const lane = new Lane('tap', mark, receive, (_result, value, event) =>
      output.next(value, event),
    );
    return { inputs: [receive], close: () => lane.close() };
  };
}
