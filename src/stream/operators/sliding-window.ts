/**
 * @module
 */
import { checkWhole } from '../../core/given.ts';
import type { MakeOperator } from '../operator.ts';

/** Largest window. */
const MAX_SIZE = 1_000_000;

/**
 * With each value the last `size` ones, oldest first, as an array of its own. Until there are so many: those that there are, or nothing without
 * `returnPartial`.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own.
 * - *State*: the last `size` values, per key of a keyed stream.
 * - *Delivery*: each value in up to `size` windows. One that fails further down stays in those after it.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * // too hot twice in a row
 * await Stream.from([85, 91, 95, 80])
 *   .slidingWindow(2, { returnPartial: false })
 *   .map((degrees) => degrees.every((each) => each > 90))
 *   .toArray(); // => [false, true, false]
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a size that is not an integer from 1 to 1,000,000.
 */
export function slidingWindow(size: number, returnPartial: boolean): MakeOperator {
  checkWhole('size of slidingWindow', size, 1, MAX_SIZE);
  return (output, scope) => {
    const state = scope.state((): unknown[] => []);
    const copies = scope.kind === 'task';
    return (value, event) => {
      const before = state.get(event);
      // A task may put back what was there before.
      const held = copies ? [...before] : before;
      if (held.length === size) held.shift();
      held.push(value);
      state.set(event, held);
      if (returnPartial || held.length === size) return output.next(held.slice(), event);
    };
  };
}
