/**
 * @module
 */
import { NONE } from '../none.ts';
import type { MakeOperator } from '../operator.ts';

/**
 * Each value with the one before it: `[previous, value]`, from the second on.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own.
 * - *State*: the last value, per key of a keyed stream.
 * - *Delivery*: the first value goes on as part of the second pair only; a value that fails further down is the previous one of the next.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * await Stream.from(['open', 'paid', 'sent'])
 *   .pairwise()
 *   .starmap((from, to) => `${from} → ${to}`)
 *   .toArray(); // => ['open → paid', 'paid → sent']
 * ```
 */
export function pairwise(): MakeOperator {
  return (output, scope) => {
    const last = scope.state((): unknown => NONE);
    return (value, event) => {
      const previous = last.get(event);
      last.set(event, value);
      if (previous !== NONE) return output.next([previous, value], event);
    };
  };
}
