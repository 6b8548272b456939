/**
 * The newest value of each key, held back until something lets it go on: the core of `latest`, `debounce` and `throttle`.
 *
 * Invariant: one value at a time is under way behind it. One that is let go meanwhile waits, and is replaced by a newer one of its key.
 *
 * @module
 */
import type { EventCell } from '../core/event.ts';
import { Detached } from './detached.ts';
import type { Work } from './in-flight.ts';
import { keptEvent, loadedEvent, savedEvent } from './kept-event.ts';
import type { SavedEvent } from './kept-event.ts';
import type { Memory, Output } from './operator.ts';

interface Held {
  value: unknown;
  event: EventCell | null;
  /** Whether it may go on as soon as nothing else is under way. */
  released: boolean;
  readonly work: Work;
}

interface SavedValue {
  readonly value: unknown;
  readonly event: SavedEvent | null;
}

/** Values that are held back, one per key. `undefined` stands for values without a key. */
export class Newest {
  readonly detached: Detached = new Detached();
  readonly #output: Output;
  readonly #held = new Map<string | undefined, Held>();
  #underWay = false;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Whether something is under way behind. */
  get busy(): boolean {
    return this.#underWay;
  }

  has(id: string | undefined): boolean {
    return this.#held.has(id);
  }

  /** Holds a value in place of the one of its key, until it is released. */
  hold(id: string | undefined, value: unknown, event: EventCell | null): void {
    const held = this.#held.get(id);
    if (held === undefined)
      this.#held.set(id, {
        value,
        event: keptEvent(event),
        released: false,
        work: this.detached.begin(),
      });
    else {
      held.value = value;
      held.event = keptEvent(event);
      held.released = false;
    }
  }

  /** The value of a key goes on as soon as nothing is under way. */
  release(id: string | undefined): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    held.released = true;
    if (!this.#underWay) this.#sendReleased();
  }

  /** Sends a value at once, past those that are held. Nothing may be under way. What fails at once is thrown, the rest is kept for who asks. */
  send(value: unknown, event: EventCell | null): void {
    const pending = this.#output.next(value, event);
    if (pending !== undefined) this.#follow(pending);
  }

  /** Sends all that is held, and waits for everything. */
  async flush(): Promise<void> {
    const errors: unknown[] = [];
    do {
      for (const id of [...this.#held.keys()]) this.release(id);
      try {
        await this.detached.settled();
      } catch (error) {
        errors.push(error);
      }
    } while (!this.detached.idle || this.#held.size > 0);
    if (errors.length > 0) throw errors[0];
  }

  /** Drops what is held. */
  close(): void {
    for (const { work } of this.#held.values()) work.done();
    this.#held.clear();
    this.detached.close();
  }

  /** For snapshots. `loaded` is told of each key that has a value again. */
  memoryWith(loaded: (id: string | undefined) => void): Memory {
    return {
      save: () =>
        [...this.#held.values()].map(({ value, event }): SavedValue => ({
          value,
          event: savedEvent(event),
        })),
      load: (saved) => {
        for (const { work } of this.#held.values()) work.done();
        this.#held.clear();
        for (const { value, event } of saved as SavedValue[]) {
          const own = loadedEvent(event);
          this.hold(own?.key?.id, value, own);
          loaded(own?.key?.id);
        }
      },
      peek: (key) => this.#held.get(key?.id)?.value,
    };
  }

  #follow(pending: Promise<void>): void {
    this.#underWay = true;
    void this.detached
      .run(() => pending)
      ?.then(() => {
        this.#underWay = false;
        this.#sendReleased();
      });
  }

  #sendReleased(): void {
    for (const [id, held] of this.#held) {
      if (!held.released) continue;
      this.#held.delete(id);
      let pending: void | Promise<void> = undefined;
      try {
        pending = this.#output.next(held.value, held.event);
      } catch (error) {
        this.detached.fail(error);
      }
      if (pending !== undefined) this.#follow(pending);
      held.work.done();
      if (this.#underWay) return;
    }
  }
}
