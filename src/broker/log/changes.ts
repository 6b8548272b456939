/**
 * Notices changes: appends and commits by whichever process, and what happens to the groups of this broker object. A counter in the store
 * grows with every append and commit; it is the only truth, so no wake-up is lost. Neighbours that can be reached tell of their changes;
 * a poll finds what nobody has told.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { MillraceError } from '../../core/errors.ts';
import type { Kv, KvReader, KvTransaction } from '../../kv/kv.ts';
import { Waiters } from '../waiters.ts';
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
  readonly #kv: Kv;
  readonly #waiters: Waiters;
  /** What has happened to groups. */
  #happened = 0;

  constructor({ kv, clock, pollMs, onPoll }: ChangesOptions) {
    this.#kv = kv;
    const poll = { everyMs: pollMs, onPoll };
    this.#waiters = new Waiters({ clock, count: () => this.count(), poll });
  }

  /** {@link Broker.changes}. */
  count(): number {
    return readCounter(this.#kv, KEY) + this.#happened;
  }

  /** Whether somebody waits. */
  get waiting(): boolean {
    return this.#waiters.waiting;
  }

  /** Makes everyone who waits look now. */
  notify(): void {
    this.#waiters.notify();
  }

  /** Something has happened to a group: wakes everyone who waits, and who is about to. */
  happened(): void {
    this.#happened++;
    this.notify();
  }

  /** Ends every wait with `error`. */
  close(error: MillraceError): void {
    this.#waiters.close(error);
  }

  wait(since: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    return this.#waiters.wait(since, timeoutMs, signal);
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
