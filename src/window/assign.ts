/**
 * Which windows hold a time, and when they close and expire. Starts are whole multiples of the step, before 1970 too.
 *
 * The windows that hold a time `t` are those that start at {@link firstStart}, {@link firstStart} + step, …, {@link lastStart}. They end
 * in the same order, so of the windows of one event the closed ones come before the open ones.
 *
 * @module
 */
import type { WindowDefinition } from './definition.ts';

/** Start of the latest window that holds `time`: the current window of an event. */
export function lastStart({ stepMs }: Pick<WindowDefinition, 'stepMs'>, time: number): number {
  return time - (((time % stepMs) + stepMs) % stepMs);
}

/** Start of the earliest window that holds `time`. */
export function firstStart(window: WindowDefinition, time: number): number {
  const last = lastStart(window, time);
  if (window.stepMs === window.sizeMs) return last;
  return last - Math.floor((last + window.sizeMs - 1 - time) / window.stepMs) * window.stepMs;
}

/** Stream time at which the window that starts at `start` closes: from then on its events are late. */
export function closesAt(window: WindowDefinition, start: number): number {
  return start + window.sizeMs + window.graceMs;
}

/**
 * Start of the earliest open window among those that start at `first` or later; of an event's windows, none is open when that is greater than
 * {@link lastStart}. A window is open while stream time has not reached its end and grace, and it ends after `closedTo`: windows that
 * were closed with a shorter grace stay closed.
 */
export function firstOpenStart(
  window: WindowDefinition,
  first: number,
  streamTime: number,
  closedTo: number,
): number {
  // Windows that end at or before this are closed.
  const closed = Math.max(streamTime - window.graceMs, closedTo);
  const over = closed - window.sizeMs - first;
  if (!(over >= 0)) return first;
  return first + (Math.floor(over / window.stepMs) + 1) * window.stepMs;
}

/** Windows that start below this are no longer kept at `streamTime`. */
export function keptFrom(window: WindowDefinition, streamTime: number): number {
  return streamTime - window.retentionMs - window.sizeMs;
}
