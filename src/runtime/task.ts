/**
 * A task: one sub-topology on one partition number. The unit of ownership, state, fencing and commit.
 *
 * Life of a record here: {@link Task.step} takes it from an input and pushes it through the graph ({@link Steps}). Outputs and changed
 * rows pile up until a commit is due. Life of a commit: the task waits until no event is half done, windows are closed, the outputs become
 * frames, the dirty rows one changelog frame, and both go to the broker together with positions and stream times, in one atomic step under
 * the task's epoch. While that is under way the task goes on with the next epoch; if it fails, both are dropped ({@link Task.recover} again).
 *
 * At-least-once, outputs go to the broker at once, and a commit covers what is finished in front and has been sent.
 *
 * @module
 */
import type { Outgoing, OwnedTask, Position } from '../broker/broker.ts';
import { FrameBuilder } from '../broker/frame-builder.ts';
import { sleep } from '../core/clock.ts';
import { assert, MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import { isPromise } from '../core/types.ts';
import { changelogTopic, taskId } from '../topology/topology.ts';
import { Checkpoints } from './checkpoints.ts';
import { closeWindows } from './close-windows.ts';
import { ConcurrentSteps } from './concurrent-steps.ts';
import { noCounts } from './counters.ts';
import type { Counts } from './counters.ts';
import type { TaskInput } from './input.ts';
import { encodeMeta } from './meta.ts';
import { reportCommit } from './metrics.ts';
import { Questions } from './questions.ts';
import type { Replay } from './replay.ts';
import { SerialSteps } from './serial-steps.ts';
import { findStarts } from './start.ts';
import { nextInputInMs } from './steps.ts';
import type { Progress, Steps } from './steps.ts';
import { bringToLife, inputsOf } from './task-life.ts';
import type { TaskLife } from './task-life.ts';
import type { TaskOptions } from './task-options.ts';

/** Largest changelog row. */
const MAX_ROW_BYTES = 64 * 1024 * 1024;

/** Rows whose time to live is looked at in one commit. */
const EXPIRE_ROWS = 10_000;

/** A task waits for events under way for no more than a tenth of its time. */
const DRAIN_SHARE = 9;

/** How far a task has come for good. */
export interface Committed extends Counts {
  readonly positions: readonly Position[];
  readonly streamTime: number;
}

/** What a commit carries. */
interface Taken {
  readonly outputs: Outgoing[];
  /** Rows that it changes. */
  readonly entries: number;
  readonly positions: readonly Position[];
  readonly streamTime: number;
  readonly counts: Counts;
  /** When the first event of the commit was taken, NaN without any. */
  readonly firstAt: number;
  readonly meta: Uint8Array;
  /** Questions that its rows answer. */
  readonly answers: readonly (() => void)[];
}

const nothingCommitted: Committed = { ...noCounts, positions: [], streamTime: -Infinity };

/** Runs one sub-topology on one partition. */
export class Task {
  readonly id: string;
  readonly asynchronous: boolean;
  readonly #options: TaskOptions;
  readonly #changelog: string;
  /** Rows of the commit that is being taken; empty in between. */
  #rows: FrameBuilder = rowsFrame();
  readonly #epoch: number;
  readonly #checkpoints: Checkpoints;
  readonly #progress: Progress = { events: 0, firstAt: Number.NaN };
  #life: TaskLife | undefined;
  #steps: Steps | undefined;
  #committing: Promise<void> | undefined;
  #sending: Promise<void> | undefined;
  #unsentBytes = 0;
  /** The life in which something could not be sent: nothing that follows may be sent or committed. */
  #unsent: TaskLife | undefined;
  #committed: Committed = nothingCommitted;
  #failure: unknown;
  readonly #questions: Questions;
  #draining = false;
  #commits = 0;
  #recoveries = 0;
  /** Monotonic time before which a commit does not wait for events under way. */
  #notBefore = -Infinity;
  /** Behind a replay: where to go one event at a time, by topic. */
  readonly #alone = new Map<string, number>();

  constructor(options: TaskOptions, owned: OwnedTask) {
    this.id = taskId(options.sub.name, options.partition);
    this.asynchronous = options.sub.asynchronous;
    this.#options = options;
    this.#changelog = changelogTopic(options.group, options.sub.name);
    this.#epoch = owned.epoch;
    this.#questions = new Questions(this.id, options.table);
    this.#checkpoints = new Checkpoints(
      options.broker,
      this.#changelog,
      options.partition,
      owned.stateId,
      options.cacheRows,
      options.commit.checkpointEntries,
      options.checkpointTurns,
      (error) => {
        this.#failure ??= error;
        options.wake();
      },
    );
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Loads what the last commit stored and brings the graph to life. Whatever was not committed is gone. */
  async recover(owned: OwnedTask): Promise<{ entries: number }> {
    this.#recoveries++;
    this.#discard();
    const options = this.#options;
    const { state, entries } = await this.#checkpoints.recover();
    const starts = await findStarts(
      options.broker,
      owned,
      inputsOf(options),
      options.partition,
      options,
    );
    const life = bringToLife(options, owned, state, starts);
    this.#life = life;
    const context = {
      task: this.id,
      clock: options.clock,
      commit: options.commit,
      atLeastOnce: options.atLeastOnce,
      progress: this.#progress,
      wake: options.wake,
    };
    this.#steps = options.sub.asynchronous
      ? new ConcurrentSteps(context, life, options.processing, this.#alone)
      : new SerialSteps(context, life, options.processing);
    if (this.#draining) this.#steps.drain();
    this.#committed = {
      ...life.counters.copy(),
      positions: owned.positions,
      streamTime: life.time.now,
    };
    for (const name of state.names()) if (!name.includes('/')) options.own(name);
    this.#failure = undefined;
    this.#notBefore = -Infinity;
    return { entries };
  }

  /** An event could not be taken back: after the next recovery the task goes on alone until it is past it. */
  goAlone(replay: Replay): void {
    this.#alone.set(replay.topic, Math.max(this.#alone.get(replay.topic) ?? 0, replay.offset + 1));
  }

  /** Counts since the group began, the uncommitted ones included. */
  get counts(): Counts {
    return this.#life?.counters ?? this.#committed;
  }

  /** As of the last commit. */
  get committed(): Committed {
    return this.#committed;
  }

  get commits(): number {
    return this.#commits;
  }

  /** How often it was loaded, or begun to be. */
  get recoveries(): number {
    return this.#recoveries;
  }

  get rows(): number {
    return this.#life?.state.rows ?? 0;
  }

  get streamTime(): number {
    return this.#life?.time.now ?? -Infinity;
  }

  /** Whether a commit is under way. */
  get committing(): boolean {
    return this.#committing !== undefined;
  }

  /** The event that has been under way for longest. */
  get oldest(): EventCell | undefined {
    return this.#steps?.oldest;
  }

  /** The state, for questions from outside; `undefined` while it is recovered. */
  get life(): TaskLife | undefined {
    return this.#life;
  }

  /** Positions of its inputs, the uncommitted events included. */
  get positions(): readonly Position[] {
    return (this.#life?.inputs ?? []).map(({ topic, partition, position }) => ({
      topic,
      partition,
      offset: position,
    }));
  }

  /** Waits that will let the task go on: a commit, a send or a fetch. */
  get waits(): Promise<void>[] {
    const waits: Promise<void>[] = [];
    if (this.#committing !== undefined) waits.push(this.#committing);
    if (this.#sending !== undefined) waits.push(this.#sending);
    for (const input of this.#life?.inputs ?? [])
      if (input.fetching !== undefined) waits.push(input.fetching);
    return waits;
  }

  /** Nothing to read, nothing to commit, as of the last step. */
  get settled(): boolean {
    return (
      this.#committing === undefined &&
      this.#sending === undefined &&
      !this.uncommitted &&
      this.#life !== undefined &&
      this.#steps?.quiet === true &&
      this.#life.inputs.every((input) => input.atEnd)
    );
  }

  /** Whether nothing is under way that a commit would have to wait for. */
  get quiet(): boolean {
    return this.#committing === undefined && (this.#steps === undefined || this.#steps.quiet);
  }

  /** Whether there is something to commit. */
  get uncommitted(): boolean {
    if (this.#progress.events > 0) return true;
    // Windows may have to close although no event came.
    if (this.streamTime > this.#committed.streamTime) return true;
    return (this.#life?.inputs ?? []).some((input) => input.position !== this.#before(input));
  }

  /** Undefined in front of the first commit: a task says where it stands even if nothing comes, or nothing behind it could be deleted. */
  #before(input: TaskInput): number | undefined {
    return this.#committed.positions.find(
      (at) => at.topic === input.topic && at.partition === input.partition,
    )?.offset;
  }

  /** When the next commit is due, on the monotonic clock; Infinity when there is nothing to commit. */
  get commitDueAt(): number {
    if (this.#committing !== undefined) return Infinity;
    if (this.uncommitted)
      return Math.max(this.#progress.firstAt + this.#options.commit.intervalMs, this.#waitUntil());
    return this.#idleAt(this.#life);
  }

  /** When the task may have something to do although nothing has happened, on the monotonic clock. */
  get wakeAt(): number {
    const life = this.#life;
    if (life === undefined) return Infinity;
    const inMs = nextInputInMs(life.inputs, this.#options);
    return Math.min(this.commitDueAt, this.#options.clock.monotonic() + inMs);
  }

  /** A commit that would have to wait for events under way does not begin before this. */
  #waitUntil(): number {
    return this.#steps?.quiet === false && !this.#options.atLeastOnce ? this.#notBefore : -Infinity;
  }

  /** When the next input, or the task as a whole, will have been at its end for so long that nobody waits for it; Infinity for never. */
  #idleAt(life: TaskLife | undefined): number {
    if (life === undefined) return Infinity;
    const { idleAfterMs } = this.#options.commit;
    const now = this.#options.clock.monotonic();
    const ends = life.inputs.map((input) =>
      input.atEnd ? input.endSince + idleAfterMs : Infinity,
    );
    const all = life.outputs.needsIdleMark() ? Math.max(...ends) : Infinity;
    const next =
      life.inputs.length > 1 ? Math.min(...ends.filter((end) => end > now), Infinity) : Infinity;
    return Math.min(all, next);
  }

  /** Inputs that have nothing more to say must not hold back the others. */
  #updateIdle(life: TaskLife): void {
    if (life.inputs.length > 1) {
      const { idleAfterMs } = this.#options.commit;
      const now = this.#options.clock.monotonic();
      life.inputs.forEach((input, i) => {
        const idle = input.atEnd && input.endSince + idleAfterMs <= now;
        life.time.setIdle(i, idle);
        life.ahead?.setIdle(i, idle);
      });
    }
    life.time.advance();
  }

  /** @throws what made the last commit or an event fail, once. */
  throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
    this.#steps?.throwFailure();
  }

  /**
   * Takes up to `limit` events, none while it drains. Returns how many, at once if every operator was synchronous.
   *
   * @throws `MR_PROCESSING_FAILED` naming the event; then the task is to be dropped or recovered.
   */
  step(limit: number): number | Promise<number> {
    const steps = this.#steps;
    assert(steps !== undefined, 'a task was used before it was recovered', { task: this.id });
    if (!this.#options.atLeastOnce) return steps.step(limit);
    if (this.#unsentBytes >= this.#options.commit.maxBufferedBytes) return 0;
    const done = steps.step(limit);
    if (isPromise(done))
      return done.then((events) => {
        this.#sendNow();
        return events;
      });
    this.#sendNow();
    return done;
  }

  /** At-least-once: what was sent goes to the broker without a commit. */
  #sendNow(): void {
    const life = this.#life;
    if (life === undefined || life.outputs.bytes === 0) return;
    const { bytes } = life.outputs;
    const frames = life.outputs.take(life.time.now, false);
    this.#unsentBytes += bytes;
    const before = this.#sending;
    const sending = (async () => {
      await before;
      if (this.#life !== life || this.#unsent === life) return;
      try {
        await this.#options.broker.append(frames);
      } catch (error) {
        this.#unsent = life;
        this.#failure ??= error;
      }
    })().finally(() => {
      this.#unsentBytes -= bytes;
      if (this.#sending === sending) this.#sending = undefined;
      this.#options.wake();
    });
    this.#sending = sending;
  }

  /** Whether a commit should begin now. `hurry` does not wait for the interval. */
  commitDue(hurry: boolean): boolean {
    const life = this.#life;
    if (life === undefined || this.#committing !== undefined) return false;
    const { every, maxBufferedBytes, maxDirtyRows } = this.#options.commit;
    const now = this.#options.clock.monotonic();
    if (this.#options.atLeastOnce) this.#sendNow();
    this.#updateIdle(life);
    if (
      this.#progress.events >= every ||
      this.#steps?.full === true ||
      life.outputs.bytes >= maxBufferedBytes ||
      life.state.dirtyRows >= maxDirtyRows
    )
      return true;
    if (!this.uncommitted && !life.outputs.needsIdleMark()) return false;
    if (this.uncommitted && Number.isNaN(this.#progress.firstAt)) this.#progress.firstAt = now;
    // A task that is to end has nothing to wait for.
    if (this.#draining && this.uncommitted) return true;
    if (hurry && this.uncommitted && this.#steps?.quiet === true)
      if (life.inputs.every((input) => input.atEnd)) return true;
    return this.commitDueAt <= now;
  }

  /**
   * Begins a commit of everything processed so far. Resolves when it is durable, never rejects: see {@link Task.throwFailure}.
   * The task may go on meanwhile.
   */
  commit(): Promise<void> {
    assert(this.#committing === undefined, 'a commit was begun while another is under way', {
      task: this.id,
    });
    const life = this.#life;
    assert(life !== undefined, 'a task was used before it was recovered', { task: this.id });
    this.#committing = this.#commit(life).then(
      () => {
        this.#committing = undefined;
        this.#commits++;
      },
      (error: unknown) => {
        this.#committing = undefined;
        this.#questions.drop();
        if (this.#life === life) this.#failure ??= error;
      },
    );
    return this.#committing;
  }

  async #commit(life: TaskLife): Promise<void> {
    const { membership, commit, clock, atLeastOnce, processing } = this.#options;
    const steps = this.#steps as Steps;
    const beganAt = clock.monotonic();
    let drainMs = 0;
    // At-least-once commits what is finished in front, whatever is under way behind it.
    const apart = atLeastOnce && this.asynchronous;
    const pausing = apart ? undefined : steps.pause();
    let taken: Taken;
    try {
      if (pausing !== undefined) {
        await this.#within(life, pausing);
        drainMs = clock.monotonic() - beganAt;
        this.#notBefore = clock.monotonic() + Math.min(drainMs * DRAIN_SHARE, commit.maxIntervalMs);
      }
      steps.throwFailure();
      this.#updateIdle(life);
      const closing = closeWindows(life, processing, this.id);
      if (closing !== undefined) await closing;
      if (this.#life !== life) throw life.abort.signal.reason;
      if (atLeastOnce) this.#sendNow();
      taken = this.#take(life);
    } finally {
      if (!apart) steps.resume();
    }
    // A position may only be stored when what was sent before it is.
    if (atLeastOnce) {
      await this.#sending;
      // Whoever looks after the task may have heard of the failure first, and have ended its life.
      if (this.#life !== life || this.#unsent === life)
        throw this.#failure ?? life.abort.signal.reason;
    }
    const { outputs, entries, positions, streamTime, counts } = taken;
    const placed = await membership.commit({
      task: this.id,
      epoch: this.#epoch,
      positions,
      meta: taken.meta,
      outputs,
    });
    for (const answer of taken.answers) answer();
    const before = this.#committed;
    this.#committed = { ...counts, positions, streamTime };
    if (this.#life !== life) return;
    const last = placed.at(-1);
    this.#checkpoints.committed(life.state, entries, (last?.baseOffset ?? 0) + entries);
    reportCommit(() => ({
      group: this.#options.group,
      task: this.id,
      events: counts.events - before.events,
      skipped: counts.skipped - before.skipped,
      deadLettered: counts.deadLettered - before.deadLettered,
      late: sum(counts.late) - sum(before.late),
      changedRows: entries,
      rows: life.state.rows,
      drainMs,
      durationMs: clock.monotonic() - beganAt,
      latencyMs: Number.isNaN(taken.firstAt) ? 0 : clock.monotonic() - taken.firstAt,
    }));
  }

  /** Answers a question about a row, as of a commit. @throws `MR_NO_OWNER` (retryable) when the task ends before it can. */
  async answer(question: Uint8Array): Promise<Uint8Array> {
    return await this.#questions.ask(question, this.#life, this.#committing);
  }

  /** Everything that a commit carries, in one go: what comes afterwards belongs to the next. */
  #take(life: TaskLife): Taken {
    const { commit, clock, partition } = this.#options;
    const endSince = Math.max(
      ...life.inputs.map((input) => (input.atEnd ? input.endSince : Infinity)),
    );
    const idle = this.#progress.events === 0 && endSince + commit.idleAfterMs <= clock.monotonic();
    const streamTime = life.time.now;
    const answers = this.#questions.answer(life);
    const outputs = life.outputs.take(streamTime, idle);
    if (Number.isFinite(streamTime)) life.state.expire(streamTime, EXPIRE_ROWS);
    try {
      life.state.takeDirty(this.#rows);
    } catch (error) {
      this.#rows = rowsFrame();
      throw error;
    }
    const entries = this.#rows.count;
    if (entries > 0) outputs.push({ topic: this.#changelog, partition, frame: this.#rows.build() });
    const { positions } = this;
    const counts = life.counters.copy();
    const { firstAt } = this.#progress;
    this.#progress.events = 0;
    this.#progress.firstAt = Number.NaN;
    const meta = encodeMeta({
      format: 1,
      time: Number.isFinite(streamTime) ? streamTime : null,
      inputs: life.time.inputs.map((input) => input.save()),
      events: counts.events,
      skipped: counts.skipped,
      deadLettered: counts.deadLettered,
      lost: counts.lost,
      late: Object.fromEntries(counts.late),
      tables: life.state.names().filter((name) => !name.includes('/')),
      done: this.#done(life),
      closed: life.windows.save(),
    });
    return { outputs, entries, positions, streamTime, counts, firstAt, meta, answers };
  }

  /** What is done behind the positions, by topic; at-least-once it comes again. */
  #done(life: TaskLife): Record<string, number[]> {
    const done: Record<string, number[]> = {};
    for (const input of life.inputs) {
      const own = this.#options.atLeastOnce ? [] : (this.#steps?.done(input) ?? []);
      const offsets = [...own, ...input.doneAhead];
      if (offsets.length > 0) done[input.topic] = offsets;
    }
    return done;
  }

  /** Waits for events under way. @throws `MR_STALLED` after `drainTimeout`, `MR_ABORTED` when the task is dropped. */
  async #within(life: TaskLife, wait: Promise<void>): Promise<void> {
    const { clock, commit } = this.#options;
    const timer = new AbortController();
    const end = AbortSignal.any([timer.signal, life.abort.signal]);
    try {
      const late = await Promise.race([
        wait.then(() => false),
        sleep(clock, commit.drainTimeoutMs, end).then(() => true),
      ]);
      if (late) throw this.#stalled(commit.drainTimeoutMs);
    } finally {
      timer.abort();
    }
  }

  #stalled(afterMs: number): MillraceError {
    const event = this.oldest;
    const where =
      event === undefined ? '' : ` at ${event.topic}[${event.partition}] offset ${event.offset}`;
    return new MillraceError(
      'MR_STALLED',
      `task ${this.id} waited ${afterMs} ms for an event${where} to finish so that it could commit; end calls that hang, or raise commit.drainTimeout`,
      {
        details: {
          task: this.id,
          topic: event?.topic,
          partition: event?.partition,
          offset: event?.offset,
        },
      },
    );
  }

  /** Lets go of everything that is not committed. */
  async close(): Promise<void> {
    this.#discard();
    await this.#checkpoints.end();
    await this.#committing;
  }

  /** Takes no more events. Those under way may finish and be committed. */
  drain(): void {
    this.#draining = true;
    this.#steps?.drain();
  }

  #discard(): void {
    const life = this.#life;
    this.#life = undefined;
    this.#steps = undefined;
    this.#progress.events = 0;
    this.#progress.firstAt = Number.NaN;
    if (life === undefined) return;
    life.cell.event = null;
    this.#questions.drop();
    life.abort.abort(new MillraceError('MR_ABORTED', `task ${this.id} has ended`));
    life.instance.close();
  }
}

function sum(counts: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}

function rowsFrame(): FrameBuilder {
  return new FrameBuilder({ text: false, maxRecordBytes: MAX_ROW_BYTES });
}
