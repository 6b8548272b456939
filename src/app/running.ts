/**
 * An app that has been started.
 *
 * @module
 */
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import type { Worker, WorkerStats } from '../runtime/worker.ts';

/** A started worker. */
export class Running {
  /** Resolves when the worker has stopped, rejects with what made it fail. What was not committed then is processed again. */
  readonly done: Promise<void>;
  readonly #worker: Worker;

  /** @internal */
  constructor(worker: Worker) {
    this.#worker = worker;
    this.done = worker.run();
    // Whoever does not ask for the outcome must not be ended by it; `stop` and `settled` tell it too.
    this.done.catch(() => undefined);
  }

  /** Counters since the app's first start, but for `commits` and `rows`. */
  get stats(): WorkerStats {
    return this.#worker.stats;
  }

  /** Records that are stored and not processed yet, those between tasks included. */
  lag(): Promise<number> {
    return this.#worker.lag();
  }

  /**
   * Resolves when everything that is stored now has been processed and committed, and nothing is on its way between tasks.
   *
   * @throws what made the worker fail.
   */
  settled(): Promise<void> {
    return this.#worker.settled();
  }

  /**
   * Takes no more events, lets those under way finish, commits, and ends.
   *
   * @throws `MR_STOP_TIMEOUT` after `deadline`, default 30 s; and what made the worker fail.
   */
  stop(options: { readonly deadline?: Duration | undefined } = {}): Promise<void> {
    return this.#worker.stop(durationMs(options.deadline ?? '30s', 'deadline'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
