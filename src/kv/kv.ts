/**
 * The contract of the file underneath: a transactional, ordered key-value store in a fixed set of tables.
 * The embedded log, group data and task state all live in one of these, so that one transaction covers them.
 *
 * Not in it: time to live, values that are not bytes, secondary indexes, long-lived snapshots, replication.
 *
 * Fault model: a process may die at any point, and the machine may lose power; what {@link Kv.transact} has resolved is
 * there after a restart, and a transaction is there whole or not at all. Any number of processes may open one directory.
 *
 * @module
 */

/** One stored pair. Both arrays are the reader's to keep. */
export interface KvEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Which keys to visit: bytewise ascending from `from` (included) to `to` (not included); both ends are open when left out. */
export interface KvRange {
  readonly from?: Uint8Array | undefined;
  readonly to?: Uint8Array | undefined;
  /** Visit in descending order; `from` is still the lower end. */
  readonly reverse?: boolean | undefined;
  /** At most this many entries. Default: no limit. */
  readonly limit?: number | undefined;
}

/** Reading. `table` is one of the names that the store was opened with. */
export interface KvReader {
  get(table: string, key: Uint8Array): Uint8Array | undefined;
  /**
   * Lazy; ends early without cost when the caller breaks. One synchronous stretch of code sees one state of the store; a walk
   * that is suspended by an `await` goes on from its last key in the state it then finds. Bounds may have any length.
   */
  range(table: string, range: KvRange): Iterable<KvEntry>;
}

/** A body of {@link Kv.transact}: sees its own writes, and the committed state of everybody else. */
export interface KvTransaction extends KvReader {
  put(table: string, key: Uint8Array, value: Uint8Array): void;
  remove(table: string, key: Uint8Array): void;
}

/** An open store. Readers outside a transaction see what is committed, including by other processes. */
export interface Kv extends KvReader {
  /** Keys longer than this, in bytes, and empty keys are refused with `MR_KEY_INVALID`. At least 1,024. Values may be empty. */
  readonly maxKeyBytes: number;

  /**
   * Runs `body` alone (no other transaction of any process runs meanwhile), then makes its writes durable: when the
   * promise resolves they have been synced to the disk. Bodies that wait at the same time share one sync (group commit)
   * and run in the order of the calls.
   *
   * `body` is synchronous and must not keep `txn`. If it throws, nothing of it is written, its neighbours in the group are
   * not affected, and the promise rejects with what it threw. It is run once. It reads through `txn` only: reads of the store
   * itself throw `MR_ARGUMENT_INVALID` meanwhile.
   *
   * @throws `MR_OVERFLOW` (retryable) when too many bodies wait, 65,536 unless the store was opened with another bound.
   * `MR_DISK_FULL` (retryable) when the disk is full: nothing was written, and the store stays usable.
   * `MR_IO` when the outcome is unknown: the caller must read before it writes again. `MR_CLOSED` after {@link Kv.close}.
   */
  transact<T>(body: (txn: KvTransaction) => T): Promise<T>;

  /** Resolves when every transaction called so far has ended. */
  flush(): Promise<void>;

  /**
   * Writes a synced copy of everything that is committed into `directory`, which is there and empty, as a store that can be opened. Writers
   * of all processes go on; what they replace meanwhile cannot be used again until the copy is finished, so the file may grow.
   * `compact`: without the places that are free, which takes longer. Left out by stores that have no files.
   *
   * @throws `MR_DISK_FULL`, `MR_PERMISSION`, `MR_IO`: the directory then holds part of a copy. `MR_CLOSED`.
   */
  readonly copy?:
    | ((directory: string, options: { readonly compact: boolean }) => Promise<void>)
    | undefined;

  /** Lets running transactions and copies end, then releases the file. Idempotent. */
  close(): Promise<void>;
}
