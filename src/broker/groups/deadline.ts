/**
 * One wait with two ways out: a time and a signal.
 *
 * @module
 */
import { abortError, type Clock } from '../../core/clock.ts';

export interface DeadlineOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The error when the time is over. */
  readonly late: () => Error;
}

/**
 * What `run` resolves to. Its own signal tells it that nobody waits any more; what becomes of it then is not looked at.
 *
 * @throws what `run` rejects with, the error of `late`, or `MR_ABORTED`.
 */
export async function withDeadline<T>(
  clock: Clock,
  { timeoutMs, signal, late }: DeadlineOptions,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal?.aborted === true) throw abortError(signal);
  const ended = new AbortController();
  const { promise: over, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(abortError(signal));
  const timer = clock.setTimer(timeoutMs, () => reject(late()));
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([run(ended.signal), over]);
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', onAbort);
    ended.abort();
  }
}
