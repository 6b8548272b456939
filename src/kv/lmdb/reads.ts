/**
 * Reading lmdb: which snapshot a read sees, and how long it is held.
 *
 * Outside a transaction all reads of one stretch of synchronous code see one snapshot, taken by the first of them; it is given
 * back when the stretch ends, before anything else can happen in the process. So a read never misses what this process or
 * another one has committed and told about, and a walk that its reader leaves suspended holds no page back: it goes on from
 * its last key in the snapshot of its next step.
 *
 * @module
 */
import type { Database, RootDatabase } from 'lmdb';
import { copyOf, MAX_KEY_BYTES, nameOf } from '../keys.ts';
import type { KvEntry, KvRange, KvReader } from '../kv.ts';
import { corruptError } from './errors.ts';

/** One named database of the file. */
export type Table = Database<Uint8Array, Uint8Array>;

/** Reads of an open file. Keys have been checked; lmdb's errors pass through. */
export class LmdbReads implements KvReader {
  readonly #root: RootDatabase;
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #directory: string;
  readonly #walks = new Set<Walk>();
  #held = false;
  #closed = false;

  constructor(root: RootDatabase, tables: ReadonlyMap<string, Table>, directory: string) {
    this.#root = root;
    this.#tables = tables;
    this.#directory = directory;
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    this.#hold();
    const value = this.#tables.get(table)!.getBinary(key);
    return value === undefined ? undefined : plain(value);
  }

  range(table: string, range: KvRange): Iterable<KvEntry> {
    const tableToWalk = this.#tables.get(table)!;
    return { [Symbol.iterator]: () => new Walk(this, tableToWalk, range) };
  }

  /** @internal A walk has come upon a key that cannot be the next one. */
  outOfOrder(): Error {
    return corruptError(this.#directory, 'its keys are out of order');
  }

  /** Gives the snapshot back. Walks that are under way take another one with their next step. */
  release(): void {
    this.#held = false;
    if (this.#closed) return;
    for (const walk of this.#walks) walk.suspend();
    // lmdb-js keeps its snapshot until a timer fires; a message of another process may come before that.
    this.#root.resetReadTxn();
  }

  /** Ends all walks; the file is about to be closed. */
  close(): void {
    this.release();
    this.#closed = true;
  }

  /** @internal A walk goes to its next entry: the snapshot is held for the rest of this stretch. */
  enter(walk: Walk): void {
    this.#walks.add(walk);
    this.#hold();
  }

  /** @internal */
  leave(walk: Walk): void {
    this.#walks.delete(walk);
  }

  #hold(): void {
    if (this.#held) return;
    this.#held = true;
    queueMicrotask(() => this.release());
  }
}

/** A lazy walk over a range. Between two stretches it holds no cursor. */
class Walk implements IterableIterator<KvEntry, undefined> {
  readonly #reads: LmdbReads;
  readonly #table: Table;
  readonly #range: KvRange;
  #left: number;
  #cursor: Iterator<{ key: Uint8Array; value: Uint8Array }> | undefined;
  /** Whether the cursor has come to an entry. */
  #moved = false;
  /** Key of the last entry. */
  #last: Uint8Array | undefined;

  constructor(reads: LmdbReads, table: Table, range: KvRange) {
    this.#reads = reads;
    this.#table = table;
    this.#range = range;
    this.#left = isEmpty(range) ? 0 : (range.limit ?? Number.POSITIVE_INFINITY);
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<KvEntry, undefined> {
    if (this.#left <= 0) return this.return();
    this.#reads.enter(this);
    if (this.#cursor === undefined) {
      const entries = this.#table.getRange(cursorOptions(this.#range, this.#last));
      this.#cursor = entries[Symbol.iterator]();
      this.#moved = false;
    }
    const next = this.#cursor.next();
    if (next.done === true) {
      // To lmdb-js a cursor that cannot be opened, since lmdb has given up on the file, is an empty range. A single read throws then.
      if (!this.#moved) this.#table.getBinary(LOWEST_KEY);
      return this.return();
    }
    this.#moved = true;
    // Damaged pages may refer to one another in a circle, which lmdb would go round for ever, or begin in front of where they should.
    if (!this.#isNext(next.value.key)) {
      this.return();
      throw this.#reads.outOfOrder();
    }
    this.#left--;
    this.#last = next.value.key;
    // The reader may write into its key, the walk goes on from it.
    return {
      done: false,
      value: { key: copyOf(next.value.key), value: plain(next.value.value) },
    };
  }

  return(): IteratorReturnResult<undefined> {
    this.#left = 0;
    this.suspend();
    return { done: true, value: undefined };
  }

  /** Whether the walk may come to this key next. */
  #isNext(key: Uint8Array): boolean {
    const { from, to, reverse = false } = this.#range;
    if (this.#last !== undefined) {
      const order = Buffer.compare(key, this.#last);
      return reverse ? order < 0 : order > 0;
    }
    if (reverse) return to === undefined || Buffer.compare(key, to) < 0;
    return from === undefined || Buffer.compare(key, from) >= 0;
  }

  suspend(): void {
    this.#cursor?.return?.();
    this.#cursor = undefined;
    this.#reads.leave(this);
  }
}

function isEmpty({ from, to }: KvRange): boolean {
  if (to === undefined) return false;
  return from === undefined ? to.length === 0 : nameOf(from) >= nameOf(to);
}

/** What a walk needs of lmdb-js's options. */
interface CursorOptions {
  start?: Uint8Array;
  end?: Uint8Array;
  readonly exclusiveStart: boolean;
  readonly inclusiveEnd: boolean;
  readonly reverse: boolean;
}

/** No key is below it. lmdb-js itself stops above it when it walks down without an `end`. */
const LOWEST_KEY = Uint8Array.of(0);

/**
 * The range from behind `last` on, in lmdb-js's terms: `start` is where the cursor begins, which is the upper end of a walk in
 * reverse. A bound longer than any key is cut; since keys are never longer than the cut, the key that equals the cut is below
 * the bound and all others stand where they stood.
 */
function cursorOptions(
  { from, to, reverse = false }: KvRange,
  last: Uint8Array | undefined,
): CursorOptions {
  const [first, end] = reverse ? [cut(to), cut(from) ?? LOWEST_KEY] : [cut(from), cut(to)];
  const start = last ?? first;
  const options: CursorOptions = {
    exclusiveStart: last !== undefined || (reverse ? !isLong(to) : isLong(from)),
    inclusiveEnd: reverse ? !isLong(from) : isLong(to),
    reverse,
  };
  if (start !== undefined) options.start = start;
  if (end !== undefined) options.end = end;
  return options;
}

function isLong(bound: Uint8Array | undefined): boolean {
  return bound !== undefined && bound.length > MAX_KEY_BYTES;
}

function cut(bound: Uint8Array | undefined): Uint8Array | undefined {
  return bound === undefined || bound.length === 0 ? undefined : bound.subarray(0, MAX_KEY_BYTES);
}

/** lmdb-js returns large values in buffers with properties of its own, `length` among them: not what a reader expects. */
function plain(value: Uint8Array): Uint8Array {
  return Object.hasOwn(value, 'length')
    ? new Uint8Array(value.buffer, value.byteOffset, value.length)
    : value;
}
