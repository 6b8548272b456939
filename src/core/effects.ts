/**
 * What the processing of one event has done so far, so that it can be taken back when the event fails and its policy lets the task go on.
 *
 * Where failing means stopping nothing is remembered: an event's cell then has no effects, and what it did dies with the task.
 *
 * @module
 */

/** One change that can be taken back. */
export interface Undo {
  /**
   * Takes the change back. `false`: somebody else has changed the same thing since, and it cannot be taken back alone; the task then has to
   * go back to its last commit.
   */
  undo(): boolean;
}

/** A change that waits for the end of its event, and cannot fail any more. */
export type Held = () => void;

/** A point between two changes; see {@link Effects.mark}. */
export interface Mark {
  readonly undos: number;
  readonly held: number;
}

/** The changes of one event, in their order. Reused from event to event. */
export class Effects {
  readonly #undos: Undo[] = [];
  readonly #held: Held[] = [];
  #marks = 0;

  /** How many marks were made: who keeps what there was before a change keeps it once for each. */
  get marks(): number {
    return this.#marks;
  }

  /** Whether nothing was changed, and nothing waits. */
  get empty(): boolean {
    return this.#undos.length === 0 && this.#held.length === 0;
  }

  /** Something was changed, and this takes it back. */
  add(undo: Undo): void {
    this.#undos.push(undo);
  }

  /** Something is to be done once the event has succeeded. */
  hold(held: Held): void {
    this.#held.push(held);
  }

  /** Where it stands now. */
  mark(): Mark {
    this.#marks++;
    return { undos: this.#undos.length, held: this.#held.length };
  }

  /** Takes back everything after `mark`, the last change first; without one, everything. `false` when that was not possible, see {@link Undo}. */
  rollback(mark?: Mark): boolean {
    let done = true;
    for (let i = this.#undos.length - 1; i >= (mark?.undos ?? 0); i--)
      if (!(this.#undos[i] as Undo).undo()) done = false;
    this.#undos.length = mark?.undos ?? 0;
    this.#held.length = mark?.held ?? 0;
    return done;
  }

  /** The event has succeeded: does what was held, and forgets the rest. */
  settle(): void {
    if (this.#held.length > 0) {
      for (const held of this.#held) held();
      this.#held.length = 0;
    }
    // A length of 0 would give the memory back, for the next event to ask for it again.
    while (this.#undos.length > 0) this.#undos.pop();
  }

  /**
   * Effects for a part of the event that can be taken back by itself. They are taken back with those of the whole as well, finished or not:
   * {@link Effects.join} them when the part has succeeded.
   */
  fork(): Effects {
    const branch = new Effects();
    this.#undos.push({ undo: () => branch.rollback() });
    return branch;
  }

  /** A fork has succeeded: what it held waits for the whole. */
  join(fork: Effects): void {
    for (const held of fork.#held) this.#held.push(held);
    fork.#held.length = 0;
  }

  /** The changes of `branch`, which has succeeded, become changes of this event. */
  adopt(branch: Effects): void {
    for (const undo of branch.#undos) this.#undos.push(undo);
    for (const held of branch.#held) this.#held.push(held);
  }
}
