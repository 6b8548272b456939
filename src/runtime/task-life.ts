/**
 * Everything that a recovery makes anew: the state, the inputs at their positions, the graph of the task, alive.
 *
 * @module
 */
import type { OwnedTask } from '../broker/broker.ts';
import { KeyInterner, keyRef } from '../codec/key.ts';
import { assert, MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import type { TaskState } from '../state/task-state.ts';
import { instantiate } from '../stream/instance.ts';
import type { Instance } from '../stream/instance.ts';
import type { GraphNode } from '../stream/node.ts';
import type { MakeOperator, OperatorState } from '../stream/operator.ts';
import { fanOut } from '../stream/output.ts';
import type { ProcessingCell, SendWithin, TaskTables } from '../table/processing.ts';
import { taskId } from '../topology/topology.ts';
import type { TopologyCut } from '../topology/topology.ts';
import { repartitionTime, sourceTime, TaskTime } from '../window/stream-time.ts';
import type { InputTime } from '../window/stream-time.ts';
import { TaskInput } from './input.ts';
import { decodeMeta } from './meta.ts';
import { TaskOutputs } from './outputs.ts';
import { operatorState } from './scope.ts';
import type { TaskScope } from './scope.ts';
import type { TaskOptions } from './task-options.ts';
import { TaskWindows } from './task-windows.ts';

/** A task between a recovery and the next. */
export interface TaskLife {
  readonly state: TaskState;
  readonly inputs: readonly TaskInput[];
  readonly time: TaskTime;
  readonly outputs: TaskOutputs;
  readonly instance: Instance;
  readonly windows: TaskWindows;
  /** What user code finds the task by. */
  readonly cell: ProcessingCell;
  /** The event that is being processed, moved from record to record. */
  readonly event: EventCell;
  readonly abort: AbortController;
  /** Events for closed windows since the group began, by table. */
  readonly late: Map<string, number>;
  /** Events processed since the group began. */
  events: number;
}

/** Keys of a `groupBy` that are remembered in their canonical form. */
const KEYS = 4096;

/** Brings a task to life on the state and positions of its last commit. */
export function bringToLife(options: TaskOptions, owned: OwnedTask, state: TaskState): TaskLife {
  const { partition, broker } = options;
  // Without state topics with fewer partitions may take part: their last partitions are nobody's here.
  const read = options.sub.inputs.filter((input) => partition < input.partitions);
  const { sub } = options;
  const meta = decodeMeta(owned.meta, owned.id);
  const outputs = new TaskOutputs(partition);
  const windows = new TaskWindows(state, meta.closed);
  const abort = new AbortController();
  const late = new Map(Object.entries(meta.late));
  const times = read.map(({ topic, upstreamTasks }) => {
    const time = upstreamTasks === 0 ? sourceTime(topic) : repartitionTime(topic, upstreamTasks);
    const saved = meta.inputs.find((input) => input.topic === topic);
    if (saved !== undefined) time.restore(saved);
    return time;
  });
  const time = new TaskTime(times);
  time.restore(meta.time);

  const tables: TaskTables = {
    partition,
    partitions: sub.partitions,
    get streamTime() {
      return time.now;
    },
    keyed(table, codec) {
      options.own(table);
      return state.keyed(table, codec);
    },
    windowed(table, codec, window) {
      options.own(table);
      return windows.open(table, codec, window, () => {
        const closed = sub.closed.find((source) => source.table === table);
        return closed === undefined ? undefined : instance.input(closed.node);
      });
    },
    late(table) {
      late.set(table, (late.get(table) ?? 0) + 1);
    },
  };
  const cell: ProcessingCell = {
    tables,
    event: null,
    send(from, topic, value, how) {
      // Its outputs go nowhere any more: whoever waits for the send must hear of it.
      if (abort.signal.aborted) throw abort.signal.reason;
      sendWithin(options, outputs, from, topic, value, how);
    },
  };
  const instance = makeInstance(options, state, outputs, cell, abort.signal);
  for (const { table } of sub.closed) {
    const { codec, window } = options.window(table);
    tables.windowed(table, codec, window);
  }
  const keepRaw = sub.cuts.some((cut) => cut.transparentFrom !== undefined);
  const inputs = read.map(({ topic, roots }, i) => {
    const position = owned.positions.find((at) => at.topic === topic && at.partition === partition);
    return new TaskInput({
      topic,
      partition,
      format: options.format(topic),
      reader: broker.reader(topic, partition, position?.offset ?? 0),
      time: times[i] as InputTime,
      receive: fanOut(roots.map((root) => instance.input(root))),
      keepRaw,
    });
  });
  const event = newEvent(partition);
  return {
    state,
    inputs,
    time,
    outputs,
    instance,
    windows,
    cell,
    event,
    abort,
    late,
    events: meta.events,
  };
}

/** A cell that points at nothing yet. */
export function newEvent(partition: number): EventCell {
  return { topic: '', partition, offset: -1, timestamp: 0, key: null, headers: null, raw: null };
}

function makeInstance(
  options: TaskOptions,
  state: TaskState,
  outputs: TaskOutputs,
  cell: ProcessingCell,
  signal: AbortSignal,
): Instance {
  const { sub, partition, clock, processing, stateCodec } = options;
  const scope: TaskScope = {
    kind: 'task',
    task: taskId(sub.name, partition),
    partition,
    clock,
    processing,
    signal,
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
  const cuts = new Map(sub.cuts.map((cut) => [cut.node, cut]));
  const names = new Map(sub.states.map(({ node, name }) => [node, name]));
  return instantiate(
    [...sub.inputs.flatMap((input) => input.roots), ...sub.closed.map(({ node }) => node)],
    scope,
    (node) => {
      const cut = cuts.get(node);
      return cut === undefined ? undefined : feed(options, node, cut, outputs);
    },
    (node) => ({
      ...scope,
      state: <S>(start: () => S): OperatorState<S> => {
        const name = names.get(node);
        assert(name !== undefined, `the ${node.kind} operator keeps state without a name`);
        // A slash keeps the states of operators apart from tables.
        return operatorState(name, state.keyed(`${name}/`, stateCodec), sub.partitions, start);
      },
    }),
  );
}

/** The end of a sub-topology at a `groupBy`. */
function feed(
  options: TaskOptions,
  node: GraphNode,
  cut: TopologyCut,
  outputs: TaskOutputs,
): MakeOperator {
  assert(node.role.role === 'cut', 'a cut is not a groupBy', { kind: node.kind });
  const keyOf = node.role.key;
  const keys = new KeyInterner(KEYS);
  const write = outputs.feed(
    options.format(cut.topic),
    cut.delayMs,
    cut.transparentFrom !== undefined,
  );
  return () => (value, event) => {
    const key = keyOf(value);
    if (key === undefined || key === null)
      throw new MillraceError(
        'MR_KEY_MISSING',
        `groupBy gave ${String(key)} as the key of an event; return a key, or filter such events out before`,
        { details: { topic: cut.topic } },
      );
    write(value, keys.of(key), event as EventCell);
  };
}

function sendWithin(
  options: TaskOptions,
  outputs: TaskOutputs,
  event: EventCell | null,
  topic: string,
  value: unknown,
  how: SendWithin,
): void {
  if (event === null)
    throw new MillraceError(
      'MR_SEND_OUTSIDE',
      `topic ${topic} was sent to by code whose event is finished, so the record would belong to no commit; await every send before asking for the next event`,
      { details: { topic } },
    );
  const key = how.key === undefined || how.key === null ? null : keyRef(how.key);
  const timestamp = how.timestamp ?? event.timestamp;
  outputs.send(options.format(topic), value, key, timestamp, how.headers ?? null, {
    explicitTime: how.timestamp !== undefined,
    partition: how.partition,
  });
}
