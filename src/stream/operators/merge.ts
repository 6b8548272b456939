/**
 * @module
 */
import { checkWhole } from '../../core/given.ts';
import { Detached } from '../detached.ts';
import { listenTo } from '../inner.ts';
import type { Inner } from '../inner.ts';
import { Backlog } from '../lane.ts';
import type { MakeOperator, Receive } from '../operator.ts';

/**
 * The values of streams that are values, of all of them as they come.
 *
 * - *Order*: kept within each inner stream; between them, as values arrive. They go on without key, time and headers.
 * - *Back-pressure*: an inner stream is dealt with when it is listened to; its own emits wait for what is behind. While `concurrency` inner streams have
 *   not ended, emits wait, up to 10,000 of them, then `MR_OVERFLOW`.
 * - *State*: none. `close` waits until all inner streams have ended, `destroy` lets go of them.
 * - *Delivery*: values of an inner stream from when it is listened to, in a process only. What ends an inner stream rejects the next `emit` into the graph,
 *   `drain` or `close`. What is no stream of this process fails with `MR_ARGUMENT_INVALID`.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const rooms = new Stream<Stream<string>>();
 * const heard = rooms.merge().toArray();
 * const [kitchen, hall] = [new Stream<string>(), new Stream<string>()];
 * await rooms.emitAll([kitchen, hall]);
 * await hall.emit('door');
 * await kitchen.emit('kettle');
 * await Promise.all([kitchen.close(), hall.close(), rooms.close()]);
 * await heard; // => ['door', 'kettle']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a concurrency that is not an integer from 1.
 */
export function merge(concurrency: number): MakeOperator {
  checkWhole('concurrency of merge', concurrency, 1);
  return (output) => {
    const detached = new Detached();
    const open = new Set<Inner>();
    const backlog = new Backlog('merge');
    const listen: Receive = (stream) => {
      const inner = listenTo('merge', stream, output, detached);
      open.add(inner);
      const ended = (): void => {
        open.delete(inner);
        while (backlog.size > 0 && open.size < concurrency) backlog.runOne(listen);
      };
      inner.over.then(ended, (error: unknown) => {
        detached.fail(error);
        ended();
      });
    };
    return {
      detached,
      inputs: [
        (stream, event) =>
          open.size >= concurrency ? backlog.add(stream, event) : listen(stream, event),
      ],
      flush: async () => {
        while (open.size > 0) await Promise.allSettled([...open].map(({ over }) => over));
        await detached.settled();
      },
      close: () => {
        backlog.drop();
        for (const inner of open) inner.leave();
        detached.close();
      },
    };
  };
}
