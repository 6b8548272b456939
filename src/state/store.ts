/**
 * Stores: the rows of one table (or of one stateful operator) in one task, as cells in memory.
 *
 * A row that is written becomes dirty once per commit, however often it changes; the commit encodes each dirty row once. Rows that
 * come out of a checkpoint or a changelog keep their bytes until somebody reads them. A task that fails or loses its
 * ownership throws its stores away and loads what is stored: nothing here is undone by hand.
 *
 * @module
 */
import type { Codec } from '../codec/codec.ts';
import { keyRefFromBytes } from '../codec/key.ts';
import { MillraceError } from '../core/errors.ts';
import type { KeyRef } from '../core/event.ts';
import { expiredRow, keyedRow, rowPrefixes, windowedRow } from './row-key.ts';
import type { RowPrefixes } from './row-key.ts';

/** One row. `value` is `undefined` where there is no row. */
export interface Cell {
  value: unknown;
  /** Bytes that have not been decoded yet; then `value` means nothing. */
  raw: Uint8Array | undefined;
  dirty: boolean;
  readonly ref: KeyRef;
  /** Start of its window; NaN in a keyed store. */
  readonly start: number;
}

/** How a row of a dirty cell is handed to the changelog: `null` deletes it. */
export type WriteRow = (key: Uint8Array, value: Uint8Array | null) => void;

/** What both kinds of store have in common. */
abstract class Store {
  readonly name: string;
  protected readonly prefixes: RowPrefixes;
  #codec: Codec<unknown> | undefined;
  #dirty: Cell[] = [];

  constructor(name: string) {
    this.name = name;
    this.prefixes = rowPrefixes(name);
  }

  /** Number of rows, deleted ones that are not yet committed included. */
  abstract get size(): number;

  /** Says how values are encoded. Stores are recovered before anybody has said it. */
  use(codec: Codec<unknown>): void {
    this.#codec = codec;
  }

  /** The value of a cell, decoded at its first reading. */
  read(cell: Cell): unknown {
    if (cell.raw !== undefined) {
      cell.value = this.#mustCodec().decode(cell.raw);
      cell.raw = undefined;
    }
    return cell.value;
  }

  /** Gives a cell a value; `undefined` deletes the row. */
  write(cell: Cell, value: unknown): void {
    cell.raw = undefined;
    cell.value = value;
    if (!cell.dirty) {
      cell.dirty = true;
      this.#dirty.push(cell);
    }
  }

  /** Number of rows that the next commit will write. */
  get dirtyRows(): number {
    return this.#dirty.length;
  }

  /** Hands every dirty row to `write` and calls it clean. Rows that were deleted leave the store. */
  takeDirty(write: WriteRow): void {
    const codec = this.#dirty.length === 0 ? undefined : this.#mustCodec();
    for (const cell of this.#dirty) {
      cell.dirty = false;
      if (this.gone(cell)) continue;
      const key = this.rowKey(cell);
      if (cell.value === undefined) {
        this.forget(cell);
        write(key, null);
      } else {
        write(key, this.#encode(codec as Codec<unknown>, cell));
      }
    }
    this.#dirty = [];
  }

  protected abstract rowKey(cell: Cell): Uint8Array;
  /** The cell is no longer part of the store: its window has expired. */
  protected abstract gone(cell: Cell): boolean;
  protected abstract forget(cell: Cell): void;

  #encode(codec: Codec<unknown>, cell: Cell): Uint8Array {
    try {
      return codec.encode(cell.value);
    } catch (error) {
      throw new MillraceError(
        'MR_ENCODE_FAILED',
        `the row of key ${JSON.stringify(String(cell.ref.key)).slice(0, 80)} in table ${this.name} cannot be encoded as ${codec.name}; store plain data, or give the table a codec`,
        { cause: error, details: { table: this.name } },
      );
    }
  }

  #mustCodec(): Codec<unknown> {
    if (this.#codec === undefined)
      throw new MillraceError(
        'MR_INTERNAL',
        `store ${this.name} is used before its codec is known`,
        { domain: 'internal' },
      );
    return this.#codec;
  }
}

/** Rows by key. */
export class KeyedStore extends Store {
  readonly #cells = new Map<string, Cell>();

  get size(): number {
    return this.#cells.size;
  }

  /** The cell of a key, made if it is not there. */
  cell(ref: KeyRef): Cell {
    let cell = this.#cells.get(ref.id);
    if (cell === undefined) {
      cell = { value: undefined, raw: undefined, dirty: false, ref, start: Number.NaN };
      this.#cells.set(ref.id, cell);
    }
    return cell;
  }

  /** The cell of a key if it is there. */
  find(ref: KeyRef): Cell | undefined {
    return this.#cells.get(ref.id);
  }

  /** Every row, in no particular order. */
  *rows(): IterableIterator<readonly [ref: KeyRef, value: unknown]> {
    for (const cell of this.#cells.values()) {
      const value = this.read(cell);
      if (value !== undefined) yield [cell.ref, value];
    }
  }

  /** Takes a row from a checkpoint or changelog. */
  load(key: Uint8Array, value: Uint8Array | null): void {
    const ref = keyRefFromBytes(key);
    if (value === null) this.#cells.delete(ref.id);
    else
      this.#cells.set(ref.id, {
        value: undefined,
        raw: value,
        dirty: false,
        ref,
        start: Number.NaN,
      });
  }

  protected rowKey(cell: Cell): Uint8Array {
    return keyedRow(this.prefixes, cell.ref.bytes);
  }

  protected gone(): boolean {
    return false;
  }

  protected forget(cell: Cell): void {
    this.#cells.delete(cell.ref.id);
  }
}

/** Rows by window and key. Windows expire from the oldest on. */
export class WindowStore extends Store {
  /** Windows whose end is at or before this are closed for good. Kept and saved by the task. */
  closedTo: number = -Infinity;
  readonly #windows = new Map<number, Map<string, Cell>>();
  /** Starts of all windows, ascending. */
  readonly #starts: number[] = [];
  #keptFrom = -Infinity;
  #expiredTo = -Infinity;
  #lastStart = Number.NaN;
  #lastWindow: Map<string, Cell> | undefined;

  get size(): number {
    let size = 0;
    for (const window of this.#windows.values()) size += window.size;
    return size;
  }

  /** The cell of a key in the window that starts at `start`, made if it is not there. */
  cell(start: number, ref: KeyRef): Cell {
    const window = this.#window(start);
    let cell = window.get(ref.id);
    if (cell === undefined) {
      cell = { value: undefined, raw: undefined, dirty: false, ref, start };
      window.set(ref.id, cell);
    }
    return cell;
  }

  /** The cell of a key in a window if it is there. */
  find(start: number, ref: KeyRef): Cell | undefined {
    return this.#windows.get(start)?.get(ref.id);
  }

  /** Starts of the windows in `[from, below)`, ascending. */
  starts(from: number, below: number): readonly number[] {
    return this.#starts.slice(this.#lowerBound(from), this.#lowerBound(below));
  }

  /** Rows of one window, in no particular order. */
  *rows(start: number): IterableIterator<readonly [ref: KeyRef, value: unknown]> {
    for (const cell of this.#windows.get(start)?.values() ?? []) {
      const value = this.read(cell);
      if (value !== undefined) yield [cell.ref, value];
    }
  }

  /** Deletes every window that starts below `start`. */
  expire(start: number): void {
    if (start <= this.#keptFrom) return;
    this.#keptFrom = start;
    if (this.#drop(start)) this.#expiredTo = start;
  }

  /** The mark of expiry comes first: rows that are in the store now must be there after a replay. */
  override takeDirty(write: WriteRow): void {
    if (this.#expiredTo > -Infinity) {
      write(expiredRow(this.prefixes, this.#expiredTo), null);
      this.#expiredTo = -Infinity;
    }
    super.takeDirty(write);
  }

  /** Takes a row from a checkpoint or changelog. */
  load(start: number, key: Uint8Array, value: Uint8Array | null): void {
    const ref = keyRefFromBytes(key);
    if (value === null) this.#windows.get(start)?.delete(ref.id);
    else
      this.#window(start).set(ref.id, { value: undefined, raw: value, dirty: false, ref, start });
  }

  /**
   * Takes a mark of expiry from a changelog. It says nothing about what is written from now on: an app that has been given a longer
   * grace takes events for windows that it had let go of.
   */
  loadExpired(start: number): void {
    this.#drop(start);
  }

  protected rowKey(cell: Cell): Uint8Array {
    return windowedRow(this.prefixes, cell.start, cell.ref.bytes);
  }

  protected gone(cell: Cell): boolean {
    return cell.start < this.#keptFrom && this.find(cell.start, cell.ref) !== cell;
  }

  protected forget(cell: Cell): void {
    this.#windows.get(cell.start)?.delete(cell.ref.id);
  }

  /** Deletes every window that starts below `start`; tells whether there was one. */
  #drop(start: number): boolean {
    const count = this.#lowerBound(start);
    for (const gone of this.#starts.splice(0, count)) this.#windows.delete(gone);
    this.#lastStart = Number.NaN;
    this.#lastWindow = undefined;
    return count > 0;
  }

  #window(start: number): Map<string, Cell> {
    if (start === this.#lastStart && this.#lastWindow !== undefined) return this.#lastWindow;
    let window = this.#windows.get(start);
    if (window === undefined) {
      window = new Map();
      this.#windows.set(start, window);
      this.#starts.splice(this.#lowerBound(start), 0, start);
    }
    this.#lastStart = start;
    this.#lastWindow = window;
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
