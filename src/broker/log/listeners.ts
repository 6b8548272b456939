/**
 * Who wants to hear of changes: a row for each broker object that listens, and a counter that grows when they change, so that whoever
 * appends need not read them all.
 *
 * ```
 * listeners   address       → { boot, pid }
 * meta        "listeners"   → f64
 * ```
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Kv } from '../../kv/kv.ts';
import { advanceCounter, readCounter } from './changes.ts';
import { decodeRow, encodeRow, textKey } from './rows.ts';

const KEY = textKey('listeners');

export class Listeners {
  readonly #kv: Kv;
  readonly #boot: string;
  #version = Number.NaN;
  #addresses: ReadonlySet<string> = new Set();

  constructor(kv: Kv, clock: Clock) {
    this.#kv = kv;
    this.#boot = clock.boot;
  }

  /** Addresses of those that may be there; the same object while nothing has changed. */
  read(): ReadonlySet<string> {
    const version = readCounter(this.#kv, KEY);
    if (version === this.#version) return this.#addresses;
    const addresses = new Set<string>();
    for (const { key, value } of this.#kv.range('listeners', {})) {
      if (bootOf(value) === this.#boot) addresses.add(Buffer.from(key).toString('utf8'));
    }
    this.#version = version;
    this.#addresses = addresses;
    return addresses;
  }

  /** Adds one, and clears away those of earlier runs of the machine. */
  async add(address: string): Promise<void> {
    await this.#kv.transact((txn) => {
      for (const { key, value } of [...txn.range('listeners', {})])
        if (bootOf(value) !== this.#boot) txn.remove('listeners', key);
      const row = encodeRow({ boot: this.#boot, pid: process.pid });
      txn.put('listeners', textKey(address), row);
      advanceCounter(txn, KEY);
    });
  }

  async remove(addresses: readonly string[]): Promise<void> {
    await this.#kv.transact((txn) => {
      let removed = false;
      for (const address of addresses) {
        const key = textKey(address);
        if (txn.get('listeners', key) === undefined) continue;
        txn.remove('listeners', key);
        removed = true;
      }
      if (removed) advanceCounter(txn, KEY);
    });
  }
}

/** A damaged row is as good as none: its listener finds out what changes by looking. */
function bootOf(row: Uint8Array): string | undefined {
  try {
    const { head } = decodeRow(row, () => 'the row of a listener');
    return (head as { readonly boot: string }).boot;
  } catch {
    return undefined;
  }
}
