/**
 * @module
 */
import { checkWhole } from '../../core/given.ts';
import type { MakeOperator } from '../operator.ts';

/**
 * Passes on values by their number, from 0: those from `start` on, before `end`, each `step`th of them.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own; values that are left out are dealt with at once.
 * - *State*: the number of the next value, per key of a keyed stream.
 * - *Delivery*: each value at most once, as it came. In a process, where there are no keys, the stream ends at `end`: what is behind is flushed
 *   and closed, and a source in front that nobody else listens to stops.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const lines = ['name,age', 'ann,42', 'bob,7'];
 * await Stream.from(lines).slice(1).toArray(); // => ['ann,42', 'bob,7']
 * await Stream.from(lines).slice(0, 1).toArray(); // => ['name,age']
 * ```
 *
 * @param over Called at `end`: nothing comes any more.
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a `start` or `end` that is not an integer from 0, and a `step` that is not one from 1.
 */
export function slice(
  start: number,
  end: number | undefined,
  step: number,
  over: () => void,
): MakeOperator {
  checkWhole('start of slice', start, 0);
  if (end !== undefined) checkWhole('end of slice', end, 0);
  checkWhole('step of slice', step, 1);
  const last = end ?? Number.POSITIVE_INFINITY;
  return (output, scope) => {
    const next = scope.state(() => 0);
    return (value, event) => {
      const i = next.get(event);
      const ends = i + 1 >= last && scope.kind === 'process' && (event?.key ?? null) === null;
      try {
        if (i >= last) return;
        next.set(event, i + 1);
        if (i >= start && (i - start) % step === 0) return output.next(value, event);
      } finally {
        if (ends) over();
      }
    };
  };
}
