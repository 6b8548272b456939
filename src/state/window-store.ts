/**
 * Rows by window and key.
 *
 * Which windows there are is always known; the rows of those that came out of a checkpoint may have to be looked up there. A window that
 * begins in this life of the task is complete from the start.
 *
 * @module
 */
import type { Effects } from '../core/effects.ts';
import type { KeyRef } from '../core/event.ts';
import { keyIdAt, keyRefOfId } from '../codec/key.ts';
import { BaseStore } from './base-store.ts';
import type { RowWriter } from './base-store.ts';
import { Cell, RAW, setRaw } from './cell.ts';
import type { RawRows } from './cell.ts';
import { memoryOnly } from './keyed-store.ts';
import type { KeyedRow } from './keyed-store.ts';
import { afterPrefix, expiredRow, readRow, windowedRow } from './row-key.ts';
import type { RowPrefixes } from './row-key.ts';
import type { StateBase } from './base.ts';
import { Rows } from './rows.ts';
import type { RowSource } from './rows.ts';

/** A row of a window. */
export class WindowCell extends Cell {
  readonly window: Window;

  constructor(id: string, window: Window) {
    super(id);
    this.window = window;
  }

  /** Start of its window. */
  get start(): number {
    return this.window.start;
  }
}

/** A window and its rows. */
interface Window {
  readonly start: number;
  readonly rows: Rows<WindowCell>;
}

/** The rows of a windowed table. What expires is not brought back when an event is undone: it happens between events. */
export class WindowStore extends BaseStore<WindowCell> {
  /** Windows whose end is at or before this are closed for good. Kept and saved by the task. */
  closedTo: number = -Infinity;
  readonly #windows = new Map<number, Window>();
  /** Starts of all windows, ascending. */
  readonly #starts: number[] = [];
  #keptFrom = -Infinity;
  #expiredTo = -Infinity;
  #lastWindow: Window | undefined;

  /** `source` says where the rows come from; default: memory alone. */
  constructor(name: string, source: RowSource = memoryOnly()) {
    super(name, source);
    if (source.base === undefined || source.complete) return;
    for (const start of storedStarts(this.prefixes, source.base)) this.#add(start, source.complete);
  }

  get size(): number {
    let size = 0;
    for (const { rows } of this.#windows.values()) size += rows.size;
    return size;
  }

  /** The cell of a key in the window that starts at `start`, made if it is not there. */
  cell(start: number, ref: KeyRef): WindowCell {
    return this.#window(start).rows.cell(ref);
  }

  /** The cell of a key in a window if it is there. It may say that there is no row. */
  find(start: number, ref: KeyRef): WindowCell | undefined {
    return this.#windows.get(start)?.rows.find(ref);
  }

  /** Starts of the windows in `[from, below)`, ascending. */
  starts(from: number, below: number): readonly number[] {
    return this.#starts.slice(this.#lowerBound(from), this.#lowerBound(below));
  }

  /** Rows of one window, in no particular order. With `effects` as {@link BaseStore.read}. */
  *rows(start: number, effects: Effects | null = null): IterableIterator<KeyedRow> {
    const rows = this.#windows.get(start)?.rows;
    if (rows !== undefined)
      yield* this.#hand(rows, rows.complete ? rows.cells() : rows.range(), effects);
  }

  /** Rows of one window by ascending canonical key; see `KeyedStore.range`. */
  *range(
    start: number,
    from?: Uint8Array,
    to?: Uint8Array,
    effects: Effects | null = null,
  ): IterableIterator<KeyedRow> {
    const rows = this.#windows.get(start)?.rows;
    if (rows !== undefined) yield* this.#hand(rows, rows.range(from, to), effects);
  }

  /** Deletes every window that starts below `start`. */
  expire(start: number): void {
    if (start <= this.#keptFrom) return;
    this.#keptFrom = start;
    if (this.#drop(start)) this.#expiredTo = start;
  }

  /** The mark of expiry comes first: rows that are in the store now must be there after a replay. */
  override takeDirty(writer: RowWriter, commit: number = 0): void {
    if (this.#expiredTo > -Infinity) {
      writer.add(0, expiredRow(this.prefixes, this.#expiredTo), null);
      this.#expiredTo = -Infinity;
    }
    super.takeDirty(writer, commit);
  }

  /** Takes a row from a changelog; commit 0: from a checkpoint. */
  load(start: number, key: Uint8Array, value: Uint8Array | null, commit: number = 0): void {
    const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
    this.loadId(start, keyIdAt(bytes, 0, bytes.length), value, -1, commit);
  }

  /** The same for the row of an id, with its bytes among others: row `at` of `rows`. */
  loadId(
    start: number,
    id: string,
    rows: RawRows | Uint8Array | null,
    at: number,
    commit: number,
  ): void {
    if (rows === null && this.source.base === undefined) {
      this.#windows.get(start)?.rows.drop(id);
      return;
    }
    const window = this.#window(start);
    const cell = window.rows.load(id, commit);
    this.source.horizon.take(cell.taken, commit);
    cell.taken = commit;
    if (rows === null) {
      cell.value = undefined;
      cell.state &= ~RAW;
      window.rows.bury(cell);
    } else setRaw(cell, rows, at);
  }

  /**
   * Takes a mark of expiry from a changelog. It says nothing about what is written from now on: an app that has been given a longer
   * grace takes events for windows that it had let go of.
   */
  loadExpired(start: number): void {
    this.#drop(start);
  }

  /** Lets go of rows that the checkpoint holds, `count` of them over all windows; see {@link Rows.evict}. */
  evict(count: number): void {
    const { size } = this;
    for (const { rows } of this.#windows.values())
      if (rows.size > 0) rows.evict(Math.ceil((count * rows.size) / size));
  }

  /** See {@link Rows.clean}. */
  clean(): void {
    for (const { rows } of this.#windows.values()) rows.clean();
  }

  override holds(cell: WindowCell): boolean {
    return this.#windows.get(cell.start) === cell.window && cell.window.rows.has(cell);
  }

  override gone(cell: WindowCell): boolean {
    return this.#windows.get(cell.start) !== cell.window;
  }

  override forget(cell: WindowCell): void {
    cell.window.rows.forget(cell);
  }

  protected override bury(cell: WindowCell): void {
    cell.window.rows.bury(cell);
  }

  protected override prefixOf(cell: WindowCell): Uint8Array {
    return cell.window.rows.prefix;
  }

  *#hand(
    rows: Rows<WindowCell>,
    cells: Iterable<WindowCell>,
    effects: Effects | null,
  ): IterableIterator<KeyedRow> {
    for (const cell of cells) {
      // What memory does not hold is the caller's alone.
      const value = this.read(cell, effects !== null && rows.has(cell) ? effects : null);
      if (value !== undefined) yield [keyRefOfId(cell.id), value];
    }
  }

  /** Deletes every window that starts below `start`; tells whether there was one. */
  #drop(start: number): boolean {
    const count = this.#lowerBound(start);
    const { horizon } = this.source;
    for (const gone of this.#starts.splice(0, count)) {
      if (horizon.follows)
        for (const cell of (this.#windows.get(gone) as Window).rows.cells())
          horizon.drop(cell.taken);
      this.#windows.delete(gone);
    }
    this.#lastWindow = undefined;
    return count > 0;
  }

  #window(start: number): Window {
    if (this.#lastWindow?.start === start) return this.#lastWindow;
    return (this.#lastWindow = this.#windows.get(start) ?? this.#add(start, true));
  }

  #add(start: number, complete: boolean): Window {
    const prefix = windowedRow(this.prefixes, start, new Uint8Array());
    const window: Window = {
      start,
      rows: new Rows<WindowCell>(
        prefix,
        { ...this.source, complete },
        (id) => new WindowCell(id, window),
      ),
    };
    this.#windows.set(start, window);
    this.#starts.splice(this.#lowerBound(start), 0, start);
    return window;
  }

  #lowerBound(start: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Starts of the windows that have rows in a checkpoint, each found with one look. */
function* storedStarts(prefixes: RowPrefixes, base: StateBase): Generator<number> {
  let from: Uint8Array = prefixes.windowed;
  const end = afterPrefix(from);
  for (;;) {
    const rowKey = base.next(from);
    if (rowKey === undefined || Buffer.compare(rowKey, end) >= 0) return;
    const { start } = readRow(rowKey);
    yield start;
    from = windowedRow(prefixes, start + 1, new Uint8Array());
  }
}
