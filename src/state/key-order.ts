/**
 * Cells in the order of their canonical keys, for tables that are asked for ranges.
 *
 * They stand in chunks of at most {@link CHUNK}, sorted within and among each other: a change is two binary searches and moves one chunk.
 *
 * @module
 */
import { compareKeyIds } from '../codec/key.ts';
import type { Cell } from './cell.ts';

const CHUNK = 512;

/** A sorted set of cells; no two have the same key. */
export class KeyOrder<C extends Cell> {
  readonly #chunks: C[][] = [];

  constructor(cells: Iterable<C>) {
    const sorted = [...cells].toSorted((a, b) => compareKeyIds(a.id, b.id));
    for (let at = 0; at < sorted.length; at += CHUNK)
      this.#chunks.push(sorted.slice(at, at + CHUNK));
  }

  add(cell: C): void {
    const chunks = this.#chunks;
    const at = Math.min(this.#chunkOf(cell.id), Math.max(0, chunks.length - 1));
    const chunk = chunks[at];
    if (chunk === undefined) {
      chunks.push([cell]);
      return;
    }
    chunk.splice(lowerBound(chunk, cell.id), 0, cell);
    if (chunk.length > CHUNK) chunks.splice(at + 1, 0, chunk.splice(CHUNK / 2));
  }

  remove(cell: C): void {
    const at = this.#chunkOf(cell.id);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return;
    const index = lowerBound(chunk, cell.id);
    if (chunk[index] !== cell) return;
    chunk.splice(index, 1);
    if (chunk.length === 0) this.#chunks.splice(at, 1);
  }

  /** The cells from id `from` (included) to `to` (not included) as they are now; both ends are open when left out. */
  slice(from: string | undefined, to: string | undefined): C[] {
    const cells: C[] = [];
    for (let at = from === undefined ? 0 : this.#chunkOf(from); at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] as C[];
      const first = from === undefined ? 0 : lowerBound(chunk, from);
      const end = to === undefined ? chunk.length : lowerBound(chunk, to);
      for (let i = first; i < end; i++) cells.push(chunk[i] as C);
      if (end < chunk.length) break;
    }
    return cells;
  }

  /** The first chunk whose last key is not below `id`; the number of chunks if there is none. */
  #chunkOf(id: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const last = (this.#chunks[middle] as C[]).at(-1) as C;
      if (compareKeyIds(last.id, id) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Index of the first cell whose key is not below `id`. */
function lowerBound(cells: readonly Cell[], id: string): number {
  let low = 0;
  let high = cells.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeyIds((cells[middle] as Cell).id, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
