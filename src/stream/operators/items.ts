/**
 * @module
 */
import type { MakeOperator } from '../operator.ts';

/**
 * Puts the key in front of each value: `[key, value]`. `null` for an event without a key.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own.
 * - *State*: none.
 * - *Delivery*: each value once.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * await Stream.from([{ user: 'ann', ms: 12 }])
 *   .groupBy('user')
 *   .pluck('ms')
 *   .items()
 *   .toArray(); // => [['ann', 12]]
 * ```
 */
export function items(): MakeOperator {
  return (output) => (value, event) => output.next([event?.key?.key ?? null, value], event);
}
