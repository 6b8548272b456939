/**
 * A map from names to values that can also be walked in order, either way, while it changes.
 *
 * Names stand in chunks of at most {@link CHUNK_NAMES}, sorted within and among each other: a name is found by two binary
 * searches, and a change moves one chunk. Tables that nobody ever walks have no order at all; it is built by the first walk
 * and kept from then on.
 *
 * @module
 */

const CHUNK_NAMES = 512;

/** Which names to visit: from `from` (included) to `to` (not included), ascending unless `reverse`. */
export interface NameRange {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly reverse?: boolean | undefined;
}

/** Values by name, with an order on demand. */
export class SortedTable<V> {
  readonly #values = new Map<string, V>();
  #order: NameOrder | undefined;

  get size(): number {
    return this.#values.size;
  }

  get(name: string): V | undefined {
    return this.#values.get(name);
  }

  set(name: string, value: V): void {
    if (this.#order !== undefined && !this.#values.has(name)) this.#order.add(name);
    this.#values.set(name, value);
  }

  delete(name: string): void {
    if (this.#values.delete(name)) this.#order?.remove(name);
  }

  /** All entries in no particular order. */
  entries(): Iterable<[string, V]> {
    return this.#values;
  }

  /** A walk. It sees every change ahead of it, whoever makes it. */
  walk(range: NameRange): NameWalk {
    this.#order ??= new NameOrder(this.#values.keys());
    return range.reverse === true
      ? new DescendingWalk(this.#order, range)
      : new AscendingWalk(this.#order, range);
  }
}

/** A position between names. */
export interface NameWalk {
  /** The next name, without going there. */
  peek(): string | undefined;
  /** Goes past `name`, which is the next one or stands before it. */
  pass(name: string): void;
}

/** Sorted names. `version` changes with every change, so that walks know when to look for their place again. */
class NameOrder {
  version = 0;
  readonly chunks: string[][] = [];

  constructor(names: Iterable<string>) {
    const sorted = [...names].toSorted(ascending);
    for (let at = 0; at < sorted.length; at += CHUNK_NAMES)
      this.chunks.push(sorted.slice(at, at + CHUNK_NAMES));
  }

  add(name: string): void {
    this.version++;
    const { chunks } = this;
    const last = chunks.at(-1);
    if (last === undefined || name > last.at(-1)!) {
      // Most tables grow at their end: full chunks stay full.
      if (last === undefined || last.length >= CHUNK_NAMES) chunks.push([name]);
      else last.push(name);
      return;
    }
    const at = this.chunkOf(name);
    const chunk = chunks[at]!;
    chunk.splice(lowerBound(chunk, name), 0, name);
    if (chunk.length > CHUNK_NAMES) chunks.splice(at + 1, 0, chunk.splice(CHUNK_NAMES / 2));
  }

  remove(name: string): void {
    this.version++;
    const at = this.chunkOf(name);
    const chunk = this.chunks[at]!;
    chunk.splice(lowerBound(chunk, name), 1);
    if (chunk.length === 0) this.chunks.splice(at, 1);
  }

  /** The first chunk whose last name is not below `name`; the number of chunks if there is none. */
  chunkOf(name: string): number {
    let low = 0;
    let high = this.chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.chunks[middle]!.at(-1)! < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

class AscendingWalk implements NameWalk {
  readonly #order: NameOrder;
  readonly #from: string | undefined;
  readonly #to: string | undefined;
  #passed: string | undefined;
  #version = -1;
  #chunk = 0;
  #index = 0;

  constructor(order: NameOrder, range: NameRange) {
    this.#order = order;
    this.#from = range.from;
    this.#to = range.to;
  }

  peek(): string | undefined {
    if (this.#version !== this.#order.version) this.#find();
    const name = this.#order.chunks[this.#chunk]?.[this.#index];
    return name === undefined || (this.#to !== undefined && name >= this.#to) ? undefined : name;
  }

  pass(name: string): void {
    if (this.peek() === name && ++this.#index === this.#order.chunks[this.#chunk]!.length) {
      this.#chunk++;
      this.#index = 0;
    }
    this.#passed = name;
  }

  #find(): void {
    this.#version = this.#order.version;
    const start = this.#passed ?? this.#from;
    this.#chunk = start === undefined ? 0 : this.#order.chunkOf(start);
    const chunk = this.#order.chunks[this.#chunk];
    this.#index = start === undefined || chunk === undefined ? 0 : lowerBound(chunk, start);
    if (this.#passed !== undefined && chunk?.[this.#index] === this.#passed) {
      if (++this.#index === chunk.length) {
        this.#chunk++;
        this.#index = 0;
      }
    }
  }
}

class DescendingWalk implements NameWalk {
  readonly #order: NameOrder;
  readonly #from: string | undefined;
  readonly #to: string | undefined;
  #passed: string | undefined;
  #version = -1;
  #chunk = 0;
  #index = 0;

  constructor(order: NameOrder, range: NameRange) {
    this.#order = order;
    this.#from = range.from;
    this.#to = range.to;
  }

  peek(): string | undefined {
    if (this.#version !== this.#order.version) this.#find();
    const name = this.#order.chunks[this.#chunk]?.[this.#index];
    return name === undefined || (this.#from !== undefined && name < this.#from) ? undefined : name;
  }

  pass(name: string): void {
    if (this.peek() === name) this.#stepDown();
    this.#passed = name;
  }

  /** The last name below what was passed, or below `to`. */
  #find(): void {
    this.#version = this.#order.version;
    const { chunks } = this.#order;
    const start = this.#passed ?? this.#to;
    this.#chunk = start === undefined ? chunks.length : this.#order.chunkOf(start);
    const chunk = chunks[this.#chunk];
    this.#index = start === undefined || chunk === undefined ? 0 : lowerBound(chunk, start);
    this.#stepDown();
  }

  #stepDown(): void {
    if (--this.#index >= 0) return;
    this.#chunk--;
    this.#index = (this.#order.chunks[this.#chunk]?.length ?? 0) - 1;
  }
}

function lowerBound(names: readonly string[], name: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (names[middle]! < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

function ascending(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
