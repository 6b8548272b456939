/**
 * Notices changes: appends and commits by whichever process, and what happens to the groups of this broker object. A counter in the store
 * grows with every append and commit; it is the only truth, so no wake-up is lost. Neighbours that can be reached tell of their changes;
 * a poll finds what nobody has told.
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
  advanceCounter(txn, KEY);
}

/** What {@link Changes} needs. */
export interface ChangesOptions {
  readonly kv: Kv;
  readonly clock: Clock;
  /** How long to the next look when nobody tells. Milliseconds. */
  readonly pollMs: () => number;
  /** Called with every look, while somebody waits: for what else there is to notice. */
  readonly onPoll: () => void;
}

/** Waits for changes. */
export class Changes {
  readonly #options: ChangesOptions;
  readonly #waiters = new Set<{ look(): void; fail(error: unknown): void }>();
  /** What has happened to groups. */
  #happened = 0;

  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  /** {@link Broker.changes}. */
  count(): number {
    return readCounter(this.#options.kv, KEY) + this.#happened;
  }

  /** Whether somebody waits. */
  get waiting(): boolean {
    return this.#waiters.size > 0;
  }

  /** Makes everyone who waits look now. */
  notify(): void {
    for (const waiter of this.#waiters) waiter.look();
  }

  /** Something has happened to a group: wakes everyone who waits, and who is about to. */
  happened(): void {
    this.#happened++;
    this.notify();
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
    const { clock, pollMs, onPoll } = this.#options;
    return new Promise((resolve, reject) => {
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
            if (this.count() === since) return;
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
        poll = clock.setTimer(pollMs(), () => {
          try {
            onPoll();
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

/** A counter of the store. A damaged one wakes for nothing and does no harm, so it carries no checksum. */
export function readCounter(kv: KvReader, key: Uint8Array): number {
  const bytes = kv.get('meta', key);
  if (bytes === undefined || bytes.length !== 8) return 0;
  const count = new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
  return Number.isSafeInteger(count) ? count : 0;
}

/** Advances a counter of the store. */
export function advanceCounter(txn: KvTransaction, key: Uint8Array): void {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleLE(readCounter(txn, key) + 1);
  txn.put('meta', key, bytes);
}
