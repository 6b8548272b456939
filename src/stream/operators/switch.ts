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
 * - *Order*: of the inner stream.
 * - *Back-pressure*: an inner stream is dealt with when it is listened to; its own emits wait for what is behind.
 * - *State*: none. `close` waits until the last inner stream has ended, `destroy` lets go of it.
 * - *Delivery*: values of an inner stream from when it is listened to until the next one comes, in a process only. What ends an inner stream rejects
 *   the next `emit` into the graph, `drain` or `close`.
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
