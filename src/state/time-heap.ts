/**
 * Cells by the time at which to look at them: a binary heap, the least time on top.
 *
 * @module
 */
import type { Cell } from './cell.ts';

/** A cell may be in it several times, and stays until it is taken out. */
export class TimeHeap {
  readonly #times: number[] = [];
  readonly #cells: Cell[] = [];

  get size(): number {
    return this.#cells.length;
  }

  /** The least time; Infinity when it is empty. */
  get first(): number {
    return this.#times[0] ?? Infinity;
  }

  push(time: number, cell: Cell): void {
    let at = this.#cells.length;
    this.#times.push(time);
    this.#cells.push(cell);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((this.#times[parent] as number) <= time) break;
      this.#put(at, parent);
      at = parent;
    }
    this.#times[at] = time;
    this.#cells[at] = cell;
  }

  /** The cell with the least time, which leaves. */
  pop(): Cell | undefined {
    const first = this.#cells[0];
    const time = this.#times.pop() as number;
    const cell = this.#cells.pop() as Cell;
    const { length } = this.#cells;
    if (length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      const right = child + 1;
      if (right < length && (this.#times[right] as number) < (this.#times[child] as number))
        child = right;
      if ((this.#times[child] as number) >= time) break;
      this.#put(at, child);
      at = child;
    }
    this.#times[at] = time;
    this.#cells[at] = cell;
    return first;
  }

  #put(at: number, from: number): void {
    this.#times[at] = this.#times[from] as number;
    this.#cells[at] = this.#cells[from] as Cell;
  }
}
