/**
 * Rows that were written by events which are under way beside others and may still fail: whoever reads one builds on it.
 *
 * A write that somebody else has read cannot be taken back alone. Of several open writes of a row the last one is what a reader sees; an older one
 * cannot be taken back alone anyway, since it was written over.
 *
 * @module
 */
import type { Effects, Undo } from '../core/effects.ts';
import type { Cell } from './cell.ts';

/** The open writes of one store. */
export class OpenWrites {
  readonly #last = new Map<Cell, OpenWrite>();

  /** The event of `effects` writes a cell, and `undo` takes that back. */
  add(cell: Cell, effects: Effects, undo: Undo): void {
    effects.add(new OpenWrite(this.#last, cell, effects, undo));
  }

  /** The event of `effects` reads a cell. */
  read(cell: Cell, effects: Effects): void {
    if (this.#last.size === 0) return;
    const write = this.#last.get(cell);
    if (write === undefined || write.effects === effects) return;
    write.readers++;
    effects.add({
      undo: () => {
        write.readers--;
        return true;
      },
    });
  }
}

/** A write of an event that is not finished. */
class OpenWrite implements Undo {
  readonly effects: Effects;
  /** Other events that have read it, and were not taken back. */
  readers = 0;
  readonly #last: Map<Cell, OpenWrite>;
  readonly #cell: Cell;
  readonly #undo: Undo;
  /** Open writes of the same cell. */
  #before: OpenWrite | undefined;
  #behind: OpenWrite | undefined;

  constructor(last: Map<Cell, OpenWrite>, cell: Cell, effects: Effects, undo: Undo) {
    this.effects = effects;
    this.#last = last;
    this.#cell = cell;
    this.#undo = undo;
    this.#before = last.get(cell);
    if (this.#before !== undefined) this.#before.#behind = this;
    last.set(cell, this);
  }

  undo(): boolean {
    this.end();
    return this.#undo.undo() && this.readers === 0;
  }

  /** It is open no more. */
  end(): void {
    const before = this.#before;
    const behind = this.#behind;
    if (before !== undefined) before.#behind = behind;
    if (behind !== undefined) behind.#before = before;
    else if (before !== undefined) this.#last.set(this.#cell, before);
    else this.#last.delete(this.#cell);
  }
}
