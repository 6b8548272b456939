/**
 * Counts the events that were accepted by `emit` and are not finished, so that `drain` knows when they are.
 *
 * Only events with something asynchronous on their way are counted: the others are finished when `emit` returns.
 *
 * @module
 */

/** Something that was accepted, until it is finished. */
export interface Work {
  /** It has finished or failed. To be called once. */
  readonly done: () => void;
}

/** Events accepted between two calls of `drain`. */
class Generation implements Work {
  count = 0;
  #finished: (() => void)[] = [];

  readonly done = (): void => {
    this.count -= 1;
    if (this.count > 0) return;
    const waiting = this.#finished;
    this.#finished = [];
    for (const resolve of waiting) resolve();
  };

  readonly failed = (error: unknown): never => {
    this.done();
    throw error;
  };

  finished(): Promise<void> {
    return new Promise((resolve) => {
      this.#finished.push(resolve);
    });
  }
}

/** The unfinished events of one entrance to a graph. */
export class InFlight {
  #current = new Generation();
  /** Earlier ones that are not finished. */
  readonly #earlier = new Set<Generation>();

  /** Counts an event until its promise has settled. Returns that promise to the one who emitted it. */
  track(event: Promise<void>): Promise<void> {
    const generation = this.#current;
    generation.count += 1;
    // The caller gets what follows, not `event`: a rejection that nobody looks at must stay visible.
    return event.then(generation.done, generation.failed);
  }

  /** Counts something until it says that it is done. */
  begin(): Work {
    this.#current.count += 1;
    return this.#current;
  }

  /** Whether nothing is counted. */
  get idle(): boolean {
    if (this.#current.count > 0) return false;
    for (const { count } of this.#earlier) if (count > 0) return false;
    return true;
  }

  /** Resolves when the events accepted so far have finished or failed. Those that come later are not waited for. */
  async settled(): Promise<void> {
    if (this.#current.count > 0) {
      this.#earlier.add(this.#current);
      this.#current = new Generation();
    }
    for (const generation of [...this.#earlier]) {
      if (generation.count > 0) await generation.finished();
      this.#earlier.delete(generation);
    }
  }
}
