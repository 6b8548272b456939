/**
 * Tables as a test reads them: all shards, outside processing, by the methods that code under test uses.
 *
 * A view finds the live task that holds a row and calls the table as an operator of that task would, with an event that nobody sent. Nothing can
 * be written that way, and no task learns of it.
 *
 * @module
 */
import type { Codec } from '../codec/codec.ts';
import { keyRef } from '../codec/key.ts';
import { partitionOf } from '../codec/partition.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import type { TaskLife } from '../runtime/task-life.ts';
import { KeyedStore, WindowStore } from '../state/store.ts';
import type { ProcessingCell, TaskTables } from '../table/processing.ts';
import { Table } from '../table/table.ts';
import type { WindowedTable } from '../table/windowed-table.ts';

/** A table without windows, read from outside. */
export type TableView<K, V, R> = Pick<Table<K, V, R>, 'get' | 'has' | 'entries'>;

/** A table with windows, read from outside. */
export type WindowedTableView<K, V, R> = Pick<WindowedTable<K, V, R>, 'at' | 'now' | 'windows'>;

/** What views need of the test. */
export interface ViewContext {
  /** The tasks that run, of all workers. @throws what made a worker fail. */
  readonly lives: () => readonly TaskLife[];
  /** The name that a table is stored under. */
  readonly stored: (table: string) => string;
  readonly nowMs: () => number;
}

/** See `TestApp.table`. */
export function viewOf<K, V, R>(
  table: Table<K, V, R> | WindowedTable<K, V, R>,
  context: ViewContext,
): TableView<K, V, R> | WindowedTableView<K, V, R> {
  const shards = new Shards(table.name, context);
  return table instanceof Table ? keyedView(table, shards) : windowedView(table, shards);
}

function keyedView<K, V, R>(table: Table<K, V, R>, shards: Shards): TableView<K, V, R> {
  const has = (shard: Shard): boolean => shard.within(() => table.has(shard.key as K));
  return {
    get: (key) => {
      const shard = shards.find(key, has) ?? shards.home(key);
      return shard.copy(shard.within(() => table.get(key)));
    },
    has: (key) => shards.find(key, has) !== undefined,
    entries: (range) => {
      const found: { readonly bytes: Uint8Array; readonly row: [K, V] }[] = [];
      for (const shard of shards.all())
        for (const row of shard.within(() => [...table.entries(range)])) {
          row[1] = shard.copy(row[1]);
          found.push({ bytes: keyRef(row[0]).bytes, row });
        }
      found.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
      return found.map(({ row }) => row).values();
    },
  };
}

function windowedView<K, V, R>(
  table: WindowedTable<K, V, R>,
  shards: Shards,
): WindowedTableView<K, V, R> {
  const has = (shard: Shard): boolean =>
    shard.within(() => table.windows(shard.key as K).next().done !== true);
  const shardOf = (key: K): Shard => shards.find(key, has) ?? shards.home(key);
  return {
    at: (key, time) => {
      const shard = shardOf(key);
      return shard.copy(shard.within(() => table.at(key, time)));
    },
    now: (key) => {
      const shard = shardOf(key);
      return shard.copy(shard.within(() => table.now(key)));
    },
    windows: (key) => {
      const shard = shardOf(key);
      const rows = shard.within(() => [...table.windows(key)]);
      for (const row of rows) row[1] = shard.copy(row[1]);
      return rows.values();
    },
  };
}

/** The shards of a table, one for each task that has used it. */
class Shards {
  readonly #table: string;
  readonly #context: ViewContext;

  constructor(table: string, context: ViewContext) {
    this.#table = table;
    this.#context = context;
  }

  /** Every shard that there is, for an event without a key of its own. */
  all(): readonly Shard[] {
    return this.#owners().map((life) => this.#shard(life, life, keyRef('')));
  }

  /** The shard that has a row of `key`, wherever a sender has put it. */
  find(key: unknown, has: (shard: Shard) => boolean): Shard | undefined {
    const ref = keyRef(key);
    return this.#owners()
      .map((life) => this.#shard(life, life, ref))
      .find(has);
  }

  /** Where a row of `key` would be, to get its default. */
  home(key: unknown): Shard {
    const ref = keyRef(key);
    const owners = this.#owners();
    const [some] = owners.length > 0 ? owners : this.#context.lives();
    if (some === undefined)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `table ${this.#table} cannot be read: nothing in the app processes events; declare a stream or an agent that uses it`,
        { details: { table: this.#table } },
      );
    const partition = partitionOf(ref.bytes, some.cell.tables.partitions);
    const home = owners.find((life) => life.cell.tables.partition === partition);
    return this.#shard(home ?? some, home, ref);
  }

  #owners(): readonly TaskLife[] {
    const stored = this.#context.stored(this.#table);
    return this.#context.lives().filter(({ state }) => state.names().includes(stored));
  }

  #shard(life: TaskLife, rows: TaskLife | undefined, ref: KeyRef): Shard {
    const { stored, nowMs } = this.#context;
    return new Shard(life, rows, stored(this.#table), ref, nowMs());
  }
}

/** One task's part of a table, and a key to look for. */
class Shard {
  readonly key: unknown;
  readonly #life: TaskLife;
  readonly #cell: ProcessingCell;
  #codec: Codec<unknown> | undefined;

  /** `rows`: whose rows; none where nobody holds any. */
  constructor(
    life: TaskLife,
    rows: TaskLife | undefined,
    stored: string,
    ref: KeyRef,
    nowMs: number,
  ) {
    const { tables } = life.cell;
    const event: EventCell = {
      topic: 'test',
      partition: tables.partition,
      offset: 0,
      timestamp: nowMs,
      key: ref,
      headers: null,
      raw: null,
      effects: null,
      flight: null,
    };
    const view: TaskTables = {
      partition: tables.partition,
      partitions: tables.partitions,
      streamTime: tables.streamTime,
      keyed: (_table, codec, ttlMs) => {
        this.#codec = codec;
        return rows?.state.keyed(stored, codec, ttlMs) ?? new KeyedStore(stored);
      },
      windowed: (_table, codec) => {
        this.#codec = codec;
        return rows?.state.windowed(stored, codec) ?? new WindowStore(stored);
      },
      late: () => undefined,
      changes: () => undefined,
      sink: () => () => undefined,
    };
    this.key = ref.key;
    this.#life = life;
    this.#cell = { tables: view, event, send: () => undefined };
  }

  /** Calls a table as if an event of the key were processed. */
  within<T>(look: () => T): T {
    return this.#life.guards.processing.within(this.#cell, look);
  }

  /** A row as it would come back after a restart: what a test does to it, or the app does later, is another matter. */
  copy<T>(row: T): T {
    if (row === undefined || this.#codec === undefined) return row;
    return this.#codec.decode(this.#codec.encode(row)) as T;
  }
}
