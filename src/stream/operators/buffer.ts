/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { Detached } from '../detached.ts';
import { Fifo } from '../fifo.ts';
import type { Work } from '../in-flight.ts';
import { loadedEvent, savedEvent } from '../kept-event.ts';
import type { SavedEvent } from '../kept-event.ts';
import { Backlog } from '../lane.ts';
import type { MakeOperator, Memory, Operator, Output, Receive } from '../operator.ts';

/** Largest capacity. */
const MAX_CAPACITY = 2 ** 24;

/**
 * Lets the emitter run ahead: a value is dealt with, for those in front, as soon as it is in the buffer. As long as everything behind is
 * synchronous there is nothing to run ahead of, and values go straight through.
 *
 * - *Order*: kept.
 * - *Back-pressure*: `capacity` values wait in the buffer beside those under way behind it (one, or as many as the largest `concurrency`
 *   behind it says); after that emits wait for room, up to 10,000 of them, then `MR_OVERFLOW`.
 * - *State*: the values in it. `drain` and `close` wait for them, `destroy` drops them.
 * - *Delivery*: each value once, in a process only: an app refuses to start with it, since a crash would lose what is in it. A value that fails
 *   behind it after its `emit` was answered rejects the next `emit` into the graph (whose own value is taken all the same), `drain` or `close`;
 *   those after it go on.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const disk = Promise.withResolvers<void>();
 * const lines = new Stream<string>();
 * const written = lines
 *   .buffer(100)
 *   .tap(() => disk.promise)
 *   .toArray();
 * await lines.emitAll(['started', 'ready']); // does not wait for the disk
 * disk.resolve();
 * await lines.close(); // does
 * await written; // => ['started', 'ready']
 * ```
 *
 * @param atOnce How many values may be under way behind it. Asked when the first one is.
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a capacity that is not an integer from 1 to 16,777,216.
 */
export function buffer(capacity: number, atOnce: () => number): MakeOperator {
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `the capacity of buffer is ${String(capacity)}; give an integer from 1 to ${MAX_CAPACITY}`,
      { details: { option: 'capacity', value: capacity } },
    );
  return (output) => new Buffered(output, capacity, atOnce);
}

/** A value that waits for its turn. */
interface Held {
  readonly value: unknown;
  readonly event: EventCell | null;
  readonly work: Work;
}

interface SavedValue {
  readonly value: unknown;
  readonly event: SavedEvent | null;
}

class Buffered implements Operator {
  readonly detached: Detached = new Detached();
  /** What is under way behind it is not in a snapshot. */
  readonly memory: Memory = {
    save: () =>
      this.#queue
        .values()
        .map(({ value, event }): SavedValue => ({ value, event: savedEvent(event) })),
    load: (saved) => {
      for (const { work } of this.#queue.clear()) work.done();
      for (const { value, event } of saved as SavedValue[])
        this.#queue.add({ value, event: loadedEvent(event), work: this.detached.begin() });
      if (this.#underWay === 0) this.#limit = this.#atOnce();
      this.#sendQueued();
    },
  };
  readonly inputs: readonly Receive[];
  readonly #output: Output;
  readonly #capacity: number;
  readonly #atOnce: () => number;
  readonly #queue = new Fifo<Held>();
  /** Emits that wait for room. */
  readonly #backlog = new Backlog('buffer');
  /** Values behind it that are not finished. */
  #underWay = 0;
  #limit = 1;

  constructor(output: Output, capacity: number, atOnce: () => number) {
    this.#output = output;
    this.#capacity = capacity;
    this.#atOnce = atOnce;
    this.inputs = [
      (value, event) =>
        this.#queue.size >= capacity || this.#backlog.size > 0
          ? this.#backlog.add(value, event)
          : this.#take(value, event),
    ];
  }

  flush(): Promise<void> {
    return this.detached.finished();
  }

  close(): void {
    for (const { work } of this.#queue.clear()) work.done();
    this.#backlog.drop();
    this.detached.close();
  }

  readonly #take: Receive = (value, event) => {
    // The caller may use its cell for the next value as soon as this one is in the buffer.
    const own = event === null ? null : { ...event };
    if (this.#underWay === 0) this.#limit = this.#atOnce();
    if (this.#queue.size > 0 || this.#underWay >= this.#limit) {
      this.#queue.add({ value, event: own, work: this.detached.begin() });
      return;
    }
    const failure = this.#send(value, own);
    this.#sendQueued();
    // What fails at once is the business of this very emit.
    if (failure !== undefined) throw failure.error;
  };

  /** Sends a value on. Returns what it threw at once. What comes back here meanwhile, round a cycle, waits in the queue or is nested. */
  #send(
    value: unknown,
    event: EventCell | null,
    work?: Work,
  ): { readonly error: unknown } | undefined {
    this.#underWay += 1;
    let pending: void | Promise<void>;
    try {
      pending = this.#output.next(value, event);
    } catch (error) {
      this.#underWay -= 1;
      return { error };
    }
    if (pending === undefined) {
      this.#underWay -= 1;
      work?.done();
    } else this.#follow(pending, work ?? this.detached.begin());
    return undefined;
  }

  #follow(pending: Promise<void>, work: Work): void {
    const finished = (): void => {
      this.#underWay -= 1;
      work.done();
      this.#sendQueued();
    };
    this.detached.sending(pending).then(finished, (error: unknown) => {
      this.detached.fail(error);
      finished();
    });
  }

  #sendQueued(): void {
    while (this.#underWay < this.#limit) {
      const held = this.#queue.take();
      if (held === undefined) return;
      const failure = this.#send(held.value, held.event, held.work);
      if (failure !== undefined) {
        this.detached.fail(failure.error);
        held.work.done();
      }
      while (this.#backlog.size > 0 && this.#queue.size < this.#capacity)
        this.#backlog.runOne(this.#take);
    }
  }
}
