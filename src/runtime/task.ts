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
import type { Broker, Membership, OwnedTask, Position } from '../broker/broker.ts';
import { FrameBuilder } from '../broker/frame.ts';
import type { Codec } from '../codec/codec.ts';
import type { Clock } from '../core/clock.ts';
import { assert, messageOf, MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import { isPromise } from '../core/types.ts';
import { checkpointStep } from '../state/checkpoint.ts';
import { recover } from '../state/recovery.ts';
import type { WindowStore } from '../state/store.ts';
import { TaskState } from '../state/task-state.ts';
import { instantiate } from '../stream/instance.ts';
import type { Instance } from '../stream/instance.ts';
import type { GraphNode } from '../stream/node.ts';
import type { MakeOperator, OperatorState, Receive } from '../stream/operator.ts';
import { fanOut } from '../stream/output.ts';
import type { Processing, ProcessingCell, TaskTables } from '../table/processing.ts';
import { changelogTopic, taskId } from '../topology/topology.ts';
import type { SubTopology, TopologyCut } from '../topology/topology.ts';
import { repartitionTime, sourceTime, TaskTime } from '../window/stream-time.ts';
import type { InputTime } from '../window/stream-time.ts';
import { keptFrom } from '../window/tumbling.ts';
import type { WindowDefinition } from '../window/tumbling.ts';
import type { TopicFormat } from './format.ts';
import { TaskInput } from './input.ts';
import { decodeMeta, encodeMeta } from './meta.ts';
import { operatorState } from './scope.ts';
import type { TaskScope } from './scope.ts';
import { TaskOutputs } from './outputs.ts';
import type { SendWithin } from '../table/processing.ts';

/** When a task commits. */
export interface CommitSettings {
  /** After this many events. */
  readonly every: number;
  /** This long after its first uncommitted event. */
  readonly intervalMs: number;
  /** When this many bytes of output are held back. */
  readonly maxBufferedBytes: number;
  /** When this many rows are dirty. */
  readonly maxDirtyRows: number;
  /** A task that has been at the end of its inputs for so long tells the tasks behind it not to wait. */
  readonly idleAfterMs: number;
  /** A checkpoint is taken when the changelog holds this many entries more. */
  readonly checkpointEntries: number;
}

/** What a task needs. */
export interface TaskOptions {
  readonly group: string;
  readonly sub: SubTopology;
  readonly partition: number;
  readonly broker: Broker;
  readonly membership: Membership;
  readonly clock: Clock;
  readonly processing: Processing;
  readonly commit: CommitSettings;
  /** How the records of a topic are written and read: topics of the user and internal ones. */
  readonly format: (topic: string) => TopicFormat;
  /** Makes the key of a `groupBy`. */
  readonly keyRef: (key: unknown) => KeyRef;
  /** Codec of operator state. */
  readonly stateCodec: Codec<unknown>;
  /** Called with each table that the task uses. @throws `MR_TABLE_OWNED` */
  readonly own: (table: string) => void;
  /** Grace and the like of the tables whose closed windows are used. */
  readonly window: (table: string) => {
    readonly codec: Codec<unknown>;
    readonly window: WindowDefinition;
  };
}

/** A windowed table as the task has it. */
interface OpenTable {
  readonly store: WindowStore;
  readonly window: WindowDefinition;
  readonly closed: Receive | undefined;
  /** Windows that end, grace included, at or before this have been closed. */
  closedTo: number;
}

/** Everything that a recovery makes anew. */
interface Life {
  readonly state: TaskState;
  readonly inputs: readonly TaskInput[];
  readonly time: TaskTime;
  readonly outputs: TaskOutputs;
  readonly instance: Instance;
  readonly cell: ProcessingCell;
  readonly event: EventCell;
  readonly abort: AbortController;
  readonly windows: Map<string, OpenTable>;
  readonly late: Map<string, number>;
  events: number;
}

/** How many events are taken between two looks at the bounds of a commit. */
const BATCH = 256;

/** Largest changelog row. */
const MAX_ROW_BYTES = 64 * 1024 * 1024;

/** Runs one sub-topology on one partition. */
export class Task {
  readonly id: string;
  readonly asynchronous: boolean;
  readonly #options: TaskOptions;
  readonly #changelog: string;
  readonly #epoch: number;
  readonly #stateId: number;
  #life: Life | undefined;
  #sinceCommit = 0;
  #firstUncommittedAt = Number.NaN;
  #committing: Promise<void> | undefined;
  #checkpointing: Promise<void> | undefined;
  #behind = 0;
  #committed: {
    positions: readonly Position[];
    events: number;
    late: ReadonlyMap<string, number>;
  } = {
    positions: [],
    events: 0,
    late: new Map(),
  };
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
    this.#life = this.#bringToLife(owned, state);
    for (const name of state.names()) if (!name.includes('/')) this.#options.own(name);
    this.#failure = undefined;
    return { entries };
  }

  #bringToLife(owned: OwnedTask, state: TaskState): Life {
    const { sub, partition, broker, processing, clock } = this.#options;
    const meta = decodeMeta(owned.meta, this.id);
    const outputs = new TaskOutputs(partition);
    const abort = new AbortController();
    const event: EventCell = {
      topic: '',
      partition,
      offset: 0,
      timestamp: 0,
      key: null,
      headers: null,
      raw: null,
    };
    const windows = new Map<string, OpenTable>();
    const late = new Map(Object.entries(meta.late));
    const times = sub.inputs.map((input) => inputTime(input.topic, input.upstreamTasks));
    const time = new TaskTime(times);
    times.forEach((inputClock) => {
      const saved = meta.inputs.find(({ topic }) => topic === inputClock.save().topic);
      if (saved !== undefined) inputClock.restore(saved);
    });
    time.restore(meta.time);
    const tables: TaskTables = {
      partition,
      partitions: sub.partitions,
      get streamTime() {
        return time.now;
      },
      keyed: (table, codec) => {
        this.#options.own(table);
        return state.keyed(table, codec);
      },
      windowed: (table, codec, window) => this.#openTable(table, codec, window, life()).store,
      late: (table) => {
        late.set(table, (late.get(table) ?? 0) + 1);
      },
    };
    const cell: ProcessingCell = {
      tables,
      event: null,
      send: (topic, value, options) => this.#sendWithin(topic, value, options),
    };
    const scope: TaskScope = {
      kind: 'task',
      task: this.id,
      partition,
      clock,
      processing,
      signal: abort.signal,
      cell,
      state: () => assert(false, 'state was asked for without its node') as never,
      send: (format, value, from) =>
        outputs.send(
          format,
          value,
          from?.key ?? null,
          from?.timestamp ?? clock.now(),
          from?.headers ?? null,
          {
            explicitTime: false,
            partition: undefined,
          },
        ),
    };
    const instance = this.#instantiate(scope, state, outputs);
    const raw = sub.cuts.some((cut) => cut.transparentFrom !== undefined);
    const inputs = sub.inputs.map((input, i) => {
      const position = owned.positions.find(
        (at) => at.topic === input.topic && at.partition === partition,
      );
      return new TaskInput({
        topic: input.topic,
        partition,
        format: this.#options.format(input.topic),
        reader: broker.reader(input.topic, partition, position?.offset ?? 0),
        time: times[i] as InputTime,
        receive: fanOut(input.roots.map((root) => instance.input(root))),
        keepRaw: raw,
      });
    });
    const made: Life = {
      state,
      inputs,
      time,
      outputs,
      instance,
      cell,
      event,
      abort,
      windows,
      late,
      events: meta.events,
    };
    const life = (): Life => made;
    this.#committed = { positions: owned.positions, events: meta.events, late: new Map(late) };
    for (const { table } of sub.closed) {
      const { codec, window } = this.#options.window(table);
      this.#openTable(table, codec, window, made);
    }
    return made;
  }

  #instantiate(scope: TaskScope, state: TaskState, outputs: TaskOutputs): Instance {
    const { sub, stateCodec } = this.#options;
    const roots = [
      ...sub.inputs.flatMap((input) => input.roots),
      ...sub.closed.map(({ node }) => node),
    ];
    const cuts = new Map(sub.cuts.map((cut) => [cut.node, cut]));
    const names = new Map(sub.states.map(({ node, name }) => [node, name]));
    return instantiate(
      roots,
      scope,
      (node) => {
        const cut = cuts.get(node);
        return cut === undefined ? undefined : this.#feed(node, cut, outputs);
      },
      (node) => ({
        ...scope,
        state: <S>(start: () => S): OperatorState<S> => {
          const name = names.get(node);
          assert(name !== undefined, `the ${node.kind} operator keeps state without a name`);
          return operatorState(name, state.keyed(`${name}/`, stateCodec), sub.partitions, start);
        },
      }),
    );
  }

  /** The end of a sub-topology at a `groupBy`. */
  #feed(node: GraphNode, cut: TopologyCut, outputs: TaskOutputs): MakeOperator {
    const { keyRef, format } = this.#options;
    assert(node.role.role === 'cut', 'a cut is not a groupBy', { kind: node.kind });
    const keyOf = node.role.key;
    const write = outputs.feed(format(cut.topic), cut.delayMs, cut.transparentFrom !== undefined);
    return () => (value, event) => {
      const key = keyOf(value);
      if (key === undefined || key === null)
        throw new MillraceError(
          'MR_KEY_MISSING',
          `groupBy gave ${String(key)} as the key of an event; return a key, or filter such events out before`,
          {
            details: { topic: cut.topic },
          },
        );
      write(value, keyRef(key), event as EventCell);
    };
  }

  #openTable(
    table: string,
    codec: Codec<unknown>,
    window: WindowDefinition,
    life: Life,
  ): OpenTable {
    let open = life.windows.get(table);
    if (open === undefined) {
      this.#options.own(table);
      const closed = this.#options.sub.closed.find((source) => source.table === table);
      open = {
        store: life.state.windowed(table, codec),
        window,
        closed: closed === undefined ? undefined : life.instance.input(closed.node),
        closedTo: life.time.now - window.graceMs,
      };
      life.windows.set(table, open);
    }
    return open;
  }

  #sendWithin(topic: string, value: unknown, options: SendWithin): void {
    const { outputs, cell } = this.#alive();
    const event = cell.event;
    const key =
      options.key === undefined
        ? null
        : options.key === null
          ? null
          : this.#options.keyRef(options.key);
    outputs.send(
      this.#options.format(topic),
      value,
      key,
      options.timestamp ?? event?.timestamp ?? this.#options.clock.now(),
      options.headers ?? null,
      { explicitTime: options.timestamp !== undefined, partition: options.partition },
    );
  }

  /** Events processed since the group began, the uncommitted ones included. */
  get events(): number {
    return this.#life?.events ?? this.#committed.events;
  }

  /** As of the last commit. */
  get committed(): {
    readonly positions: readonly Position[];
    readonly events: number;
    readonly late: ReadonlyMap<string, number>;
  } {
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
    if (!this.#uncommitted) {
      const life = this.#life;
      if (
        life === undefined ||
        !life.outputs.needsIdleMark() ||
        !life.inputs.every((input) => input.atEnd)
      )
        return Infinity;
      return (
        Math.max(...life.inputs.map((input) => input.endSince)) + this.#options.commit.idleAfterMs
      );
    }
    return this.#firstUncommittedAt + this.#options.commit.intervalMs;
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
  #section(life: Life, limit: number, done: number): number | Promise<number> {
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
  #run(life: Life, limit: number, before: number): number | Promise<number> {
    const { cell, event, time } = life;
    const { every, maxBufferedBytes } = this.#options.commit;
    let done = before;
    try {
      while (done < limit && !this.#draining) {
        if (this.#sinceCommit >= every || life.outputs.bytes >= maxBufferedBytes) break;
        const input = this.#next(life);
        if (input === undefined) break;
        let ready = Math.min(input.ready, limit - done, every - this.#sinceCommit, BATCH);
        if (life.inputs.length > 1) ready = 1;
        const { receive } = input;
        while (ready-- > 0) {
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
      throw this.#failed(event, error);
    }
    return done;
  }

  /** Waits for an event, then goes on unless a commit is due: a slow event must not hold up the ones before it. */
  async #continue(
    life: Life,
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

  #count(life: Life): void {
    life.events++;
    if (this.#sinceCommit++ === 0 || Number.isNaN(this.#firstUncommittedAt))
      this.#firstUncommittedAt = this.#options.clock.monotonic();
  }

  /** The input to take the next event from: the one with the least event time, once all that have something are ready. */
  #next(life: Life): TaskInput | undefined {
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
    if (
      this.#sinceCommit >= every ||
      life.outputs.bytes >= maxBufferedBytes ||
      life.state.dirtyRows >= maxDirtyRows
    )
      return true;
    if (!this.#uncommitted && !life.outputs.needsIdleMark()) return false;
    if (this.#uncommitted && Number.isNaN(this.#firstUncommittedAt))
      this.#firstUncommittedAt = this.#options.clock.monotonic();
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

  async #commit(life: Life): Promise<void> {
    const { membership, partition, commit, clock } = this.#options;
    // Frames say how far their writers have come behind their last record, so there may be news without an event.
    life.time.advance();
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
      }),
      outputs,
    });
    this.#behind += entries;
    this.#committed = { positions, events, late };
  }

  /** Sends the results of windows that stream time has passed, and forgets those that are past their retention. */
  #closeWindows(life: Life): Promise<void> | undefined {
    const now = life.time.now;
    if (!Number.isFinite(now)) return undefined;
    const { processing, partition } = this.#options;
    const waits: Promise<void>[] = [];
    const event: EventCell = {
      topic: '',
      partition,
      offset: -1,
      timestamp: 0,
      key: null,
      headers: null,
      raw: null,
    };
    processing.current = life.cell;
    try {
      for (const [name, table] of life.windows) {
        const { store, window, closed } = table;
        const below = now - window.graceMs;
        if (closed !== undefined && below > table.closedTo) {
          // A window closes when its end is at or before `below`.
          for (const start of store.starts(
            table.closedTo - window.sizeMs + 1,
            below - window.sizeMs + 1,
          ))
            for (const [ref, value] of store.rows(start)) {
              const end = start + window.sizeMs;
              Object.assign(event, { topic: name, timestamp: end - 1, key: ref });
              life.cell.event = event;
              const result = closed({ key: ref.key, window: { start, end }, value }, event);
              if (isPromise(result)) waits.push(result);
            }
        }
        table.closedTo = Math.max(table.closedTo, below);
        store.expire(keptFrom(window, now));
      }
    } catch (error) {
      throw this.#failed(event, error);
    } finally {
      life.cell.event = null;
      processing.current = undefined;
    }
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
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

  #alive(): Life {
    assert(this.#life !== undefined, 'a task was used before it was recovered', { task: this.id });
    return this.#life;
  }
}

function inputTime(topic: string, upstreamTasks: number): InputTime {
  return upstreamTasks === 0 ? sourceTime(topic) : repartitionTime(topic, upstreamTasks);
}
