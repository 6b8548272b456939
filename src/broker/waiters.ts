/**
 * Those who wait for a count to change. Whoever counts tells {@link Waiters.notify}; what nobody tells is found by a poll, if there is one.
 *
 * @module
 */
import { abortError, type Clock, type Timer } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';

/** What {@link Waiters} needs. */
export interface WaitersOptions {
  readonly clock: Clock;
  /** What is waited for: another number than the one that was seen. */
  readonly count: () => number;
  /** Looks now and then, while somebody waits. */
  readonly poll?:
    | {
        /** How long to the next look. Milliseconds. */
        readonly everyMs: () => number;
        /** Called with every look: for what else there is to notice. */
        readonly onPoll: () => void;
      }
    | undefined;
}

/** Waits, as {@link Broker.changed} does. */
export class Waiters {
  readonly #options: WaitersOptions;
  readonly #waiters = new Set<{ look(): void; fail(error: unknown): void }>();

  constructor(options: WaitersOptions) {
    this.#options = options;
  }

  /** Whether somebody waits. */
  get waiting(): boolean {
    return this.#waiters.size > 0;
  }

  /** Makes everyone who waits look now. */
  notify(): void {
    for (const waiter of this.#waiters) waiter.look();
  }

  /** Ends every wait with `error`. */
  close(error: MillraceError): void {
    for (const waiter of this.#waiters) waiter.fail(error);
  }

  wait(since: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (!Number.isFinite(timeoutMs) || timeoutMs < 0)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `timeoutMs is ${String(timeoutMs)}; give milliseconds, from 0`,
      );
    if (!Number.isSafeInteger(since))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `since is ${String(since)}; give what changes() has returned`,
      );
    const { clock, count, poll } = this.#options;
    return new Promise((resolve, reject) => {
      let next: Timer | undefined;
      let deadline: Timer | undefined;
      const end = (): void => {
        next?.cancel();
        deadline?.cancel();
        signal?.removeEventListener('abort', onAbort);
        this.#waiters.delete(waiter);
      };
      const waiter = {
        look: (): void => {
          try {
            if (count() === since) return;
            end();
            resolve();
          } catch (error) {
            waiter.fail(error);
          }
        },
        fail: (error: unknown): void => {
          end();
          reject(error);
        },
      };
      const onAbort = (): void => waiter.fail(abortError(signal));
      const pollLater = (): void => {
        if (poll === undefined) return;
        next = clock.setTimer(poll.everyMs(), () => {
          try {
            poll.onPoll();
          } catch (error) {
            waiter.fail(error);
          }
          if (this.#waiters.has(waiter)) waiter.look();
          if (this.#waiters.has(waiter)) pollLater();
        });
      };
      if (signal?.aborted === true) {
        onAbort();
        return;
      }
      this.#waiters.add(waiter);
      waiter.look();
      if (!this.#waiters.has(waiter)) return;
      if (timeoutMs === 0) {
        end();
        resolve();
        return;
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      deadline = clock.setTimer(timeoutMs, () => {
        end();
        resolve();
      });
      pollLater();
    });
  }
}
