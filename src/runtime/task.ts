/**
 * A task: one sub-topology on one partition number. The unit of ownership, state, fencing and commit.
 *
 * Life of a record here: {@link Task.step} takes it from an input, pushes it through the graph, and counts it. Outputs and changed
 * rows pile up until a commit is due. Life of a commit: windows are closed, the outputs become frames, the dirty rows one
 * changelog frame, and both go to the broker together with positions and stream times, in one atomic step under the task's epoch.
 * While that is under way the task goes on with the next epoch; if it fails, both are dropped ({@link Task.recover} again).
 *
 * @module
 */
import type { OwnedTask, Position } from '../broker/broker.ts';
import { FrameBuilder } from '../broker/frame-builder.ts';
import { assert, messageOf, MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import { checkpointStep } from '../state/checkpoint.ts';
import { recover } from '../state/recovery.ts';
import { changelogTopic, taskId } from '../topology/topology.ts';
import type { TaskInput } from './input.ts';
import { encodeMeta } from './meta.ts';
import { bringToLife, newEvent } from './task-life.ts';
import type { TaskLife } from './task-life.ts';
import type { TaskOptions } from './task-options.ts';

/** How many events are taken between two looks at the bounds of a commit. */
const BATCH = 256;

/** Largest changelog row. */
const MAX_ROW_BYTES = 64 * 1024 * 1024;

/** How far a task has come for good. */
interface Committed {
  readonly positions: readonly Position[];
  readonly events: number;
  readonly late: ReadonlyMap<string, number>;
  readonly streamTime: number;
}

/** Runs one sub-topology on one partition. */
export class Task {
  readonly id: string;
  readonly asynchronous: boolean;
  readonly #options: TaskOptions;
  readonly #changelog: string;
  readonly #epoch: number;
  readonly #stateId: number;
  #life: TaskLife | undefined;
  #sinceCommit = 0;
  #firstUncommittedAt = Number.NaN;
  #committing: Promise<void> | undefined;
  #checkpointing: Promise<void> | undefined;
  #behind = 0;
  #committed: Committed = { positions: [], events: 0, late: new Map(), streamTime: -Infinity };
  #failure: unknown;
  #closing = false;
  #draining = false;
  #commits = 0;

  constructor(options: TaskOptions, owned: OwnedTask) {
    this.id = taskId(options.sub.name, options.partition);
    this.asynchronous = options.sub.asynchronous;
    this.#options = options;
    this.#changelog = changelogTopic(options.group, options.sub.name);
    this.#epoch = owned.epoch;
    this.#stateId = owned.stateId;
  }

  /** Loads what the last commit stored and brings the graph to life. Whatever was not committed is gone. */
  async recover(owned: OwnedTask): Promise<{ entries: number }> {
    this.#discard();
    await this.#checkpointing;
    const { broker, partition } = this.#options;
    const { state, entries, behind } = await recover(
      broker,
      this.#changelog,
      partition,
      this.#stateId,
    );
    this.#behind = behind;
    this.#life = bringToLife(this.#options, owned, state);
    this.#committed = {
      positions: owned.positions,
      events: this.#life.events,
      late: new Map(this.#life.late),
      streamTime: this.#life.time.now,
    };
    for (const name of state.names()) if (!name.includes('/')) this.#options.own(name);
    this.#failure = undefined;
    return { entries };
  }

  /** Events processed since the group began, the uncommitted ones included. */
  get events(): number {
    return this.#life?.events ?? this.#committed.events;
  }

  /** As of the last commit. */
  get committed(): Committed {
    return this.#committed;
  }

  get commits(): number {
    return this.#commits;
  }

  get rows(): number {
    return this.#life?.state.rows ?? 0;
  }

  get streamTime(): number {
    return this.#life?.time.now ?? -Infinity;
  }

  /** Positions of its inputs, the uncommitted events included. */
  get positions(): readonly Position[] {
    return (this.#life?.inputs ?? []).map(({ topic, partition, position }) => ({
      topic,
      partition,
      offset: position,
    }));
  }

  /** Waits that will let the task go on: a commit or a fetch. */
  get waits(): Promise<void>[] {
    const waits: Promise<void>[] = [];
    if (this.#committing !== undefined) waits.push(this.#committing);
    for (const input of this.#life?.inputs ?? [])
      if (input.fetching !== undefined) waits.push(input.fetching);
    return waits;
  }

  /** Nothing to read, nothing to commit, as of the last step. */
  get settled(): boolean {
    return (
      this.#committing === undefined &&
      !this.#uncommitted &&
      this.#life !== undefined &&
      this.#life.inputs.every((input) => input.atEnd)
    );
  }

  get #uncommitted(): boolean {
    if (this.#sinceCommit > 0) return true;
    // Windows may have to close although no event came.
    if (this.streamTime > this.#committed.streamTime) return true;
    const positions = this.#life?.inputs ?? [];
    return positions.some(
      (input) =>
        input.position !==
        (this.#committed.positions.find(
          (at) => at.topic === input.topic && at.partition === input.partition,
        )?.offset ?? 0),
    );
  }

  /** When the next commit is due, on the monotonic clock; Infinity when there is nothing to commit. */
  get commitDueAt(): number {
    if (this.#committing !== undefined) return Infinity;
    if (this.#uncommitted) return this.#firstUncommittedAt + this.#options.commit.intervalMs;
    return this.#idleAt(this.#life);
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
      life.inputs.forEach((input, i) =>
        life.time.setIdle(i, input.atEnd && input.endSince + idleAfterMs <= now),
      );
    }
    life.time.advance();
  }

  /** @throws what made the last commit fail, once. */
  throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  /**
   * Processes up to `limit` events. Returns how many, at once if every operator was synchronous.
   *
   * @throws `MR_PROCESSING_FAILED` naming the event; then the task is to be dropped or recovered.
   */
  step(limit: number): number | Promise<number> {
    const life = this.#alive();
    if (this.#closing) return 0;
    return this.#options.processing.run(life.cell, () => this.#section(life, limit, 0));
  }

  /** A synchronous section of the task: from its first event to the end, or to the first promise. */
  #section(life: TaskLife, limit: number, done: number): number | Promise<number> {
    const { processing } = this.#options;
    processing.current = life.cell;
    try {
      const result = this.#run(life, limit, done);
      if (typeof result === 'number') life.cell.event = null;
      return result;
    } catch (error) {
      life.cell.event = null;
      throw error;
    } finally {
      processing.current = undefined;
    }
  }

  /** The hot loop. Leaves it for {@link Task.#continue} when an operator answers with a promise. */
  #run(life: TaskLife, limit: number, before: number): number | Promise<number> {
    const { cell, event, outputs, time } = life;
    const { every, maxBufferedBytes } = this.#options.commit;
    let done = before;
    // What goes wrong while an event is looked for is not the fault of the one before it.
    let looking = false;
    try {
      while (done < limit && !this.#draining) {
        if (this.#sinceCommit >= every || outputs.bytes >= maxBufferedBytes) break;
        looking = true;
        const input = this.#next(life);
        looking = false;
        if (input === undefined) break;
        let ready = Math.min(input.ready, limit - done, every - this.#sinceCommit, BATCH);
        if (life.inputs.length > 1) ready = 1;
        const { receive } = input;
        while (ready-- > 0 && outputs.bytes < maxBufferedBytes) {
          const value = input.load(event);
          time.advance();
          cell.event = event;
          const result = receive(value, event);
          if (result !== undefined) return this.#continue(life, limit, done, input, result);
          input.done();
          done++;
          this.#count(life);
        }
      }
    } catch (error) {
      throw looking ? error : this.#failed(event, error);
    }
    return done;
  }

  /** Waits for an event, then goes on unless a commit is due: a slow event must not hold up the ones before it. */
  async #continue(
    life: TaskLife,
    limit: number,
    before: number,
    input: TaskInput,
    result: Promise<void>,
  ): Promise<number> {
    try {
      await result;
    } catch (error) {
      throw this.#failed(life.event, error);
    }
    life.cell.event = null;
    const done = before + 1;
    if (life !== this.#life) return done;
    input.done();
    this.#count(life);
    const { intervalMs } = this.#options.commit;
    if (done >= limit || this.#options.clock.monotonic() - this.#firstUncommittedAt >= intervalMs)
      return done;
    return this.#section(life, limit, done);
  }

  #count(life: TaskLife): void {
    life.events++;
    if (this.#sinceCommit++ === 0 || Number.isNaN(this.#firstUncommittedAt))
      this.#firstUncommittedAt = this.#options.clock.monotonic();
  }

  /** The input to take the next event from: the one with the least event time, once all that have something are ready. */
  #next(life: TaskLife): TaskInput | undefined {
    const only = life.inputs.length === 1 ? life.inputs[0] : undefined;
    if (only !== undefined) return this.#fill(only) ? only : undefined;
    let best: TaskInput | undefined;
    for (const input of life.inputs) {
      if (this.#fill(input)) {
        if (best === undefined || input.nextTimestamp < best.nextTimestamp) best = input;
      } else if (input.fetching !== undefined && !input.atEnd) {
        return undefined;
      }
    }
    return best;
  }

  #fill(input: TaskInput): boolean {
    const ready = input.fill();
    if (ready) input.endSince = Number.NaN;
    else if (input.atEnd && Number.isNaN(input.endSince))
      input.endSince = this.#options.clock.monotonic();
    return ready;
  }

  #failed(event: EventCell, error: unknown): MillraceError {
    if (
      MillraceError.is(error) &&
      (error.code === 'MR_CORRUPT' || error.code === 'MR_OFFSET_LOST' || error.retryable)
    )
      return error;
    const key =
      event.key === null ? 'no key' : `key ${JSON.stringify(String(event.key.key).slice(0, 80))}`;
    return new MillraceError(
      'MR_PROCESSING_FAILED',
      `processing failed at ${event.topic}[${event.partition}] offset ${event.offset}, ${key}: ${messageOf(error)}`,
      {
        cause: error,
        details: {
          topic: event.topic,
          partition: event.partition,
          offset: event.offset,
          key: event.key?.key ?? null,
          task: this.id,
        },
      },
    );
  }

  /** Whether a commit should begin now. `hurry` does not wait for the interval. */
  commitDue(hurry: boolean): boolean {
    const life = this.#life;
    if (life === undefined || this.#committing !== undefined) return false;
    const { every, maxBufferedBytes, maxDirtyRows } = this.#options.commit;
    this.#updateIdle(life);
    if (
      this.#sinceCommit >= every ||
      life.outputs.bytes >= maxBufferedBytes ||
      life.state.dirtyRows >= maxDirtyRows
    )
      return true;
    if (!this.#uncommitted && !life.outputs.needsIdleMark()) return false;
    if (this.#uncommitted && Number.isNaN(this.#firstUncommittedAt))
      this.#firstUncommittedAt = this.#options.clock.monotonic();
    // A task that is to end has nothing to wait for.
    if (this.#draining && this.#uncommitted) return true;
    if (hurry && this.#uncommitted && life.inputs.every((input) => input.atEnd)) return true;
    return this.commitDueAt <= this.#options.clock.monotonic();
  }

  /**
   * Begins a commit of everything processed so far. Resolves when it is durable, never rejects: see {@link Task.throwFailure}.
   * The task may go on meanwhile.
   */
  commit(): Promise<void> {
    assert(this.#committing === undefined, 'a commit was begun while another is under way', {
      task: this.id,
    });
    const life = this.#alive();
    this.#committing = this.#commit(life).then(
      () => {
        this.#committing = undefined;
        this.#commits++;
        this.#maybeCheckpoint();
      },
      (error: unknown) => {
        this.#committing = undefined;
        this.#failure = error;
      },
    );
    return this.#committing;
  }

  async #commit(life: TaskLife): Promise<void> {
    const { membership, partition, commit, clock } = this.#options;
    this.#updateIdle(life);
    const closing = this.#closeWindows(life);
    if (closing !== undefined) {
      this.#closing = true;
      await closing.finally(() => {
        this.#closing = false;
      });
    }
    const endSince = Math.max(
      ...life.inputs.map((input) => (input.atEnd ? input.endSince : Infinity)),
    );
    const idle = this.#sinceCommit === 0 && endSince + commit.idleAfterMs <= clock.monotonic();
    const streamTime = life.time.now;
    const outputs = life.outputs.take(streamTime, idle);
    const changelog = new FrameBuilder({ text: false, maxRecordBytes: MAX_ROW_BYTES });
    life.state.takeDirty(changelog);
    const entries = changelog.count;
    if (entries > 0) outputs.push({ topic: this.#changelog, partition, frame: changelog.build() });
    const positions = this.positions;
    const { events } = life;
    const late = new Map(life.late);
    this.#sinceCommit = 0;
    this.#firstUncommittedAt = Number.NaN;
    await membership.commit({
      task: this.id,
      epoch: this.#epoch,
      positions,
      meta: encodeMeta({
        format: 1,
        time: Number.isFinite(streamTime) ? streamTime : null,
        inputs: life.time.inputs.map((input) => input.save()),
        events,
        late: Object.fromEntries(late),
        closed: life.windows.save(),
      }),
      outputs,
    });
    this.#behind += entries;
    this.#committed = { positions, events, late, streamTime };
  }

  /** What the windows send when they close belongs to the commit that begins. */
  #closeWindows(life: TaskLife): Promise<void> | undefined {
    if (!Number.isFinite(life.time.now)) return undefined;
    const { processing, partition } = this.#options;
    const { cell, windows, time } = life;
    const event = newEvent(partition);
    let wait: void | Promise<void> = undefined;
    processing.current = cell;
    cell.event = event;
    try {
      wait = processing.run(cell, () => windows.close(time.now, event));
    } catch (error) {
      throw this.#failed(event, error);
    } finally {
      processing.current = undefined;
      if (wait === undefined) cell.event = null;
    }
    return wait === undefined ? undefined : this.#closingWindows(life, event, wait);
  }

  /** A task that is dropped does not wait: what is stuck must not keep it. */
  async #closingWindows(life: TaskLife, event: EventCell, wait: Promise<void>): Promise<void> {
    const { signal } = life.abort;
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', onAbort);
    try {
      await Promise.race([wait, aborted.promise]);
    } catch (error) {
      throw signal.aborted ? error : this.#failed(event, error);
    } finally {
      signal.removeEventListener('abort', onAbort);
      life.cell.event = null;
    }
  }

  #maybeCheckpoint(): void {
    if (this.#checkpointing !== undefined || this.#behind < this.#options.commit.checkpointEntries)
      return;
    const taken = this.#behind;
    this.#checkpointing = this.#checkpoint().then(
      () => {
        this.#behind -= taken;
        this.#checkpointing = undefined;
      },
      (error: unknown) => {
        // Nothing is lost: the changelog holds it all. A full disk is tried again after the next commits.
        this.#checkpointing = undefined;
        if (!(MillraceError.is(error) && error.retryable)) this.#failure ??= error;
      },
    );
  }

  async #checkpoint(): Promise<void> {
    const { broker, partition } = this.#options;
    for (;;) {
      const step = await checkpointStep(broker, this.#changelog, partition, this.#stateId);
      if (step.complete) return;
    }
  }

  /** Lets go of everything that is not committed. */
  async close(): Promise<void> {
    this.#discard();
    await this.#checkpointing;
    await this.#committing;
  }

  /** Takes no more events. Those under way may finish and be committed. */
  drain(): void {
    this.#draining = true;
  }

  #discard(): void {
    const life = this.#life;
    this.#life = undefined;
    this.#sinceCommit = 0;
    this.#firstUncommittedAt = Number.NaN;
    if (life === undefined) return;
    life.cell.event = null;
    life.abort.abort(new MillraceError('MR_ABORTED', `task ${this.id} has ended`));
    life.instance.close();
  }

  #alive(): TaskLife {
    assert(this.#life !== undefined, 'a task was used before it was recovered', { task: this.id });
    return this.#life;
  }
}
