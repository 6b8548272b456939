/**
 * Windowed tables: one row per key and window of event time.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import type { WindowStore } from '../state/store.ts';
import type { GraphNode, NodeSource } from '../stream/node.ts';
import { sourceNode } from '../stream/graph.ts';
import { templateStream } from '../stream/stream.ts';
import type { Stream } from '../stream/stream.ts';
import type { MakeOperator, TableKeyedBy, TablePort, WindowInfo } from '../stream/operator.ts';
import { closesAt, windowStart } from '../window/tumbling.ts';
import type { WindowDefinition } from '../window/tumbling.ts';
import { checkHome, liveCell, refOf } from './access.ts';
import type { LiveCell } from './access.ts';
import { mustKey, rowOf } from './definition.ts';
import type { TableDefinition, TableHost } from './definition.ts';
import type { DELETE } from '../stream/delete.ts';

/** The final result of a window, for one key. */
export interface ClosedWindow<K, V> {
  readonly key: K;
  readonly window: WindowInfo;
  readonly value: V;
}

/**
 * Keyed state per window. Methods but {@link WindowedTable.snapshot} and {@link WindowedTable.closed} work only while an event of the
 * owning task is processed, as those of `Table` do.
 *
 * An event belongs to the window that holds its event time. Once stream time has passed a window's end and grace the window is closed:
 * its events are late, counted, and change nothing.
 *
 * - *State*: one row per key and window until `retention` after the window's end.
 * - *Delivery*: exactly once; late events are dropped and counted.
 */
export class WindowedTable<K, V, R> implements TableKeyedBy<K, V, R>, TablePort {
  declare readonly '~keyedBy': (key: K) => { value: V; read: R };
  readonly name: string;
  /** @internal */
  readonly '~window': WindowDefinition;
  readonly #definition: TableDefinition;
  readonly #host: TableHost;
  #closed: GraphNode | undefined;

  /** @internal Use `app.table(…).tumbling(…)`. */
  constructor(definition: TableDefinition, window: WindowDefinition, host: TableHost) {
    this.name = definition.name;
    this['~window'] = window;
    this.#definition = definition;
    this.#host = host;
    host.declare(this);
  }

  /** The row of `key` in the window of the event that is being processed. @throws as `Table.get`. */
  current(key: K): R {
    const cell = liveCell(this.#host.processing, this.name);
    return this.#at(cell, key, cell.event.timestamp);
  }

  /** The row of `key` in the window that holds `time`, in milliseconds since 1970. @throws as `Table.get`. */
  at(key: K, time: number): R {
    return this.#at(liveCell(this.#host.processing, this.name), key, time);
  }

  /** Every window that holds a row of `key`, from the oldest on. @throws as `Table.get`. */
  *windows(key: K): IterableIterator<[WindowInfo, V]> {
    const cell = liveCell(this.#host.processing, this.name);
    const store = this.#store(cell);
    const ref = refOf(key, cell.event);
    checkHome(this.name, ref, cell);
    for (const start of store.starts(-Infinity, Infinity)) {
      const row = store.find(start, ref);
      const value = row === undefined ? undefined : store.read(row);
      if (value !== undefined) yield [this.#info(start), value as V];
    }
  }

  /**
   * Replaces the row of `key` in the window of the event that is being processed; see `Table.update`. For a window that is closed
   * the event is counted as late and nothing happens.
   */
  update(key: K, fn: (current: R) => V | typeof DELETE): void {
    const cell = liveCell(this.#host.processing, this.name);
    const start = this.#openWindow(cell, cell.event.timestamp);
    if (start === undefined) return;
    const store = this.#store(cell);
    const ref = refOf(key, cell.event);
    if (store.find(start, ref) === undefined) checkHome(this.name, ref, cell);
    const row = store.cell(start, ref);
    store.write(row, rowOf(this.name, fn(this.#orDefault(store.read(row)) as R)));
  }

  /**
   * Final results: each row of a window once, when the window closes, with the window's key; event time is the last millisecond of the
   * window. Each call is a stream of its own.
   *
   * - *Order*: windows of a key from the oldest on; rows of a window in no particular order.
   * - *Delivery*: in the commit that closes the window.
   */
  closed(): Stream<ClosedWindow<K, V>, K> {
    const source: NodeSource = { kind: 'closed', name: this.name };
    this.#closed ??= sourceNode('closed', source);
    return templateStream<ClosedWindow<K, V>, K>(this.#closed);
  }

  /** The committed rows of all partitions, from any process and without a worker; see `Table.snapshot`. */
  async *snapshot(): AsyncIterableIterator<ClosedWindow<K, V>> {
    for await (const [start, ref, value] of this.#host.windowRows(
      this.name,
      this.#definition.codec,
    ))
      yield { key: ref.key as K, window: this.#info(start), value: value as V };
  }

  /** @internal The source node of {@link WindowedTable.closed}, if it was called. */
  get '~closed'(): GraphNode | undefined {
    return this.#closed;
  }

  /** How it takes part in a graph. Not for programs. */
  '~update'(
    fn: (current: unknown, value: unknown) => unknown,
    at: ((value: unknown) => number) | undefined,
  ): MakeOperator {
    const { name } = this;
    return (output) => {
      let store: WindowStore | undefined;
      return (value, event) => {
        const cell = liveCell(this.#host.processing, name);
        const ref = mustKey(name, event);
        const time = at === undefined ? (event as EventCell).timestamp : at(value);
        if (!Number.isSafeInteger(time)) throw noTime(name, time);
        const start = this.#openWindow(cell, time);
        if (start === undefined) return undefined;
        store ??= this.#store(cell);
        const row = store.cell(start, ref);
        const previous = store.read(row);
        const next = rowOf(name, fn(this.#orDefault(previous), value));
        store.write(row, next);
        return output.next(
          { key: ref.key, value: next, previous, window: this.#info(start) },
          event,
        );
      };
    };
  }

  /** Start of the window of an event, or `undefined` (and counted) when it is closed. */
  #openWindow(cell: LiveCell, timestamp: number): number | undefined {
    const window = this['~window'];
    const start = windowStart(timestamp, window.sizeMs);
    // A window that was closed with a shorter grace stays closed.
    const open =
      closesAt(window, start) > cell.tables.streamTime &&
      start + window.sizeMs > this.#store(cell).closedTo;
    if (open) return start;
    cell.tables.late(this.name);
    return undefined;
  }

  #at(cell: LiveCell, key: K, time: number): R {
    const store = this.#store(cell);
    const ref: KeyRef = refOf(key, cell.event);
    const row = store.find(windowStart(time, this['~window'].sizeMs), ref);
    if (row === undefined) checkHome(this.name, ref, cell);
    return this.#orDefault(row === undefined ? undefined : store.read(row)) as R;
  }

  #orDefault(value: unknown): unknown {
    return value === undefined ? this.#definition.default?.() : value;
  }

  #info(start: number): WindowInfo {
    return { start, end: start + this['~window'].sizeMs };
  }

  #store(cell: LiveCell): WindowStore {
    return cell.tables.windowed(this.name, this.#definition.codec, this['~window']);
  }
}

function noTime(table: string, time: unknown): MillraceError {
  return new MillraceError(
    'MR_TIMESTAMP_INVALID',
    `the \`at\` function of update(${table}, …) gave ${String(time)}; return integer milliseconds since 1970`,
    { details: { table, timestamp: time } },
  );
}
