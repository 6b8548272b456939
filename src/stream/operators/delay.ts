/**
 * @module
 */
import type { Timer } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import type { EventCell } from '../../core/event.ts';
import { checkWhole } from '../../core/given.ts';
import { Detached } from '../detached.ts';
import { Fifo } from '../fifo.ts';
import type { Work } from '../in-flight.ts';
import { keptEvent, loadedEvent, savedEvent } from '../kept-event.ts';
import type { SavedEvent } from '../kept-event.ts';
import { Backlog } from '../lane.ts';
import type { MakeOperator, Memory, Operator, Output, Receive, Scope } from '../operator.ts';

/** Largest number of values that may be held. */
const MAX_CAPACITY = 2 ** 24;

/**
 * Sends each value on so long after it came. To space values out is `rateLimit`.
 *
 * - *Order*: kept.
 * - *Back-pressure*: a value is dealt with, for those in front, when it is held. One at a time is under way behind; while `capacity` are held, emits
 *   wait for room, up to 10,000 of them, then `MR_OVERFLOW`.
 * - *State*: the values that are held. `drain` and `close` wait until they are through, `destroy` drops them.
 * - *Delivery*: each value once, in a process only. When one fails, the next `emit` into the graph (whose own value is taken all the same), `drain` or
 *   `close` rejects; those after it go on.
 *
 * ```ts
 * import { Stream, VirtualClock } from 'millrace';
 *
 * const clock = new VirtualClock();
 * const carts = new Stream<string>({ clock });
 * const reminded: string[] = [];
 * carts.delay('1h').sink((user) => reminded.push(user));
 * await carts.emit('ann');
 * reminded.length; // => 0
 * await clock.advance(3_600_000);
 * reminded; // => ['ann']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for what is no duration, and a capacity that is not an integer from 1 to 16,777,216.
 */
export function delay(by: Duration, capacity: number): MakeOperator {
  const delayMs = durationMs(by, 'delay');
  checkWhole('capacity of delay', capacity, 1, MAX_CAPACITY);
  return (output, scope) => new Delayed(delayMs, capacity, output, scope);
}

interface Held {
  readonly value: unknown;
  readonly event: EventCell | null;
  /** On the monotonic scale of the clock. */
  readonly dueMs: number;
  readonly work: Work;
}

interface SavedValue {
  readonly value: unknown;
  readonly event: SavedEvent | null;
  readonly leftMs: number;
}

class Delayed implements Operator {
  readonly detached: Detached = new Detached();
  readonly inputs: readonly Receive[];
  readonly memory: Memory;
  readonly #delayMs: number;
  readonly #output: Output;
  readonly #scope: Scope;
  readonly #held = new Fifo<Held>();
  /** Emits that wait for room. */
  readonly #backlog = new Backlog('delay');
  readonly #capacity: number;
  #timer: Timer | undefined;
  #underWay = false;

  constructor(delayMs: number, capacity: number, output: Output, scope: Scope) {
    this.#delayMs = delayMs;
    this.#capacity = capacity;
    this.#output = output;
    this.#scope = scope;
    this.inputs = [
      (value, event) =>
        this.#held.size >= capacity ? this.#backlog.add(value, event) : this.#take(value, event),
    ];
    this.memory = { save: () => this.#save(), load: (saved) => this.#load(saved as SavedValue[]) };
  }

  flush(): Promise<void> {
    return this.detached.finished();
  }

  close(): void {
    this.#timer?.cancel();
    for (const { work } of this.#held.clear()) work.done();
    this.#backlog.drop();
    this.detached.close();
  }

  readonly #take: Receive = (value, event) => {
    this.#hold(value, keptEvent(event), this.#scope.clock.monotonic() + this.#delayMs);
  };

  #hold(value: unknown, event: EventCell | null, dueMs: number): void {
    this.#held.add({ value, event, dueMs, work: this.detached.begin() });
    if (this.#held.size === 1 && !this.#underWay) this.#arm();
  }

  #arm(): void {
    const first = this.#held.peek();
    if (first === undefined) return;
    const leftMs = Math.max(0, first.dueMs - this.#scope.clock.monotonic());
    this.#timer = this.#scope.clock.setTimer(leftMs, () => this.#sendDue());
  }

  #sendDue(): void {
    const nowMs = this.#scope.clock.monotonic();
    for (;;) {
      const first = this.#held.peek();
      if (first === undefined || first.dueMs > nowMs) break;
      this.#held.take();
      const pending = this.detached.run(() => this.#output.next(first.value, first.event));
      first.work.done();
      if (pending !== undefined) {
        this.#underWay = true;
        void pending.then(() => {
          this.#underWay = false;
          this.#sendDue();
        });
        this.#fill();
        return;
      }
      this.#fill();
    }
    this.#timer?.cancel();
    this.#arm();
  }

  #fill(): void {
    while (this.#backlog.size > 0 && this.#held.size < this.#capacity)
      this.#backlog.runOne(this.#take);
  }

  #save(): SavedValue[] {
    const nowMs = this.#scope.clock.monotonic();
    return this.#held.values().map(({ value, event, dueMs }) => ({
      value,
      event: savedEvent(event),
      leftMs: Math.max(0, dueMs - nowMs),
    }));
  }

  #load(saved: readonly SavedValue[]): void {
    this.#timer?.cancel();
    for (const { work } of this.#held.clear()) work.done();
    const nowMs = this.#scope.clock.monotonic();
    for (const { value, event, leftMs } of saved)
      this.#hold(value, loadedEvent(event), nowMs + leftMs);
  }
}
