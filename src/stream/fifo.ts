/**
 * A first-in-first-out list whose both ends cost the same however long it is. Without a limit: whoever holds one keeps it bounded.
 *
 * @module
 */

/** How many taken places may lie in front before the list is moved together. */
const MAX_GAP = 1_024;

/** Values in the order in which they were added. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  add(item: T): void {
    this.#items.push(item);
  }

  /** The oldest, which stays. `undefined` when there is none. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  /** Takes the oldest. `undefined` when there is none. */
  take(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length || this.#head > MAX_GAP) this.#close();
    return item;
  }

  /** All of them, oldest first, in an array of its own. */
  values(): T[] {
    return this.#items.slice(this.#head) as T[];
  }

  /** Takes all of them. */
  clear(): T[] {
    const items = this.values();
    this.#items = [];
    this.#head = 0;
    return items;
  }

  #close(): void {
    // Moving what is left costs as much as the gap at most, so that `take` stays cheap for long lists too.
    if (this.#head < this.#items.length && this.#head * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }
}
