/**
 * Sorting many keys by their bytes without making a string of each: radix sort on eight bytes at a time, behind what all keys share.
 *
 * A run of keys that agree in these eight bytes is sorted by the next eight, and a short one by insertion.
 *
 * @see McIlroy, Bostic, McIlroy, "Engineering radix sort" (1993)
 *
 * @module
 */

/** Runs of at most so many keys are sorted by insertion. */
const SHORT = 24;

/**
 * Indices of keys in ascending order of their bytes; keys that are equal keep their order. Key `i` lies in `bytes` from `ends[i - 1]`, or from 0, to
 * `ends[i]`.
 */
export function orderOfKeys(bytes: Uint8Array, ends: Uint32Array): Uint32Array {
  const sort = new KeySort(bytes, ends);
  sort.run(0, ends.length, 0);
  return sort.order;
}

class KeySort {
  readonly order: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #ends: Uint32Array;
  /** Eight bytes of each key, by its index. */
  readonly #upper: Uint32Array;
  readonly #lower: Uint32Array;
  readonly #spare: Uint32Array;
  readonly #counts = new Uint32Array(256);

  constructor(bytes: Uint8Array, ends: Uint32Array) {
    this.#bytes = bytes;
    this.#ends = ends;
    this.order = ends.map((_, i) => i);
    this.#upper = new Uint32Array(ends.length);
    this.#lower = new Uint32Array(ends.length);
    this.#spare = new Uint32Array(ends.length);
  }

  /** Sorts what stands in the order from `from` to before `to`. These keys agree in their first `known` bytes. */
  run(from: number, to: number, known: number): void {
    if (to - from <= SHORT) {
      this.#insert(from, to, known);
      return;
    }
    const depth = Math.max(known, this.#shared(from, to, known));
    const upper = this.#upper;
    const lower = this.#lower;
    const { order } = this;
    let longest = 0;
    for (let i = from; i < to; i++) {
      const key = order[i] as number;
      const start = this.#start(key) + depth;
      const end = this.#ends[key] as number;
      upper[key] = this.#word(start, end);
      lower[key] = this.#word(start + 4, end);
      if (end - start > longest) longest = end - start;
    }
    for (const words of [lower, upper])
      for (let shift = 0; shift < 32; shift += 8) this.#pass(from, to, words, shift);
    for (let i = from; i < to;) {
      const first = order[i] as number;
      let end = i + 1;
      while (
        end < to &&
        upper[order[end] as number] === upper[first] &&
        lower[order[end] as number] === lower[first]
      )
        end++;
      if (end - i > 1) {
        if (longest > 8) this.run(i, end, depth + 8);
        else this.#byLength(i, end);
      }
      i = end;
    }
  }

  #start(key: number): number {
    return key === 0 ? 0 : (this.#ends[key - 1] as number);
  }

  /** Four bytes from `at` on, as a number that sorts as they do; zeros behind the end. */
  #word(at: number, end: number): number {
    const bytes = this.#bytes;
    const a = at < end ? (bytes[at] as number) : 0;
    const b = at + 1 < end ? (bytes[at + 1] as number) : 0;
    const c = at + 2 < end ? (bytes[at + 2] as number) : 0;
    const d = at + 3 < end ? (bytes[at + 3] as number) : 0;
    return (a << 24) | (b << 16) | (c << 8) | d;
  }

  /** How many bytes all keys of a run share, if more than `known`. */
  #shared(from: number, to: number, known: number): number {
    const bytes = this.#bytes;
    const first = this.#start(this.order[from] as number);
    let shared = (this.#ends[this.order[from] as number] as number) - first;
    for (let i = from + 1; i < to && shared > known; i++) {
      const key = this.order[i] as number;
      const start = this.#start(key);
      const length = (this.#ends[key] as number) - start;
      if (length < shared) shared = length;
      let at = known;
      while (at < shared && bytes[start + at] === bytes[first + at]) at++;
      shared = at;
    }
    return shared;
  }

  /** Moves the keys of a run into the order of one of their bytes; those that are equal in it keep their order. */
  #pass(from: number, to: number, words: Uint32Array, shift: number): void {
    const { order } = this;
    const counts = this.#counts.fill(0);
    for (let i = from; i < to; i++)
      counts[((words[order[i] as number] as number) >>> shift) & 0xff]!++;
    let at = from;
    for (let byte = 0; byte < 256; byte++) {
      const count = counts[byte] as number;
      if (count === to - from) return;
      counts[byte] = at;
      at += count;
    }
    const spare = this.#spare;
    for (let i = from; i < to; i++) {
      const key = order[i] as number;
      spare[counts[((words[key] as number) >>> shift) & 0xff]!++] = key;
    }
    order.set(spare.subarray(from, to), from);
  }

  #insert(from: number, to: number, known: number): void {
    const { order } = this;
    for (let i = from + 1; i < to; i++) {
      const key = order[i] as number;
      let at = i;
      for (; at > from && this.#compare(order[at - 1] as number, key, known) > 0; at--)
        order[at] = order[at - 1] as number;
      order[at] = key;
    }
  }

  #compare(a: number, b: number, known: number): number {
    const bytes = this.#bytes;
    let x = this.#start(a) + known;
    let y = this.#start(b) + known;
    const xEnd = this.#ends[a] as number;
    const yEnd = this.#ends[b] as number;
    for (; x < xEnd && y < yEnd; x++, y++) {
      const difference = (bytes[x] as number) - (bytes[y] as number);
      if (difference !== 0) return difference;
    }
    return xEnd - x - (yEnd - y);
  }

  /** Keys that differ at most in how many zeros stand at their ends. */
  #byLength(from: number, to: number): void {
    const run = this.order.subarray(from, to);
    const lengths = Array.from(run, (key) => (this.#ends[key] as number) - this.#start(key));
    if (lengths.every((length) => length === lengths[0])) return;
    const length = (key: number): number => (this.#ends[key] as number) - this.#start(key);
    run.set([...run].toSorted((a, b) => length(a) - length(b)));
  }
}
