/**
 * Tables: keyed state that is committed with the events that changed it.
 *
 * @module
 */
import type { Duration } from '../core/duration.ts';
import type { KeyRef } from '../core/event.ts';
import type { KeyedStore } from '../state/store.ts';
import type { MakeOperator, TableKeyedBy, TablePort } from '../stream/operator.ts';
import { tumblingWindow } from '../window/tumbling.ts';
import type { WindowOptions } from '../window/tumbling.ts';
import { checkHome, liveCell, refOf } from './access.ts';
import type { LiveCell } from './access.ts';
import { mustKey, rowOf, undefinedRow } from './definition.ts';
import type { TableDefinition, TableHost } from './definition.ts';
import type { DELETE } from '../stream/delete.ts';
import { WindowedTable } from './windowed-table.ts';

/**
 * Keyed state, sharded like the topic whose events use it. All methods but {@link Table.snapshot} are synchronous and work only while
 * an event of the owning task is processed: in an agent, or in an operator of a topic's stream. What they change is committed with
 * the event, or not at all.
 *
 * `K` is the key, `V` the value, `R` what reading gives: `V` for a table with a default, else `V | undefined`.
 *
 * - *State*: one row per key, in memory, in the changelog once per commit in which it changed.
 * - *Delivery*: exactly once, with the positions of the events.
 */
export class Table<K, V, R = V | undefined> implements TableKeyedBy<K, V, R>, TablePort {
  declare readonly '~keyedBy': (key: K) => { value: V; read: R };
  readonly name: string;
  readonly #definition: TableDefinition;
  readonly #host: TableHost;

  /** @internal Use `app.table`. */
  constructor(definition: TableDefinition, host: TableHost) {
    this.name = definition.name;
    this.#definition = definition;
    this.#host = host;
  }

  /**
   * The row of `key`, or the default, or `undefined`. A default is not stored until it is set.
   *
   * @throws `CoPartitionError` for a key that lives in another task. `MR_TABLE_OUTSIDE` outside event processing.
   */
  get(key: K): R {
    const { store, cell, ref } = this.#find(key);
    return this.#read(store, cell, ref) as R;
  }

  /** Whether there is a row. Same errors as {@link Table.get}. */
  has(key: K): boolean {
    const { store, cell, ref } = this.#find(key);
    const row = store.find(ref);
    if (row === undefined) checkHome(this.name, ref, cell);
    return row !== undefined && store.read(row) !== undefined;
  }

  /** Stores a row. `undefined` is refused: use {@link Table.delete}. Same errors as {@link Table.get}. */
  set(key: K, value: V): void {
    const { store, cell, ref } = this.#find(key);
    if (value === undefined) throw undefinedRow(this.name);
    if (store.find(ref) === undefined) checkHome(this.name, ref, cell);
    store.write(store.cell(ref), value);
  }

  /** Removes a row and tells whether there was one. Same errors as {@link Table.get}. */
  delete(key: K): boolean {
    const { store, cell, ref } = this.#find(key);
    const row = store.find(ref);
    if (row === undefined) checkHome(this.name, ref, cell);
    if (row === undefined || store.read(row) === undefined) return false;
    store.write(row, undefined);
    return true;
  }

  /**
   * Replaces a row by what `fn` makes of it and returns what reading gives afterwards. `fn` returns {@link DELETE} to remove the row;
   * `undefined` is refused, since `(n) => { n + 1 }` would delete rows by mistake. Same errors as {@link Table.get}.
   */
  update(key: K, fn: (current: R) => V | typeof DELETE): R {
    const { store, cell, ref } = this.#find(key);
    const next = fn(this.#read(store, cell, ref) as R);
    store.write(store.cell(ref), rowOf(this.name, next));
    return this.#read(store, cell, ref) as R;
  }

  /**
   * Rows of the running task's shard, by ascending canonical key (strings by their UTF-8 bytes): from `from` (included) to `to`
   * (not included). Other tasks hold other rows.
   */
  *entries(
    range: { readonly from?: K | undefined; readonly to?: K | undefined } = {},
  ): IterableIterator<[K, V]> {
    const cell = liveCell(this.#host.processing, this.name);
    const store = this.#store(cell);
    const from = range.from === undefined ? undefined : refOf(range.from, cell.event).bytes;
    const to = range.to === undefined ? undefined : refOf(range.to, cell.event).bytes;
    const rows = [...store.rows()].filter(
      ([ref]) =>
        (from === undefined || Buffer.compare(ref.bytes, from) >= 0) &&
        (to === undefined || Buffer.compare(ref.bytes, to) < 0),
    );
    for (const [ref, value] of rows.toSorted(([a], [b]) => Buffer.compare(a.bytes, b.bytes)))
      yield [ref.key as K, value as V];
  }

  /**
   * The committed rows of all partitions, from any process and without a worker. Each partition is read as of one commit; a worker may
   * move on meanwhile.
   */
  async *snapshot(): AsyncIterableIterator<[K, V]> {
    for await (const [ref, value] of this.#host.rows(this.name, this.#definition.codec))
      yield [ref.key as K, value as V];
  }

  /**
   * The same rows per window of event time: one row per key and window `[start, start + size)`. From then on the table is used through
   * its windows only.
   *
   * @throws `MR_OPTION_INVALID`; see {@link WindowOptions}.
   */
  tumbling(size: Duration, options?: WindowOptions): WindowedTable<K, V, R> {
    return new WindowedTable<K, V, R>(this.#definition, tumblingWindow(size, options), this.#host);
  }

  /** How it takes part in a graph. Not for programs. */
  '~update'(fn: (current: unknown, value: unknown) => unknown): MakeOperator {
    const { name } = this;
    return (output) => {
      let store: KeyedStore | undefined;
      return (value, event) => {
        const cell = liveCell(this.#host.processing, name);
        store ??= this.#store(cell);
        const row = store.cell(mustKey(name, event));
        const previous = store.read(row);
        const next = rowOf(
          name,
          fn(previous === undefined ? this.#definition.default?.() : previous, value),
        );
        store.write(row, next);
        return output.next({ key: row.ref.key, value: next, previous }, event);
      };
    };
  }

  #find(key: K): { store: KeyedStore; cell: LiveCell; ref: KeyRef } {
    const cell = liveCell(this.#host.processing, this.name);
    return { store: this.#store(cell), cell, ref: refOf(key, cell.event) };
  }

  #store(cell: LiveCell): KeyedStore {
    return cell.tables.keyed(this.name, this.#definition.codec);
  }

  #read(store: KeyedStore, cell: LiveCell, ref: KeyRef): unknown {
    const row = store.find(ref);
    if (row === undefined) checkHome(this.name, ref, cell);
    const value = row === undefined ? undefined : store.read(row);
    return value === undefined ? this.#definition.default?.() : value;
  }
}
