/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { MakeOperator } from '../operator.ts';

/**
 * Puts a number in front of each value: `[start, first]`, `[start + 1, second]`, …
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own.
 * - *State*: the next number, per key of a keyed stream.
 * - *Delivery*: each value once. A value that fails further down has used its number up.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * await Stream.from(['to be', 'or not'])
 *   .enumerate(1)
 *   .starmap((n, line) => `${n}: ${line}`)
 *   .toArray(); // => ['1: to be', '2: or not']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a start that is not an integer.
 */
export function enumerate(start: number): MakeOperator {
  if (!Number.isSafeInteger(start))
    throw new MillraceError('MR_OPTION_INVALID', `start is ${String(start)}; give an integer`, {
      details: { option: 'start', value: start },
    });
  return (output, scope) => {
    const next = scope.state(() => start);
    return (value, event) => {
      const number = next.get(event);
      next.set(event, number + 1);
      return output.next([number, value], event);
    };
  };
}
