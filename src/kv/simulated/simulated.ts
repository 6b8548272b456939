/**
 * A store in memory that behaves like one on a disk: group commit, one writer at a time among all its openings, a point at
 * which a group becomes durable and visible, and faults on request. It is the store of the memory broker and of simulations.
 *
 * Nothing in it asks for time or chance: a commit takes as long as its fault says, on the clock that was given, and otherwise
 * ends within the microtasks that follow.
 *
 * Fault model: {@link SimulatedKv.crash} ends one opening as SIGKILL or a power failure ends a process. What its commits have
 * made durable stays for the other openings and for {@link SimulatedKv.reopen}; the rest is gone. Half a group never stays.
 *
 * - *Order*: bodies of one opening in the order of the calls; openings take turns in the order in which they asked.
 * - *Back-pressure*: none; everything is in memory.
 * - *State*: all entries, and an order of each table from its first range on.
 * - *Delivery*: as the contract says, or as the faults make it.
 *
 * @module
 */
import { sleep, type Clock } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  GroupCommit,
  type GroupEngine,
  type GroupLimits,
  type GroupSize,
} from '../group-commit.ts';
import { checkKey, copyOf, keyOf, MAX_KEY_BYTES, nameOf } from '../keys.ts';
import type { Kv, KvEntry, KvRange, KvReader, KvTransaction } from '../kv.ts';
import { nameRange, type Overlay } from '../overlay.ts';
import { SortedTable } from '../sorted-table.ts';

export interface SimulatedOptions extends GroupLimits {
  /** Names of the tables. */
  readonly tables: readonly string[];
  /** Needed by faults with a delay. */
  readonly clock?: Clock | undefined;
  /** Asked once for each group, when its bodies have run and before it is durable. Default: no faults. */
  readonly faults?: ((commit: SimulatedCommit) => CommitFault | undefined) | undefined;
}

/** A group that is about to become durable. */
export interface SimulatedCommit extends GroupSize {
  /** 0 for the first group of the store, counted over all openings. */
  readonly index: number;
}

/** What happens to a group. */
export interface CommitFault {
  /** How long it takes; the write lock is held meanwhile. Default: no time at all. */
  readonly delayMs?: number | undefined;
  /**
   * How it fails: `disk-full` writes nothing and says so; `io-before` and `io-after` both reject with `MR_IO`, and only the
   * latter has written. Default: it does not fail.
   */
  readonly fail?: 'disk-full' | 'io-before' | 'io-after' | undefined;
}

/** One opening of a simulated store. */
export interface SimulatedKv extends Kv {
  /** Ends this opening: what is not durable is lost, calls under way reject with `MR_IO`, later ones with `MR_CLOSED`. */
  crash(): void;
  /** Another opening of what is durable, as another process or the next life of this one would have it. */
  reopen(): SimulatedKv;
}

/** A new, empty store and its first opening. */
export function simulatedKv(options: SimulatedOptions): SimulatedKv {
  return new SimulatedOpening(new SimulatedDisk(options.tables), options);
}

/** What the openings share: durable content and the write lock. */
class SimulatedDisk implements KvReader {
  readonly tables: ReadonlyMap<string, SortedTable<Uint8Array>>;
  commits = 0;
  #locked = false;
  readonly #waiting: (() => void)[] = [];

  constructor(tables: readonly string[]) {
    this.tables = new Map(tables.map((table) => [table, new SortedTable<Uint8Array>()]));
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    const value = this.tables.get(table)!.get(nameOf(key));
    return value === undefined ? undefined : copyOf(value);
  }

  *range(table: string, range: KvRange): Generator<KvEntry> {
    const entries = this.tables.get(table)!;
    const walk = entries.walk(nameRange(range));
    for (let left = range.limit ?? Number.POSITIVE_INFINITY; left > 0; left--) {
      const name = walk.peek();
      if (name === undefined) return;
      walk.pass(name);
      yield { key: keyOf(name), value: copyOf(entries.get(name)!) };
    }
  }

  /** Makes writes durable and visible. */
  apply(writes: Overlay): void {
    writes.forEach((table, name, value) => {
      const entries = this.tables.get(table)!;
      if (value === undefined) entries.delete(name);
      else entries.set(name, value);
    });
  }

  lock(): Promise<void> | undefined {
    if (this.#locked) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#locked = true;
    return undefined;
  }

  unlock(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#locked = false;
    else next();
  }
}

class SimulatedOpening implements SimulatedKv {
  readonly maxKeyBytes: number = MAX_KEY_BYTES;
  readonly #disk: SimulatedDisk;
  readonly #options: SimulatedOptions;
  readonly #engine: SimulatedEngine;
  readonly #commits: GroupCommit;

  constructor(disk: SimulatedDisk, options: SimulatedOptions) {
    this.#disk = disk;
    this.#options = options;
    this.#engine = new SimulatedEngine(disk, options);
    this.#commits = new GroupCommit(this.#engine, options);
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

  crash(): void {
    const failure = new MillraceError('MR_IO', 'the simulated process has crashed', {
      domain: 'external',
    });
    this.#engine.crash(failure);
    this.#commits.abort(failure);
  }

  reopen(): SimulatedKv {
    return new SimulatedOpening(this.#disk, this.#options);
  }

  *#entries(table: string, entries: Iterable<KvEntry>): Generator<KvEntry> {
    for (const entry of entries) {
      yield entry;
      this.#commits.checkRead(table);
    }
  }
}

class SimulatedEngine implements GroupEngine {
  readonly tables: ReadonlySet<string>;
  readonly #disk: SimulatedDisk;
  readonly #options: SimulatedOptions;
  readonly #life = new AbortController();
  /** The writes of the group, for its later bodies to see. */
  #group: Overlay | undefined;

  constructor(disk: SimulatedDisk, options: SimulatedOptions) {
    this.tables = new Set(disk.tables.keys());
    this.#disk = disk;
    this.#options = options;
  }

  async commit(run: () => GroupSize): Promise<void> {
    // Bodies that are called in one turn belong to one group, so it starts after all of them.
    await Promise.resolve();
    await this.#disk.lock();
    try {
      this.#life.signal.throwIfAborted();
      this.#group = undefined;
      const size = run();
      const fault = this.#options.faults?.({ ...size, index: this.#disk.commits });
      this.#disk.commits++;
      if (fault?.delayMs !== undefined) {
        await sleep(clockOf(this.#options), fault.delayMs, this.#life.signal);
        this.#life.signal.throwIfAborted();
      }
      this.#end(fault?.fail);
    } finally {
      this.#group = undefined;
      this.#disk.unlock();
    }
  }

  reader(): KvReader {
    return this.#group ?? this.#disk;
  }

  apply(writes: Overlay): void {
    if (this.#group === undefined) this.#group = writes;
    else this.#group.absorb(writes);
  }

  crash(reason: MillraceError): void {
    this.#life.abort(reason);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #end(fail: CommitFault['fail']): void {
    if (fail === 'disk-full')
      throw new MillraceError(
        'MR_DISK_FULL',
        'the simulated disk is full: nothing was written; free some space and try again',
        { domain: 'external', retryable: true },
      );
    if (this.#group !== undefined && fail !== 'io-before') this.#disk.apply(this.#group);
    if (fail !== undefined)
      throw new MillraceError(
        'MR_IO',
        'the simulated disk failed during a commit, which may or may not be there',
        { domain: 'external' },
      );
  }
}

function clockOf(options: SimulatedOptions): Clock {
  if (options.clock !== undefined) return options.clock;
  throw new MillraceError(
    'MR_OPTION_INVALID',
    'a fault of the simulated store has a delay, but the store was made without a clock',
  );
}
