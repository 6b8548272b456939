/**
 * An app that has been started.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { messageOf } from '../core/errors.ts';
import type { Worker, WorkerStats } from '../runtime/worker.ts';

/** A started worker. */
export class Running {
  readonly #worker: Worker;
  readonly #done: Promise<void>;
  /** Somebody has asked how it went, and will be told. */
  #asked = false;

  /** @internal `warn` is told of a failure that nobody has asked for. */
  constructor(worker: Worker, clock: Clock, warn: (message: string) => void) {
    this.#worker = worker;
    this.#done = worker.run();
    this.#done.catch(async (error: unknown) => {
      await clock.turn();
      if (!this.#asked) warn(`the worker failed: ${messageOf(error)}`);
    });
  }

  /** Resolves when the worker has stopped, rejects with what made it fail. What was not committed then is processed again. */
  get done(): Promise<void> {
    this.#asked = true;
    return this.#done;
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
   * @throws what made the worker fail; `MR_CLOSED` when it is stopped before.
   */
  settled(): Promise<void> {
    this.#asked = true;
    return this.#worker.settled();
  }

  /**
   * Takes no more events, lets those under way finish, commits, and ends.
   *
   * @throws `MR_STOP_TIMEOUT` after `deadline`, default 30 s; and what made the worker fail.
   */
  async stop(options: { readonly deadline?: Duration | undefined } = {}): Promise<void> {
    this.#asked = true;
    await this.#worker.stop(durationMs(options.deadline ?? '30s', 'deadline'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
