/**
 * @module
 */
import { Newest } from '../newest.ts';
import type { MakeOperator } from '../operator.ts';

/**
 * The newest value whenever what is behind is ready for one: those that come while it is busy are left out, but for the last, which is never lost.
 *
 * - *Order*: kept, on a keyed stream within each key.
 * - *Back-pressure*: none: a value is dealt with, for those in front, at once. One at a time is under way behind.
 * - *State*: the value that waits, one per key of a keyed stream. `drain` and `close` wait for it, `destroy` drops it.
 * - *Delivery*: each value at most once, in a process only. When one fails after its `emit` was answered, the next `emit` into the graph (whose own value
 *   is taken all the same), `drain` or `close` rejects.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const screen = Promise.withResolvers<void>();
 * const prices = new Stream<number>();
 * const shown = prices
 *   .latest()
 *   .tap(() => screen.promise)
 *   .toArray();
 * await prices.emitAll([10, 11, 12]); // the screen is busy with 10
 * screen.resolve();
 * await prices.close();
 * await shown; // => [10, 12]
 * ```
 */
export function latest(): MakeOperator {
  return (output) => {
    const newest = new Newest(output);
    return {
      detached: newest.detached,
      memory: newest.memoryWith((id) => newest.release(id)),
      inputs: [
        (value, event) => {
          if (newest.busy) {
            newest.hold(event?.key?.id, value, event);
            newest.release(event?.key?.id);
          } else newest.send(value, event === null ? null : { ...event });
        },
      ],
      flush: () => newest.flush(),
      close: () => newest.close(),
    };
  };
}
