/**
 * Rows: the cells of one table, or of one of its windows, over the rows of the checkpoint.
 *
 * As long as all rows are in memory they are *complete*: a miss is a miss. Once a row has been let go of, a miss asks the checkpoint. Only rows
 * that the checkpoint holds as they are may go; a hand goes round over the cells and takes those that nobody has looked for since it
 * came by last (the CLOCK algorithm: Corbató, "A paging experiment with the Multics system", 1968). So a hit costs a flag, and the hand
 * takes a bounded number of steps for each row that comes in.
 *
 * @module
 */
import { compareKeyIds, keyBytesOfId, keyIdAt } from '../codec/key.ts';
import type { KeyRef } from '../core/event.ts';
import type { StateBase } from './base.ts';
import { DIRTY, isAbsent, setRaw, USED } from './cell.ts';
import type { Cell } from './cell.ts';
import type { Horizon } from './horizon.ts';
import { KeyOrder } from './key-order.ts';
import { afterPrefix } from './row-key.ts';

/** How many cells the hand may look at for each one that is to go. */
const STEPS = 4;

/** Where rows come from. */
export interface RowSource {
  /** `undefined`: everything stays in memory. */
  readonly base: StateBase | undefined;
  readonly horizon: Horizon;
  /** Whether memory holds all there is when the rows are made. */
  readonly complete: boolean;
}

/** Cells by key. */
export class Rows<C extends Cell> {
  /** What stands in front of the canonical key in the row keys of these rows. */
  readonly prefix: Buffer;
  readonly #cells = new Map<string, C>();
  readonly #make: (id: string) => C;
  readonly #source: RowSource;
  #complete: boolean;
  /** Id that was looked for last, and that the checkpoint does not know. */
  #missed: string | undefined;
  #hand: Iterator<C, undefined> | undefined;
  /** Deleted rows that the checkpoint may still have. */
  #deleted: C[] = [];
  /** The cells in order of their keys, from the first range on. */
  #order: KeyOrder<C> | undefined;

  constructor(prefix: Buffer, source: RowSource, make: (id: string) => C) {
    this.prefix = prefix;
    this.#source = source;
    this.#complete = source.complete || source.base === undefined;
    this.#make = make;
  }

  /** Cells in memory. */
  get size(): number {
    return this.#cells.size;
  }

  /** Whether memory holds all there is. */
  get complete(): boolean {
    return this.#complete;
  }

  /** The cell of a key, if there is a row or was one lately. */
  find(ref: KeyRef): C | undefined {
    const cell = this.#cells.get(ref.id);
    if (this.#complete) return cell;
    if (cell === undefined) return this.#fetch(ref.id);
    cell.state |= USED;
    return cell;
  }

  /** The cell of a key, made if it is not there. */
  cell(ref: KeyRef): C {
    let cell = this.find(ref);
    if (cell === undefined) {
      cell = this.#make(ref.id);
      this.#add(cell);
    }
    return cell;
  }

  /** The cell of an id that a checkpoint or changelog has named, made if memory does not have it. Nobody asks the checkpoint. */
  load(id: string, commit: number): C {
    // A checkpoint names each row once, and memory is empty before it is loaded.
    let cell = commit === 0 ? undefined : this.#cells.get(id);
    if (cell === undefined) {
      cell = this.#make(id);
      this.#add(cell);
    }
    return cell;
  }

  /** Whatever memory has of an id goes. Only where nothing lies below. */
  drop(id: string): void {
    const cell = this.#cells.get(id);
    if (cell !== undefined) this.forget(cell);
  }

  /** Whether a cell is the one of its key. */
  has(cell: C): boolean {
    return this.#cells.get(cell.id) === cell;
  }

  /** Cells in memory, in no particular order. */
  cells(): IterableIterator<C> {
    return this.#cells.values();
  }

  /** A cell of no row and no meaning any more. */
  forget(cell: C): void {
    this.#remove(cell);
    this.#source.horizon.drop(cell.taken);
  }

  /** A row was deleted by a commit: it goes now, or when the checkpoint knows of it. */
  bury(cell: C): void {
    if (this.#source.base === undefined) this.forget(cell);
    else this.#deleted.push(cell);
  }

  /** The checkpoint has moved on: deletions that it knows of need not be remembered. */
  clean(): void {
    if (this.#deleted.length === 0) return;
    const { checkpointed } = this.#source.horizon;
    this.#deleted = this.#deleted.filter((cell) => {
      if (!isAbsent(cell) || cell.dirty || !this.has(cell)) return false;
      if (cell.taken > checkpointed) return true;
      this.forget(cell);
      return false;
    });
  }

  /** Lets go of up to `count` rows that the checkpoint holds, and looks at a few times as many. */
  evict(count: number): void {
    const { base, horizon } = this.#source;
    if (base === undefined) return;
    const { checkpointed } = horizon;
    let left = count;
    let ends = 0;
    for (let steps = STEPS * count; steps > 0 && left > 0; steps--) {
      this.#hand ??= this.#cells.values();
      const next = this.#hand.next();
      if (next.done === true) {
        this.#hand = undefined;
        if (++ends > 2) return;
        continue;
      }
      const cell = next.value;
      if ((cell.state & DIRTY) !== 0 || cell.taken > checkpointed) continue;
      if ((cell.state & USED) !== 0) {
        cell.state &= ~USED;
        continue;
      }
      this.#remove(cell);
      this.#complete = false;
      left--;
    }
  }

  /**
   * Cells by ascending canonical key, from `from` (included) to `to` (not included), those that memory does not hold among them: they are the
   * caller's alone. What is added meanwhile may be missing.
   */
  *range(from?: Uint8Array, to?: Uint8Array): Generator<C> {
    const first = from === undefined ? undefined : idOf(from);
    const end = to === undefined ? undefined : idOf(to);
    this.#order ??= new KeyOrder(this.#cells.values());
    // Cells that are let go of while the caller goes through them still have their values.
    const cells = this.#order.slice(first, end);
    let at = 0;
    if (!this.#complete)
      for (const [rowKey, value] of this.#stored(from, to)) {
        const id = idOf(rowKey.subarray(this.prefix.length));
        while (at < cells.length && compareKeyIds((cells[at] as C).id, id) < 0)
          yield cells[at++] as C;
        if (cells[at]?.id === id) yield cells[at++] as C;
        else yield this.#cells.get(id) ?? rawCell(this.#make(id), value);
      }
    while (at < cells.length) yield cells[at++] as C;
  }

  /** The rows that the checkpoint has, from `from` on, as memory has them, or as cells that are the caller's alone. */
  *stored(from: Uint8Array | undefined): Generator<C> {
    for (const [rowKey, value] of this.#stored(from, undefined)) {
      const id = idOf(rowKey.subarray(this.prefix.length));
      yield this.#cells.get(id) ?? rawCell(this.#make(id), value);
    }
  }

  /** The cell of the key of `cell`: the one that memory has, or `cell` itself from now on. */
  keep(cell: C): C {
    const own = this.#cells.get(cell.id);
    if (own === undefined) this.#add(cell);
    return own ?? cell;
  }

  #stored(
    from: Uint8Array | undefined,
    to: Uint8Array | undefined,
  ): Iterable<readonly [Uint8Array, Uint8Array]> {
    const prefix = this.prefix;
    return (this.#source.base as StateBase).range(
      from === undefined ? prefix : Buffer.concat([prefix, from]),
      to === undefined ? afterPrefix(prefix) : Buffer.concat([prefix, to]),
    );
  }

  #fetch(id: string): C | undefined {
    if (id === this.#missed) return undefined;
    const value = (this.#source.base as StateBase).get(keyBytesOfId(id, this.prefix));
    if (value === undefined) {
      this.#missed = id;
      return undefined;
    }
    const cell = rawCell(this.#make(id), value);
    cell.state |= USED;
    this.#add(cell);
    return cell;
  }

  #add(cell: C): void {
    this.#missed = undefined;
    this.#cells.set(cell.id, cell);
    this.#order?.add(cell);
  }

  #remove(cell: C): void {
    this.#cells.delete(cell.id);
    this.#order?.remove(cell);
  }
}

function idOf(key: Uint8Array): string {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  return keyIdAt(bytes, 0, bytes.length);
}

function rawCell<C extends Cell>(cell: C, value: Uint8Array): C {
  setRaw(cell, value, -1);
  return cell;
}
