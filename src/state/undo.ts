/**
 * Taking back what an event did to the rows of a store.
 *
 * A write remembers what the cell was. A value that is an object may be changed in place by whoever got it, with no write at all: so the
 * first reading of an object by an event keeps what it was, and taking the event back puts that in its place.
 *
 * @module
 */
import type { Effects, Undo } from '../core/effects.ts';
import { DIRTY, isAbsent, rawOf, RAW, sameWrite, setRaw, setValue, written } from './cell.ts';
import type { Cell } from './cell.ts';

/** What a value is: its encoded bytes, or a copy that nobody else has. No value of a store that is copied is bytes. */
export type Image = Uint8Array | object;

/** What undoing needs of a store. */
export interface UndoStore {
  /** Whether the cell is in memory as the one of its key. */
  holds(cell: Cell): boolean;
  /** Whether the row is gone for good whatever happens to the cell: its window has expired. */
  gone(cell: Cell): boolean;
  /** The next commit writes the cell. */
  soil(cell: Cell): void;
  /** The next commit does not write the cell. */
  rinse(cell: Cell): void;
  /** The cell was made for nothing. */
  forget(cell: Cell): void;
}

/** Takes a write back. Made before the write. */
export class WriteUndo implements Undo {
  readonly #store: UndoStore;
  readonly #cell: Cell;
  readonly #value: unknown;
  readonly #at: number;
  readonly #state: number;
  readonly #taken: number;

  constructor(store: UndoStore, cell: Cell) {
    this.#store = store;
    this.#cell = cell;
    this.#value = cell.value;
    this.#at = cell.at;
    this.#state = cell.state;
    this.#taken = cell.taken;
  }

  undo(): boolean {
    const store = this.#store;
    const cell = this.#cell;
    if (store.gone(cell)) return true;
    if (!sameWrite(cell.state, written(this.#state)) || !store.holds(cell)) return false;
    const committed = cell.taken !== this.#taken;
    cell.value = this.#value;
    cell.at = this.#at;
    cell.state = (this.#state & ~DIRTY) | (cell.state & DIRTY);
    if (committed) store.soil(cell);
    else if ((this.#state & DIRTY) === 0) store.rinse(cell);
    forgetIfNew(store, cell);
    return true;
  }
}

/** Takes back that a cell was made for a row that was then not written. */
export class CellUndo implements Undo {
  readonly #store: UndoStore;
  readonly #cell: Cell;

  constructor(store: UndoStore, cell: Cell) {
    this.#store = store;
    this.#cell = cell;
  }

  undo(): boolean {
    if (this.#store.holds(this.#cell)) forgetIfNew(this.#store, this.#cell);
    return true;
  }
}

/** A cell without a row that no commit knows of leaves nothing behind. */
function forgetIfNew(store: UndoStore, cell: Cell): void {
  if (isAbsent(cell) && cell.taken === 0 && !cell.dirty) store.forget(cell);
}

/**
 * The event of `effects` gets the value of `cell`, an object: it is kept as it is now, unless that was done and nothing was written since.
 *
 * @param image Gives it as it is now; `undefined` if that is impossible, and then it cannot be put back.
 */
export function keepValue(
  store: UndoStore,
  cell: Cell,
  effects: Effects,
  image: () => Image | undefined,
): void {
  const last = effects.lastOf(cell);
  if (last instanceof Snapshot && last.covers(cell, effects)) return;
  effects.add(new Snapshot(store, cell, effects, image()));
}

/** A value as an event has got it. */
class Snapshot implements Undo {
  readonly subject: Cell;
  readonly #effects: Effects;
  readonly #state: number;
  readonly #marks: number;
  readonly #store: UndoStore;
  readonly #taken: number;
  readonly #image: Image | undefined;

  constructor(store: UndoStore, cell: Cell, effects: Effects, image: Image | undefined) {
    this.#store = store;
    this.subject = cell;
    this.#effects = effects;
    this.#state = cell.state;
    this.#marks = effects.marks;
    this.#taken = cell.taken;
    this.#image = image;
  }

  /** Whether it gives back what `effects` are about to get: there was no write since, and no point that they may go back to. */
  covers(cell: Cell, effects: Effects): boolean {
    return (
      effects === this.#effects &&
      effects.marks === this.#marks &&
      sameWrite(cell.state, this.#state)
    );
  }

  undo(): boolean {
    const cell = this.subject;
    const store = this.#store;
    if (store.gone(cell)) return true;
    const committed = cell.taken !== this.#taken;
    // Memory may have let go of a row that nobody wrote: what is stored is what it was.
    if (!store.holds(cell)) return !committed && sameWrite(cell.state, this.#state);
    const image = this.#image;
    if (image === undefined || !sameWrite(cell.state, this.#state)) return false;
    if (image instanceof Uint8Array) setRaw(cell, image, -1);
    else setValue(cell, image);
    // What was committed meanwhile may have been changed in place already.
    if (committed) store.soil(cell);
    return true;
  }
}

/** The bytes of a raw cell, to be kept. */
export function copyOfRaw(cell: Cell): Uint8Array | undefined {
  return (cell.state & RAW) === 0 ? undefined : new Uint8Array(rawOf(cell));
}
