/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { checkWhole } from '../../core/given.ts';
import { Detached } from '../detached.ts';
import { keptEvent, loadedEvent, savedEvent } from '../kept-event.ts';
import type { SavedEvent } from '../kept-event.ts';
import type { MakeOperator, Operator, Output, Receive, Scope } from '../operator.ts';

/** A collection of the caller's own. It may let go of values by itself, as one that keeps the newest ten does. */
export interface CacheLike<T> extends Iterable<T> {
  push(value: T): unknown;
  /** Set to 0, it is empty. */
  length: number;
}

/** How many values are collected when nothing else is asked for. */
const MAX_COLLECTED = 1_000_000;

/** How an operator of a process is flushed by hand. */
export interface Flushing {
  flush: (() => void | Promise<void>) | undefined;
}

/**
 * Holds values until it is flushed: by hand, by a value of `flushOn`, or at the end. Then all go on as an array, which may be empty; on a
 * keyed stream as one per key, or that of the key that `flushOn` has.
 *
 * - *Order*: kept.
 * - *Back-pressure*: a value is dealt with when it is held; the one of `flushOn`, when everything behind has dealt with the array.
 * - *State*: the values that are held, per key of a keyed stream: up to `maxsize`, where the oldest give way, or 1,000,000 and then `MR_OVERFLOW`. With
 *   a `cache` they are in there, one for all keys. `close` sends them if there are some, `destroy` drops them, `drain` leaves them. In an app there must
 *   be a `flushOn`, and there is no `cache`.
 * - *Delivery*: each value once, but for those that gave way. In an app an empty array is not sent.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const rows = new Stream<string>();
 * const commit = new Stream<void>();
 * const batches = rows.collect({ flushOn: commit }).toArray();
 * await rows.emitAll(['a', 'b']);
 * await commit.emit();
 * await rows.emit('c');
 * await Promise.all([rows.close(), commit.close()]);
 * await batches; // => [['a', 'b'], ['c']]
 * ```
 *
 * @param flushed Whether there is a second input, that of `flushOn`.
 * @param flushing Gets the function that flushes, in a process.
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a maxsize that is not an integer from 1 to 1,000,000, or beside a cache.
 */
export function collect(
  cache: CacheLike<unknown> | undefined,
  maxsize: number | undefined,
  flushed: boolean,
  flushing: Flushing,
): MakeOperator {
  if (maxsize !== undefined) checkWhole('maxsize of collect', maxsize, 1, MAX_COLLECTED);
  if (cache !== undefined && maxsize !== undefined)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      'collect was given both a cache and maxsize; the cache of yours decides how much it keeps, so leave maxsize out',
    );
  if (cache !== undefined && (typeof cache.push !== 'function' || !(Symbol.iterator in cache)))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      'the cache of collect has no push, or is not iterable; give an array, or something with push(value), length and an iterator',
    );
  return (output, scope) => {
    if (scope.kind === 'task') return inTask(maxsize, output, scope);
    const operator =
      cache === undefined ? inMemory(maxsize, output, flushing) : inCache(cache, output, flushing);
    return flushed ? operator : { ...operator, inputs: operator.inputs.slice(0, 1) };
  };
}

function inTask(maxsize: number | undefined, output: Output, scope: Scope): Operator {
  const state = scope.state((): readonly unknown[] => []);
  return {
    inputs: [
      (value, event) => {
        // A new array each time: a value that fails behind this operator puts the one before it back.
        const held = [...state.get(event)];
        add(held, value, maxsize);
        state.set(event, held);
      },
      (_value, event) => {
        const held = state.get(event);
        if (held.length === 0) return;
        state.set(event, []);
        return output.next(held, event);
      },
    ],
  };
}

interface Collected {
  values: unknown[];
  /** Of the last value. */
  event: EventCell | null;
}

interface SavedCollected {
  readonly values: unknown[];
  readonly event: SavedEvent | null;
}

function inMemory(maxsize: number | undefined, output: Output, flushing: Flushing): Operator {
  const collected = new Map<string | undefined, Collected>();
  const send = (id: string | undefined, event: EventCell | null): void | Promise<void> => {
    const values = collected.get(id)?.values ?? [];
    collected.delete(id);
    return output.next(values, event);
  };
  /** Without a key of its own a flush is for all keys. */
  const sendAll = async (): Promise<void> => {
    // Those that are there now: values may come for as long as this takes.
    for (const [id, { event }] of [...collected]) if (collected.has(id)) await send(id, event);
  };
  const { operator, flush } = flushable((event) => {
    const id = event?.key?.id;
    const unkeyed = collected.size === 0 || (collected.size === 1 && collected.has(undefined));
    return id !== undefined || unkeyed ? send(id, event) : sendAll();
  }, flushing);
  return {
    ...operator,
    memory: {
      save: () =>
        [...collected.values()].map(({ values, event }): SavedCollected => ({
          values,
          event: savedEvent(event),
        })),
      load: (saved) => {
        collected.clear();
        for (const { values, event } of saved as SavedCollected[]) {
          const own = loadedEvent(event);
          collected.set(own?.key?.id, { values: [...values], event: own });
        }
      },
      peek: (key) => collected.get(key?.id)?.values ?? [],
    },
    inputs: [
      (value, event) => {
        let own = collected.get(event?.key?.id);
        if (own === undefined) {
          own = { values: [], event: null };
          collected.set(event?.key?.id, own);
        }
        add(own.values, value, maxsize);
        own.event = keptEvent(event);
      },
      flush,
    ],
    flush: async () => {
      await sendAll();
      await operator.detached.settled();
    },
  };
}

function inCache(cache: CacheLike<unknown>, output: Output, flushing: Flushing): Operator {
  const takeAll = (): unknown[] => {
    const values = [...cache];
    cache.length = 0;
    return values;
  };
  const { operator, flush } = flushable((event) => output.next(takeAll(), event), flushing);
  return {
    ...operator,
    memory: {
      save: () => [...cache],
      load: (saved) => {
        cache.length = 0;
        for (const value of saved as unknown[]) cache.push(value);
      },
    },
    inputs: [(value) => void cache.push(value), flush],
    flush: async () => {
      if (cache.length > 0) await output.next(takeAll(), null);
      await operator.detached.settled();
    },
  };
}

function add(held: unknown[], value: unknown, maxsize: number | undefined): void {
  if (maxsize !== undefined && held.length >= maxsize) held.shift();
  else if (held.length >= MAX_COLLECTED)
    throw new MillraceError(
      'MR_OVERFLOW',
      `collect holds ${MAX_COLLECTED} values; flush it before, or give it maxsize to keep the newest`,
      { details: { held: MAX_COLLECTED } },
    );
  held.push(value);
}

/** What is common to both: a flush by hand, and one by a value of another stream. */
function flushable(
  send: (event: EventCell | null) => void | Promise<void>,
  flushing: Flushing,
): { readonly operator: { readonly detached: Detached; close(): void }; readonly flush: Receive } {
  const detached = new Detached();
  flushing.flush = () => {
    const pending = send(null);
    // `drain` waits for it too; what goes wrong is the business of the one who flushes.
    return pending?.finally(detached.begin().done);
  };
  return {
    operator: { detached, close: () => detached.close() },
    flush: (_value, event) => send(event),
  };
}
