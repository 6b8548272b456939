/**
 * An app that has been started.
 *
 * @module
 */
import type { Clock, Timer } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import type { Worker, WorkerStats } from '../runtime/worker.ts';

/** What {@link Running} needs of its app. */
export interface RunningContext {
  readonly clock: Clock;
  /** Told of a failure that nobody has asked for. */
  readonly warn: (message: string) => void;
  readonly beside: {
    /** Begins what runs beside the workers: jobs, housekeeping. Aborted when the workers are to stop or have ended. Never rejects. */
    run(signal: AbortSignal, failed: (error: unknown) => void): Promise<void>;
    /** What of it has not ended. */
    busy(): readonly string[];
  };
  /** Called once when everything has ended. */
  readonly ended: () => void;
}

/** How long what is left may take to stop after something has failed. */
const FAILED_DEADLINE_MS = 30_000;

/** The workers of an app in this process, usually one. */
export class Running {
  readonly #workers: readonly Worker[];
  readonly #context: RunningContext;
  readonly #done: Promise<void>;
  readonly #end = new AbortController();
  #failure: { readonly error: unknown } | undefined;
  /** Resolves at the deadline of a stop; what has not ended by then is left behind. */
  readonly #late = Promise.withResolvers<number>();
  readonly #deadlines: Timer[] = [];
  /** Somebody has asked how it went, and will be told. */
  #asked = false;

  /** @internal */
  constructor(workers: readonly Worker[], context: RunningContext) {
    this.#workers = workers;
    this.#context = context;
    this.#done = this.#run();
    this.#done.catch(async (error: unknown) => {
      await context.clock.turn();
      if (!this.#asked) context.warn(`the worker failed: ${messageOf(error)}`);
    });
  }

  async #run(): Promise<void> {
    const { beside, ended } = this.#context;
    const fail = (error: unknown): void => {
      this.#failure ??= { error };
      this.#endBy(FAILED_DEADLINE_MS);
      // What one of them fails with ends them all.
      this.#stopAll();
    };
    const besides = beside.run(this.#end.signal, fail);
    const runs = this.#workers.map((worker) => worker.run().catch(fail));
    await Promise.all(runs);
    if (!this.#end.signal.aborted) this.#endBy(FAILED_DEADLINE_MS);
    const lateMs = await Promise.race([besides, this.#late.promise]);
    for (const deadline of this.#deadlines) deadline.cancel();
    if (lateMs !== undefined) this.#failure ??= { error: tooLate(lateMs, beside.busy()) };
    ended();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #stopAll(): void {
    for (const worker of this.#workers) worker.stop(FAILED_DEADLINE_MS).catch(() => undefined);
  }

  /** Tells what runs beside the workers to end, and how long it may take. */
  #endBy(deadlineMs: number): void {
    this.#end.abort();
    const { clock } = this.#context;
    this.#deadlines.push(clock.setTimer(deadlineMs, () => this.#late.resolve(deadlineMs)));
  }

  /** @internal */
  get '~workers'(): readonly Worker[] {
    return this.#workers;
  }

  /** Resolves when the worker has stopped, rejects with what made it fail. What was not committed then is processed again. */
  get done(): Promise<void> {
    this.#asked = true;
    return this.#done;
  }

  /** Counters of the tasks that are here, since the app's first start, but for `commits` and `rows`. */
  get stats(): WorkerStats {
    const [first, ...others] = this.#workers.map((worker) => worker.stats);
    return others.reduce(addStats, first as WorkerStats);
  }

  /** Records that are stored and not processed yet by this worker or the others of the app, those between tasks included. */
  lag(): Promise<number> {
    return (this.#workers[0] as Worker).lag();
  }

  /**
   * Resolves when everything that is stored now has been processed and committed, and nothing is on its way between tasks, those of other
   * workers of the app included.
   *
   * @throws what made the worker fail; `MR_CLOSED` when it is stopped before.
   */
  async settled(): Promise<void> {
    this.#asked = true;
    await Promise.all(this.#workers.map((worker) => worker.settled()));
  }

  /**
   * Takes no more events, lets those under way finish, commits, gives the tasks back and ends.
   *
   * @throws `MR_STOP_TIMEOUT` after `deadline`, default 30 s; and what made the worker fail.
   */
  async stop(options: { readonly deadline?: Duration | undefined } = {}): Promise<void> {
    this.#asked = true;
    const deadlineMs = durationMs(options.deadline ?? '30s', 'deadline');
    this.#endBy(deadlineMs);
    await Promise.all(this.#workers.map((worker) => worker.stop(deadlineMs)));
    await this.#done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The counters of two workers together. */
export function addStats(a: WorkerStats, b: WorkerStats): WorkerStats {
  const late: Record<string, number> = { ...a.late };
  for (const [table, count] of Object.entries(b.late)) late[table] = (late[table] ?? 0) + count;
  return {
    events: a.events + b.events,
    committed: a.committed + b.committed,
    commits: a.commits + b.commits,
    rows: a.rows + b.rows,
    skipped: a.skipped + b.skipped,
    deadLettered: a.deadLettered + b.deadLettered,
    lost: a.lost + b.lost,
    late,
    tasks: [...a.tasks, ...b.tasks].toSorted(),
  };
}

function tooLate(deadlineMs: number, busy: readonly string[]): MillraceError {
  return new MillraceError(
    'MR_STOP_TIMEOUT',
    `what runs beside the worker did not stop within ${deadlineMs} ms, waiting for ${busy.join(', ')}; end it when its signal aborts`,
    { details: { deadlineMs, busy } },
  );
}
