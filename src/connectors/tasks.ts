/**
 * Work that goes on side by side, such as the connections of a server.
 *
 * @module
 */

/** Tasks of which the first failure is told. */
export class Tasks {
  /** Rejects with the first failure; never resolves. */
  readonly failure: Promise<never>;
  readonly #fail: (error: unknown) => void;
  readonly #tasks = new Set<Promise<void>>();

  constructor() {
    const { promise, reject } = Promise.withResolvers<never>();
    // Whoever is not interested does not look.
    promise.catch(() => undefined);
    this.failure = promise;
    this.#fail = reject;
  }

  /** Begins one. */
  start(task: () => Promise<void>): void {
    const running = task()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => this.#tasks.delete(running));
    this.#tasks.add(running);
  }

  /** The same as a task that fails. */
  fail(error: unknown): void {
    this.#fail(error);
  }

  /** Resolves when all have ended, well or not. */
  async settled(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }
}
