/**
 * Event times that cannot be: far ahead of the wall clock. One of them would move stream time there, close all windows up to it, and make every
 * event after it late.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';

/** Whether an event time is more than `maxFutureMs` ahead of the wall clock. `Infinity` allows any. All in milliseconds. */
export function isTooFarAhead(timestamp: number, nowMs: number, maxFutureMs: number): boolean {
  return timestamp - nowMs > maxFutureMs;
}

/** The error of such an event, a matter for its error policy. */
export function tooFarAhead(
  topic: string,
  timestamp: number,
  nowMs: number,
  maxFutureMs: number,
): MillraceError {
  return new MillraceError(
    'MR_TIMESTAMP_INVALID',
    `an event of topic ${topic} is of ${timestamp}, ${timestamp - nowMs} ms ahead of the clock (maxFuture is ${maxFutureMs} ms): ` +
      `it would close the windows of all events until then; send milliseconds since 1970, look at the clocks of the senders, or raise maxFuture`,
    { details: { topic, timestamp, maxFutureMs } },
  );
}
