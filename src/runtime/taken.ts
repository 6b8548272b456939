/**
 * The events that a task has taken and not settled, in the order in which they were taken; several of them are under way at once.
 *
 * Before a commit those that user code has are waited for, and what waits in front of it is taken back, so that no commit waits for a queue. An event
 * can be taken back from the middle of the row if nothing was changed on its behalf. If something was, those behind it may have built on that, so
 * it can only be taken back together with them. What is finished behind one that was taken back is named by the commit beside the position
 * ({@link Row.done}).
 *
 * @module
 */
import type { EventCell, Flight } from '../core/event.ts';
import type { ProcessingCell } from '../table/processing.ts';
import type { Passed, TaskInput } from './input.ts';

/** An event, or what a control frame says. */
export interface Taken {
  readonly input: TaskInput;
  readonly passed: Passed;
  /** Its number among all that were taken. */
  readonly number: number;
  /** Undefined for what is nobody's event: a control frame, an event that the last commit covers. */
  readonly event: EventCell | undefined;
  readonly value: unknown;
  /** Why it could not be read. */
  readonly undecodable: { readonly error: unknown } | undefined;
  /** How it is doing; a new one each time it is offered. */
  flight: Flight;
  cell: ProcessingCell | undefined;
  /**
   * - `open`: something is being done for it.
   * - `kept`: nothing more is; what was changed on its behalf can still be taken back.
   * - `finished`: what was changed stays. What was sent waits for its turn, so that records are in the order of the events.
   * - `complete`: what was sent is among the outputs.
   * - `back`: it was taken back and has not been offered again.
   */
  state: 'open' | 'kept' | 'finished' | 'complete' | 'back';
  /** Its place in the row is kept by an earlier commit: it was complete then. */
  readonly before: boolean;
}

/** The row. */
export class Row {
  #taken: Taken[] = [];
  #head = 0;

  add(taken: Taken): void {
    this.#taken.push(taken);
  }

  /** How many there are. */
  get size(): number {
    return this.#taken.length - this.#head;
  }

  get first(): Taken | undefined {
    return this.#taken[this.#head];
  }

  /** Whether any of those behind is under way or done. */
  isOvertaken(taken: Taken): boolean {
    for (let i = this.#taken.length - 1; i >= this.#head; i--) {
      const { event, state } = this.#taken[i] as Taken;
      if (this.#taken[i] === taken) return false;
      if (event !== undefined && state !== 'back') return true;
    }
    return false;
  }

  /** From the first to the last. */
  *[Symbol.iterator](): IterableIterator<Taken> {
    for (let i = this.#head; i < this.#taken.length; i++) yield this.#taken[i] as Taken;
  }

  /** Takes the finished ones in front away, one by one. */
  *settled(): IterableIterator<Taken> {
    for (;;) {
      const first = this.#taken[this.#head];
      if (first === undefined || first.state === 'open' || first.state === 'back') break;
      this.#head++;
      yield first;
    }
    if (this.#head > 1_024 && this.#head * 2 > this.#taken.length) {
      this.#taken.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** Those that wait and can be taken back. `all`: even if those behind have built on what was changed for them. */
  waiting(all: boolean): Taken[] {
    const waiting: Taken[] = [];
    let blocked = false;
    for (let i = this.#taken.length - 1; i >= this.#head; i--) {
      const taken = this.#taken[i] as Taken;
      const { event, state, flight } = taken;
      if (state === 'finished' || state === 'complete') blocked ||= event !== undefined;
      if (state !== 'open' || flight.withdrawn) continue;
      if (canGoBack(flight) && (isUntouched(taken) || !blocked || all)) waiting.push(taken);
      else blocked = true;
    }
    return waiting;
  }

  /**
   * When nothing is under way: those whose changes have to be taken back, the last one first. They are those that were withdrawn, and what was
   * kept behind the first of them that has changed anything. What else was kept can take effect, as what is finished does, in its order.
   */
  part(): { readonly back: readonly Taken[]; readonly complete: readonly Taken[] } {
    const back: Taken[] = [];
    const complete: Taken[] = [];
    for (const taken of this)
      if (taken.state === 'finished') complete.push(taken);
      else if (!isUntouched(taken)) {
        if (taken.state === 'back') back.push(taken);
        else if (taken.state === 'kept') (back.length > 0 ? back : complete).push(taken);
      }
    return { back: back.toReversed(), complete };
  }

  /** Offsets of what is complete behind the first that is not, of one input in their order. */
  *done(input: TaskInput): IterableIterator<number> {
    for (const taken of this) {
      const { state, passed, before, event } = taken;
      if (taken.input === input && (before || (event !== undefined && state === 'complete')))
        yield passed.position - 1;
    }
  }
}

/** Whether nothing was changed on its behalf that could be taken back. */
function isUntouched({ event }: Taken): boolean {
  return event?.effects?.empty !== false;
}

/** Whether all that is under way of it waits in a queue, as far as is known. */
export function canGoBack({ queues, delivered }: Flight): boolean {
  return queues > 0 && !delivered;
}
