/**
 * Ends of in-process pipelines that hand values back to the program: iterators and arrays. Each is a branch of its own.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { BoundedQueue } from '../core/queue.ts';
import { destroy } from './ending.ts';
import type { End } from './ending.ts';
import { LiveNode } from './live-node.ts';

/**
 * - *Order*: of the stream.
 * - *Back-pressure*: `emit` waits while `capacity` values have not been taken.
 * - *State*: those values.
 * - *Delivery*: a value is dealt with when it is in the queue. What is left there when the iterator is left early is dropped.
 */
export function iterate(
  node: LiveNode,
  capacity: number,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<unknown> {
  let branch: LiveNode | undefined;
  const queue = new BoundedQueue<unknown>(capacity, {
    onDetach: () => {
      if (branch !== undefined) destroy(branch);
    },
  });
  const end: End = {
    inputs: [(value) => (queue.closed ? undefined : queue.push(value))],
    close: () => queue.end(),
    fail: (error) => queue.fail(error),
  };
  const values = queue.iterate(signal);
  const iterator: AsyncIterableIterator<unknown> = {
    next: () => {
      if (branch === undefined && !queue.closed)
        branch = new LiveNode(
          [node],
          { kind: 'iterator', role: { role: 'sink', target: queue }, make: () => end },
          node.clock,
        );
      return values.next();
    },
    return: async () => {
      await values.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

/**
 * All values from now to the end.
 *
 * - *Order*: of the stream.
 * - *Back-pressure*: none, it takes what comes.
 * - *State*: all values: for streams that end.
 * - *Delivery*: when the stream is closed. Rejects with `MR_CLOSED` when it is destroyed before.
 */
export function collect(node: LiveNode): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const values: unknown[] = [];
    const end: End = {
      inputs: [(value) => void values.push(value)],
      flush: () => resolve(values),
      close: () =>
        reject(
          new MillraceError(
            'MR_CLOSED',
            `stream ${node.toString()} was destroyed before its end, so toArray has no complete result; close it instead`,
          ),
        ),
      fail: reject,
    };
    // Lives as long as the stream does.
    void new LiveNode(
      [node],
      { kind: 'toArray', role: { role: 'sink', target: values }, make: () => end },
      node.clock,
    );
  });
}
