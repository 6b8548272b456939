/**
 * @module
 */
import { Detached } from '../detached.ts';
import { listenTo } from '../inner.ts';
import type { Inner } from '../inner.ts';
import type { MakeOperator } from '../operator.ts';

/**
 * The values of the newest stream among the values: when one comes, the one before it is let go of.
 *
 * - *Order*: of the inner stream. They go on without key, time and headers.
 * - *Back-pressure*: an inner stream is dealt with when it is listened to; its own emits wait for what is behind.
 * - *State*: none. `close` waits until the last inner stream has ended, `destroy` lets go of it.
 * - *Delivery*: values of an inner stream from when it is listened to until the next one comes, in a process only. What ends an inner stream rejects
 *   the next `emit` into the graph, `drain` or `close`; of one that was let go of, it is not told. What is no stream of this process fails with `MR_ARGUMENT_INVALID`.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const [news, sport] = [new Stream<string>(), new Stream<string>()];
 * const chosen = new Stream<Stream<string>>();
 * const seen = chosen.switch().toArray();
 * await chosen.emit(news);
 * await news.emit('election');
 * await chosen.emit(sport);
 * await news.emit('weather'); // nobody watches
 * await sport.emit('goal');
 * await Promise.all([sport.close(), chosen.close()]);
 * await seen; // => ['election', 'goal']
 * ```
 */
export function switchTo(): MakeOperator {
  return (output) => {
    const detached = new Detached();
    let current: Inner | undefined;
    return {
      detached,
      inputs: [
        (stream) => {
          current?.leave();
          const inner = listenTo('switch', stream, output, detached);
          current = inner;
          inner.over.catch((error: unknown) => {
            if (current === inner) detached.fail(error);
          });
        },
      ],
      flush: async () => {
        await current?.over;
        await detached.settled();
      },
      close: () => {
        current?.leave();
        detached.close();
      },
    };
  };
}
