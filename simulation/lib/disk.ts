/**
 * The disk that all processes share: one transactional store, whose every commit is decided by the schedule and seen by those who watch.
 *
 * Fault model: a transaction is there whole or not at all, so there are no torn frames to be simulated; a process may die or be frozen before
 * its commit is durable, or between that and the answer; a commit may fail for lack of space, or with an error that says nothing about its
 * outcome.
 *
 * @module
 */
import { MillraceError } from '../../src/core/errors.ts';
import { GroupCommit } from '../../src/kv/group-commit.ts';
import type { GroupEngine, GroupSize } from '../../src/kv/group-commit.ts';
import { checkKey, MAX_KEY_BYTES, nameOf } from '../../src/kv/keys.ts';
import type { Kv, KvEntry, KvRange, KvReader, KvTransaction } from '../../src/kv/kv.ts';
import { nameRange } from '../../src/kv/overlay.ts';
import type { Overlay } from '../../src/kv/overlay.ts';
import { SortedTable } from '../../src/kv/sorted-table.ts';
import type { Machine } from './machine.ts';
import type { Schedule } from './schedule.ts';

/** What becomes of a commit. */
export type DiskFault =
  | 'full'
  | 'lost-before'
  | 'lost-after'
  /** The process dies: before it is durable, or when only the answer is missing. */
  | 'die-before'
  | 'die-after';

/** Asked about each commit, and told of each one that is durable. */
export interface DiskEvents {
  fault(by: Machine): DiskFault | undefined;
  /** Whether the lock is held for a while between the bodies and the sync. */
  slow(): number;
  committed(writes: Overlay, by: Machine): void;
}

export class Disk implements KvReader {
  readonly tables: ReadonlyMap<string, SortedTable<Uint8Array>>;
  readonly #schedule: Schedule;
  readonly #events: DiskEvents;
  #locked: Machine | undefined;
  #waiting: (() => void)[] = [];

  constructor(tables: readonly string[], schedule: Schedule, events: DiskEvents) {
    this.tables = new Map(tables.map((table) => [table, new SortedTable<Uint8Array>()]));
    this.#schedule = schedule;
    this.#events = events;
  }

  /** The store as one process has it open. */
  open(by: Machine): Kv {
    return new Opening(this, new Engine(this, by));
  }

  /** What is stored itself, and no copy: nobody may write into what was read, and whoever does breaks the store. */
  get(table: string, key: Uint8Array): Uint8Array | undefined {
    return this.tables.get(table)!.get(nameOf(key));
  }

  *range(table: string, range: KvRange): Generator<KvEntry> {
    const entries = this.tables.get(table)!;
    const walk = entries.walk(nameRange(range));
    for (let left = range.limit ?? Number.POSITIVE_INFINITY; left > 0; left--) {
      const name = walk.peek();
      if (name === undefined) return;
      walk.pass(name);
      yield { key: Buffer.from(name, 'latin1'), value: entries.get(name)! };
    }
  }

  /** A group of transactions of a process: waits for the lock, runs them, makes them durable, and answers. */
  commit(by: Machine, run: () => GroupSize, written: () => Overlay | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const schedule = this.#schedule;
      const attempt = (): void => {
        if (this.#locked !== undefined) {
          this.#waiting.push(() => void schedule.soon(by, 'lock', attempt));
          return;
        }
        this.#locked = by;
        let fault: DiskFault | undefined;
        let waitMs = 0;
        try {
          run();
          fault = this.#events.fault(by);
          waitMs = this.#events.slow();
        } catch (error) {
          this.#unlock();
          reject(error instanceof Error ? error : new Error(String(error)));
          return;
        }
        if (fault === 'die-before') {
          this.#unlock();
          by.die();
          return;
        }
        const end = (): void => this.#end(by, written(), fault, resolve, reject);
        if (waitMs > 0) schedule.after(waitMs, undefined, 'sync', end);
        else end();
      };
      schedule.soon(by, 'lock', attempt);
    });
  }

  #end(
    by: Machine,
    writes: Overlay | undefined,
    fault: DiskFault | undefined,
    resolve: () => void,
    reject: (error: Error) => void,
  ): void {
    const fails = fault === 'full' || fault === 'lost-before';
    // One who has died meanwhile leaves nothing: it is as if it had died before.
    const durable = writes !== undefined && !fails && !by.dead;
    if (durable) {
      writes.forEach((table, name, value) => {
        const entries = this.tables.get(table)!;
        if (value === undefined) entries.delete(name);
        else entries.set(name, value);
      });
    }
    this.#unlock();
    if (durable) this.#events.committed(writes, by);
    if (fault === 'die-after') by.die();
    const answer = fault === undefined ? resolve : () => reject(errorOf(fault));
    this.#schedule.soon(by, 'answer', answer);
  }

  #unlock(): void {
    this.#locked = undefined;
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

class Engine implements GroupEngine {
  readonly tables: ReadonlySet<string>;
  readonly #disk: Disk;
  readonly #by: Machine;
  /** The writes of the group, for its later bodies to see. */
  #group: Overlay | undefined;

  constructor(disk: Disk, by: Machine) {
    this.#disk = disk;
    this.#by = by;
    this.tables = new Set(disk.tables.keys());
  }

  commit(run: () => GroupSize): Promise<void> {
    const begin = (): GroupSize => {
      this.#group = undefined;
      return run();
    };
    return this.#disk.commit(this.#by, begin, () => this.#group);
  }

  reader(): KvReader {
    return this.#group ?? this.#disk;
  }

  apply(writes: Overlay): void {
    if (this.#group === undefined) this.#group = writes;
    else this.#group.absorb(writes);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class Opening implements Kv {
  readonly maxKeyBytes: number = MAX_KEY_BYTES;
  readonly #disk: Disk;
  readonly #commits: GroupCommit;

  constructor(disk: Disk, engine: Engine) {
    this.#disk = disk;
    this.#commits = new GroupCommit(engine);
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    this.#commits.checkRead(table);
    checkKey(key);
    return this.#disk.get(table, key);
  }

  range(table: string, range: KvRange): Iterable<KvEntry> {
    this.#commits.checkRead(table);
    return this.#entries(table, this.#disk.range(table, range));
  }

  transact<T>(body: (txn: KvTransaction) => T): Promise<T> {
    return this.#commits.transact(body);
  }

  flush(): Promise<void> {
    return this.#commits.flush();
  }

  close(): Promise<void> {
    return this.#commits.close();
  }

  *#entries(table: string, entries: Iterable<KvEntry>): Generator<KvEntry> {
    for (const entry of entries) {
      yield entry;
      this.#commits.checkRead(table);
    }
  }
}

function errorOf(fault: DiskFault): MillraceError {
  if (fault === 'full')
    return new MillraceError(
      'MR_DISK_FULL',
      'the simulated disk is full: nothing was written; free some space and try again',
      { domain: 'external', retryable: true },
    );
  return new MillraceError(
    'MR_IO',
    'the simulated disk failed during a commit, which may or may not be there',
    { domain: 'external' },
  );
}
