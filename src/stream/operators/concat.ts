/**
 * @module
 */
import { Detached } from '../detached.ts';
import { listenTo } from '../inner.ts';
import type { Inner } from '../inner.ts';
import { Lane } from '../lane.ts';
import type { MakeOperator, Receive } from '../operator.ts';

/**
 * The values of streams that are values, one stream after the other: the next one is listened to when the one before it has ended.
 *
 * - *Order*: all values of an inner stream before those of the next. They go on without key, time and headers.
 * - *Back-pressure*: an inner stream is dealt with when it has ended, and everything behind has dealt with its values. Up to 10,000 inner streams wait, then
 *   `MR_OVERFLOW`.
 * - *State*: the streams that wait. `close` waits until they have ended, `destroy` lets go of them.
 * - *Delivery*: the values of an inner stream from when its turn comes, in a process only: one that has begun by itself before has lost some. What ends an
 *   inner stream fails its `emit`; the next one goes on. What is no stream of this process fails with `MR_ARGUMENT_INVALID`.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const files = [['header', 'first'], ['second']];
 * await Stream.from(files)
 *   .map((lines) => Stream.from(lines))
 *   .concat()
 *   .toArray(); // => ['header', 'first', 'second']
 * ```
 */
export function concat(): MakeOperator {
  return (output) => {
    const detached = new Detached();
    let busy = false;
    let current: Inner | undefined;
    const receive: Receive = (stream, event) => {
      if (busy) return lane.wait(stream, event);
      current = listenTo('concat', stream, output, detached);
      return lane.hold(current.over, stream, event);
    };
    const mark = (now: boolean): void => void (busy = now);
    const lane = new Lane('concat', mark, receive, () => undefined);
    return {
      detached,
      inputs: [receive],
      flush: async () => {
        await detached.settled();
      },
      close: () => {
        lane.close();
        current?.leave();
        detached.close();
      },
    };
  };
}
