/**
 * Tables: keyed state that is committed with the events that changed it.
 *
 * @module
 */
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import type { KeyedStore } from '../state/store.ts';
import type { Change, MakeOperator, Receive, TableKeyedBy, TablePort } from '../stream/operator.ts';
import { fanOut } from '../stream/output.ts';
import { templateStream } from '../stream/stream.ts';
import type { Stream } from '../stream/stream.ts';
import { hoppingWindow, tumblingWindow } from '../window/definition.ts';
import type { WindowDefinition } from '../window/definition.ts';
import { checkAlone, checkHome, finished, liveCell, refOf } from './access.ts';
import type { LiveCell } from './access.ts';
import { tellChange } from './changes.ts';
import type { ChangeSource } from './changes.ts';
import { mustKey, rowOf, undefinedRow } from './definition.ts';
import type { TableDefinition, TableHost } from './definition.ts';
import { queryRow } from './query.ts';
import type { QueryOptions } from './query.ts';
import type { DELETE } from '../stream/delete.ts';
import type { WindowOptions } from './window-options.ts';
import { WindowedTable } from './windowed-table.ts';

/**
 * Keyed state, sharded like the topic whose events use it. All methods but {@link Table.query} and {@link Table.snapshot} are synchronous and
 * work only while an event of the owning task is processed: in an agent, or in an operator of a topic's stream. What they change is committed
 * with the event, or not at all.
 *
 * `K` is the key, `V` the value, `R` what reading gives: `V` for a table with a default, else `V | undefined`.
 *
 * - *State*: one row per key, in the changelog once per commit in which it changed.
 * - *Delivery*: exactly once, with the positions of the events.
 */
export class Table<K, V, R = V | undefined> implements TableKeyedBy<K, V, R>, TablePort {
  declare readonly '~keyedBy': (key: K) => { value: V; read: R };
  readonly name: string;
  readonly #definition: TableDefinition;
  readonly #host: TableHost;
  readonly #changes: ChangeSource;

  /** @internal Use `app.table`. */
  constructor(definition: TableDefinition, host: TableHost, changes: ChangeSource) {
    this.name = definition.name;
    this.#definition = definition;
    this.#host = host;
    this.#changes = changes;
  }

  /**
   * The row of `key`, or the default, or `undefined`. A default is not stored until it is set.
   *
   * @throws `CoPartitionError` for a key that lives in another task. `MR_TABLE_OUTSIDE` outside event processing.
   */
  get(key: K): R {
    const { store, cell, ref } = this.#find(key);
    return this.#orDefault(this.#read(store, cell, ref)) as R;
  }

  /** Whether there is a row. Same errors as {@link Table.get}. */
  has(key: K): boolean {
    const { store, cell, ref } = this.#find(key);
    return this.#read(store, cell, ref) !== undefined;
  }

  /**
   * Stores a row. `undefined` is refused: use {@link Table.delete}. Same errors as {@link Table.get}; `MR_ARGUMENT_INVALID` for the row of
   * another key than the event's while other events are under way: use {@link Table.update}.
   */
  set(key: K, value: V): void {
    const { store, cell, ref } = this.#find(key);
    if (value === undefined) throw undefinedRow(this.name);
    checkAlone(this.name, 'set', ref, cell);
    this.#write(store, cell, ref, value);
  }

  /** Removes a row and tells whether there was one. Same errors as {@link Table.set}. */
  delete(key: K): boolean {
    const { store, cell, ref } = this.#find(key);
    checkAlone(this.name, 'delete', ref, cell);
    if (this.#read(store, cell, ref) === undefined) return false;
    this.#write(store, cell, ref, undefined);
    return true;
  }

  /**
   * Replaces a row by what `fn` makes of it and returns what reading gives afterwards. `fn` returns {@link DELETE} to remove the row;
   * `undefined` is refused, since `(n) => { n + 1 }` would delete rows by mistake. Same errors as {@link Table.get}.
   */
  update(key: K, fn: (current: R) => V | typeof DELETE): R {
    const { store, cell, ref } = this.#find(key);
    const next = rowOf(this.name, fn(this.#orDefault(this.#read(store, cell, ref)) as R));
    this.#write(store, cell, ref, next);
    return this.#orDefault(next) as R;
  }

  /**
   * Rows of the running task's shard, by ascending canonical key (strings by their UTF-8 bytes): from `from` (included) to `to`
   * (not included), those that are not committed yet among them. Other tasks hold other rows. Same errors as {@link Table.get}, at
   * each step.
   */
  entries(
    range: { readonly from?: K | undefined; readonly to?: K | undefined } = {},
  ): IterableIterator<[K, V]> {
    const cell = liveCell(this.#host.processing, this.name);
    const { event } = cell;
    const from = range.from === undefined ? undefined : refOf(range.from, event).bytes;
    const to = range.to === undefined ? undefined : refOf(range.to, event).bytes;
    return this.#entries(cell, event, from, to);
  }

  *#entries(
    cell: LiveCell,
    event: EventCell,
    from: Uint8Array | undefined,
    to: Uint8Array | undefined,
  ): IterableIterator<[K, V]> {
    if (cell.event !== event) throw finished(this.name);
    for (const [ref, value] of this.#store(cell).range(from, to, event.effects)) {
      yield [ref.key as K, value as V];
      // The rest belongs to an event that may be finished by now.
      if (cell.event !== event) throw finished(this.name);
    }
  }

  /**
   * The changes of rows as a stream, whoever makes them: declared updates, and methods in agents. A change flows on while its event is
   * processed, with the time of the event and the key of the row. Each call is a stream of its own.
   *
   * A table that no declared stream updates needs to know which agent uses it, `{ by: agent }`, unless the app has one part with agents only.
   * Rows that expire are not told of.
   *
   * - *Order*: that of the changes.
   * - *Delivery*: in the commit that the change belongs to. What fails behind it fails the event that made the change.
   *
   * @throws `MR_ARGUMENT_INVALID` for another agent than before. At start, `MR_TOPOLOGY_INVALID` when the table's part of the app is not known,
   * and when the changes of a table lead to an update of itself.
   */
  changes(
    options: { readonly by?: { readonly name: string } | undefined } = {},
  ): Stream<Change<K, V>, K> {
    return templateStream<Change<K, V>, K>(this.#changes.open(options.by?.name));
  }

  /**
   * The committed row of `key`, or the default, or `undefined`: from anywhere, whichever process owns it. Asks the worker that owns the key, and
   * waits for its next commit where the row has uncommitted changes. With `stale` it reads what is stored, without a worker.
   *
   * A key that was sent to a partition of the sender's choice is not found.
   *
   * @throws `MR_NO_OWNER`, `MR_TIMEOUT` (both retryable) when no worker owned the key or answered within `timeout`; `MR_ABORTED`. Within event
   * processing without `stale` `MR_ARGUMENT_INVALID`: the answer may have to wait for the commit of that very event.
   */
  async query(key: K, options: QueryOptions = {}): Promise<R> {
    const row = await queryRow(this.#host, this.#definition, key, undefined, options);
    return this.#orDefault(row) as R;
  }

  /**
   * The committed rows of all partitions, from any process and without a worker. Each partition is read as of one commit; a worker may
   * move on meanwhile. Rows whose `ttl` is over are left out.
   *
   * One partition after the other is loaded whole, with everything else that its task keeps, before its first row is given: it takes as much
   * memory as the largest of them.
   */
  async *snapshot(): AsyncIterableIterator<[K, V]> {
    for await (const [ref, value] of this.#host.rows(this.#definition))
      yield [ref.key as K, value as V];
  }

  /**
   * The same rows per window of event time: one row per key and window `[start, start + size)`. From then on the table is used through
   * its windows only.
   *
   * @throws `MR_OPTION_INVALID`; see {@link WindowOptions}.
   */
  tumbling(size: Duration, options?: WindowOptions<K>): WindowedTable<K, V, R> {
    return this.#windowed(tumblingWindow(size, options), options);
  }

  /**
   * The same rows per window of event time, windows that overlap: one of `size` begins every `step`, and an event belongs to each that
   * holds it, `size / step` of them, at most 10,000. From then on the table is used through its windows only.
   *
   * @throws `MR_OPTION_INVALID`; see {@link WindowOptions}.
   */
  hopping(size: Duration, step: Duration, options?: WindowOptions<K>): WindowedTable<K, V, R> {
    return this.#windowed(hoppingWindow(size, step, options), options);
  }

  #windowed(
    window: WindowDefinition,
    options: WindowOptions<K> | undefined,
  ): WindowedTable<K, V, R> {
    if (this.#definition.ttlMs !== undefined)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `table ${this.name} has a ttl and was given windows; leave the ttl out, and give the windows a retention`,
        { details: { option: 'ttl', table: this.name } },
      );
    if (this.#changes.node !== undefined)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `changes() of table ${this.name} was asked for before it was given windows; follow what its update passes on, or closed()`,
        { details: { table: this.name } },
      );
    return new WindowedTable<K, V, R>(this.#definition, window, this.#host, options);
  }

  /** How it takes part in a graph. Not for programs. */
  '~update'(fn: (current: unknown, value: unknown) => unknown): MakeOperator {
    const { name } = this;
    return (output) => {
      let store: KeyedStore | undefined;
      let next: Receive = (value, event) => output.next(value, event);
      return (value, from) => {
        const cell = liveCell(this.#host.processing, name);
        const ref = mustKey(name, from);
        const event = from as EventCell;
        if (store === undefined) {
          store = this.#store(cell);
          const changes = this.#changes.node === undefined ? undefined : cell.tables.changes(name);
          if (changes !== undefined) next = fanOut([changes, next]);
        }
        const row = store.cell(ref);
        const previous = store.read(row, event.effects);
        const written = rowOf(name, fn(this.#orDefault(previous), value));
        store.write(row, written, event.effects, event.timestamp);
        return next({ key: ref.key, value: written, previous }, event);
      };
    };
  }

  #find(key: K): { store: KeyedStore; cell: LiveCell; ref: KeyRef } {
    const cell = liveCell(this.#host.processing, this.name);
    return { store: this.#store(cell), cell, ref: refOf(key, cell.event) };
  }

  #store(cell: LiveCell): KeyedStore {
    return cell.tables.keyed(this.name, this.#definition.codec, this.#definition.ttlMs);
  }

  #orDefault(value: unknown): unknown {
    return value === undefined ? this.#definition.default?.() : value;
  }

  /** The stored row; `undefined` where there is none. */
  #read(store: KeyedStore, cell: LiveCell, ref: KeyRef): unknown {
    const row = store.find(ref);
    if (row === undefined) checkHome(this.name, ref, cell);
    return row === undefined ? undefined : store.read(row, cell.event.effects);
  }

  #write(store: KeyedStore, cell: LiveCell, ref: KeyRef, value: unknown): void {
    const { effects, timestamp } = cell.event;
    const changes = this.#changes.node === undefined ? undefined : cell.tables.changes(this.name);
    // A key that has a row was checked when it got it.
    if (store.find(ref) === undefined) checkHome(this.name, ref, cell);
    const row = store.cell(ref);
    const previous = changes === undefined ? undefined : store.read(row, effects);
    store.write(row, value, effects, timestamp);
    if (changes !== undefined) tellChange(cell, changes, ref, { key: ref.key, value, previous });
  }
}
