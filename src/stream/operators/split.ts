/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { checkWhole } from '../../core/given.ts';
import { close, destroy } from '../ending.ts';
import { Lane } from '../lane.ts';
import type { LiveNode } from '../live-node.ts';
import type { MakeOperator, Receive } from '../operator.ts';
import { synchronous } from '../synchronous.ts';

/** A sub-stream, as `Stream` makes it. */
export interface SubStream {
  readonly node: LiveNode;
  /** What goes on. */
  readonly stream: unknown;
}

/**
 * A stream for each key: at the first value of a key, the key and a new stream go on as a pair; that value and all later ones of the key go into the new
 * stream.
 *
 * - *Order*: kept within a key. The pair goes on before the first value goes into the new stream.
 * - *Back-pressure*: a value is dealt with when its sub-stream has dealt with it. Meanwhile those of other keys go on; while a pair is under way up to 10,000
 *   values wait, then `MR_OVERFLOW`.
 * - *State*: a stream per key, `maxKeys` at most, then `MR_OVERFLOW`. They end with this one. To close a sub-stream does not give its place back: later
 *   values of its key are left out.
 * - *Delivery*: each value once, in a process only. What fails in a sub-stream fails the `emit`.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const messages = new Stream<{ user: string; text: string }>();
 * const said = new Map<string, Promise<string[]>>();
 * messages
 *   .split(({ user }) => user)
 *   .sink(([user, own]) => void said.set(user, own.pluck('text').toArray()));
 * for (const [user, text] of [
 *   ['ann', 'hi'],
 *   ['bob', 'hello'],
 *   ['ann', 'bye'],
 * ] as const)
 *   await messages.emit({ user, text });
 * await messages.close();
 * await said.get('ann'); // => ['hi', 'bye']
 * ```
 *
 * @param make Makes the stream of a key.
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a `maxKeys` that is not an integer from 1.
 */
export function split(
  given: (value: unknown) => unknown,
  maxKeys: number,
  make: (key: unknown) => SubStream,
): MakeOperator {
  const key = synchronous('the key of split', given);
  checkWhole('maxKeys of split', maxKeys, 1);
  return (output) => {
    const streams = new Map<unknown, LiveNode>();
    let busy = false;
    const receive: Receive = (value, event) => {
      if (busy) return lane.wait(value, event);
      const id = key(value);
      const known = streams.get(id);
      if (known !== undefined) return send(known, value, event);
      if (streams.size >= maxKeys)
        throw new MillraceError(
          'MR_OVERFLOW',
          `split has ${maxKeys} keys, and a value has come with another one; raise maxKeys, or choose a key with fewer different values`,
          { details: { maxKeys } },
        );
      const { node, stream } = make(id);
      streams.set(id, node);
      const pending = output.next([id, stream], event);
      if (pending === undefined) return send(node, value, event);
      return lane.hold(pending, [node, value], event);
    };
    const mark = (now: boolean): void => void (busy = now);
    const lane = new Lane('split', mark, receive, (_result, held, event) => {
      const [node, value] = held as [LiveNode, unknown];
      return send(node, value, event);
    });
    return {
      inputs: [receive],
      flush: async () => {
        const ended = await Promise.allSettled([...streams.values()].map((node) => close(node)));
        for (const outcome of ended) if (outcome.status === 'rejected') throw outcome.reason;
      },
      close: () => {
        lane.close();
        for (const node of streams.values()) if (!node.ended) destroy(node);
      },
    };
  };
}

function send(node: LiveNode, value: unknown, event: EventCell | null): void | Promise<void> {
  if (!node.accepting) return;
  return event === null ? node.emit(value) : node.output.next(value, event);
}
