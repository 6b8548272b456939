/**
 * A store that fails when a plan says so, around any other store.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import type { Kv, KvEntry, KvRange, KvTransaction } from '../kv/kv.ts';
import { FaultLine } from './faults.ts';
import type { Fault, FaultPlan, FaultyCall } from './faults.ts';

/** A call to a store. */
export interface KvCall extends FaultyCall<'transact' | 'flush' | 'get' | 'range'> {
  /** The table that is read. */
  readonly table?: string | undefined;
}

/** What {@link faultyKv} needs besides. */
export interface FaultyKvOptions {
  /** Needed by faults with a delay. */
  readonly clock?: Clock | undefined;
}

/**
 * `kv` with the failures of `plan`. With one that plans nothing it is the store that it was given.
 *
 * - *Order*: that of `kv`; a call with a delay falls behind those that come meanwhile.
 * - *State*: how many calls of each name there were.
 * - *Delivery*: `transact` that fails `'before'` does not run its body; reads within a body do not fail.
 */
export function faultyKv(kv: Kv, plan: FaultPlan<KvCall>, options: FaultyKvOptions = {}): Kv {
  return new FaultyKv(kv, new FaultLine<KvCall, Fault>(plan, options.clock));
}

class FaultyKv implements Kv {
  readonly maxKeyBytes: number;
  readonly copy: Kv['copy'];
  readonly #kv: Kv;
  readonly #faults: FaultLine<KvCall, Fault>;

  constructor(kv: Kv, faults: FaultLine<KvCall, Fault>) {
    this.#kv = kv;
    this.#faults = faults;
    this.maxKeyBytes = kv.maxKeyBytes;
    this.copy = kv.copy?.bind(kv);
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    return this.#faults.read({ call: 'get', table }, () => this.#kv.get(table, key));
  }

  range(table: string, range: KvRange): Iterable<KvEntry> {
    return this.#faults.read({ call: 'range', table }, () => this.#kv.range(table, range));
  }

  transact<T>(body: (txn: KvTransaction) => T): Promise<T> {
    return this.#faults.run({ call: 'transact' }, () => this.#kv.transact(body));
  }

  flush(): Promise<void> {
    return this.#faults.run({ call: 'flush' }, () => this.#kv.flush());
  }

  close(): Promise<void> {
    this.#faults.close();
    return this.#kv.close();
  }
}
