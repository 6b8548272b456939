/**
 * The edge that closes a cycle (`connect` to a stream further up).
 *
 * An operator must not wait for a value that it sent round the cycle: it would wait for itself. So the edge never gives a promise to
 * the operator in front of it; the `emit` that set the cycle going waits for the edge instead ({@link Feedback.idle}).
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { Fifo } from './fifo.ts';
import type { Receive } from './operator.ts';

/** So many times a value goes round on the stack of the first; then it waits for the stack to unwind. */
const MAX_DEPTH = 32;
/** How many values may wait in one cycle. */
const MAX_WAITING = 1_000_000;

interface Failure {
  readonly error: unknown;
}

/**
 * - *Order*: depth first, as nested calls are, up to 32 rounds deep. Deeper values, and those that come while something asynchronous is
 *   under way in the cycle, wait and go round one after the other, oldest first.
 * - *Back-pressure*: none inside the cycle; `emit` waits for all of it. At most 1,000,000 values wait, then `MR_OVERFLOW`.
 * - *State*: the values that wait.
 * - *Delivery*: each value once. A failure rejects the emits that wait for the cycle; values that wait go on.
 */
export class Feedback {
  readonly #target: Receive;
  readonly #queue = new Fifo<unknown>();
  #depth = 0;
  /** Rounds whose promise has not settled. */
  #active = 0;
  #failure: Failure | undefined;
  #waiters: PromiseWithResolvers<void>[] = [];

  constructor(target: Receive) {
    this.#target = target;
  }

  /** Sends a value round. Only values go round: keys and times stay behind. */
  readonly receive: Receive = (value) => {
    if (this.#active > 0 || this.#depth === MAX_DEPTH) {
      this.#wait(value);
      return;
    }
    let thrown: Failure | undefined;
    try {
      this.#round(value);
    } catch (error) {
      if (this.#depth > 0) throw error;
      thrown = { error };
    }
    if (this.#depth > 0) return;
    this.#goOn();
    if (this.#active === 0) {
      thrown ??= this.#failure;
      this.#failure = undefined;
      this.#letGo();
    }
    if (thrown !== undefined) throw thrown.error;
  };

  /** Whether no value is on its way round, and no failure waits to be reported. */
  get quiet(): boolean {
    return this.#active === 0 && this.#queue.size === 0 && this.#failure === undefined;
  }

  /** Nothing when no value is on its way round, else a promise of that moment. Throws or rejects when a round has failed. */
  idle(): void | Promise<void> {
    if (this.#active === 0 && this.#queue.size === 0) {
      const failure = this.#failure;
      this.#failure = undefined;
      if (failure !== undefined) throw failure.error;
      return;
    }
    const waiter = Promise.withResolvers<void>();
    this.#waiters.push(waiter);
    return waiter.promise;
  }

  #wait(value: unknown): void {
    if (this.#queue.size >= MAX_WAITING)
      throw new MillraceError(
        'MR_OVERFLOW',
        `${MAX_WAITING} values wait to go round a cycle; does it make more values than it takes out? Put a filter or unique() in it`,
        { details: { waiting: MAX_WAITING } },
      );
    this.#queue.add(value);
  }

  #round(value: unknown): void {
    this.#depth += 1;
    let pending: void | Promise<void>;
    try {
      pending = this.#target(value, null);
    } finally {
      this.#depth -= 1;
    }
    if (pending === undefined) return;
    this.#active += 1;
    pending.then(this.#finished, (error: unknown) => {
      this.#failure ??= { error };
      this.#finished();
    });
  }

  /** Sends round what waits, until something asynchronous comes in between. */
  #goOn(): void {
    while (this.#active === 0 && this.#queue.size > 0)
      try {
        this.#round(this.#queue.take());
      } catch (error) {
        this.#failure ??= { error };
      }
  }

  readonly #finished = (): void => {
    this.#active -= 1;
    if (this.#active > 0) return;
    this.#goOn();
    if (this.#active === 0) this.#letGo();
  };

  #letGo(): void {
    if (this.#waiters.length === 0) return;
    const [waiters, failure] = [this.#waiters, this.#failure];
    this.#waiters = [];
    this.#failure = undefined;
    for (const waiter of waiters)
      if (failure === undefined) waiter.resolve();
      else waiter.reject(failure.error);
  }
}
