/**
 * What becomes of a page: its rows and the changes to them, merged and cut into pages again.
 *
 * @module
 */
import { MAX_PAGE_BYTES, PAGE_ENTRY_BYTES, PAGE_HEADER_BYTES, sealPage } from './page.ts';
import type { Page } from './page.ts';

/** Pages that are split are filled to this, so that what comes next has room. */
const FILL_BYTES = MAX_PAGE_BYTES * 0.75;

/** A page that is to be stored under `rowKey`. */
export interface NewPage {
  readonly rowKey: Uint8Array;
  readonly bytes: Buffer;
}

/**
 * Collects the rows of one page, in order: runs of rows that stay as they are, and rows that are new. {@link PageWriter.take} empties it.
 */
export class PageWriter {
  /** Runs: an index into the old page and one behind the last row, or -1 and an index into the new rows. */
  readonly #runs: number[] = [];
  #page: Page | undefined;
  #rows = 0;
  #bytes = 0;
  #keys: Uint8Array = new Uint8Array();
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #values: Uint8Array[] = [];

  get rows(): number {
    return this.#rows;
  }

  /** Rows `from` to before `to` of `page` stay. All calls are about one page. */
  keep(page: Page, from: number, to: number): void {
    if (from === to) return;
    this.#page = page;
    this.#runs.push(from, to);
    this.#rows += to - from;
    this.#bytes += page.rowBytes(from, to);
  }

  /** A row whose key lies in `keys` from `start` to `end`. All calls are about one `keys`. Nothing is copied yet. */
  put(keys: Uint8Array, start: number, end: number, value: Uint8Array): void {
    this.#keys = keys;
    this.#runs.push(-1, this.#starts.length);
    this.#starts.push(start);
    this.#ends.push(end);
    this.#values.push(value);
    this.#rows++;
    this.#bytes += PAGE_ENTRY_BYTES + end - start + value.length;
  }

  /** The pages of all these rows; the first one is stored under `rowKey`, and so holds the rows in front of it too. */
  take(rowKey: Uint8Array): NewPage[] {
    const pages: NewPage[] = [];
    const total = PAGE_HEADER_BYTES + this.#bytes;
    if (total <= MAX_PAGE_BYTES) {
      if (this.#rows > 0) pages.push(this.#build(rowKey, this.#runs, this.#rows, this.#bytes));
    } else this.#split(rowKey, total / Math.ceil(total / FILL_BYTES), pages);
    this.#runs.length = 0;
    this.#starts.length = 0;
    this.#ends.length = 0;
    this.#values.length = 0;
    this.#page = undefined;
    this.#rows = 0;
    this.#bytes = 0;
    return pages;
  }

  #split(rowKey: Uint8Array, limit: number, pages: NewPage[]): void {
    let name = rowKey;
    let runs: number[] = [];
    let rows = 0;
    let bytes = PAGE_HEADER_BYTES;
    const add = (from: number, to: number, more: number): void => {
      if (rows > 0 && bytes + more > limit) {
        pages.push(this.#build(name, runs, rows, bytes - PAGE_HEADER_BYTES));
        name = this.#keyOf(from, to);
        runs = [];
        rows = 0;
        bytes = PAGE_HEADER_BYTES;
      }
      runs.push(from, to);
      rows++;
      bytes += more;
    };
    for (let r = 0; r < this.#runs.length; r += 2) {
      const from = this.#runs[r] as number;
      const to = this.#runs[r + 1] as number;
      if (from < 0) add(from, to, this.#newBytes(to));
      else for (let i = from; i < to; i++) add(i, i + 1, (this.#page as Page).rowBytes(i, i + 1));
    }
    pages.push(this.#build(name, runs, rows, bytes - PAGE_HEADER_BYTES));
  }

  #newBytes(i: number): number {
    const value = this.#values[i] as Uint8Array;
    return (
      PAGE_ENTRY_BYTES + (this.#ends[i] as number) - (this.#starts[i] as number) + value.length
    );
  }

  #keyOf(from: number, to: number): Uint8Array {
    return from < 0
      ? new Uint8Array(this.#keys.subarray(this.#starts[to], this.#ends[to]))
      : new Uint8Array((this.#page as Page).key(from));
  }

  #build(rowKey: Uint8Array, runs: readonly number[], rows: number, bytes: number): NewPage {
    const target = Buffer.allocUnsafe(PAGE_HEADER_BYTES + bytes);
    const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
    view.setUint16(4, rows, true);
    const keys = PAGE_HEADER_BYTES + PAGE_ENTRY_BYTES * rows;
    let at = keys;
    let entry = PAGE_HEADER_BYTES;
    for (let r = 0; r < runs.length; r += 2) {
      const from = runs[r] as number;
      const to = runs[r + 1] as number;
      if (from < 0) {
        at = copy(this.#keys, this.#starts[to] as number, this.#ends[to] as number, target, at);
        view.setUint16(entry, at - keys, true);
        entry += PAGE_ENTRY_BYTES;
        continue;
      }
      const page = this.#page as Page;
      const moved = at - page.keyStart(from) - keys;
      for (let i = from; i < to; i++, entry += PAGE_ENTRY_BYTES)
        view.setUint16(entry, page.keyEnd(i) + moved, true);
      at = copy(page.bytes, page.keyStart(from), page.keyStart(to), target, at);
    }
    const values = at;
    entry = PAGE_HEADER_BYTES + 2;
    for (let r = 0; r < runs.length; r += 2) {
      const from = runs[r] as number;
      const to = runs[r + 1] as number;
      if (from < 0) {
        const value = this.#values[to] as Uint8Array;
        at = copy(value, 0, value.length, target, at);
        view.setUint32(entry, at - values, true);
        entry += PAGE_ENTRY_BYTES;
        continue;
      }
      const page = this.#page as Page;
      const moved = at - page.valueStart(from) - values;
      for (let i = from; i < to; i++, entry += PAGE_ENTRY_BYTES)
        view.setUint32(entry, page.valueEnd(i) + moved, true);
      at = copy(page.bytes, page.valueStart(from), page.valueStart(to), target, at);
    }
    return { rowKey, bytes: sealPage(rowKey, target) };
  }
}

/** Small pieces are quicker byte by byte than with a call out of JavaScript. */
function copy(from: Uint8Array, start: number, end: number, to: Buffer, at: number): number {
  const length = end - start;
  if (length > 32) to.set(from.subarray(start, end), at);
  else for (let i = 0; i < length; i++) to[at + i] = from[start + i] as number;
  return at + length;
}
