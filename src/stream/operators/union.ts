/**
 * @module
 */
import type { MakeOperator } from '../operator.ts';

/**
 * Passes on the values of several streams as they come.
 *
 * - *Order*: kept within each stream; between streams, as they arrive.
 * - *Back-pressure*: none of its own.
 * - *State*: none.
 * - *Delivery*: each value once, as it came.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const [keyboard, mouse] = [new Stream<string>(), new Stream<string>()];
 * const input = keyboard.union(mouse).toArray();
 * await keyboard.emit('Enter');
 * await mouse.emit('click');
 * await Promise.all([keyboard.close(), mouse.close()]);
 * await input; // => ['Enter', 'click']
 * ```
 */
export function union(): MakeOperator {
  return (output) => ({
    inputs: [(value, event) => output.next(value, event)],
    passesThrough: true,
  });
}
