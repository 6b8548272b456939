/**
 * Notices appends. A counter in the store grows with every append and commit, by whichever process; it is the only truth,
 * so no wake-up is lost. Appends of this broker object make its waiters look at once, those of other processes are found
 * by a poll.
 *
 * @module
 */
import { abortError, type Clock, type Timer } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Kv, KvReader, KvTransaction } from '../../kv/kv.ts';
import { textKey } from './rows.ts';

const KEY = textKey('changes');

/** Notes in a transaction that something was appended. */
export function countChange(txn: KvTransaction): void {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleLE(readCount(txn) + 1);
  txn.put('meta', KEY, bytes);
}

/** Waits for changes. What was seen is kept per broker object, not per caller. */
export class Changes {
  readonly #kv: Kv;
  readonly #clock: Clock;
  readonly #pollMs: number;
  readonly #waiters = new Set<{ look(): void; fail(error: unknown): void }>();
  #seen: number;

  constructor(kv: Kv, clock: Clock, pollMs: number) {
    this.#kv = kv;
    this.#clock = clock;
    this.#pollMs = pollMs;
    this.#seen = readCount(kv);
  }

  /** Makes everyone who waits look now. */
  notify(): void {
    for (const waiter of this.#waiters) waiter.look();
  }

  /** Ends every wait with `error`. */
  close(error: MillraceError): void {
    for (const waiter of this.#waiters) waiter.fail(error);
  }

  wait(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (!Number.isFinite(timeoutMs) || timeoutMs < 0)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `timeoutMs is ${String(timeoutMs)}; give milliseconds, from 0`,
      );
    return new Promise((resolve, reject) => {
      const since = this.#seen;
      let poll: Timer | undefined;
      let deadline: Timer | undefined;
      const end = (): void => {
        poll?.cancel();
        deadline?.cancel();
        signal?.removeEventListener('abort', onAbort);
        this.#waiters.delete(waiter);
      };
      const waiter = {
        look: (): void => {
          try {
            const count = readCount(this.#kv);
            if (count === since) return;
            this.#seen = Math.max(this.#seen, count);
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
        poll = this.#clock.setTimer(this.#pollMs, () => {
          waiter.look();
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
      deadline = this.#clock.setTimer(timeoutMs, () => {
        end();
        resolve();
      });
      pollLater();
    });
  }
}

/** A damaged counter wakes for nothing and does no harm, so it carries no checksum. */
function readCount(kv: KvReader): number {
  const bytes = kv.get('meta', KEY);
  if (bytes === undefined || bytes.length !== 8) return 0;
  const count = new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
  return Number.isSafeInteger(count) ? count : 0;
}
