/**
 * The writes of a transaction's body, kept beside the store until the body has returned: a body that throws leaves nothing
 * behind, and its neighbours in the group never see it.
 *
 * Values and keys are copied on their way in and on their way out, so that nobody's bytes change later.
 *
 * @module
 */
import { copyOf, keyOf, nameOf } from './keys.ts';
import type { KvEntry, KvRange, KvReader } from './kv.ts';
import { SortedTable, type NameRange } from './sorted-table.ts';

/** A removal, which hides what lies underneath. */
const REMOVED: unique symbol = Symbol('removed');
type Written = Uint8Array | typeof REMOVED;

/** A reader's view of `base` with writes on top. Keys and tables have been checked by the caller. */
export class Overlay implements KvReader {
  /** Bytes of keys and values written, the overwritten ones too. */
  bytes = 0;
  readonly #base: KvReader;
  readonly #tables = new Map<string, SortedTable<Written>>();

  constructor(base: KvReader) {
    this.#base = base;
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    const written = this.#tables.get(table)?.get(nameOf(key));
    if (written === REMOVED) return undefined;
    return written === undefined ? this.#base.get(table, key) : copyOf(written);
  }

  put(table: string, key: Uint8Array, value: Uint8Array): void {
    this.bytes += key.length + value.length;
    // Node cuts small buffers out of larger ones, which is quicker than memory of their own.
    this.#of(table).set(nameOf(key), Buffer.from(value));
  }

  remove(table: string, key: Uint8Array): void {
    this.bytes += key.length;
    this.#of(table).set(nameOf(key), REMOVED);
  }

  /** Takes over the writes of an overlay on top of this one, which is not used any more. */
  absorb(above: Overlay): void {
    this.bytes += above.bytes;
    for (const [table, writes] of above.#tables) {
      const own = this.#of(table);
      for (const [name, written] of writes.entries()) own.set(name, written);
    }
  }

  /** Visits the writes, each key once, in no particular order; `value` is undefined for a removal. */
  forEach(visit: (table: string, name: string, value: Uint8Array | undefined) => void): void {
    for (const [table, writes] of this.#tables)
      for (const [name, written] of writes.entries())
        visit(table, name, written === REMOVED ? undefined : written);
  }

  /** Merges what lies underneath with the writes, and sees writes that are made between two entries. */
  *range(table: string, range: KvRange): Generator<KvEntry> {
    const { limit, reverse = false } = range;
    const own = this.#of(table);
    const walk = own.walk(nameRange(range));
    const base = this.#base.range(table, { ...range, limit: undefined })[Symbol.iterator]();
    try {
      let under: KvEntry | undefined;
      let underName: string | undefined;
      let more = true;
      for (let count = 0; limit === undefined || count < limit;) {
        if (more && under === undefined) {
          const next = base.next();
          more = next.done !== true;
          under = next.done === true ? undefined : next.value;
          underName = under === undefined ? undefined : nameOf(under.key);
        }
        const ownName = walk.peek();
        const name = nextOf(underName, ownName, reverse);
        if (name === undefined) return;
        let entry = under;
        if (name === ownName) {
          const written = own.get(name)!;
          entry = written === REMOVED ? undefined : { key: keyOf(name), value: copyOf(written) };
        }
        walk.pass(name);
        if (name === underName) under = underName = undefined;
        if (entry === undefined) continue;
        count++;
        yield entry;
      }
    } finally {
      base.return?.();
    }
  }

  #of(table: string): SortedTable<Written> {
    let writes = this.#tables.get(table);
    if (writes === undefined) this.#tables.set(table, (writes = new SortedTable()));
    return writes;
  }
}

/** The range of names that a range of keys means. */
export function nameRange(range: KvRange): NameRange {
  const { from, to, reverse } = range;
  return {
    from: from === undefined ? undefined : nameOf(from),
    to: to === undefined ? undefined : nameOf(to),
    reverse,
  };
}

function nextOf(
  a: string | undefined,
  b: string | undefined,
  reverse: boolean,
): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b === reverse ? b : a;
}
