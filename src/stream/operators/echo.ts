/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { MakeOperator } from '../operator.ts';
import { fanOut } from '../output.ts';
import { isSinkPort } from './sink.ts';

/**
 * Sends each value to topics and agents as well, and passes it on as it came.
 *
 * - *Order*: kept: a value is sent to each target, in the order given, before it goes on.
 * - *Back-pressure*: a value is dealt with when every target has taken it, and everything behind has dealt with it. It does not wait for the
 *   targets before it goes on.
 * - *State*: none.
 * - *Delivery*: in an app with the task's commit, together with whatever else the value causes. In a process each value once; one that a target
 *   refuses fails its `emit`, and may have gone on all the same.
 *
 * ```ts
 * import { App, unchecked } from 'millrace';
 * import { TestApp } from 'millrace/testing';
 *
 * const app = new App('shop');
 * const orders = app.topic('orders', { value: unchecked<number>() });
 * const audit = app.topic('audit', { value: unchecked<number>() });
 * const large: number[] = [];
 * orders
 *   .stream()
 *   .echo(audit)
 *   .filter((total) => total > 100)
 *   .sink((total) => large.push(total));
 *
 * await using t = await TestApp.start(app);
 * for (const total of [20, 500]) await t.send(orders, total);
 * (await t.output(audit)).map(({ value }) => value); // => [20, 500]
 * large; // => [500]
 * ```
 *
 * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` without targets, and for a target that is no topic, agent or channel.
 */
export function echo(targets: readonly unknown[]): MakeOperator {
  if (targets.length === 0)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      'echo was called without a target; give topics or agents that shall have the values too',
    );
  const ports = targets.map((target) => {
    if (isSinkPort(target)) return target;
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `echo was given ${target === null ? 'null' : `a value of type ${typeof target}`}; give topics or agents, or call a function with each value by tap(fn)`,
      { details: { type: typeof target } },
    );
  });
  return (output, scope) => {
    const targetsAndNext = ports.map((port) => port['~sink'](scope));
    // `next` changes when consumers come and go, so it is looked up at each call.
    return fanOut([...targetsAndNext, (value, event) => output.next(value, event)]);
  };
}
