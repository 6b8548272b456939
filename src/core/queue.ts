/**
 * A bounded queue between those who push and those who wait for values: iterators of streams, channels.
 *
 * Invariant: values come out in the order of the calls of `push`, each once. Everybody who cannot go on waits, and as many may
 * wait as `maxWaiting` says, on either side.
 *
 * @module
 */
import { abortError } from './clock.ts';
import { MillraceError } from './errors.ts';
import { isPromise } from './types.ts';

/** What {@link BoundedQueue.shift} gives when nothing will come any more. */
export const END: unique symbol = Symbol('millrace.queue.end');

/** What a {@link BoundedQueue} takes besides its capacity. */
export interface QueueOptions {
  /** How many pushes, and how many shifts, may wait at once. Default 10,000. */
  readonly maxWaiting?: number | undefined;
  /** Called once when an iterator is left before the end: nobody will take what is pushed from now on. */
  readonly onDetach?: (() => void) | undefined;
}

interface Taker<T> {
  readonly resolve: (value: T | typeof END) => void;
  readonly reject: (error: unknown) => void;
}

interface Giver<T> extends Taker<void> {
  readonly value: T;
}

type State =
  | { readonly kind: 'open' | 'ended' | 'detached' }
  | { readonly kind: 'failed'; readonly error: unknown };

const OPEN: State = { kind: 'open' };
const MAX_CAPACITY = 2 ** 24;
/** From this capacity on a full queue is emptied to half before pushes go on: many in one go cost less than one for each value that is taken. */
const SMALL = 16;

/**
 * First in, first out, at most `capacity` values. Values must not be promises: `shift` tells by that whether to wait.
 *
 * - *Order*: of the calls of `push`.
 * - *Back-pressure*: `push` returns a promise while the queue is full. With a capacity of 16 or more the promise resolves when half is taken.
 * - *State*: the values it holds and those of waiting pushes.
 * - *Delivery*: each value once, to one caller of `shift`; what is left when an iterator is left early is dropped.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly capacity: number;
  /** At how many values those who wait to push go on. */
  readonly #refillAt: number;
  readonly #maxWaiting: number;
  readonly #onDetach: (() => void) | undefined;
  /** A ring whose length is a power of two; it grows on demand, up to the capacity. */
  #ring: (T | undefined)[] = Array.from<T | undefined>({ length: 16 });
  #head = 0;
  #size = 0;
  #state: State = OPEN;
  /** In order of arrival. Sets, because those in the middle leave when their signal aborts. */
  readonly #givers: Set<Giver<T>> = new Set();
  readonly #takers: Set<Taker<T>> = new Set();

  /**
   * @param capacity How many values it holds before pushes wait, 1 to 16,777,216.
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for another capacity or `maxWaiting`.
   */
  constructor(capacity: number, options: QueueOptions = {}) {
    const { maxWaiting = 10_000, onDetach } = options;
    positive('capacity', capacity);
    positive('maxWaiting', maxWaiting);
    this.capacity = capacity;
    this.#refillAt = capacity < SMALL ? capacity - 1 : Math.floor(capacity / 2);
    this.#maxWaiting = maxWaiting;
    this.#onDetach = onDetach;
  }

  /** Values that can be taken at once. Those of waiting pushes do not count. */
  get size(): number {
    return this.#size;
  }

  /** Whether pushes are over: it has ended, failed, or its reader has left. There may be values left to take. */
  get closed(): boolean {
    return this.#state !== OPEN;
  }

  /**
   * Adds a value. Returns nothing when there was room, else a promise of the moment when there is. After an iterator was left
   * values are dropped.
   *
   * @throws {@link MillraceError} `MR_OVERFLOW` (retryable) when `maxWaiting` pushes wait already; `MR_CLOSED` after
   * {@link end} and {@link fail}. The promise rejects with `MR_ABORTED` when `signal` aborts first (the value is then not
   * pushed), and with the error of {@link fail}.
   */
  push(value: T, signal?: AbortSignal): void | Promise<void> {
    if (this.#state !== OPEN) {
      if (this.#state.kind === 'detached') return;
      throw closedError(this.#state);
    }
    for (const taker of this.#takers) {
      this.#takers.delete(taker);
      taker.resolve(value);
      return;
    }
    if (this.#size < this.capacity) {
      this.#add(value);
      return;
    }
    if (this.#givers.size >= this.#maxWaiting)
      throw new MillraceError(
        'MR_OVERFLOW',
        `a queue of ${this.capacity} is full and ${this.#maxWaiting} pushes wait for it; await each push before the next one`,
        { retryable: true, details: { capacity: this.capacity, maxWaiting: this.#maxWaiting } },
      );
    return waiting(this.#givers, signal, (settle) => ({ value, ...settle }));
  }

  /**
   * Takes the oldest value: at once when there is one, else a promise of it. {@link END} when it has ended and is empty.
   *
   * @throws the error of {@link fail} once the values before it are taken; {@link MillraceError} `MR_OVERFLOW` when `maxWaiting` shifts
   * wait already. The promise rejects with `MR_ABORTED` when `signal` aborts first; no value is lost by that.
   */
  shift(signal?: AbortSignal): T | typeof END | Promise<T | typeof END> {
    if (this.#size > 0) return this.#take();
    if (this.#state.kind === 'failed') throw this.#state.error;
    if (this.#state !== OPEN) return END;
    if (this.#takers.size >= this.#maxWaiting)
      throw new MillraceError(
        'MR_OVERFLOW',
        `${this.#maxWaiting} readers wait for this queue; await each value before the next one`,
        { retryable: true, details: { maxWaiting: this.#maxWaiting } },
      );
    return waiting<T | typeof END, Taker<T>>(this.#takers, signal, (settle) => settle);
  }

  /** No more pushes. What was pushed is still delivered, that of waiting pushes too; then comes {@link END}. Idempotent. */
  end(): void {
    if (this.#state !== OPEN) return;
    this.#state = { kind: 'ended' };
    const takers = [...this.#takers];
    this.#takers.clear();
    for (const taker of takers) taker.resolve(END);
  }

  /** No more pushes. What is in the queue is still delivered, then every `shift` throws `error`; waiting pushes reject with it. Does nothing once closed. */
  fail(error: unknown): void {
    if (this.#state !== OPEN) return;
    this.#state = { kind: 'failed', error };
    const waiters = [...this.#takers, ...this.#givers];
    this.#takers.clear();
    this.#givers.clear();
    for (const waiter of waiters) waiter.reject(error);
  }

  /** Leaves the queue as a reader: drops what is in it and what comes, lets waiting pushes go. Idempotent. */
  detach(): void {
    if (this.#state.kind === 'detached') return;
    this.#state = { kind: 'detached' };
    this.#ring = [];
    this.#size = 0;
    const givers = [...this.#givers];
    const takers = [...this.#takers];
    this.#givers.clear();
    this.#takers.clear();
    for (const giver of givers) giver.resolve();
    for (const taker of takers) taker.resolve(END);
    this.#onDetach?.();
  }

  /**
   * An iterator over what comes. Leaving it early, by `break`, by a throw or because `signal` aborts, {@link detach}es the queue.
   * Iterators of one queue share its values, so have one at a time.
   */
  iterate(signal?: AbortSignal): AsyncIterableIterator<T> {
    let done = false;
    const result = (value: T | typeof END): IteratorResult<T, undefined> => {
      if (value === END || done) return { done: true, value: undefined };
      return { done: false, value };
    };
    // `for await` calls `return` when its body throws, but not when `next` rejects.
    const leave = (error: unknown): never => {
      done = true;
      if (!this.closed) this.detach();
      throw error;
    };
    const take = async (): Promise<IteratorResult<T, undefined>> => {
      if (done) return { done: true, value: undefined };
      try {
        if (signal?.aborted === true) throw abortError(signal);
        const value = this.shift(signal);
        return result(isPromise(value) ? await value : value);
      } catch (error) {
        return leave(error);
      }
    };
    const iterator: AsyncIterableIterator<T> = {
      // A value that is there takes no asynchronous function.
      next: () =>
        this.#size > 0 && !done && signal?.aborted !== true
          ? Promise.resolve({ done: false, value: this.#take() })
          : take(),
      return: () => {
        done = true;
        this.detach();
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this.iterate();
  }

  #add(value: T): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = value;
    this.#size += 1;
  }

  #take(): T {
    const value = this.#ring[this.#head] as T;
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#size -= 1;
    if (this.#givers.size > 0 && this.#size <= this.#refillAt) this.#refill();
    return value;
  }

  /** Takes the values of those who wait, as long as there is room. */
  #refill(): void {
    for (const giver of this.#givers) {
      if (this.#size === this.capacity) break;
      this.#givers.delete(giver);
      this.#add(giver.value);
      giver.resolve();
    }
  }

  #grow(): void {
    const ring = Array.from<T | undefined>({ length: this.#ring.length * 2 });
    for (let i = 0; i < this.#size; i++)
      ring[i] = this.#ring[(this.#head + i) & (this.#ring.length - 1)];
    this.#ring = ring;
    this.#head = 0;
  }
}

/** A promise whose settling functions stand in `waiters` until they are called or `signal` aborts. */
function waiting<V, W>(
  waiters: Set<W>,
  signal: AbortSignal | undefined,
  waiterOf: (settle: { resolve: (value: V) => void; reject: (error: unknown) => void }) => W,
): Promise<V> {
  return new Promise<V>((resolve, reject) => {
    if (signal === undefined) {
      waiters.add(waiterOf({ resolve, reject }));
      return;
    }
    if (signal.aborted) {
      reject(abortError(signal));
      return;
    }
    const onAbort = (): void => {
      waiters.delete(waiter);
      reject(abortError(signal));
    };
    const waiter = waiterOf({
      resolve: (value) => {
        signal.removeEventListener('abort', onAbort);
        resolve(value);
      },
      reject: (error) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    });
    signal.addEventListener('abort', onAbort, { once: true });
    waiters.add(waiter);
  });
}

function closedError(state: State): MillraceError {
  return new MillraceError(
    'MR_CLOSED',
    `the queue takes no more values, it has ${state.kind}`,
    state.kind === 'failed' ? { cause: state.error } : {},
  );
}

function positive(option: string, value: number): void {
  if (!Number.isInteger(value) || value < 1 || value > MAX_CAPACITY)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${option} is ${String(value)}; give an integer from 1 to ${MAX_CAPACITY}`,
      { details: { option, value } },
    );
}
