/**
 * One at a time: for work that needs much memory, and does not get faster by being done several times at once.
 *
 * @module
 */

/** Lets one piece of work run after the other, in the order of the calls. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when all that was given before has ended, however it ended. Rejects as `work` does. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work, work);
    this.#last = run.catch(() => undefined);
    return run;
  }
}
