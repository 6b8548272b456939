/**
 * What the processing of one event has done so far, so that it can be taken back when the event fails and its policy lets the task go on.
 *
 * Where failing means stopping nothing is remembered: an event's cell then has no effects, and what it did dies with the task.
 *
 * @module
 */

/** How many changes are looked through for one about a thing before they are indexed. */
const MAX_LOOKS = 16;

/** One change that can be taken back. */
export interface Undo {
  /** What it is about, for {@link Effects.lastOf}. Default: nobody asks. */
  readonly subject?: object | undefined;
  /**
   * Takes the change back. `false`: somebody else has changed the same thing since, and it cannot be taken back alone; the task then has to
   * go back to its last commit.
   */
  undo(): boolean;
  /** The event has succeeded: the change will not be taken back any more. */
  end?(): void;
}

/** A change that waits for the end of its event, and cannot fail any more. */
export type Held = () => void;

/** A point between two changes; see {@link Effects.mark}. */
export interface Mark {
  readonly undos: number;
  readonly held: number;
  readonly heldBytes: number;
}

/** The changes of one event, in their order. Reused from event to event. */
export class Effects {
  /**
   * Whether other events are under way beside this one, which must not build on what may be taken back: it matters then who has read what this
   * event has written.
   */
  readonly beside: boolean;
  readonly #undos: Undo[] = [];
  readonly #held: Held[] = [];
  #marks = 0;
  #heldBytes = 0;
  /** The last of the first `#indexed` changes about each thing; for events that change much. */
  #index: Map<object, Undo> | undefined;
  #indexed = 0;

  constructor(beside: boolean = false) {
    this.beside = beside;
  }

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

  /** The last change about a thing that was added and not taken back. */
  lastOf(subject: object): Undo | undefined {
    const undos = this.#undos;
    for (let i = undos.length - 1; i >= this.#indexed; i--) {
      const undo = undos[i] as Undo;
      if (undo.subject === subject) return undo;
    }
    if (undos.length - this.#indexed > MAX_LOOKS) {
      this.#index ??= new Map();
      for (; this.#indexed < undos.length; this.#indexed++) {
        const undo = undos[this.#indexed] as Undo;
        if (undo.subject !== undefined) this.#index.set(undo.subject, undo);
      }
    }
    return this.#index?.get(subject);
  }

  /** Something is to be done once the event has succeeded. `bytes`: what waiting for that costs. */
  hold(held: Held, bytes: number = 0): void {
    this.#held.push(held);
    this.#heldBytes += bytes;
  }

  /** The bytes of everything that is held. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Where it stands now. */
  mark(): Mark {
    this.#marks++;
    return { undos: this.#undos.length, held: this.#held.length, heldBytes: this.#heldBytes };
  }

  /** Takes back everything after `mark`, the last change first; without one, everything. `false` when that was not possible, see {@link Undo}. */
  rollback(mark?: Mark): boolean {
    let done = true;
    for (let i = this.#undos.length - 1; i >= (mark?.undos ?? 0); i--)
      if (!(this.#undos[i] as Undo).undo()) done = false;
    this.#undos.length = mark?.undos ?? 0;
    this.#held.length = mark?.held ?? 0;
    this.#heldBytes = mark?.heldBytes ?? 0;
    this.#forgetIndex();
    return done;
  }

  /** The event has succeeded: nothing is taken back any more, and what was held is done. */
  settle(): void {
    this.confirm();
    if (this.#held.length === 0) return;
    for (const held of this.#held) held();
    this.#held.length = 0;
    this.#heldBytes = 0;
  }

  /** The event has succeeded, but it is not yet time for what is held: {@link Effects.settle}, in its turn, does that. */
  confirm(): void {
    // A length of 0 would give the memory back, for the next event to ask for it again.
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) undo.end?.();
    this.#forgetIndex();
  }

  #forgetIndex(): void {
    if (this.#index === undefined || this.#indexed === 0) return;
    this.#index.clear();
    this.#indexed = 0;
  }

  /**
   * Effects for a part of the event that can be taken back by itself. They are taken back with those of the whole as well, finished or not:
   * {@link Effects.join} them when the part has succeeded.
   */
  fork(): Effects {
    const branch = new Effects(this.beside);
    this.#undos.push({ undo: () => branch.rollback(), end: () => branch.confirm() });
    return branch;
  }

  /** A fork has succeeded: what it held waits for the whole. */
  join(fork: Effects): void {
    for (const held of fork.#held) this.#held.push(held);
    this.#heldBytes += fork.#heldBytes;
    fork.#held.length = 0;
    fork.#heldBytes = 0;
  }

  /** The changes of `branch`, which has succeeded, become changes of this event. */
  adopt(branch: Effects): void {
    for (const undo of branch.#undos) this.#undos.push(undo);
    for (const held of branch.#held) this.#held.push(held);
    this.#heldBytes += branch.#heldBytes;
  }
}
