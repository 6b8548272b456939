/**
 * @module
 */
import { abortError, systemClock } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import { MillraceError } from '../../core/errors.ts';
import { checkFunction, checkOptions } from '../../core/given.ts';
import type { RetryOptions } from '../../stream/policy.ts';
import { asJson } from '../encode.ts';
import type { Encode } from '../encode.ts';
import { outside } from '../failure.ts';
import { Retries } from '../retries.ts';
import { mayPass, retryAfterMs, targetOf } from './request.ts';
import type { RequestHeaders } from './request.ts';

/** What {@link httpPost} takes. */
export interface HttpPostOptions<T> {
  /** Sent with each request. Default `content-type: application/json`, and what the URL says of user and password. */
  readonly headers?: RequestHeaders | undefined;
  /**
   * How often to send a value again: after network errors, no answer in time, and the answers 408, 429 and 5xx. It waits for as long as
   * `Retry-After` says if that is longer; when that is longer than `maxBackoff`, the value fails at once. `false`: never. Default 5 times, after
   * 200 ms, 400 ms, … up to 30 s.
   */
  readonly retry?: RetryOptions | false | undefined;
  /** How long one request may take until its answer begins, at least 1 ms. Default 30 s. */
  readonly timeout?: Duration | undefined;
  /** Makes the body of a value. Default: JSON. */
  readonly encode?: Encode<T> | undefined;
  /** Ends requests and waits when it aborts; the value fails with `MR_ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** @internal Default: the platform's clock. */
  readonly clock?: Clock | undefined;
}

/**
 * Posts each value to a server. For `stream.sink`, or for `stream.map` with a `concurrency`. There is nothing to close.
 *
 * - *Order*: of `stream.sink`: kept.
 * - *Back-pressure*: a value is dealt with when the server has answered with 2xx.
 * - *State*: none.
 * - *Delivery*: at least once: a request whose answer is lost is sent again, so give the server something to know it by.
 *
 * What it throws: `MR_IO`, `retryable` when the same may succeed later, with the `status` of the answer in `details` and never its text;
 * `MR_TIMEOUT` (retryable), `MR_ENCODE_FAILED`, `MR_ABORTED`.
 *
 * @throws {@link MillraceError} `MR_URL_INVALID`, `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`
 */
export function httpPost<T = unknown>(
  url: string | URL,
  options: HttpPostOptions<T> = {},
): (value: T) => Promise<void> {
  checkOptions<HttpPostOptions<T>>('httpPost', options, {
    headers: true,
    retry: true,
    timeout: true,
    encode: true,
    signal: true,
    clock: true,
  });
  const { encode = asJson, signal, clock = systemClock() } = options;
  const { retry = { times: 5, backoff: '200ms', maxBackoff: '30s' } } = options;
  checkFunction('encode of httpPost', encode);
  const target = targetOf('httpPost', url, options.headers, { 'content-type': 'application/json' });
  const timeoutMs = durationMs(options.timeout ?? '30s', 'timeout', 1);
  const newRetries = (): Retries => new Retries('retry of httpPost', retry, clock);
  newRetries();

  /** Posts once. Returns how long the server wants to be left alone, with why; nothing when it has taken the body. */
  const post = async (body: string | Uint8Array): Promise<Refusal | undefined> => {
    const { shown } = target;
    const late = new AbortController();
    const timer = clock.setTimer(timeoutMs, () => late.abort());
    try {
      const response = await fetch(target.url, {
        method: 'POST',
        headers: target.headers,
        body: body as NonNullable<RequestInit['body']>,
        signal: signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]),
      });
      await response.body?.cancel();
      if (response.ok) return undefined;
      const { status } = response;
      const retryable = mayPass(status);
      const error = new MillraceError(
        'MR_IO',
        `${shown} has answered with status ${status}; ${retryable ? 'it may pass' : 'look at what is sent and at the headers it wants'}`,
        { domain: 'external', retryable, details: { url: shown, status } },
      );
      return { error, retryable, waitMs: retryAfterMs(response.headers, clock.now()) };
    } catch (error) {
      const failure = late.signal.aborted
        ? new MillraceError(
            'MR_TIMEOUT',
            `${shown} has not answered within ${timeoutMs} ms; raise timeout, or look at the server`,
            { domain: 'external', retryable: true, details: { url: shown, timeoutMs } },
          )
        : outside(`${shown} cannot be reached`, error);
      return { error: failure, retryable: true, waitMs: 0 };
    } finally {
      timer.cancel();
    }
  };

  const stopped = (): void => {
    if (signal?.aborted === true) throw abortError(signal);
  };
  return async (value) => {
    const body = encode(value);
    const retries = newRetries();
    for (;;) {
      stopped();
      const refusal = await post(body);
      if (refusal === undefined) return;
      stopped();
      const { error, retryable, waitMs } = refusal;
      if (!retryable || waitMs > retries.maxBackoffMs) throw error;
      await retries.again(error, signal, waitMs);
    }
  };
}

interface Refusal {
  readonly error: MillraceError;
  readonly retryable: boolean;
  readonly waitMs: number;
}
