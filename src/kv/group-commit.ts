/**
 * Group commit: bodies that wait at the same time run one after another in one transaction of the engine and share its sync.
 *
 * Invariants: bodies run in the order of the calls; each body's writes reach the engine whole or not at all; no promise is
 * settled before the engine has said what became of the group, not even that of a body that threw, because it may have thrown
 * over a neighbour's write that was lost. At most one transaction of the engine is under way.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { checkKey, closedError, unknownTable } from './keys.ts';
import type { KvEntry, KvRange, KvReader, KvTransaction } from './kv.ts';
import { Overlay } from './overlay.ts';

/** Bounds of a group, which bound how long the lock is held and how much memory waits. */
export interface GroupLimits {
  /** No further body is taken in once this many bytes are written. Default 4 MiB. */
  readonly maxBatchBytes?: number | undefined;
  /** Default 256. */
  readonly maxBatchBodies?: number | undefined;
  /** Calls that may wait; the next one is refused with `MR_OVERFLOW`. Default 65,536. */
  readonly maxWaiting?: number | undefined;
}

/** What stands under a group commit. */
export interface GroupEngine {
  readonly tables: ReadonlySet<string>;
  /**
   * Takes the write lock, calls `run` once, and makes durable what it wrote. Rejects with the error of every body of the
   * group. If it rejects without having called `run`, everything that waits fails with that error.
   */
  commit(run: () => GroupSize): Promise<void>;
  /** What the next body reads: committed state and the earlier bodies of the group. Called by `run`. */
  reader(): KvReader;
  /** Carries out the writes of a body that has returned. Called by `run`; does not keep `writes`' caller waiting. */
  apply(writes: Overlay): void;
  /** Called when no transaction is under way. */
  close(): Promise<void>;
}

/** How much a group wrote. */
export interface GroupSize {
  readonly bodies: number;
  readonly bytes: number;
}

interface Waiting {
  /** Runs the body; true if its writes count. Never throws. */
  run(txn: KvTransaction): boolean;
  /** Settles the call; with `failure` if the group failed. */
  settle(failure?: unknown): void;
}

/** Runs bodies in groups. */
export class GroupCommit {
  readonly #engine: GroupEngine;
  readonly #maxBatchBytes: number;
  readonly #maxBatchBodies: number;
  readonly #maxWaiting: number;
  #queue: Waiting[] = [];
  #head = 0;
  #group: Waiting[] = [];
  #pumping = false;
  #inBody = false;
  #called = 0;
  #settled = 0;
  readonly #flushes: { readonly until: number; readonly resolve: () => void }[] = [];
  #closing: Promise<void> | undefined;

  constructor(engine: GroupEngine, limits: GroupLimits = {}) {
    this.#engine = engine;
    this.#maxBatchBytes = limits.maxBatchBytes ?? 4 * 1024 * 1024;
    this.#maxBatchBodies = limits.maxBatchBodies ?? 256;
    this.#maxWaiting = limits.maxWaiting ?? 65_536;
  }

  /** As in the contract of the store. */
  transact<T>(body: (txn: KvTransaction) => T): Promise<T> {
    if (this.#closing !== undefined) return Promise.reject(closedError());
    if (this.#queue.length - this.#head >= this.#maxWaiting)
      return Promise.reject(overflowError(this.#maxWaiting));
    return new Promise<T>((resolve, reject) => {
      this.#queue.push(waitingOf(body, resolve, reject));
      this.#called++;
      if (!this.#pumping) void this.#pump();
    });
  }

  /** As in the contract of the store. */
  flush(): Promise<void> {
    if (this.#settled === this.#called) return Promise.resolve();
    return new Promise((resolve) => this.#flushes.push({ until: this.#called, resolve }));
  }

  /** As in the contract of the store. */
  close(): Promise<void> {
    this.#closing ??= this.flush().then(() => this.#engine.close());
    return this.#closing;
  }

  /** Settles everything that waits or runs with `failure`, and refuses what comes later. The engine is not closed. */
  abort(failure: MillraceError): void {
    this.#closing ??= Promise.resolve();
    this.#settle(this.#group, failure);
    this.#settle(this.#takeAll(), failure);
  }

  /** @throws `MR_CLOSED`. */
  checkOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  /** Checks a read of the store itself. @throws `MR_CLOSED`, or `MR_ARGUMENT_INVALID` inside a body or for a foreign table. */
  checkRead(table: string): void {
    if (this.#closing !== undefined) throw closedError();
    if (this.#inBody)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        'the store was read inside a transaction; read through the transaction, which sees its own writes',
      );
    if (!this.#engine.tables.has(table)) unknownTable(table, this.#engine.tables);
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    while (this.#head < this.#queue.length) {
      const group: Waiting[] = (this.#group = []);
      try {
        await this.#engine.commit(() => this.#run(group));
        this.#settle(group);
      } catch (error) {
        this.#settle(group.length > 0 ? group : this.#takeAll(), error);
      }
    }
    this.#pumping = false;
  }

  #run(group: Waiting[]): GroupSize {
    let bytes = 0;
    this.#inBody = true;
    try {
      while (
        group.length < this.#maxBatchBodies &&
        bytes < this.#maxBatchBytes &&
        this.#head < this.#queue.length
      ) {
        const waiting = this.#queue[this.#head++]!;
        group.push(waiting);
        const writes = new Overlay(this.#engine.reader());
        const txn = new BodyTransaction(writes, this.#engine.tables);
        const counts = waiting.run(txn);
        txn.end();
        if (!counts) continue;
        bytes += writes.bytes;
        this.#engine.apply(writes);
      }
    } finally {
      this.#inBody = false;
      this.#compact();
    }
    return { bodies: group.length, bytes };
  }

  #takeAll(): Waiting[] {
    const all = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    return all;
  }

  #compact(): void {
    if (this.#head < this.#queue.length && this.#head < 1024) return;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }

  /** Settles calls once; a group that was aborted is empty when its commit ends. */
  #settle(group: Waiting[], failure?: unknown): void {
    for (const waiting of group.splice(0)) {
      this.#settled++;
      waiting.settle(failure);
    }
    while (this.#flushes.length > 0 && this.#flushes[0]!.until <= this.#settled)
      this.#flushes.shift()!.resolve();
  }
}

/** What a body holds: checks its calls, and ends with it. */
class BodyTransaction implements KvTransaction {
  readonly #writes: Overlay;
  readonly #tables: ReadonlySet<string>;
  #ended = false;

  constructor(writes: Overlay, tables: ReadonlySet<string>) {
    this.#writes = writes;
    this.#tables = tables;
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    this.#check(table);
    checkKey(key);
    return this.#writes.get(table, key);
  }

  put(table: string, key: Uint8Array, value: Uint8Array): void {
    this.#check(table);
    checkKey(key);
    this.#writes.put(table, key, value);
  }

  remove(table: string, key: Uint8Array): void {
    this.#check(table);
    checkKey(key);
    this.#writes.remove(table, key);
  }

  range(table: string, range: KvRange): Iterable<KvEntry> {
    this.#check(table);
    return this.#entries(this.#writes.range(table, range));
  }

  end(): void {
    this.#ended = true;
  }

  *#entries(entries: Generator<KvEntry>): Generator<KvEntry> {
    try {
      for (;;) {
        if (this.#ended) throw endedError();
        const next = entries.next();
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      entries.return(undefined);
    }
  }

  #check(table: string): void {
    if (this.#ended) throw endedError();
    if (!this.#tables.has(table)) unknownTable(table, this.#tables);
  }
}

function waitingOf<T>(
  body: (txn: KvTransaction) => T,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
): Waiting {
  let outcome: { readonly value: T } | { readonly thrown: unknown };
  return {
    run(txn) {
      try {
        const value = body(txn);
        if (value instanceof Promise) {
          // Nobody else will look at it, and its own failure must not end the process.
          value.catch(() => {});
          throw asynchronousError();
        }
        outcome = { value };
        return true;
      } catch (thrown) {
        outcome = { thrown };
        return false;
      }
    },
    settle(failure) {
      if (failure !== undefined) reject(failure);
      else if ('value' in outcome) resolve(outcome.value);
      else reject(outcome.thrown);
    },
  };
}

function asynchronousError(): MillraceError {
  return new MillraceError(
    'MR_ARGUMENT_INVALID',
    'the body of a transaction returned a promise; it must be synchronous: await before or after it',
  );
}

function endedError(): MillraceError {
  return new MillraceError(
    'MR_CLOSED',
    'the transaction has ended with its body and cannot be used',
  );
}

function overflowError(maxWaiting: number): MillraceError {
  return new MillraceError(
    'MR_OVERFLOW',
    `${maxWaiting} transactions wait for the store; await some before starting more`,
    { retryable: true, details: { maxWaiting } },
  );
}
