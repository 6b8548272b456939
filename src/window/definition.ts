/**
 * What windows are made of: slices of event time of equal length, half-open and aligned to 1970. Tumbling windows follow one another;
 * hopping windows begin every `step` and overlap.
 *
 * @module
 */
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';

/** How long windows take events and how long they can be read. All on stream time, not on the wall clock. */
export interface WindowLengths {
  /**
   * How long after its end a window still takes events that come out of order. An event for a window that is closed is
   * late: it is counted, and changes nothing. Default 0.
   */
  readonly grace?: Duration | undefined;
  /** How long after its end a window can still be read. At least `grace`. Default one day, or `grace` if that is longer. */
  readonly retention?: Duration | undefined;
}

/** A checked definition. All lengths in whole milliseconds. */
export interface WindowDefinition {
  readonly kind: 'tumbling' | 'hopping';
  readonly sizeMs: number;
  /** From the start of a window to that of the next: at most the size, and equal to it where windows do not overlap. */
  readonly stepMs: number;
  readonly graceMs: number;
  readonly retentionMs: number;
}

/** What of a definition belongs to the stored state: the size, or the size and the step. Data of a fingerprint. */
export type WindowShape = number | readonly [sizeMs: number, stepMs: number];

/** How many windows may hold one event. Each costs a row and an update. */
const MAX_OVERLAP = 10_000;

const dayMs = 86_400_000;

/**
 * Windows of `size`, at least 1 ms, one after the other.
 *
 * @throws `MR_OPTION_INVALID` for a size below 1 ms, a length with a fraction of a millisecond, or a retention shorter than the grace.
 */
export function tumblingWindow(size: Duration, lengths: WindowLengths = {}): WindowDefinition {
  const sizeMs = wholeMs(size, 'size', 1);
  return { kind: 'tumbling', sizeMs, stepMs: sizeMs, ...checkedLengths(lengths) };
}

/**
 * Windows of `size`, one beginning every `step`: an event belongs to each that holds it, `size / step` of them.
 *
 * @throws `MR_OPTION_INVALID` as {@link tumblingWindow}; also for a step below 1 ms or longer than the size, and for more than
 * {@link MAX_OVERLAP} windows per event.
 */
export function hoppingWindow(
  size: Duration,
  step: Duration,
  lengths: WindowLengths = {},
): WindowDefinition {
  const sizeMs = wholeMs(size, 'size', 1);
  const stepMs = wholeMs(step, 'step', 1);
  if (stepMs > sizeMs)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `step (${stepMs} ms) is longer than size (${sizeMs} ms): events between the windows would be in none; give a step of at most the size`,
      { details: { option: 'step', value: step } },
    );
  const overlap = Math.ceil(sizeMs / stepMs);
  if (overlap > MAX_OVERLAP)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `windows of ${sizeMs} ms every ${stepMs} ms would put each event into ${overlap} of them, more than ${MAX_OVERLAP}; give a longer step`,
      { details: { option: 'step', value: step } },
    );
  return { kind: 'hopping', sizeMs, stepMs, ...checkedLengths(lengths) };
}

/** What would make stored windows useless if it changed. */
export function windowShape({ kind, sizeMs, stepMs }: WindowDefinition): WindowShape {
  return kind === 'tumbling' ? sizeMs : [sizeMs, stepMs];
}

/**
 * A duration in whole milliseconds: event times are, so all lengths that are added to them must be.
 *
 * @throws `MR_OPTION_INVALID`
 */
export function wholeMs(value: Duration, name: string, minMs: number): number {
  const ms = durationMs(value, name, minMs);
  if (!Number.isSafeInteger(ms))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${name} is ${ms} ms, which is not a whole number of milliseconds; give one of at most ${Number.MAX_SAFE_INTEGER}`,
      { details: { option: name, value } },
    );
  return ms;
}

function checkedLengths(lengths: WindowLengths): { graceMs: number; retentionMs: number } {
  const graceMs = wholeMs(lengths.grace ?? 0, 'grace', 0);
  const retentionMs = wholeMs(lengths.retention ?? Math.max(dayMs, graceMs), 'retention', 0);
  if (retentionMs < graceMs)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `retention (${retentionMs} ms) is shorter than grace (${graceMs} ms): windows would be deleted while they still take events; raise retention`,
    );
  return { graceMs, retentionMs };
}
