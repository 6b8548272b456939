/**
 * Sinks outside the process: functions for `stream.sink` that hold a connection or a file.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';

/** A function for `stream.sink`. Close it behind the stream: it belongs to whoever made it. */
export interface SinkFunction<in T> extends AsyncDisposable {
  (value: T): Promise<void>;
  /** Waits for what it was called with, and lets go of its connection or file. Idempotent. */
  close(): Promise<void>;
}

/** What a {@link SinkFunction} is made of. */
export interface SinkWork<T> {
  /** What it is, for errors. */
  readonly what: string;
  /** Called for one value at a time, in the order of the calls. */
  send(value: T): Promise<void>;
  /** Called once, after everything else. */
  end(): Promise<void>;
}

/** How many calls may wait for the one that is under way. */
const MAX_WAITING = 10_000;

/**
 * One call at a time, and none after `close`.
 *
 * @throws what `send` throws; {@link MillraceError} `MR_CLOSED` after `close`, `MR_OVERFLOW` (retryable) when 10,000 calls wait.
 */
export function sinkFunction<T>(work: SinkWork<T>): SinkFunction<T> {
  let last: Promise<unknown> = Promise.resolve();
  let underWay = 0;
  let closing: Promise<void> | undefined;
  const sink = async (value: T): Promise<void> => {
    if (closing !== undefined)
      throw new MillraceError(
        'MR_CLOSED',
        `${work.what} was closed and takes no more values; close it when its stream has ended`,
      );
    if (underWay > MAX_WAITING)
      throw new MillraceError(
        'MR_OVERFLOW',
        `${MAX_WAITING} values wait for ${work.what}; await each call before the next one`,
        { retryable: true, details: { waiting: MAX_WAITING } },
      );
    underWay++;
    const sent = last.then(() => work.send(value));
    last = sent.catch(() => undefined);
    try {
      await sent;
    } finally {
      underWay--;
    }
  };
  const close = (): Promise<void> => {
    closing ??= last.then(() => work.end());
    return closing;
  };
  return Object.assign(sink, { close, [Symbol.asyncDispose]: close });
}
