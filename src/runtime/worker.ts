/**
 * A worker: runs the tasks of one member of a group, commits them, and recovers them when the outside fails.
 *
 * One loop serves all tasks. Synchronous tasks take turns of about a thousand events; a task whose operator waits for something is left
 * alone until that is done, and the others go on. Tasks come and go as the group decides: those that are to be given back finish what is
 * under way, commit, and are released.
 *
 * @module
 */
import type { Broker, GroupChange, Membership, OwnedTask } from '../broker/broker.ts';
import type { Clock } from '../core/clock.ts';
import { sleep } from '../core/clock.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import { isPromise } from '../core/types.ts';
import type { SubTopology } from '../topology/topology.ts';
import { disagreement } from './disagreement.ts';
import { groupLag } from './lag.ts';
import { reportTasks, reportWorker, wantsWorkerReports } from './metrics.ts';
import { nextProgress, stallOf } from './progress.ts';
import type { Progress } from './progress.ts';
import { Replay } from './replay.ts';
import type { Task } from './task.ts';

/** Events that a task may take before it is another's turn. */
const TURN_EVENTS = 1_000;

/** How long the loop sleeps at most when there is nothing to do. */
const IDLE_MS = 1_000;

const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 2_000;

/** How often a worker reports about itself, and looks for tasks that do not move. */
const LOOK_MS = 1_000;

export interface WorkerOptions {
  readonly broker: Broker;
  readonly membership: Membership;
  readonly clock: Clock;
  readonly group: string;
  readonly subTopologies: readonly SubTopology[];
  /** That of the app, with which it has joined. */
  readonly fingerprint: string;
  /** Makes a task; it is recovered by the worker. */
  readonly makeTask: (owned: OwnedTask) => Task;
  /** How long a full disk or the like is put up with before the worker fails. */
  readonly retryForMs: number;
  /** How long a task that is to be given back may take to finish what is under way. */
  readonly drainTimeoutMs: number;
  /** A task that has records to read and does not move for so long makes the worker fail. Infinity: it may stand still. */
  readonly stallAfterMs: number;
  readonly onOffsetLost: 'fail' | 'skip';
  /** Told of what the worker does about failures. */
  readonly warn: (message: string) => void;
  /**
   * Told of tasks that come and go: before they are loaded, and after their last commit, before others may have them. Waited for. Rejections make
   * the worker fail.
   */
  readonly onTasks?: ((change: TasksChange) => Promise<void>) | undefined;
  /** Told of a task that has loaded its state. */
  readonly onRecovered?: ((task: string, entries: number) => Promise<void>) | undefined;
  /** Called now and then with what the worker is about to do: it is alive. */
  readonly beat?: ((label: string) => void) | undefined;
}

/** Tasks that come or go. */
export interface TasksChange {
  readonly gained: readonly string[];
  /** Asked for by the group: they finish what is under way, and are released. */
  readonly revoked: readonly string[];
  /** Given back, all committed. */
  readonly released: readonly string[];
  /** Taken by others; what was not committed will be processed by them. */
  readonly lost: readonly string[];
}

const nothing: TasksChange = { gained: [], revoked: [], released: [], lost: [] };

interface Entry {
  readonly task: Task;
  busy: Promise<void> | undefined;
  /** Monotonic time until which it may finish before it is given back; NaN while it is to be kept. */
  revokedUntil: number;
  releasing: boolean;
  failingSince: number;
  attempts: number;
  progress: Progress | undefined;
}

/** Counters of a worker. */
export interface WorkerStats {
  /** Events processed by the worker's tasks since the group began, those that are not committed included. */
  readonly events: number;
  /** The committed ones. */
  readonly committed: number;
  /** Commits of this worker's tasks since it began. */
  readonly commits: number;
  /** Rows of tables and operators in memory. */
  readonly rows: number;
  /** Committed events that a policy has given up. */
  readonly skipped: number;
  /** Committed events that a policy has sent to a topic. */
  readonly deadLettered: number;
  /** Records that retention has deleted before they were read. */
  readonly lost: number;
  /** Committed events that came for a closed window, by table. */
  readonly late: Readonly<Record<string, number>>;
  /** Ids of the tasks that it owns. */
  readonly tasks: readonly string[];
}

/** Runs tasks until it is stopped or one of them fails for good. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #stop = new AbortController();
  #tending: Promise<void> | undefined;
  #tendNow = false;
  #hurry = 0;
  #failure: unknown;
  #wake: (() => void) | undefined;
  #settledWaiters: PromiseWithResolvers<void>[] = [];
  #looking: Promise<void> | undefined;
  /** What the broker had seen when others were looked at last. */
  #lookedAt = -1;
  #ended = false;
  #running: Promise<void> | undefined;
  #commits = 0;
  #lookAt = -Infinity;
  #reported = { at: Number.NaN, events: 0 };

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** Takes what the group gives it and loads the state, before anything runs. */
  async begin(): Promise<void> {
    const change = await this.#options.membership.tend();
    const told = this.#told({ ...nothing, gained: change.gained.map(({ id }) => id) });
    const loading = Promise.all(change.gained.map((owned) => this.#gain(owned, told)));
    for (const later of await this.#tendDuring(loading)) this.#apply(later);
    await this.#lookForAgreement();
  }

  /** Stays a member while the state is loaded, however long that takes. Gives what has changed meanwhile. */
  async #tendDuring(loading: Promise<unknown>): Promise<GroupChange[]> {
    const { membership, clock } = this.#options;
    const changes: GroupChange[] = [];
    const loaded = loading.then(() => true);
    for (;;) {
      const timer = new AbortController();
      const waitMs = Math.max(RETRY_FIRST_MS, membership.tendAt - clock.monotonic());
      const due = sleep(clock, waitMs, timer.signal).then(
        () => false,
        () => false,
      );
      const done = await Promise.race([loaded, due]);
      timer.abort();
      if (done) return changes;
      changes.push(await membership.tend());
    }
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
    await this.end();
    if (this.#failure !== undefined) throw this.#failure;
  }

  get member(): string {
    return this.#options.membership.member;
  }

  get stats(): WorkerStats {
    const stats = { events: 0, committed: 0, rows: 0, skipped: 0, deadLettered: 0, lost: 0 };
    const late = new Map<string, number>();
    for (const { task } of this.#entries.values()) {
      stats.events += task.counts.events;
      stats.committed += task.committed.events;
      stats.rows += task.rows;
      stats.skipped += task.committed.skipped;
      stats.deadLettered += task.committed.deadLettered;
      stats.lost += task.committed.lost;
      for (const [table, count] of task.committed.late)
        late.set(table, (late.get(table) ?? 0) + count);
    }
    return {
      ...stats,
      commits: this.#commits,
      late: Object.fromEntries(late),
      tasks: [...this.#entries.keys()].toSorted(),
    };
  }

  /** The task of that id, if this worker owns it. */
  task(id: string): Task | undefined {
    return this.#entries.get(id)?.task;
  }

  /** Records in the inputs of all tasks of the group that are not committed yet, those on their way between tasks included. */
  async lag(): Promise<number> {
    const { broker, group, subTopologies } = this.#options;
    return await groupLag(broker, group, subTopologies);
  }

  /**
   * Resolves when every input is read to its end and everything is committed, what the tasks send to each other included, those of other
   * members too.
   *
   * @throws what made the worker fail, before or meanwhile; `MR_CLOSED` when it is stopped before.
   */
  async settled(): Promise<void> {
    if (this.#ended) throw this.#whyEnded();
    // With nothing to do it would resolve at once, and whoever asks in a loop would keep the group from its turn.
    await this.#options.clock.turn();
    if (this.#ended) throw this.#whyEnded();
    this.#hurry++;
    this.#lookedAt = -1;
    try {
      const waiter = Promise.withResolvers<void>();
      this.#settledWaiters.push(waiter);
      this.wakeUp();
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
    for (const { task } of this.#entries.values()) task.drain();
    this.#stop.abort();
    this.wakeUp();
    const timer = new AbortController();
    try {
      await Promise.race([this.run(), this.#deadline(deadlineMs, timer.signal)]);
    } finally {
      timer.abort();
    }
  }

  /** Ends at once, as a process does that is killed: nothing is committed and nothing given back. For tests. */
  async crash(): Promise<void> {
    this.#failure ??= new MillraceError('MR_CLOSED', 'the worker was made to crash');
    this.#stop.abort();
    this.#crashed = true;
    this.wakeUp();
    await this.run().catch(() => undefined);
  }

  #crashed = false;

  async #deadline(deadlineMs: number, signal: AbortSignal): Promise<void> {
    try {
      await sleep(this.#options.clock, deadlineMs, signal);
    } catch {
      return;
    }
    const busy = [...this.#entries.values()]
      .filter(({ task, busy: waiting }) => waiting !== undefined || !task.quiet)
      .map(({ task }) => task.id);
    this.#failure = new MillraceError(
      'MR_STOP_TIMEOUT',
      `the worker did not stop within ${deadlineMs} ms${busy.length > 0 ? `, waiting for ${busy.join(', ')}` : ''}; what was not committed will be processed again`,
      { details: { deadlineMs, busy } },
    );
    this.wakeUp();
    throw this.#failure;
  }

  async #loop(): Promise<void> {
    const { clock, broker } = this.#options;
    // Whoever starts a worker can look at it before it moves.
    await clock.turn();
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const stopping = this.#stop.signal.aborted;
      const seen = broker.changes();
      this.#look(stopping);
      let progress = false;
      for (const entry of this.#entries.values()) {
        if (entry.busy !== undefined) continue;
        progress = this.#turn(entry, stopping) || progress;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (progress) {
        await clock.turn();
        continue;
      }
      const quiet = [...this.#entries.values()].every(
        ({ busy, task }) => busy === undefined && task.waits.length === 0 && task.quiet,
      );
      if (stopping && quiet && this.#tending === undefined && !this.#anyUncommitted()) return;
      if (quiet && this.#settledWaiters.length > 0) this.#maybeSettled();
      await this.#sleep(seen);
    }
  }

  #anyUncommitted(): boolean {
    return [...this.#entries.values()].some(
      ({ task }) => task.life !== undefined && task.uncommitted,
    );
  }

  /** Everything that is not a task's turn: the group, reports, tasks that do not move. */
  #look(stopping: boolean): void {
    const { clock, membership, beat } = this.#options;
    const now = clock.monotonic();
    beat?.('looking for work');
    if (!stopping && this.#tending === undefined && (this.#tendNow || now >= membership.tendAt))
      this.#tend();
    for (const entry of this.#entries.values()) this.#giveBack(entry, now);
    if (now < this.#lookAt) return;
    this.#lookAt = now + LOOK_MS;
    if (!stopping) this.#checkStalled(now);
    if (wantsWorkerReports()) void this.#report(now);
  }

  #tend(): void {
    this.#tendNow = false;
    const { membership, retryForMs, clock, warn } = this.#options;
    this.#tending = membership
      .tend()
      .then(async (change) => {
        this.#tendFailingSince = Number.NaN;
        this.#apply(change);
        await this.#lookForAgreement();
      })
      .catch(async (error: unknown) => {
        const now = clock.monotonic();
        if (Number.isNaN(this.#tendFailingSince)) this.#tendFailingSince = now;
        const recoverable = MillraceError.is(error) && (error.retryable || error.code === 'MR_IO');
        if (!recoverable || now - this.#tendFailingSince > retryForMs) {
          this.#failure ??= error;
          return;
        }
        warn(`group ${this.#options.group}: ${error.message}; trying again`);
        await sleep(clock, RETRY_FIRST_MS, this.#stop.signal).catch(() => undefined);
        this.#tendNow = true;
      })
      // A look at the group may take no time at all: where the next one is due at once, everything else must get its turn.
      .then(() => clock.turn())
      .finally(() => {
        this.#tending = undefined;
        this.wakeUp();
      });
  }

  #tendFailingSince = Number.NaN;

  /** Says, once, that there is nothing to do here while others work by other declarations. */
  async #lookForAgreement(): Promise<void> {
    const { membership, broker, group, fingerprint, warn } = this.#options;
    if (membership.agrees || this.#disagrees) {
      this.#disagrees = !membership.agrees;
      return;
    }
    const info = await broker.describeGroup(group);
    // The others may have left since.
    if (info?.members.some(({ agrees }) => agrees) !== true) return;
    this.#disagrees = true;
    warn(disagreement(group, info, fingerprint));
  }

  #disagrees = false;

  #apply({ gained, revoked, lost }: GroupChange): void {
    const { clock, drainTimeoutMs } = this.#options;
    const asked: string[] = [];
    for (const id of lost) this.#drop(id);
    for (const id of revoked) {
      const entry = this.#entries.get(id);
      if (entry === undefined) {
        this.#release(id);
      } else if (Number.isNaN(entry.revokedUntil)) {
        entry.revokedUntil = clock.monotonic() + drainTimeoutMs;
        entry.task.drain();
        asked.push(id);
      }
    }
    void this.#told({ ...nothing, revoked: asked, lost });
    const told = this.#told({ ...nothing, gained: gained.map(({ id }) => id) });
    for (const owned of gained) {
      this.#drop(owned.id);
      this.#gain(owned, told).catch((error: unknown) => this.#fail(error));
    }
  }

  async #told(change: TasksChange): Promise<void> {
    const { group, onTasks } = this.#options;
    if (Object.values(change).every((ids: readonly string[]) => ids.length === 0)) return;
    reportTasks({ group, member: this.member, ...change });
    try {
      await onTasks?.(change);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Makes and loads a task. Never rejects once the worker runs; before, it rejects with what recovery throws. */
  async #gain(owned: OwnedTask, told: Promise<void>): Promise<void> {
    const task = this.#options.makeTask(owned);
    const entry: Entry = {
      task,
      busy: undefined,
      revokedUntil: Number.NaN,
      releasing: false,
      failingSince: Number.NaN,
      attempts: 0,
      progress: undefined,
    };
    if (this.#stop.signal.aborted) task.drain();
    this.#entries.set(task.id, entry);
    const recovering = told.then(async () => {
      // Meanwhile it may have become somebody else's.
      if (this.#entries.get(task.id) !== entry) return;
      const { entries } = await task.recover(owned);
      await this.#options.onRecovered?.(task.id, entries);
    });
    if (this.#running === undefined) {
      await recovering;
      return;
    }
    this.#occupy(entry, recovering);
  }

  #occupy(entry: Entry, work: Promise<unknown>): void {
    entry.busy = work.then(
      () => this.#free(entry),
      (error: unknown) => {
        this.#free(entry);
        this.#failed(entry, error);
      },
    );
  }

  /** Somebody else has it: nothing of it can be committed. */
  #drop(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    void entry.task.close().catch(() => undefined);
  }

  /** Releases a task that is to be given back once everything of it is committed, or its time is over. */
  #giveBack(entry: Entry, now: number): void {
    if (Number.isNaN(entry.revokedUntil) || entry.releasing) return;
    const { task } = entry;
    const late = now >= entry.revokedUntil;
    if (!late && (entry.busy !== undefined || !task.quiet || task.waits.length > 0)) return;
    if (!late && task.life !== undefined && task.uncommitted) return;
    if (late)
      this.#options.warn(
        `${task.id}: given back before its events were finished; they will be processed again`,
      );
    entry.releasing = true;
    void task
      .close()
      .then(() => this.#told({ ...nothing, released: [task.id] }))
      .then(() => this.#release(task.id));
  }

  #release(id: string): void {
    this.#options.membership.release([id]).then(
      () => {
        this.#entries.delete(id);
        this.#tendNow = true;
        this.wakeUp();
      },
      (error: unknown) => {
        if (MillraceError.is(error) && (error.retryable || error.code === 'MR_IO')) {
          // It stays ours until it is written; the next look tries again.
          const entry = this.#entries.get(id);
          if (entry !== undefined) entry.releasing = false;
        } else this.#fail(error);
        this.wakeUp();
      },
    );
  }

  /** One turn of one task. True when there may be more to do at once. */
  #turn(entry: Entry, stopping: boolean): boolean {
    const { task } = entry;
    if (entry.releasing || task.life === undefined) return false;
    const ending = stopping || !Number.isNaN(entry.revokedUntil);
    try {
      this.#options.beat?.(task.id);
      task.throwFailure();
      // A step that ended in a promise did not come to the look at the end.
      this.#commitIfDue(entry, ending);
      // One that is to end takes nothing more, and sends what has been finished.
      const result = task.step(TURN_EVENTS);
      if (isPromise(result)) {
        this.#occupy(entry, result);
        return false;
      }
      this.#commitIfDue(entry, ending);
      return result > 0;
    } catch (error) {
      this.#failed(entry, error);
      return false;
    }
  }

  #commitIfDue(entry: Entry, ending: boolean): void {
    if (!entry.task.commitDue(this.#hurry > 0 || ending)) return;
    const { commits } = entry.task;
    void entry.task.commit().then(() => {
      // A commit that failed resolves too; the task throws its error at its next turn.
      if (entry.task.commits > commits) {
        this.#commits++;
        entry.failingSince = Number.NaN;
        entry.attempts = 0;
      }
      this.wakeUp();
    });
  }

  #free(entry: Entry): void {
    entry.busy = undefined;
    this.wakeUp();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.wakeUp();
  }

  /** Decides what becomes of a task that failed: loaded again after a pause if the outside is to blame, else the worker fails. */
  #failed(entry: Entry, error: unknown): void {
    if (this.#entries.get(entry.task.id) !== entry || entry.releasing) return;
    if (MillraceError.is(error) && error.code === 'MR_FENCED') {
      this.#drop(entry.task.id);
      this.#tendNow = true;
      void this.#told({ ...nothing, lost: [entry.task.id] });
      return;
    }
    if (MillraceError.is(error) && error.code === 'MR_STALLED' && entry.revokedUntil >= 0) {
      // It is to go anyway: what does not finish is processed again by the next owner.
      entry.revokedUntil = -Infinity;
      this.#tendNow = true;
      return;
    }
    const { clock, retryForMs, warn, onOffsetLost } = this.#options;
    if (error instanceof Replay) {
      entry.task.goAlone(error);
      this.#occupy(entry, this.#recover(entry, 0));
      return;
    }
    const lost = MillraceError.is(error) && error.code === 'MR_OFFSET_LOST';
    const recoverable =
      MillraceError.is(error) &&
      (error.retryable || error.code === 'MR_IO' || (lost && onOffsetLost === 'skip'));
    if (lost && !recoverable) {
      this.#occupy(
        entry,
        this.#owned(entry.task).then(() => this.#fail(error)),
      );
      return;
    }
    const now = clock.monotonic();
    if (Number.isNaN(entry.failingSince)) entry.failingSince = now;
    if (!recoverable || now - entry.failingSince > retryForMs || this.#stop.signal.aborted) {
      this.#fail(error);
      return;
    }
    const delayMs = lost ? 0 : Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** entry.attempts++);
    warn(`${entry.task.id}: ${error.message}; trying again in ${delayMs} ms from the last commit`);
    this.#occupy(entry, this.#recover(entry, delayMs));
  }

  async #recover(entry: Entry, delayMs: number): Promise<void> {
    const { task } = entry;
    await task.close();
    try {
      await sleep(this.#options.clock, delayMs, this.#stop.signal);
    } catch {
      // Stopped: there is nothing to commit, and whoever starts next loads what is stored.
      return;
    }
    await task.recover(await this.#owned(task));
  }

  /** A task as it is stored. @throws `MR_FENCED` when somebody else has it: who was frozen may find what it reads deleted since. */
  async #owned(task: Task): Promise<OwnedTask> {
    const { broker, group, membership } = this.#options;
    const info = await broker.describeGroup(group);
    const owned = info?.tasks.find(({ id }) => id === task.id);
    if (owned?.epoch === task.epoch && owned.owner === membership.member) return owned;
    throw new MillraceError(
      'MR_FENCED',
      `task ${task.id} of group ${group} has another owner now; its state is dropped`,
      { domain: 'external', details: { group, task: task.id } },
    );
  }

  /** A task whose event does not end makes the worker fail. */
  #checkStalled(nowMs: number): void {
    const { stallAfterMs } = this.#options;
    for (const entry of this.#entries.values()) {
      const { task } = entry;
      const event = task.oldest;
      const sight = {
        lag: event === undefined ? 0 : 1,
        position: task.positions.reduce((sum, { offset }) => sum + offset, 0),
        // A commit that waits has a limit of its own.
        excused: task.life === undefined || task.committing,
      };
      entry.progress = nextProgress(entry.progress, sight, nowMs);
      const doing =
        event === undefined
          ? undefined
          : `${event.topic}[${event.partition}] offset ${event.offset}`;
      const why = stallOf(task.id, entry.progress, { nowMs, stallAfterMs, doing });
      if (why === undefined) continue;
      const { topic, partition, offset } = event ?? {};
      this.#fail(
        new MillraceError('MR_STALLED', why, {
          details: { task: task.id, topic, partition, offset },
        }),
      );
    }
  }

  async #report(now: number): Promise<void> {
    const { group } = this.#options;
    const { events, rows, tasks, lost } = this.stats;
    const before = this.#reported;
    this.#reported = { at: now, events };
    if (Number.isNaN(before.at)) return;
    try {
      reportWorker({
        group,
        member: this.member,
        tasks: tasks.length,
        // Tasks that left took their counts with them.
        events: Math.max(0, events - before.events),
        elapsedMs: now - before.at,
        lag: await this.#ownLag(),
        rows,
        lost,
      });
    } catch {
      // A broker that cannot be asked is told of by those who need it.
    }
  }

  async #ownLag(): Promise<number> {
    let lag = 0;
    for (const { task } of this.#entries.values())
      for (const { topic, partition, offset } of task.positions) {
        const { end } = await this.#options.broker.bounds(topic, partition);
        lag += Math.max(0, end - offset);
      }
    return lag;
  }

  /** Own tasks are settled; those of other members may not be. */
  #maybeSettled(): void {
    const settled = (): boolean =>
      [...this.#entries.values()].every(({ task, busy }) => busy === undefined && task.settled);
    if (this.#looking !== undefined || !settled()) return;
    const seen = this.#options.broker.changes();
    // Others have to move first.
    if (seen === this.#lookedAt) return;
    this.#looking = this.lag()
      .then((lag) => {
        // Own tasks have something to do again: when it is done there is another look.
        if (!settled() || this.#options.broker.changes() !== seen) return;
        if (lag === 0) this.#tellSettled();
        else this.#lookedAt = seen;
      })
      .catch((error: unknown) => {
        // Whoever waits hears of it; the tasks have nothing to do with it.
        const waiters = this.#settledWaiters;
        this.#settledWaiters = [];
        for (const { reject } of waiters) reject(error);
      })
      .finally(() => {
        this.#looking = undefined;
      });
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

  /** Something has happened that the loop should look at. */
  wakeUp(): void {
    this.#wake?.();
  }

  /** Until something is appended, a commit or a wait ends, or something is due. */
  async #sleep(seen: number): Promise<void> {
    const { broker, clock, membership } = this.#options;
    const now = clock.monotonic();
    let dueAt = this.#tendNow ? now : Math.min(now + IDLE_MS, membership.tendAt);
    if (this.#tending !== undefined || this.#stop.signal.aborted) dueAt = now + IDLE_MS;
    for (const { task, busy, revokedUntil, releasing } of this.#entries.values()) {
      if (busy === undefined) dueAt = Math.min(dueAt, task.wakeAt);
      if (!releasing && !Number.isNaN(revokedUntil)) dueAt = Math.min(dueAt, revokedUntil);
    }
    // What is due already may have to wait for something else, which needs the event loop to turn.
    if (dueAt <= now) return await clock.turn();
    const timeoutMs = dueAt - now;
    const abort = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const waits = [...this.#entries.values()].flatMap(({ task }) => task.waits);
    if (this.#looking !== undefined) waits.push(this.#looking);
    await Promise.race([
      woken,
      ...waits,
      broker.changed(seen, timeoutMs, abort.signal).catch((error: unknown) => {
        // A broker that cannot even be waited for would be asked again at once, and for ever.
        if (!abort.signal.aborted) this.#failure ??= error;
      }),
    ]);
    this.#wake = undefined;
    abort.abort(null);
  }

  /** Lets go of everything. */
  async end(): Promise<void> {
    this.#ended = true;
    for (const { reject } of this.#settledWaiters) reject(this.#whyEnded());
    this.#settledWaiters = [];
    const entries = [...this.#entries.values()];
    for (const { task } of entries) task.drain();
    await Promise.allSettled(entries.map(({ task }) => task.close()));
    await this.#tending;
    if (this.#crashed) return;
    await this.#told({ ...nothing, released: entries.map(({ task }) => task.id) });
    try {
      await this.#options.membership.leave();
    } catch (error) {
      // Everything is committed, and whoever takes the tasks next does not need them to be free.
      this.#options.warn(
        `group ${this.#options.group}: the tasks could not be given back: ${messageOf(error)}; it is tried again until the lease is over, and the end of this process frees them at once`,
      );
    }
  }
}
