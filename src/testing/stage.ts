/**
 * The app under test with its workers: starts and ends them, lets the app settle, and knows what it failed with.
 *
 * @module
 */
import { addStats } from '../app/running.ts';
import type { Broker } from '../broker/broker.ts';
import { assign } from '../broker/groups/assign.ts';
import { MillraceError } from '../core/errors.ts';
import type { TaskLife } from '../runtime/task-life.ts';
import type { Task } from '../runtime/task.ts';
import type { WorkerStats } from '../runtime/worker.ts';
import { Driver } from './driver.ts';
import type { TestClock } from './test-clock.ts';
import type { TestWorker, TestWorkers } from './test-workers.ts';

/** How often a worker that replaces another is started at most. */
const STARTS = 10;
/** How often something may be sent anew when everything is done. */
const ROUNDS = 1_000;
/** Tasks that an error names. */
const NAMED = 10;

/** What {@link Stage} needs. */
export interface StageOptions {
  readonly clock: TestClock;
  readonly workers: TestWorkers;
  /** The test's own. */
  readonly broker: Broker;
  /** Ids of all tasks of the app. */
  readonly tasks: readonly string[];
  /** What workers have failed with, in its order. */
  readonly failures: readonly { readonly error: unknown }[];
  /** See `Driver`. */
  readonly hangMs: number;
}

export class Stage {
  readonly driver: Driver;
  readonly #broker: Broker;
  readonly #workers: TestWorkers;
  readonly #tasks: readonly string[];
  readonly #failures: StageOptions['failures'];

  constructor({ clock, workers, broker, tasks, failures, hangMs }: StageOptions) {
    this.#broker = broker;
    this.#workers = workers;
    this.#tasks = tasks;
    this.#failures = failures;
    this.driver = new Driver(clock, {
      stored: () => workers.transactions,
      work: () => this.#work(),
      busy: () => this.#underWay().length > 0,
      describe: () => this.#describe(),
      hangMs,
    });
  }

  /** Those that live, the oldest in front. */
  get living(): readonly TestWorker[] {
    return this.#workers.living;
  }

  /** Counters of those that live. */
  get stats(): WorkerStats {
    const [first, ...others] = this.living.map(({ worker }) => worker.stats);
    return first === undefined ? noStats : others.reduce(addStats, first);
  }

  /** The tasks of those that live. @throws what made a worker fail. */
  lives(): readonly TaskLife[] {
    this.throwFailure();
    return this.#running().flatMap(({ life }) => life ?? []);
  }

  /** Everything processed, committed, and shared evenly. */
  async settle(): Promise<void> {
    for (let round = 0; ; round++) {
      if (round >= ROUNDS)
        throw new MillraceError(
          'MR_STALLED',
          `the app does not settle: it was settled ${ROUNDS} times, and something has sent more each time; have jobs that send for ever wait on the clock between two records`,
        );
      const workers = this.living;
      const same = (): boolean =>
        this.living.length === workers.length &&
        this.living.every((each, i) => each === workers[i]);
      if (workers.length === 0 && this.#failures.length === 0) await this.#replace();
      else {
        let settled = false;
        Promise.all(workers.map(({ worker }) => worker.settled())).then(
          () => {
            settled = true;
          },
          // One of them has ended: then they are not the same, or the test has failed.
          () => undefined,
        );
        const over = (): boolean => this.#failures.length > 0 || !same();
        await this.driver.until(() => over() || (settled && this.#even()));
        await this.#checkFailure();
        // While tasks moved there may have been more to do; and jobs, which nobody waits for, may have something to send.
        const work = this.#work();
        await this.driver.quiet();
        if (settled && same() && this.#even() && this.#work() === work) break;
      }
    }
  }

  /** Every task has an owner that has loaded it, and the group has nothing to move. */
  #even(): boolean {
    const members: string[] = [];
    const owners = new Map<string, string>();
    for (const { worker } of this.living) {
      members.push(worker.member);
      for (const id of worker.stats.tasks)
        if (worker.task(id)?.life !== undefined) owners.set(id, worker.member);
    }
    if (owners.size < this.#tasks.length) return false;
    const { active } = assign(members, this.#tasks, { active: owners, standby: new Map() });
    return this.#tasks.every((id) => active.get(id) === owners.get(id));
  }

  /** Starts so many more. @throws what starting throws. */
  async add(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.drive(this.#workers.add());
  }

  /** Starts a worker in the place of the last one, as a supervisor does: more than once, if what is outside makes it fail. */
  async #replace(): Promise<void> {
    for (let starts = 1; ; starts++) {
      let failure: unknown;
      try {
        await this.add(1);
        if (this.living.length > 0) return;
      } catch (error) {
        if (!MillraceError.is(error) || error.domain !== 'external') throw error;
        failure = error;
      }
      if (starts < STARTS) continue;
      throw new MillraceError(
        'MR_STALLED',
        `${STARTS} workers that were started one after the other in the place of the last one have died or failed at once; let faults come to an end`,
        { cause: failure },
      );
    }
  }

  /** Waits for what needs time to move. */
  async drive<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    promise.then(end, end);
    await this.driver.until(() => over);
    return await promise;
  }

  /** Has them finish and end; those that do not are killed. */
  async end(): Promise<void> {
    const stopping = this.living.map((worker) => worker.stop());
    // Code that hangs is left where it is.
    await this.drive(Promise.all(stopping)).catch(() => undefined);
    for (const { kill } of this.living) kill();
  }

  /** What one worker has failed with ends them all, as it ends a process. */
  async #checkFailure(): Promise<void> {
    if (this.#failures.length === 0) return;
    await this.end();
    this.throwFailure();
  }

  /** @throws what made a worker fail. */
  throwFailure(): void {
    const [failure] = this.#failures;
    if (failure !== undefined) throw failure.error;
  }

  #running(): readonly Task[] {
    return this.living.flatMap(({ worker }) =>
      worker.stats.tasks.flatMap((id) => worker.task(id) ?? []),
    );
  }

  #work(): string {
    const { events, tasks } = this.stats;
    // A task that goes back may have come as far as it was when somebody looked last.
    const lives = this.#running().reduce((sum, { recoveries }) => sum + recoveries, 0);
    const count = [events, lives, tasks.length, this.living.length, this.#failures.length];
    return [this.#broker.changes(), ...count].join(' ');
  }

  /** Events that user code has. */
  #underWay(): readonly string[] {
    return this.#running().flatMap(({ id, oldest }) =>
      oldest === undefined
        ? []
        : [`${id} has not finished ${oldest.topic}[${oldest.partition}] offset ${oldest.offset}`],
    );
  }

  #describe(): string {
    const underWay = this.#underWay();
    if (underWay.length > 0) return underWay.slice(0, NAMED).join(', ');
    const states = this.#running().flatMap((task) => (task.settled ? [] : [stateOf(task)]));
    return states.length > 0 ? states.slice(0, NAMED).join(', ') : 'no task says what it waits for';
  }
}

function stateOf({ id, life, committing }: Task): string {
  if (life === undefined) return `${id} is being loaded`;
  return committing ? `${id} is committing` : `${id} has something to process or to commit`;
}

const noStats: WorkerStats = {
  events: 0,
  committed: 0,
  commits: 0,
  rows: 0,
  skipped: 0,
  deadLettered: 0,
  lost: 0,
  late: {},
  tasks: [],
};
