/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { isPromise } from '../../core/types.ts';
import { Lane } from '../lane.ts';
import type { MakeOperator, Receive, SinkPort } from '../operator.ts';

/**
 * Calls a function with each value, or sends it to a topic, agent or channel.
 *
 * - *Order*: kept: a function is called for one value at a time.
 * - *Back-pressure*: a value is dealt with when what the function returned is. Meanwhile up to 10,000 values wait, then `MR_OVERFLOW`.
 * - *State*: none.
 * - *Delivery*: functions: each value once in a process, at least once in an app, before its commit. Others: as they say.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const prices = new Map<string, number>();
 * const quotes = new Stream<[item: string, price: number]>();
 * const sink = quotes.sink(([item, price]) => prices.set(item, price));
 * await quotes.emit(['oats', 3]);
 * sink.destroy();
 * await quotes.emit(['oats', 4]); // nobody listens any more
 * prices.get('oats'); // => 3
 * ```
 *
 * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for a target that is neither.
 */
export function sink(target: unknown): MakeOperator {
  if (isSinkPort(target)) return (_output, scope) => target['~sink'](scope);
  if (typeof target !== 'function')
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `sink was given ${target === null ? 'null' : `a value of type ${typeof target}`}; give a function, a topic, an agent or a channel`,
      { details: { type: typeof target } },
    );
  const fn = target as (value: unknown) => unknown;
  return () => {
    let busy = false;
    const receive: Receive = (value, event) => {
      if (busy) return lane.wait(value, event);
      const result = fn(value);
      return result !== undefined && isPromise(result)
        ? lane.hold(result, value, event)
        : undefined;
    };
    const mark = (now: boolean): void => void (busy = now);
    const lane = new Lane('sink', mark, receive, () => undefined);
    return { inputs: [receive], close: () => lane.close() };
  };
}

/** Whether it is something that takes values inside a graph: a topic, an agent, a channel. */
export function isSinkPort(target: unknown): target is SinkPort {
  return (
    (typeof target === 'object' || typeof target === 'function') &&
    target !== null &&
    '~sink' in target
  );
}
