/**
 * @module
 */
import type { EventEmitter } from 'node:events';

import { MillraceError } from '../core/errors.ts';
import { checkFunction, checkOptions, checkWhole, kindOf } from '../core/given.ts';
import { BoundedQueue } from '../core/queue.ts';
import type { Stream } from '../stream/stream.ts';
import { connectorOptions, oneOf } from './options.ts';
import type { ConnectorOptions } from './options.ts';
import { aborted, sourceOf } from './source.ts';

/** What {@link fromEvents} takes. */
export interface FromEventsOptions<
  T,
  A extends readonly unknown[] = never[],
> extends ConnectorOptions {
  /** How many events may wait for the one that is under way, 1 to 16,777,216. Default 1,000. */
  readonly capacity?: number | undefined;
  /** What becomes of an event for which there is no room: the stream fails with `MR_OVERFLOW`, or the oldest is dropped. Default `'error'`. */
  readonly whenFull?: 'error' | 'drop-oldest' | undefined;
  /** Makes the value of what the event came with. Default: the first argument. */
  readonly map?: ((...args: A) => T) | undefined;
  /** An event that ends the stream, such as `'close'`. Default: none does. */
  readonly until?: string | symbol | undefined;
}

/**
 * The events of an `EventEmitter` or an `EventTarget`: their first argument, or what `map` makes of all. It listens from the first listener of the
 * stream, or from `start()`, until the stream ends.
 *
 * - *Order*: of the events.
 * - *Back-pressure*: none, events cannot wait: one is under way, up to `capacity` are held behind it, then `whenFull` says what happens. As long as
 *   nothing behind is asynchronous, none is held.
 * - *State*: those events.
 * - *Delivery*: each event once; with `'drop-oldest'` at most once. When the stream is stopped, those that wait are dropped. An emitter that
 *   emits `'error'` fails the stream, behind the events before it.
 *
 * ```ts
 * import { EventEmitter } from 'node:events';
 * import { fromEvents } from 'millrace';
 *
 * const sensor = new EventEmitter<{ reading: [celsius: number]; off: [] }>();
 * const all = fromEvents(sensor, 'reading', { until: 'off' }).toArray();
 * await Promise.resolve();
 * sensor.emit('reading', 21);
 * sensor.emit('reading', 22);
 * sensor.emit('off');
 * await all; // => [21, 22]
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`
 */
export function fromEvents<
  M extends Readonly<Record<keyof M, unknown[]>>,
  E extends keyof M & (string | symbol),
  T = M[E][0],
>(from: EventEmitter<M>, event: E, options?: FromEventsOptions<T, M[E]>): Stream<T>;
export function fromEvents<T = unknown>(
  from: EventEmitter | EventTarget,
  event: string | symbol,
  options?: FromEventsOptions<T>,
): Stream<T>;
export function fromEvents<T>(
  from: EventEmitter | EventTarget,
  event: string | symbol,
  options: FromEventsOptions<T> = {},
): Stream<T> {
  const listeners = listenersOf(from);
  checkOptions<FromEventsOptions<T>>('fromEvents', options, {
    ...connectorOptions,
    capacity: true,
    whenFull: true,
    map: true,
    until: true,
  });
  const { capacity = 1_000, whenFull = 'error', until } = options;
  checkWhole('capacity', capacity, 1, 2 ** 24);
  oneOf('whenFull', whenFull, ['error', 'drop-oldest']);
  if (options.map !== undefined) checkFunction('map of fromEvents', options.map);
  const map = (options.map ?? ((value: unknown) => value)) as (...args: unknown[]) => T;

  return sourceOf<T>('fromEvents', options, async ({ emit, signal, opened }) => {
    const events = new Events<T>(emit, capacity, () => {
      if (whenFull === 'error') throw overflow(String(event), capacity);
    });
    const take = (...args: unknown[]): void => events.take(() => map(...args));
    const fail = (error: unknown): void => events.end({ error });
    const end = (): void => events.end();
    listeners.add(event, take);
    // An error that is listened to no longer ends the process, so the stream has to tell it.
    if (!(from instanceof EventTarget) && event !== 'error') listeners.add('error', fail);
    if (until !== undefined) listeners.add(until, end);
    opened();
    try {
      await Promise.race([events.over, aborted(signal)]);
    } finally {
      listeners.remove(event, take);
      listeners.remove('error', fail);
      if (until !== undefined) listeners.remove(until, end);
      await events.drop();
    }
  });
}

/** Events on their way into a stream: one at a time, the others are held. As long as nothing behind is asynchronous none is. */
class Events<T> {
  /** Resolves when it was ended and the events before that are dealt with; rejects with the first failure. */
  readonly over: Promise<void>;
  readonly #emit: (value: T) => void | Promise<void>;
  readonly #makeRoom: () => void;
  readonly #held: BoundedQueue<{ readonly value: T }>;
  readonly #settle: PromiseWithResolvers<void>;
  #busy = false;
  #underWay: Promise<void> | undefined;
  #ended: { readonly error?: unknown } | undefined;

  /** @param makeRoom Called when there is no room: the oldest is dropped, unless it throws. */
  constructor(emit: (value: T) => void | Promise<void>, capacity: number, makeRoom: () => void) {
    this.#emit = emit;
    this.#makeRoom = makeRoom;
    // In boxes: a value may be a promise, and the queue waits for none.
    this.#held = new BoundedQueue(capacity);
    this.#settle = Promise.withResolvers();
    this.over = this.#settle.promise;
  }

  /** Never throws: the emitter has nothing to do with what goes wrong here. */
  take(makeValue: () => T): void {
    if (this.#ended !== undefined) return;
    try {
      const value = makeValue();
      if (this.#busy && this.#held.size >= this.#held.capacity) {
        this.#makeRoom();
        void this.#held.shift();
      }
      void this.#held.push({ value });
      this.#goOn();
    } catch (error) {
      this.end({ error });
    }
  }

  /** Takes no more. What is held is still dealt with. */
  end(how: { readonly error?: unknown } = {}): void {
    this.#ended ??= how;
    this.#goOn();
  }

  /** Forgets what is held. Resolves when the one under way is dealt with, rejects when it fails. */
  async drop(): Promise<void> {
    this.#ended ??= {};
    this.#held.detach();
    await this.#underWay;
  }

  #goOn(): void {
    while (!this.#busy && this.#held.size > 0) {
      const next = this.#held.shift() as { readonly value: T };
      this.#busy = true;
      try {
        const pending = this.#emit(next.value);
        if (pending === undefined) {
          this.#busy = false;
          continue;
        }
        this.#underWay = pending;
        pending.then(this.#dealtWith, this.#settle.reject);
      } catch (error) {
        // The stream ends with it: what is held will not be dealt with.
        this.#settle.reject(error);
      }
    }
    if (this.#busy || this.#ended === undefined) return;
    if ('error' in this.#ended) this.#settle.reject(this.#ended.error);
    else this.#settle.resolve();
  }

  readonly #dealtWith = (): void => {
    this.#busy = false;
    this.#goOn();
  };
}

interface Listeners {
  add(event: string | symbol, listener: (...args: unknown[]) => void): void;
  remove(event: string | symbol, listener: (...args: unknown[]) => void): void;
}

function listenersOf(from: EventEmitter | EventTarget): Listeners {
  if (from instanceof EventTarget)
    return {
      add: (event, listener) => from.addEventListener(String(event), listener),
      remove: (event, listener) => from.removeEventListener(String(event), listener),
    };
  if (typeof (from as EventEmitter | undefined)?.on === 'function')
    return {
      add: (event, listener) => void from.on(event, listener),
      remove: (event, listener) => void from.off(event, listener),
    };
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `fromEvents was given ${kindOf(from)}; give an EventEmitter or an EventTarget`,
  );
}

function overflow(event: string, capacity: number): MillraceError {
  return new MillraceError(
    'MR_OVERFLOW',
    `${capacity} events ${event} wait and another one has come; raise capacity, set whenFull to 'drop-oldest', or make what follows faster`,
    { retryable: true, details: { event, capacity } },
  );
}
