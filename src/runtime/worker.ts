/**
 * A worker: runs the tasks of one member of a group, commits them, and recovers them when the outside fails.
 *
 * One loop serves all tasks. Synchronous tasks take turns of about a thousand events; a task whose operator waits for something is left
 * alone until that is done, and the others go on.
 *
 * @module
 */
import type { Broker, Membership } from '../broker/broker.ts';
import type { Clock } from '../core/clock.ts';
import { sleep } from '../core/clock.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import { isPromise } from '../core/types.ts';
import type { Task } from './task.ts';

/** Events that a task may take before it is another's turn. */
const TURN_EVENTS = 1_000;

/** How long the loop sleeps at most when there is nothing to do. */
const IDLE_MS = 1_000;

const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 2_000;

export interface WorkerOptions {
  readonly broker: Broker;
  readonly membership: Membership;
  readonly clock: Clock;
  readonly group: string;
  readonly tasks: readonly Task[];
  /** How long a full disk or the like is put up with before the worker fails. */
  readonly retryForMs: number;
  /** Told of what the worker does about failures. */
  readonly warn: (message: string) => void;
}

interface Entry {
  readonly task: Task;
  busy: Promise<void> | undefined;
  failingSince: number;
  attempts: number;
}

/** Counters of a worker. */
export interface WorkerStats {
  /** Events processed since the group began, those that are not committed included. */
  readonly events: number;
  /** The committed ones. */
  readonly committed: number;
  readonly commits: number;
  /** Rows of tables and operators in memory. */
  readonly rows: number;
  /** Committed events that came for a closed window, by table. */
  readonly late: Readonly<Record<string, number>>;
}

/** Runs tasks until it is stopped or one of them fails for good. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #entries: readonly Entry[];
  readonly #stop = new AbortController();
  #hurry = 0;
  #failure: unknown;
  #wake: (() => void) | undefined;
  #settledWaiters: PromiseWithResolvers<void>[] = [];
  #ended = false;
  #running: Promise<void> | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#entries = options.tasks.map((task) => ({
      task,
      busy: undefined,
      failingSince: Number.NaN,
      attempts: 0,
    }));
  }

  /** Runs until {@link Worker.stop}. Rejects with what made it fail; nothing uncommitted is kept then. */
  run(): Promise<void> {
    this.#running ??= this.#live();
    return this.#running;
  }

  async #live(): Promise<void> {
    try {
      await this.#loop();
    } catch (error) {
      this.#failure ??= error;
    }
    await this.#end();
    if (this.#failure !== undefined) throw this.#failure;
  }

  get stats(): WorkerStats {
    let events = 0;
    let committed = 0;
    let commits = 0;
    let rows = 0;
    const late = new Map<string, number>();
    for (const { task } of this.#entries) {
      events += task.events;
      committed += task.committed.events;
      commits += task.commits;
      rows += task.rows;
      for (const [table, count] of task.committed.late)
        late.set(table, (late.get(table) ?? 0) + count);
    }
    return { events, committed, commits, rows, late: Object.fromEntries(late) };
  }

  /** Records in the inputs of all tasks that are not committed yet, those on their way between tasks included. */
  async lag(): Promise<number> {
    let lag = 0;
    for (const { task } of this.#entries)
      for (const { topic, partition, offset } of task.positions) {
        const { end } = await this.#options.broker.bounds(topic, partition);
        lag += end - offset;
      }
    return lag;
  }

  /**
   * Resolves when every input is read to its end and everything is committed, what the tasks send to each other included.
   *
   * @throws what made the worker fail, before or meanwhile; `MR_CLOSED` when it is stopped before.
   */
  async settled(): Promise<void> {
    if (this.#ended) throw this.#whyEnded();
    this.#hurry++;
    try {
      const waiter = Promise.withResolvers<void>();
      this.#settledWaiters.push(waiter);
      this.#wakeUp();
      await waiter.promise;
    } finally {
      this.#hurry--;
    }
  }

  /**
   * Takes no more events, lets those under way finish, commits, and ends.
   *
   * @throws `MR_STOP_TIMEOUT` when that takes longer than `deadlineMs`; what was not committed is dropped.
   */
  async stop(deadlineMs: number): Promise<void> {
    for (const { task } of this.#entries) task.drain();
    this.#stop.abort();
    this.#wakeUp();
    const timer = new AbortController();
    try {
      await Promise.race([this.run(), this.#deadline(deadlineMs, timer.signal)]);
    } finally {
      timer.abort();
    }
  }

  async #deadline(deadlineMs: number, signal: AbortSignal): Promise<void> {
    try {
      await sleep(this.#options.clock, deadlineMs, signal);
    } catch {
      return;
    }
    const busy = this.#entries
      .filter((entry) => entry.busy !== undefined)
      .map(({ task }) => task.id);
    this.#failure = new MillraceError(
      'MR_STOP_TIMEOUT',
      `the worker did not stop within ${deadlineMs} ms${busy.length > 0 ? `, waiting for ${busy.join(', ')}` : ''}; what was not committed will be processed again`,
      { details: { deadlineMs, busy } },
    );
    this.#wakeUp();
    throw this.#failure;
  }

  async #loop(): Promise<void> {
    const { clock } = this.#options;
    // Whoever starts a worker can look at it before it moves.
    await clock.turn();
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const stopping = this.#stop.signal.aborted;
      let progress = false;
      for (const entry of this.#entries) {
        if (entry.busy !== undefined) continue;
        progress = this.#turn(entry, stopping) || progress;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (progress) {
        await clock.turn();
        continue;
      }
      const quiet = this.#entries.every(
        (entry) => entry.busy === undefined && entry.task.waits.length === 0,
      );
      if (stopping && quiet) return;
      if (quiet && this.#entries.every(({ task }) => task.settled)) this.#tellSettled();
      await this.#sleep();
    }
  }

  /** One turn of one task. True when there may be more to do at once. */
  #turn(entry: Entry, stopping: boolean): boolean {
    const { task } = entry;
    try {
      task.throwFailure();
      // A step that ended in a promise did not come to the look at the end.
      this.#commitIfDue(entry, stopping);
      const result = stopping ? 0 : task.step(TURN_EVENTS);
      if (isPromise(result)) {
        entry.busy = result.then(
          () => this.#free(entry),
          (error: unknown) => {
            this.#free(entry);
            this.#failed(entry, error);
          },
        );
        return false;
      }
      this.#commitIfDue(entry, stopping);
      return result > 0;
    } catch (error) {
      this.#failed(entry, error);
      return false;
    }
  }

  #commitIfDue(entry: Entry, stopping: boolean): void {
    if (!entry.task.commitDue(this.#hurry > 0 || stopping)) return;
    const { commits } = entry.task;
    void entry.task.commit().then(() => {
      // A commit that failed resolves too; the task throws its error at its next turn.
      if (entry.task.commits > commits) {
        entry.failingSince = Number.NaN;
        entry.attempts = 0;
      }
      this.#wakeUp();
    });
  }

  #free(entry: Entry): void {
    entry.busy = undefined;
    this.#wakeUp();
  }

  /** Decides what becomes of a task that failed: loaded again after a pause if the outside is to blame, else the worker fails. */
  #failed(entry: Entry, error: unknown): void {
    const recoverable = MillraceError.is(error) && (error.retryable || error.code === 'MR_IO');
    const { clock, retryForMs, warn } = this.#options;
    const now = clock.monotonic();
    if (Number.isNaN(entry.failingSince)) entry.failingSince = now;
    if (!recoverable || now - entry.failingSince > retryForMs || this.#stop.signal.aborted) {
      this.#failure ??= error;
      this.#wakeUp();
      return;
    }
    const delayMs = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** entry.attempts++);
    warn(`${entry.task.id}: ${error.message}; trying again in ${delayMs} ms from the last commit`);
    entry.busy = this.#recover(entry, delayMs).then(
      () => this.#free(entry),
      (again: unknown) => {
        this.#free(entry);
        this.#failed(entry, again);
      },
    );
  }

  async #recover(entry: Entry, delayMs: number): Promise<void> {
    const { broker, clock, group } = this.#options;
    await entry.task.close();
    try {
      await sleep(clock, delayMs, this.#stop.signal);
    } catch {
      // Stopped: there is nothing to commit, and whoever starts next loads what is stored.
      return;
    }
    const info = await broker.describeGroup(group);
    const owned = info?.tasks.find(({ id }) => id === entry.task.id);
    if (owned === undefined)
      throw new MillraceError(
        'MR_FENCED',
        `task ${entry.task.id} is not part of group ${group} any more`,
        { domain: 'external' },
      );
    await entry.task.recover(owned);
  }

  #tellSettled(): void {
    const waiters = this.#settledWaiters;
    this.#settledWaiters = [];
    for (const { resolve } of waiters) resolve();
  }

  #whyEnded(): unknown {
    return (
      this.#failure ??
      new MillraceError(
        'MR_CLOSED',
        'the worker was stopped before everything was processed; start the app again to go on',
      )
    );
  }

  #wakeUp(): void {
    this.#wake?.();
  }

  /** Until something is appended, a commit or a wait ends, or a commit is due. */
  async #sleep(): Promise<void> {
    const { broker, clock } = this.#options;
    const dueAt = Math.min(
      ...this.#entries.map(({ task, busy }) => (busy === undefined ? task.commitDueAt : Infinity)),
    );
    const timeoutMs = Math.max(0, Math.min(IDLE_MS, dueAt - clock.monotonic()));
    const abort = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const waits = this.#entries.flatMap(({ task }) => task.waits);
    await Promise.race([
      woken,
      ...waits,
      broker.changed(timeoutMs, abort.signal).catch((error: unknown) => {
        // A broker that cannot even be waited for would be asked again at once, and for ever.
        if (!abort.signal.aborted) this.#failure ??= error;
      }),
    ]);
    this.#wake = undefined;
    abort.abort();
  }

  async #end(): Promise<void> {
    this.#ended = true;
    for (const { reject } of this.#settledWaiters) reject(this.#whyEnded());
    this.#settledWaiters = [];
    for (const { task } of this.#entries) task.drain();
    await Promise.allSettled(this.#entries.map(({ task }) => task.close()));
    try {
      await this.#options.membership.leave();
    } catch (error) {
      // Everything is committed, and whoever takes the tasks next does not need them to be free.
      this.#options.warn(
        `group ${this.#options.group}: the tasks could not be given back: ${messageOf(error)}`,
      );
    }
  }
}
