/**
 * Windowed tables: one row per key and window of event time.
 *
 * @module
 */
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import { isPromise } from '../core/types.ts';
import type { WindowStore } from '../state/store.ts';
import type { GraphNode, NodeSource } from '../stream/node.ts';
import { sourceNode } from '../stream/graph.ts';
import { templateStream } from '../stream/stream.ts';
import type { Stream } from '../stream/stream.ts';
import type { MakeOperator, TableKeyedBy, TablePort, WindowInfo } from '../stream/operator.ts';
import { firstOpenStart, firstStart, lastStart } from '../window/assign.ts';
import { wholeMs } from '../window/definition.ts';
import type { WindowDefinition } from '../window/definition.ts';
import { checkHome, finished, liveCell, refOf } from './access.ts';
import type { LiveCell } from './access.ts';
import { rowOf } from './definition.ts';
import type { TableDefinition, TableHost } from './definition.ts';
import { streamTimeOf } from './processing.ts';
import { LateOutput } from './late.ts';
import { waitFor } from './processing.ts';
import { queryRow } from './query.ts';
import type { WindowQueryOptions } from './query.ts';
import type { Question } from './question.ts';
import type { DELETE } from '../stream/delete.ts';
import { checkedRelativeTo, checkWindowOptions } from './window-options.ts';
import type { WindowOptions } from './window-options.ts';
import { windowUpdate } from './window-update.ts';

/** The final result of a window, for one key. */
export interface ClosedWindow<K, V> {
  readonly key: K;
  readonly window: WindowInfo;
  readonly value: V;
}

/**
 * Keyed state per window. Methods but {@link WindowedTable.query}, {@link WindowedTable.snapshot} and {@link WindowedTable.closed} work only
 * while an event of the owning task is processed, as those of `Table` do.
 *
 * An event belongs to every window that holds its event time: one where windows do not overlap. Once stream time has passed a window's end
 * and grace the window is closed: its events are late, counted, and change nothing. An event that some of its windows are closed to still
 * changes the others.
 *
 * - *State*: one row per key and window until `retention` after the window's end.
 * - *Delivery*: exactly once; late events are counted, and go where `onLate` says.
 */
export class WindowedTable<K, V, R> implements TableKeyedBy<K, V, R>, TablePort {
  declare readonly '~keyedBy': (key: K) => { value: V; read: R };
  readonly name: string;
  /** @internal */
  readonly '~window': WindowDefinition;
  readonly #definition: TableDefinition;
  readonly #host: TableHost;
  readonly #late: LateOutput;
  readonly #relativeTo: 'stream' | 'now';
  #closed: GraphNode | undefined;

  /** @internal Use `app.table(…).tumbling(…)` or `.hopping(…)`. */
  constructor(
    definition: TableDefinition,
    window: WindowDefinition,
    host: TableHost,
    options: WindowOptions<K> = {},
  ) {
    this.name = definition.name;
    checkWindowOptions(definition.name, options);
    this['~window'] = window;
    this.#definition = definition;
    this.#host = host;
    this.#late = new LateOutput(definition.name, window, options.onLate);
    this.#relativeTo = checkedRelativeTo(options.relativeTo);
    host.declare(this);
  }

  /** The row of `key` in the window of the event that is being processed, the latest one where windows overlap. @throws as `Table.get`. */
  current(key: K): R {
    const cell = liveCell(this.#host.processing, this.name);
    return this.#at(cell, key, cell.event.timestamp);
  }

  /**
   * The row of `key` in the window that holds the stream time of the task, which is ahead of an event that comes out of order; with
   * `relativeTo: 'now'`, in the window that holds the wall clock. The latest one where windows overlap. While stream time is not known, the same
   * as {@link WindowedTable.current}. @throws as `Table.get`.
   */
  now(key: K): R {
    const cell = liveCell(this.#host.processing, this.name);
    const streamTime = streamTimeOf(cell);
    if (this.#relativeTo === 'now') return this.#at(cell, key, this.#host.clock.now());
    return this.#at(cell, key, Number.isFinite(streamTime) ? streamTime : cell.event.timestamp);
  }

  /**
   * The row of `key` in the window that was the current one `back` before the event. @throws as `Table.get`; `MR_OPTION_INVALID` for what is no
   * whole number of milliseconds.
   */
  delta(key: K, back: Duration): R {
    const cell = liveCell(this.#host.processing, this.name);
    return this.#at(cell, key, cell.event.timestamp - wholeMs(back, 'back', 0));
  }

  /**
   * The row of `key` in the window that holds `time`, in milliseconds since 1970; the latest one where windows overlap. @throws as
   * `Table.get`.
   */
  at(key: K, time: number): R {
    return this.#at(liveCell(this.#host.processing, this.name), key, this.#checkedTime(time));
  }

  /** Every window that holds a row of `key`, from the oldest on. @throws as `Table.get`. */
  windows(key: K): IterableIterator<[WindowInfo, V]> {
    const cell = liveCell(this.#host.processing, this.name);
    const ref = refOf(key, cell.event);
    checkHome(this.name, ref, cell);
    return this.#windows(cell, cell.event, ref);
  }

  *#windows(cell: LiveCell, event: EventCell, ref: KeyRef): IterableIterator<[WindowInfo, V]> {
    const store = this.#store(cell);
    for (const start of store.starts(-Infinity, Infinity)) {
      if (cell.event !== event) throw finished(this.name);
      const row = store.find(start, ref);
      const value = row === undefined ? undefined : store.read(row, event.effects);
      if (value !== undefined) yield [this.#info(start), value as V];
    }
  }

  /**
   * Replaces the row of `key` in each window of the event that is being processed; see `Table.update`. Windows that are closed are passed
   * over, and the event is counted as late for each of them.
   */
  update(key: K, fn: (current: R) => V | typeof DELETE): void {
    const cell = liveCell(this.#host.processing, this.name);
    const window = this['~window'];
    const store = this.#store(cell);
    const ref = refOf(key, cell.event);
    const { timestamp: time, effects } = cell.event;
    const last = lastStart(window, time);
    const first = firstStart(window, time);
    const open = firstOpenStart(window, first, streamTimeOf(cell), store.closedTo);
    if (store.find(last, ref) === undefined) checkHome(this.name, ref, cell);
    if (open > first) {
      const missed = { time, first, last: Math.min(open - window.stepMs, last) };
      const told = this.#late.tell(cell, cell.event, ref, undefined, missed);
      if (isPromise(told)) waitFor(cell, told);
    }
    for (let start = open; start <= last; start += window.stepMs) {
      const row = store.cell(start, ref);
      const next = rowOf(this.name, fn(this.#orDefault(store.read(row, effects)) as R));
      store.write(row, next, effects);
    }
  }

  /**
   * Final results: each row of a window once, when the window closes, with the window's key; event time is the last millisecond of the
   * window. Each call is a stream of its own.
   *
   * - *Order*: windows of a key by their ends; rows of a window in no particular order.
   * - *Delivery*: in the commit that closes the window.
   */
  closed(): Stream<ClosedWindow<K, V>, K> {
    const source: NodeSource = { kind: 'closed', name: this.name };
    this.#closed ??= sourceNode('closed', source);
    return templateStream<ClosedWindow<K, V>, K>(this.#closed);
  }

  /**
   * The committed row of `key` in one window, from anywhere; see `Table.query`, which has its errors. `{ at }` says which window; where windows
   * overlap it is the latest one that holds the time. While the owner knows no stream time, no row is found.
   */
  async query(key: K, options: WindowQueryOptions = {}): Promise<R> {
    const window = this.#asked(options.at ?? 'now');
    return this.#orDefault(await queryRow(this.#host, this.#definition, key, window, options)) as R;
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
    return windowUpdate({
      table: this.name,
      window: this['~window'],
      late: this.#late,
      cell: () => liveCell(this.#host.processing, this.name),
      store: (cell) => this.#store(cell),
      next: (row, value) => rowOf(this.name, fn(this.#orDefault(row), value)),
      at,
    });
  }

  #at(cell: LiveCell, key: K, time: number): R {
    const store = this.#store(cell);
    const ref: KeyRef = refOf(key, cell.event);
    const row = store.find(lastStart(this['~window'], time), ref);
    if (row === undefined) checkHome(this.name, ref, cell);
    return this.#orDefault(
      row === undefined ? undefined : store.read(row, cell.event.effects),
    ) as R;
  }

  #asked(at: number | 'now'): Question['window'] {
    const window = this['~window'];
    if (at !== 'now') return { start: lastStart(window, this.#checkedTime(at)) };
    return this.#relativeTo === 'now'
      ? { start: lastStart(window, this.#host.clock.now()) }
      : { current: { stepMs: window.stepMs } };
  }

  #checkedTime(time: number): number {
    if (Number.isSafeInteger(time)) return time;
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `table ${this.name} was asked for the window at ${String(time)}; give integer milliseconds since 1970`,
      { details: { table: this.name } },
    );
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
