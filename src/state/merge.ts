/**
 * Merging changes into the pages of a checkpoint: which rows of the store to write.
 *
 * The generators read the pages that they change and no others, in order, and say of each what becomes of it: writes that belong into one
 * transaction, or rows that were in one page and are to be in two would be in none for a while. A page is split when it grows too large, and
 * leaves the store with its last row; pages that have become small stay small.
 *
 * @module
 */
import type { KeyRange, RowChanges } from './changes.ts';
import { headOfLong, longAddress, longValue, pageAddress } from './checkpoint-rows.ts';
import type { CheckpointReader, StoredPage } from './checkpoint-rows.ts';
import { PageWriter } from './page-writer.ts';

/** A row of the store; `null`: it goes. */
export interface StoreWrite {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** So many pages are read in sequence before the next one is looked for by its key. */
const SKIPS = 4;

/** Deletes all rows of `range`. */
export function* expireRange(
  reader: CheckpointReader,
  stateId: number,
  { from, to }: KeyRange,
): Generator<readonly StoreWrite[]> {
  const writer = new PageWriter();
  const first = reader.pageOf(from);
  for (const { rowKey, page } of reader.pages(first?.rowKey ?? from, to)) {
    const low = page.lowerBound(from);
    const high = page.lowerBound(to);
    if (low === high) continue;
    writer.keep(page, 0, low);
    writer.keep(page, high, page.count);
    yield written(stateId, rowKey, writer, true);
  }
  for (const [rowKey] of reader.longRows(from, to))
    yield [{ key: longAddress(stateId, headOfLong(rowKey)), value: null }];
}

/** Changes rows that fit into pages; they are in order. */
export function* mergeRows(
  reader: CheckpointReader,
  stateId: number,
  changes: RowChanges,
): Generator<readonly StoreWrite[]> {
  const { keys, count } = changes;
  const writer = new PageWriter();
  const walk = new PageWalk(reader);
  try {
    for (let at = 0; at < count;) {
      const stored = walk.go(keys.subarray(changes.keyStart(at), changes.keyEnd(at)));
      const page = stored?.page;
      const end = walk.next === undefined ? count : endBelow(changes, at, walk.next.rowKey);
      let kept = 0;
      for (; at < end; at++) {
        const start = changes.keyStart(at);
        const keyEnd = changes.keyEnd(at);
        if (page !== undefined) {
          const place = page.lowerBound(keys, start, keyEnd, kept);
          writer.keep(page, kept, place);
          const known = place < page.count && page.compareKey(place, keys, start, keyEnd) === 0;
          kept = known ? place + 1 : place;
        }
        const value = changes.value(at);
        if (value !== null) writer.put(keys, start, keyEnd, value);
      }
      if (page !== undefined) writer.keep(page, kept, page.count);
      yield written(stateId, stored?.rowKey ?? FIRST, writer, stored !== undefined);
    }
  } finally {
    walk.end();
  }
}

/** Changes rows that do not fit into pages. */
export function* changeLong(
  stateId: number,
  changes: RowChanges,
): Generator<readonly StoreWrite[]> {
  for (let i = 0; i < changes.count; i++) {
    const rowKey = changes.keys.subarray(changes.keyStart(i), changes.keyEnd(i));
    const value = changes.value(i);
    const head = headOfLong(rowKey);
    yield [
      {
        key: longAddress(stateId, head),
        value: value === null ? null : longValue(head, rowKey, value),
      },
    ];
  }
}

/** Row key of the page in front of all others. */
const FIRST: Uint8Array = Uint8Array.of();

/** Index of the first change from `at` on that does not sort before `rowKey`. */
function endBelow(changes: RowChanges, at: number, rowKey: Uint8Array): number {
  let low = at;
  let high = changes.count;
  // It is near: there are many pages.
  for (let step = 1; low + step < high && isBelow(changes, low + step, rowKey); step *= 2)
    low += step;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBelow(changes, middle, rowKey)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isBelow(changes: RowChanges, i: number, rowKey: Uint8Array): boolean {
  const { keys } = changes;
  let at = changes.keyStart(i);
  const end = changes.keyEnd(i);
  let other = 0;
  for (; at < end && other < rowKey.length; at++, other++)
    if (keys[at] !== rowKey[other]) return (keys[at] as number) < (rowKey[other] as number);
  return end - at < rowKey.length - other;
}

function written(
  stateId: number,
  rowKey: Uint8Array,
  writer: PageWriter,
  stored: boolean,
): readonly StoreWrite[] {
  const pages = writer.take(rowKey);
  if (pages.length === 0) return stored ? [{ key: pageAddress(stateId, rowKey), value: null }] : [];
  return pages.map((page) => ({ key: pageAddress(stateId, page.rowKey), value: page.bytes }));
}

/** Goes from page to page as the keys that are asked for ascend. */
class PageWalk {
  readonly #reader: CheckpointReader;
  #entries: Iterator<StoredPage, void> | undefined;
  #page: StoredPage | undefined;
  /** The page behind the one that was returned last, if there is one. */
  next: StoredPage | undefined;

  constructor(reader: CheckpointReader) {
    this.#reader = reader;
  }

  /** The page that holds the rows around `key`; `undefined` when it stands in front of all pages. */
  go(key: Uint8Array): StoredPage | undefined {
    for (let skips = 0; this.#entries !== undefined; skips++) {
      if (this.next === undefined || Buffer.compare(key, this.next.rowKey) < 0) return this.#page;
      if (skips === SKIPS) break;
      this.#page = this.next;
      this.#advance();
    }
    this.end();
    this.#page = this.#reader.pageOf(key);
    this.#entries = this.#reader.pages(this.#page?.rowKey);
    if (this.#page !== undefined) this.#entries.next();
    this.#advance();
    return this.#page;
  }

  end(): void {
    this.#entries?.return?.();
    this.#entries = undefined;
  }

  #advance(): void {
    const next = this.#entries?.next();
    this.next = next === undefined || next.done === true ? undefined : next.value;
  }
}
