/**
 * What an app tells the people who run it. The contract only: apps and workers are given one, `log/` makes one.
 *
 * Not in it: where lines go, how they look, which levels are shown.
 *
 * @module
 */

/** How much a line matters, the least first. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What a line is about, as data: names, places, counts with their unit in the name, and what was thrown under `error`. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Takes lines, one call each. Never throws, and never waits for whoever reads them. */
export interface Logger {
  /** For whoever looks for a fault: how often and in which order things happen. */
  debug(fields: LogFields, message: string): void;
  /** What happens once in the life of a worker: started, took over tasks, stopped. */
  info(fields: LogFields, message: string): void;
  /** A failure that was dealt with: tried again, skipped, waited for. */
  warn(fields: LogFields, message: string): void;
  /** A failure that ends something. */
  error(fields: LogFields, message: string): void;
}
