/**
 * A task reduced to what tables see of it: events one by one, commits, and a death after which only what was committed is there.
 *
 * @module
 */
import { place } from '../../src/broker/frame.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import { FrameView } from '../../src/broker/frame-view.ts';
import { keyRef } from '../../src/codec/key.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { Effects } from '../../src/core/effects.ts';
import type { EventCell, KeyRef } from '../../src/core/event.ts';
import { TaskWindows } from '../../src/runtime/task-windows.ts';
import { TaskState } from '../../src/state/task-state.ts';
import type { Output, Receive, Scope, SinkPort, TablePort } from '../../src/stream/operator.ts';
import { ChangeSource } from '../../src/table/changes.ts';
import type { TableHome, TableHost } from '../../src/table/definition.ts';
import { Processing, settleWaits } from '../../src/table/processing.ts';
import type { ProcessingCell, TaskTables } from '../../src/table/processing.ts';
import { Table } from '../../src/table/table.ts';
import type { WindowedTable } from '../../src/table/windowed-table.ts';

/** A host of tables whose tasks are elsewhere, or nowhere. */
export function hostOf(
  processing: Processing,
  clock: VirtualClock = new VirtualClock(),
): TableHost {
  return {
    processing,
    clock,
    async *rows() {},
    async *windowRows() {},
    declare: () => undefined,
    home: () => Promise.resolve<TableHome | undefined>(undefined),
    ask: () => Promise.reject(new Error('nobody is asked')),
    stored: () => Promise.reject(new Error('nothing is stored')),
  };
}

/** A table on a host, with the source of its changes. */
export function tableOn<V, R = V>(
  host: TableHost,
  name: string,
  first?: () => V,
  ttlMs?: number,
): { readonly table: Table<string, V, R>; readonly changes: ChangeSource } {
  const changes = new ChangeSource(name);
  const definition = { name, codec: msgpack, default: first, ttlMs };
  return { table: new Table<string, V, R>(definition, host, changes), changes };
}

/** What flows through a task in its present life. */
interface Life {
  state: TaskState;
  windows: TaskWindows;
  streamTime: number;
  late: Map<string, number>;
  cell: ProcessingCell;
  inputs: Map<TablePort, Receive>;
}

type AnyWindowed = WindowedTable<never, unknown, unknown>;

export class TaskBench {
  readonly clock: VirtualClock = new VirtualClock(1_000_000);
  readonly processing: Processing = new Processing();
  readonly host: TableHost = hostOf(this.processing, this.clock);
  /** Partition and number of partitions of the task. */
  place: readonly [partition: number, partitions: number] = [0, 1];
  /** Where the changes of tables go. */
  readonly changes: Map<string, Receive> = new Map();
  /** What was sent to topics and agents, with the cell that it went with. */
  readonly sent: { to: string; value: unknown; event: EventCell | null }[] = [];
  /** Results of closed windows, and where they go if somebody is interested. */
  readonly closing: Map<string, Receive> = new Map();
  readonly #closed = new Map<string, AnyWindowed>();
  readonly #updates = new Map<
    TablePort,
    { fn: (current: unknown, value: unknown) => unknown; at: unknown; next: Receive }
  >();
  readonly #frames: FrameView[] = [];
  #saved: { closed: Record<string, number>; streamTime: number; late: Map<string, number> } = {
    closed: {},
    streamTime: -Infinity,
    late: new Map(),
  };
  #life: Life | undefined;
  #offset = 0;

  /** Declares an update of a table; `next` takes its changes. */
  update(
    table: TablePort,
    fn: (current: never, value: never) => unknown,
    next: Receive = () => undefined,
    at?: (value: never) => number,
  ): void {
    this.#updates.set(table, { fn: fn as (current: unknown, value: unknown) => unknown, at, next });
  }

  /** Sends the results of closed windows to `receive`. */
  closed(table: object, receive: Receive): void {
    const windowed = table as AnyWindowed;
    this.#closed.set(windowed.name, windowed);
    this.closing.set(windowed.name, receive);
  }

  get state(): TaskState {
    return this.#alive().state;
  }

  get streamTime(): number {
    return this.#alive().streamTime;
  }

  get late(): ReadonlyMap<string, number> {
    return this.#alive().late;
  }

  get frames(): readonly FrameView[] {
    return this.#frames;
  }

  /** Processes an event by the declared update of `table`. */
  async send(table: TablePort, key: unknown, time: number, value: unknown = null): Promise<void> {
    const life = this.#alive();
    const input = life.inputs.get(table);
    if (input === undefined) throw new Error('the table has no declared update');
    await this.#process(keyOf(key), time, (event) => input(value, event));
  }

  /** Processes an event by `fn`, as an agent does. */
  async event<T>(key: unknown, time: number, fn: (event: EventCell) => T): Promise<Awaited<T>> {
    let result: Awaited<T> | undefined;
    await this.#process(keyOf(key), time, async (event) => {
      result = await Promise.resolve(fn(event));
    });
    return result as Awaited<T>;
  }

  async #process(
    key: KeyRef | null,
    time: number,
    fn: (event: EventCell) => void | Promise<void>,
  ): Promise<void> {
    const life = this.#alive();
    const { cell } = life;
    life.streamTime = Math.max(life.streamTime, time);
    const effects = new Effects();
    const event = eventAt(key, time, this.#offset++, effects);
    cell.event = event;
    try {
      await this.processing.within(cell, () => fn(event));
      await settleWaits(cell);
      effects.settle();
    } catch (error) {
      effects.rollback();
      throw error;
    } finally {
      cell.event = null;
      cell.waits = undefined;
    }
  }

  /** Closes windows, and goes no further: what a commit does that fails in the end. */
  async close(): Promise<void> {
    const life = this.#alive();
    const { cell } = life;
    const event = eventAt(null, 0, -1, null);
    cell.event = event;
    await this.processing.within(cell, () => life.windows.close(life.streamTime, event));
    cell.event = null;
  }

  /** Closes windows, then makes everything durable. */
  async commit(): Promise<void> {
    await this.close();
    const life = this.#alive();
    const changelog = new FrameBuilder({ text: false, maxRecordBytes: 1 << 26 });
    life.state.takeDirty(changelog);
    if (changelog.count > 0) {
      const base = this.#frames.at(-1)?.end ?? 0;
      const { bytes } = changelog.build();
      place(bytes, base, 0);
      this.#frames.push(FrameView.open(bytes, 'changelog', 0, base));
    }
    this.#saved = {
      closed: life.windows.save(),
      streamTime: life.streamTime,
      late: new Map(life.late),
    };
  }

  /** Everything that was not committed is gone. */
  crash(): void {
    this.#life = undefined;
  }

  #alive(): Life {
    this.#life ??= this.#begin();
    return this.#life;
  }

  #begin(): Life {
    const state = new TaskState();
    for (const frame of this.#frames) state.applyFrame(frame);
    const windows = new TaskWindows(state, this.#saved.closed);
    const { sent, changes, closing } = this;
    const [partition, partitions] = this.place;
    const sinks = new Map<SinkPort, Receive>();
    const life: Life = {
      state,
      windows,
      streamTime: this.#saved.streamTime,
      late: new Map(this.#saved.late),
      cell: { tables: undefined as unknown as TaskTables, event: null, send: () => undefined },
      inputs: new Map(),
    };
    const tables: TaskTables = {
      partition,
      partitions,
      get streamTime() {
        return life.streamTime;
      },
      keyed: (table, codec) => state.keyed(table, codec),
      windowed: (table, codec, window) =>
        windows.open(table, codec, window, () => closing.get(table)),
      late: (table, count, effects) => {
        life.late.set(table, (life.late.get(table) ?? 0) + count);
        effects?.add({
          undo: () => {
            life.late.set(table, (life.late.get(table) ?? 0) - count);
            return true;
          },
        });
      },
      changes: (table) => changes.get(table),
      sink: (target) => {
        let receive = sinks.get(target);
        if (receive === undefined) {
          receive = (value, event) => {
            sent.push({ to: target.name, value, event: event === null ? null : { ...event } });
          };
          sinks.set(target, receive);
        }
        return receive;
      },
    };
    life.cell = { ...life.cell, tables };
    for (const [table, { fn, at, next }] of this.#updates) {
      const output: Output = { next };
      const made = table['~update'](fn, at as undefined)(output, { kind: 'task' } as Scope);
      life.inputs.set(table, typeof made === 'function' ? made : (made.inputs[0] as Receive));
    }
    for (const [name, table] of this.#closed)
      windows.open(name, msgpack, table['~window'], () => closing.get(name));
    return life;
  }
}

/** A topic, for sinks. */
export function topicCalled(name: string): SinkPort & { '~accepts': (value: unknown) => void } {
  return { name, '~accepts': () => undefined, '~sink': () => () => undefined };
}

function keyOf(key: unknown): KeyRef | null {
  return key === null ? null : keyRef(key);
}

function eventAt(
  key: KeyRef | null,
  timestamp: number,
  offset: number,
  effects: Effects | null,
): EventCell {
  return {
    topic: 'topic',
    partition: 0,
    offset,
    timestamp,
    key,
    headers: null,
    raw: null,
    effects,
    flight: null,
  };
}
