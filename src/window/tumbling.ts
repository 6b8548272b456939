/**
 * Tumbling windows: event time cut into slices of equal length, `[start, end)`, aligned to 1970.
 *
 * @module
 */
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';

/** How long windows take events and how long they can be read. All on stream time, not on the wall clock. */
export interface WindowOptions {
  /**
   * How long after its end a window still takes events that come out of order. An event for a window that is closed is
   * late: it is counted, and changes nothing. Default 0.
   */
  readonly grace?: Duration | undefined;
  /** How long after its end a window can still be read. At least `grace`. Default one day, or `grace` if that is longer. */
  readonly retention?: Duration | undefined;
}

/** A checked definition. All lengths in milliseconds. */
export interface WindowDefinition {
  readonly kind: 'tumbling';
  readonly sizeMs: number;
  readonly graceMs: number;
  readonly retentionMs: number;
}

const dayMs = 86_400_000;

/**
 * Windows of `size`, at least 1 ms.
 *
 * @throws `MR_OPTION_INVALID` for a size below 1 ms, a length with a fraction of a millisecond, or a retention shorter than the grace.
 */
export function tumblingWindow(size: Duration, options: WindowOptions = {}): WindowDefinition {
  const sizeMs = wholeMs(size, 'size', 1);
  const graceMs = wholeMs(options.grace ?? 0, 'grace', 0);
  const retentionMs = wholeMs(options.retention ?? Math.max(dayMs, graceMs), 'retention', 0);
  if (retentionMs < graceMs)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `retention (${retentionMs} ms) is shorter than grace (${graceMs} ms): windows would be deleted while they still take events; raise retention`,
    );
  return { kind: 'tumbling', sizeMs, graceMs, retentionMs };
}

/** Start of the window that holds `timestamp`. Right for times before 1970 too. */
export function windowStart(timestamp: number, sizeMs: number): number {
  return timestamp - (((timestamp % sizeMs) + sizeMs) % sizeMs);
}

/** Stream time at which the window that starts at `start` closes: from then on its events are late. */
export function closesAt(window: WindowDefinition, start: number): number {
  return start + window.sizeMs + window.graceMs;
}

/** Windows that start below this are no longer kept at `streamTime`. */
export function keptFrom(window: WindowDefinition, streamTime: number): number {
  return streamTime - window.retentionMs - window.sizeMs;
}

/** Event times are whole milliseconds, so are all bounds that are compared with them or stored. */
function wholeMs(value: Duration, name: string, minMs: number): number {
  const ms = durationMs(value, name, minMs);
  if (!Number.isSafeInteger(ms))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${name} is ${ms} ms, which is not a whole number of milliseconds; give one of at most ${Number.MAX_SAFE_INTEGER}`,
      { details: { option: name, value } },
    );
  return ms;
}
