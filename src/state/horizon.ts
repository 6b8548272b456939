/**
 * How far the checkpoint of a task is behind its commits, and so which rows memory may let go of: those that a checkpoint holds as they are.
 *
 * Each commit that writes rows has a number, which its rows remember. The numbers wait in a queue until the checkpoint's position has passed the
 * end of their changelog frame.
 *
 * @module
 */
import { assert } from '../core/errors.ts';

interface Taken {
  readonly number: number;
  /** Offset behind its changelog records; Infinity while it is not durable. */
  end: number;
  /** Rows whose last commit it is. */
  rows: number;
}

/**
 * Counts the commits of one task in memory. Numbers begin at 1: 0 is what was in the checkpoint from the beginning. Where nothing is ever let go
 * of, `follows` is false, and commits are numbered only.
 */
export class Horizon {
  readonly follows: boolean;
  readonly #waiting: Taken[] = [];
  #last = 0;
  #checkpointed = 0;
  #pinned = 0;

  constructor(follows: boolean) {
    this.follows = follows;
  }

  /** Rows of commits up to this one are in the checkpoint. */
  get checkpointed(): number {
    return this.#checkpointed;
  }

  /** Rows that the checkpoint does not hold as they were committed last. */
  get pinnedRows(): number {
    return this.#pinned;
  }

  /** A commit begins; its number. */
  begin(): number {
    this.#last++;
    if (this.follows) this.#waiting.push({ number: this.#last, end: Infinity, rows: 0 });
    return this.#last;
  }

  /** The commit that was begun last has nothing to write. */
  cancel(): void {
    const last = this.#waiting.pop();
    assert((last?.rows ?? 0) === 0, 'a commit with rows was called empty');
    this.#last--;
  }

  /** A row that commit `before` wrote is now written by commit `number`, which is the last one; 0 for a row of the checkpoint. */
  take(before: number, number: number): void {
    if (!this.follows) return;
    this.drop(before);
    if (number === 0) return;
    this.#of(number).rows++;
    this.#pinned++;
  }

  /** A row that commit `before` wrote is gone from memory. */
  drop(before: number): void {
    if (!this.follows || before <= this.#checkpointed) return;
    this.#of(before).rows--;
    this.#pinned--;
  }

  /** The oldest commit under way is durable; its changelog frame ends at `end`. */
  committed(end: number): void {
    const waiting = this.#waiting;
    let at = waiting.length;
    while (at > 0 && (waiting[at - 1] as Taken).end === Infinity) at--;
    const taken = waiting[at];
    if (taken !== undefined) taken.end = end;
  }

  /** The checkpoint stands at `position`. */
  reached(position: number): void {
    let count = 0;
    for (const taken of this.#waiting) {
      if (taken.end > position) break;
      this.#pinned -= taken.rows;
      this.#checkpointed = taken.number;
      count++;
    }
    this.#waiting.splice(0, count);
  }

  #of(number: number): Taken {
    return this.#waiting[number - this.#checkpointed - 1] as Taken;
  }
}
