/**
 * A store in one lmdb file, `data.mdb` in a directory, with `lock.mdb` beside it through which processes take turns.
 *
 * lmdb writes changed pages to free places, syncs them, then writes one of two heads through a descriptor that syncs: after a
 * crash the older head is whole. lmdb-js is asked for exactly this order (`overlappingSync: false`), and its promise resolves
 * after the head was written, so what a transaction resolved survives a power failure.
 *
 * - *Order*: one writer at a time among all processes; the lock is fair and a dead holder's lock is recovered by the next.
 * - *Back-pressure*: bodies wait in memory for the lock; group limits bound how long it is held.
 * - *State*: the file, which grows and never shrinks; readers are snapshots and hold nobody up, but keep replaced pages from
 *   being used again.
 * - *Delivery*: a group is there whole or not at all, whatever dies.
 *
 * lmdb-js prints the error of a commit that failed to the standard error, besides what is thrown here.
 *
 * Damage to the file by others is found where it puts keys out of order (`MR_CORRUPT`). Pages are read as they are mapped; a cut or flipped
 * one may end the process.
 *
 * @see http://www.lmdb.tech/doc/ and Chu, "MDB: a memory-mapped database and backend for OpenLDAP" (2011)
 *
 * @module
 */
import type { RootDatabase, RootDatabaseOptionsWithPath } from 'lmdb';
import { mkdir, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { messageOf, MillraceError } from '../../core/errors.ts';
import {
  GroupCommit,
  type GroupEngine,
  type GroupLimits,
  type GroupSize,
} from '../group-commit.ts';
import { checkKey, MAX_KEY_BYTES } from '../keys.ts';
import type { Kv, KvEntry, KvRange, KvReader, KvTransaction } from '../kv.ts';
import type { Overlay } from '../overlay.ts';
import { brokenError, commitError, isPanic, storeError } from './errors.ts';
import { copyFiles, syncNames } from './copy.ts';
import { ExitGuard } from './exit.ts';
import { warnIfExposed } from './exposure.ts';
import { checkGate } from './gate.ts';
import { openOnce } from './open-once.ts';
import { checkFiles } from './precheck.ts';
import { LmdbReads, type Table } from './reads.ts';

/** What is used of the package lmdb, as `import('lmdb')` gives it. */
export interface LmdbModule {
  readonly open: (options: RootDatabaseOptionsWithPath) => RootDatabase;
}

export interface LmdbOptions extends GroupLimits {
  /** Directory of the store; made if it is not there, for this user alone (mode 0700, files 0600). */
  readonly path: string;
  /** Names of the tables, always the same for one directory; the file keeps them for good. At most 64. */
  readonly tables: readonly string[];
  /** The package to use. Default: `import('lmdb')`. */
  readonly load?: (() => Promise<LmdbModule>) | undefined;
}

/** Slots for readers of all processes together. The process that opens a directory first sets it for the others. */
const MAX_READERS = 1024;

/**
 * After so many bytes of writing the slots of readers that died are freed: until then everything that is replaced is kept for them, and the file
 * grows by it. lmdb-js does so every ten minutes of writing, which may be gigabytes.
 */
const READER_CHECK_BYTES = 16 * 1024 * 1024;
/** What a transaction writes besides its entries, about: the pages that lead to them. */
const COMMIT_BYTES = 32 * 1024;

/**
 * Address space for the file. lmdb-js starts with 128 KiB and maps the file anew whenever it outgrows the map, while readers
 * use it; with this much it does not come to that. Costs no memory. A larger file is still mapped anew.
 */
const MAP_BYTES = 2 ** 38;

/**
 * Opens the store in a directory. Any number of processes may have it open, and any number of users in each: they share one
 * opening, with the tables and limits of the first.
 *
 * Warns (`process.on('warning')`, code `MR_PERMISSION`) when anybody may write to the directory or the one above.
 *
 * @throws {@link MillraceError} `MR_DEPENDENCY_MISSING` when lmdb cannot be loaded, `MR_PERMISSION`, `MR_CORRUPT`,
 * `MR_VERSION_UNSUPPORTED`, `MR_DISK_FULL` or `MR_IO` when the directory or the file cannot be used.
 */
export async function openLmdb(options: LmdbOptions): Promise<Kv> {
  const directory = resolve(options.path);
  const { open } = await loadLmdb(options.load);
  let name: string;
  let made: string | undefined;
  try {
    made = await mkdir(directory, { recursive: true, mode: 0o700 });
    name = await realpath(directory);
  } catch (error) {
    throw storeError(error, directory);
  }
  return await openOnce(name, async () => {
    const kv = await openDirectory(open, directory, options);
    try {
      // Where something was made, no link leads to it.
      await syncNames(made === undefined ? name : directory, made);
      await warnIfExposed(name);
      return kv;
    } catch (error) {
      await kv.close();
      throw storeError(error, directory);
    }
  });
}

async function openDirectory(
  open: LmdbModule['open'],
  directory: string,
  options: LmdbOptions,
): Promise<Kv> {
  try {
    await checkFiles(directory);
    const root = open(rootOptions(directory));
    try {
      const tables = new Map<string, Table>();
      for (const table of options.tables)
        tables.set(table, root.openDB(table, { encoding: 'binary', keyEncoding: 'binary' }));
      // From its first read on this process is seen by whoever wants the directory alone; so it looks for that one only now.
      root.getBinary(Buffer.of(0));
      root.resetReadTxn();
      await checkGate(directory);
      return new LmdbKv(root, tables, directory, options);
    } catch (error) {
      await root.close();
      throw error;
    }
  } catch (error) {
    throw storeError(error, directory);
  }
}

/** `permissionsMode` is missing from lmdb-js's types. */
export interface RootOptions extends RootDatabaseOptionsWithPath {
  readonly permissionsMode: number;
}

/** How every opening of a file is made. */
export function rootOptions(directory: string): RootOptions {
  return {
    path: directory,
    noSubdir: false,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: 64,
    mapSize: MAP_BYTES,
    // Opening also frees the slots of readers that died.
    maxReaders: MAX_READERS,
    permissionsMode: 0o600,
    overlappingSync: false,
    // With batches by turn, lmdb-js makes a second promise for each commit that nobody holds: when the disk is full, its
    // rejection is unhandled and ends the process.
    eventTurnBatching: false,
  };
}

/** @throws `MR_DEPENDENCY_MISSING`. */
export async function loadLmdb(
  load: () => Promise<LmdbModule> = () => import('lmdb'),
): Promise<LmdbModule> {
  try {
    return await load();
  } catch (error) {
    throw new MillraceError(
      'MR_DEPENDENCY_MISSING',
      `the package lmdb cannot be loaded on this platform (${process.platform}-${process.arch}): ${messageOf(error)}; ` +
        'install it with its optional dependencies: npm install lmdb --include=optional',
      { cause: error, domain: 'external', details: { package: 'lmdb' } },
    );
  }
}

class LmdbKv implements Kv {
  readonly maxKeyBytes: number = MAX_KEY_BYTES;
  readonly #commits: GroupCommit;
  readonly #engine: LmdbEngine;
  readonly #reads: LmdbReads;
  readonly #directory: string;

  constructor(
    root: RootDatabase,
    tables: ReadonlyMap<string, Table>,
    directory: string,
    limits: GroupLimits,
  ) {
    this.#directory = directory;
    this.#reads = new LmdbReads(root, tables, directory);
    this.#engine = new LmdbEngine(root, tables, this.#reads, directory);
    this.#commits = new GroupCommit(this.#engine, limits);
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    this.#commits.checkRead(table);
    checkKey(key);
    try {
      return this.#reads.get(table, key);
    } catch (error) {
      throw this.#engine.broken ?? storeError(error, this.#directory);
    }
  }

  range(table: string, range: KvRange): Iterable<KvEntry> {
    this.#commits.checkRead(table);
    const entries = this.#reads.range(table, range);
    return { [Symbol.iterator]: () => this.#entries(table, entries[Symbol.iterator]()) };
  }

  transact<T>(body: (txn: KvTransaction) => T): Promise<T> {
    return this.#commits.transact(body);
  }

  flush(): Promise<void> {
    return this.#commits.flush();
  }

  async copy(directory: string, options: { readonly compact: boolean }): Promise<void> {
    this.#commits.checkOpen();
    await this.#engine.copy(directory, options.compact);
  }

  close(): Promise<void> {
    return this.#commits.close();
  }

  *#entries(table: string, entries: Iterator<KvEntry>): Generator<KvEntry> {
    try {
      for (;;) {
        this.#commits.checkRead(table);
        const next = entries.next();
        if (next.done === true) return;
        yield next.value;
      }
    } catch (error) {
      throw this.#engine.broken ?? storeError(error, this.#directory);
    } finally {
      entries.return?.();
    }
  }
}

class LmdbEngine implements GroupEngine {
  readonly tables: ReadonlySet<string>;
  readonly #root: RootDatabase;
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #reads: LmdbReads;
  readonly #directory: string;
  /** A thread of lmdb-js reads the open file for each of them. */
  readonly #copies = new Set<Promise<void>>();
  readonly #exit = new ExitGuard();
  #broken: MillraceError | undefined;
  /** Bytes since the last look for readers that died. */
  #written = 0;

  constructor(
    root: RootDatabase,
    tables: ReadonlyMap<string, Table>,
    reads: LmdbReads,
    directory: string,
  ) {
    this.tables = new Set(tables.keys());
    this.#root = root;
    this.#tables = tables;
    this.#reads = reads;
    this.#directory = directory;
  }

  /** Why nothing works any more. */
  get broken(): MillraceError | undefined {
    return this.#broken;
  }

  /**
   * One transaction of lmdb. A thread of lmdb-js waits for the lock, has `run` called on this thread, then commits and syncs.
   *
   * There is never a second one under way: begun on a file that lmdb has given up on, it would neither resolve nor reject, and
   * would block this thread when the file is closed.
   */
  async commit(run: () => GroupSize): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    this.#freeDeadReaders();
    let size: GroupSize | undefined;
    let failure: unknown;
    this.#exit.begun();
    try {
      await this.#root.transaction(() => {
        this.#exit.called();
        // Reads now go to the transaction. What was held before must not be mixed with it.
        this.#reads.release();
        try {
          size = run();
        } catch (error) {
          failure = error;
        } finally {
          this.#reads.release();
        }
      });
    } catch (error) {
      const cause = await causeOf(error);
      throw this.#checkPanic() ?? (await commitError(cause, this.#directory, size?.bytes ?? 0));
    } finally {
      this.#exit.called();
    }
    this.#written += COMMIT_BYTES + (size?.bytes ?? 0);
    if (failure === undefined) return;
    // lmdb has refused a write that was checked before. It refuses to commit after that; should it have done so, part of a
    // body may be there, so nobody goes on as if nothing had happened.
    this.#broken = brokenError(this.#directory, failure);
    throw this.#broken;
  }

  #freeDeadReaders(): void {
    if (this.#written < READER_CHECK_BYTES) return;
    this.#written = 0;
    this.#root.readerCheck();
  }

  reader(): KvReader {
    return this.#reads;
  }

  apply(writes: Overlay): void {
    writes.forEach((table, name, value) => {
      const target = this.#tables.get(table)!;
      const key = Buffer.from(name, 'latin1');
      if (value === undefined) target.removeSync(key);
      else target.putSync(key, value);
    });
  }

  async copy(target: string, compact: boolean): Promise<void> {
    const copying = copyFiles(this.#root, target, compact);
    this.#copies.add(copying);
    try {
      await copying;
    } finally {
      this.#copies.delete(copying);
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#copies);
    this.#reads.close();
    await this.#root.close();
    this.#exit.close();
  }

  /** After a failed write of its head lmdb refuses everything; any read tells. */
  #checkPanic(): MillraceError | undefined {
    try {
      this.#reads.release();
      this.#root.getBinary(Buffer.of(0));
    } catch (error) {
      if (isPanic(error)) this.#broken = brokenError(this.#directory, error);
    }
    return this.#broken;
  }
}

/** lmdb-js rejects with an error that carries a promise, which rejects with what lmdb said. */
async function causeOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (cause) {
    return cause;
  }
}
