/**
 * @module
 */
import type { MakeOperator } from '../operator.ts';
import { bareEvent, eventView } from '../stream-event.ts';

/**
 * Replaces each value by its event: the value with its key, event time, headers and place. In a process the place is empty (topic `''`,
 * partition 0, offset 0), and the time is that of the clock unless the stream was grouped.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own.
 * - *State*: none.
 * - *Delivery*: each value once.
 *
 * ```ts
 * import { Stream, VirtualClock } from 'millrace';
 *
 * const clock = new VirtualClock(Date.UTC(2026, 0, 1));
 * await Stream.from([20], { clock })
 *   .events()
 *   .map(({ value, timestamp }) => `${value} at ${new Date(timestamp).toISOString()}`)
 *   .toArray(); // => ['20 at 2026-01-01T00:00:00.000Z']
 * ```
 */
export function events(): MakeOperator {
  return (output, scope) => (value, event) =>
    output.next(
      event === null ? bareEvent(value, scope.clock.now()) : eventView(value, event),
      event,
    );
}
