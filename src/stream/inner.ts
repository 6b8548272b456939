/**
 * Streams that are values of a stream: `switch`, `concat` and `merge` listen to them.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { kindOf } from '../core/given.ts';
import type { Detached } from './detached.ts';
import { destroy } from './ending.ts';
import type { End } from './ending.ts';
import { before, LiveNode } from './live-node.ts';
import type { Output } from './operator.ts';

/** An inner stream that is listened to. */
export interface Inner {
  /** Resolves when it has ended, or was let go of. Rejects with what has ended it. */
  readonly over: Promise<void>;
  /** Listens no more. What goes wrong in it from then on is not told, unless somebody else listens. */
  leave(): void;
}

/**
 * Sends the values of `stream` to `output`, and lets it wait for what is behind. Its values count as work of `detached`, so that `drain` of the outer stream
 * waits for them.
 *
 * @param what Who listens, for errors.
 * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for what is no stream of this process.
 */
export function listenTo(what: string, stream: unknown, output: Output, detached: Detached): Inner {
  const node = liveNodeOf(stream);
  if (node === undefined)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${what} was given ${kindOf(stream)}, which is no stream of this process; map each value to a Stream first: Stream.from(values)`,
    );
  const over = Promise.withResolvers<void>();
  // Not everybody waits for it.
  over.promise.catch(() => undefined);
  const end: End = {
    inputs: [(value) => output.next(value, null)?.finally(detached.begin().done)],
    flush: () => over.resolve(),
    close: () => over.resolve(),
    fail: (error) => over.reject(error),
  };
  const listener = new LiveNode(
    [node],
    { kind: what, role: { role: 'sink', target: output }, make: () => end },
    node.clock,
  );
  const leave = (): void => {
    destroy(listener);
    for (const { feed } of before(node)) feed?.letGo();
  };
  return { over: over.promise, leave };
}

function liveNodeOf(stream: unknown): LiveNode | undefined {
  if (typeof stream !== 'object' || stream === null || !('~node' in stream)) return undefined;
  return stream['~node'] instanceof LiveNode ? stream['~node'] : undefined;
}
