/**
 * Connections that are made again when they are lost.
 *
 * @module
 */
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import type { RetryOptions } from '../stream/policy.ts';
import { Retries } from './retries.ts';
import type { Feed } from './source.ts';

/** What a client takes for when its connection is lost. */
export interface ReconnectOptions {
  /**
   * How often to connect again when the connection is lost or cannot be made; the count begins anew with each value. `false`: never, the stream
   * is closed when the other side ends the connection, and fails when it breaks. Default 10 times, after 100 ms, 200 ms, … up to 30 s.
   */
  readonly reconnect?: RetryOptions | false | undefined;
}

/** The longest that another side can ask to be left alone: an hour. */
const MAX_WAIT_MS = 3_600_000;

/** How a connection ended: because of an error, or, with none, because the other side closed it in good order. */
export interface Lost {
  readonly error?: unknown;
  /** The other side asks not to be asked again before this many milliseconds have passed. */
  readonly waitMs?: number | undefined;
}

/** Makes one connection, and emits what it brings until it is lost, or nothing will come any more. Throws what fails the stream. */
export type Connection<T> = (feed: Feed<T>, received: () => void) => Promise<Lost | 'over'>;

/**
 * What runs one connection after the other.
 *
 * @param what For errors.
 * @throws {@link MillraceError} `MR_OPTION_INVALID`
 */
export function reconnecting<T>(
  what: string,
  options: ReconnectOptions & { readonly clock?: Clock | undefined },
  connection: Connection<T>,
): (feed: Feed<T>) => Promise<void> {
  const { clock = systemClock(), reconnect } = options;
  const newRetries = (): Retries => new Retries(`reconnect of ${what}`, reconnect, clock);
  // Wrong options are told where they are given.
  newRetries();
  return async (feed) => {
    const retries = newRetries();
    while (!feed.signal.aborted) {
      const lost = await connection(feed, () => retries.reset());
      if (feed.signal.aborted || lost === 'over') return;
      if (reconnect === false && lost.error === undefined) return;
      const error = lost.error ?? closed(what);
      await retries.again(error, feed.signal, Math.min(lost.waitMs ?? 0, MAX_WAIT_MS));
    }
  };
}

function closed(what: string): MillraceError {
  return new MillraceError(
    'MR_IO',
    `${what} was sent nothing: the other side has closed each connection; look at what it says, or set reconnect to false to end with the connection`,
    { domain: 'external', retryable: true },
  );
}
