/**
 * @module
 */
import { sleep, systemClock } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { checkFunction, checkOptions } from '../core/given.ts';
import type { Stream } from '../stream/stream.ts';
import { connectorOptions } from './options.ts';
import type { ConnectorOptions } from './options.ts';
import { sourceOf } from './source.ts';

/** What {@link periodic} takes. */
export interface PeriodicOptions extends ConnectorOptions {
  /** How long it waits after a value was dealt with before it calls the function again, at least 1 ms. */
  readonly interval: Duration;
}

/**
 * What `fn` returns, awaited, again and again: at once, and then `interval` after the value before was dealt with. So the time from one
 * call to the next is that of the interval and of the work. `close` waits for a call that is under way.
 *
 * - *Order*: of the calls.
 * - *Back-pressure*: the next call waits until its value has been dealt with.
 * - *State*: none.
 * - *Delivery*: each value once. What `fn` throws fails the stream.
 *
 * ```ts
 * import { periodic } from 'millrace';
 *
 * let n = 0;
 * const values: number[] = [];
 * for await (const value of periodic(() => n++, { interval: '1ms' })) {
 *   values.push(value);
 *   if (value === 2) break;
 * }
 * values; // => [0, 1, 2]
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`
 */
export function periodic<T>(fn: () => T, options: PeriodicOptions): Stream<Awaited<T>> {
  checkFunction('periodic', fn);
  checkOptions<PeriodicOptions>('periodic', options, { ...connectorOptions, interval: true });
  const { interval, clock = systemClock() } = options;
  const intervalMs = durationMs(interval, 'interval', 1);
  return sourceOf<Awaited<T>>('periodic', options, async ({ emit, signal, opened }) => {
    opened();
    for (;;) {
      const value = await fn();
      if (signal.aborted) return;
      const pending = emit(value);
      if (pending !== undefined) await pending;
      await sleep(clock, intervalMs, signal);
    }
  });
}
