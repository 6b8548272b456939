/**
 * A checkpoint as what stands under the rows in memory.
 *
 * @module
 */
import type { KvReader } from '../kv/kv.ts';
import type { StateBase } from './base.ts';
import { CheckpointReader, keyPlace, MAX_ROW_KEY_BYTES } from './checkpoint-rows.ts';
import type { StoredPage } from './checkpoint-rows.ts';
import { afterPrefix } from './row-key.ts';

type Row = readonly [rowKey: Uint8Array, value: Uint8Array];

/** The checkpoint of a state as it is stored at each call. `task` names it in errors. */
export function checkpointBase(kv: KvReader, stateId: number, task?: string): StateBase {
  const reader = new CheckpointReader(kv, stateId, task);
  return {
    get(rowKey) {
      if (rowKey.length > MAX_ROW_KEY_BYTES) return reader.long(rowKey);
      const page = reader.pageOf(rowKey)?.page;
      if (page === undefined) return undefined;
      const i = page.lowerBound(rowKey);
      return i < page.count && page.compareKey(i, rowKey) === 0
        ? new Uint8Array(page.rawValue(i))
        : undefined;
    },
    range: (from, to) => rangeOf(reader, from, to),
    next(from) {
      const short = firstOf(reader, from);
      const [long] = firstLong(reader, from) ?? [];
      if (short === undefined || long === undefined) return short ?? long;
      return Buffer.compare(short, long) < 0 ? short : long;
    },
  };
}

/** The first row key in a page that is not below `from`. */
function firstOf(reader: CheckpointReader, from: Uint8Array): Uint8Array | undefined {
  for (const { page } of pagesFrom(reader, from)) {
    const i = page.lowerBound(from);
    if (i < page.count) return page.key(i);
  }
  return undefined;
}

function firstLong(reader: CheckpointReader, from: Uint8Array): Row | undefined {
  for (const row of reader.longRows(from)) return row;
  return undefined;
}

/** Rows of pages and long rows in one order. The long ones of the tables at hand are listed first. */
function* rangeOf(reader: CheckpointReader, from: Uint8Array, to: Uint8Array): Generator<Row> {
  const long = longRowsOf(reader, from, to);
  let at = 0;
  for (const { page } of pagesFrom(reader, from, to))
    for (let i = page.lowerBound(from); i < page.count; i++) {
      if (page.compareKey(i, to) >= 0) break;
      while (at < long.length && page.compareKey(i, (long[at] as Row)[0]) > 0)
        yield long[at++] as Row;
      yield [page.key(i), page.rawValue(i)];
    }
  yield* long.slice(at);
}

/** The pages that may hold rows of a range. */
function* pagesFrom(
  reader: CheckpointReader,
  from: Uint8Array,
  to?: Uint8Array,
): Generator<StoredPage> {
  const first = reader.pageOf(from);
  yield* reader.pages(first?.rowKey ?? from, to);
}

function longRowsOf(reader: CheckpointReader, from: Uint8Array, to: Uint8Array): readonly Row[] {
  let shared = 0;
  while (shared < from.length && from[shared] === to[shared]) shared++;
  const prefix = from.subarray(0, Math.min(shared, keyPlace(from)));
  const heads = prefix.length === 0 ? [] : [prefix, afterPrefix(prefix)];
  return [...reader.longRows(...heads)]
    .filter(([key]) => Buffer.compare(key, from) >= 0 && Buffer.compare(key, to) < 0)
    .toSorted(([a], [b]) => Buffer.compare(a, b));
}
