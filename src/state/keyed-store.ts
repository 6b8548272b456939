/**
 * Rows by key.
 *
 * @module
 */
import type { Effects } from '../core/effects.ts';
import type { KeyRef } from '../core/event.ts';
import { keyIdAt, keyRefOfId } from '../codec/key.ts';
import { BaseStore } from './base-store.ts';
import { Cell, RAW, setRaw } from './cell.ts';
import type { RawRows } from './cell.ts';
import { Horizon } from './horizon.ts';
import { Rows } from './rows.ts';
import type { RowSource } from './rows.ts';

/** A row as it is handed out. */
export type KeyedRow = readonly [ref: KeyRef, value: unknown];

/** Everything in memory, nothing below. */
export function memoryOnly(): RowSource {
  return { base: undefined, horizon: new Horizon(false), complete: true };
}

/** The rows of a table without windows, or of a stateful operator. */
export class KeyedStore extends BaseStore<Cell> {
  protected readonly all: Rows<Cell>;

  /** `source` says where the rows come from; default: memory alone. */
  constructor(name: string, source: RowSource = memoryOnly()) {
    super(name, source);
    this.all = new Rows(this.prefix, source, (id) => new Cell(id));
  }

  /** In front of the keys of its rows. */
  get prefix(): Buffer {
    return this.prefixes.keyed;
  }

  get size(): number {
    return this.all.size;
  }

  /** Whether memory holds all rows. */
  get complete(): boolean {
    return this.all.complete;
  }

  /** The cell of a key, made if it is not there. */
  cell(ref: KeyRef): Cell {
    return this.all.cell(ref);
  }

  /** The cell of a key if it is there. It may say that there is no row. */
  find(ref: KeyRef): Cell | undefined {
    return this.all.find(ref);
  }

  /** Every row, in no particular order. Rows that are added meanwhile may be missing. With `effects` as {@link BaseStore.read}. */
  *rows(effects: Effects | null = null): IterableIterator<KeyedRow> {
    yield* this.#hand(this.all.complete ? this.all.cells() : this.all.range(), effects);
  }

  /**
   * Rows by ascending canonical key (strings by their UTF-8 bytes), from `from` (included) to `to` (not included), both canonical bytes. Rows
   * that are added meanwhile may be missing. With `effects` as {@link BaseStore.read}.
   */
  *range(
    from?: Uint8Array,
    to?: Uint8Array,
    effects: Effects | null = null,
  ): IterableIterator<KeyedRow> {
    yield* this.#hand(this.all.range(from, to), effects);
  }

  /** Takes a row from a changelog; commit 0: from a checkpoint. */
  load(key: Uint8Array, value: Uint8Array | null, commit: number = 0): void {
    const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
    this.loadId(keyIdAt(bytes, 0, bytes.length), value, -1, commit);
  }

  /** The same for the row of an id, with its bytes among others: row `at` of `rows`. */
  loadId(id: string, rows: RawRows | Uint8Array | null, at: number, commit: number): void {
    if (rows === null && this.source.base === undefined) {
      this.all.drop(id);
      return;
    }
    const cell = this.all.load(id, commit);
    this.source.horizon.take(cell.taken, commit);
    cell.taken = commit;
    if (rows === null) {
      cell.value = undefined;
      cell.state &= ~RAW;
      this.all.bury(cell);
    } else setRaw(cell, rows, at);
  }

  /** See {@link Rows.evict}. */
  evict(count: number): void {
    this.all.evict(count);
  }

  /** See {@link Rows.clean}. */
  clean(): void {
    this.all.clean();
  }

  override holds(cell: Cell): boolean {
    return this.all.has(cell);
  }

  override gone(_cell: Cell): boolean {
    return false;
  }

  override forget(cell: Cell): void {
    this.all.forget(cell);
  }

  protected override bury(cell: Cell): void {
    this.all.bury(cell);
  }

  protected override prefixOf(): Uint8Array {
    return this.all.prefix;
  }

  *#hand(cells: Iterable<Cell>, effects: Effects | null): IterableIterator<KeyedRow> {
    for (const cell of cells) {
      // What memory does not hold is the caller's alone.
      const value = this.read(cell, effects !== null && this.all.has(cell) ? effects : null);
      if (value !== undefined) yield [keyRefOfId(cell.id), value];
    }
  }
}
