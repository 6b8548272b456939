/**
 * @module
 */
import type { Timer } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import { Newest } from '../newest.ts';
import type { MakeOperator } from '../operator.ts';

/**
 * Passes on a value when no other has come for `quiet`.
 *
 * - *Order*: kept, on a keyed stream within each key.
 * - *Back-pressure*: none: a value is dealt with, for those in front, at once. One at a time is under way behind.
 * - *State*: the value that waits, one per key of a keyed stream, each with a quiet time of its own. `close` sends it, `drain` waits until it has gone
 *   on, `destroy` drops it.
 * - *Delivery*: each value at most once, in a process only; the last one is never lost. When one fails, the next `emit` into the graph (whose own value is
 *   taken all the same), `drain` or `close` rejects.
 *
 * ```ts
 * import { Stream, VirtualClock } from 'millrace';
 *
 * const clock = new VirtualClock();
 * const typed = new Stream<string>({ clock });
 * const searches = typed.debounce('300ms').toArray();
 * await typed.emitAll(['m', 'mi', 'mill']);
 * await clock.advance(300);
 * await typed.emit('millrace');
 * await typed.close(); // sends what waits
 * await searches; // => ['mill', 'millrace']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a `quiet` that is no duration.
 */
export function debounce(quiet: Duration): MakeOperator {
  const quietMs = durationMs(quiet, 'quiet');
  return (output, { clock }) => {
    const newest = new Newest(output);
    const timers = new Map<string | undefined, Timer>();
    const wait = (id: string | undefined): void => {
      timers.get(id)?.cancel();
      const timer = clock.setTimer(quietMs, () => {
        timers.delete(id);
        newest.release(id);
      });
      timers.set(id, timer);
    };
    const cancel = (): void => {
      for (const timer of timers.values()) timer.cancel();
      timers.clear();
    };
    return {
      detached: newest.detached,
      memory: newest.memoryWith(wait),
      inputs: [
        (value, event) => {
          newest.hold(event?.key?.id, value, event);
          wait(event?.key?.id);
        },
      ],
      flush: () => {
        cancel();
        return newest.flush();
      },
      close: () => {
        cancel();
        newest.close();
      },
    };
  };
}
