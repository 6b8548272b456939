/**
 * Everything that a recovery makes anew: the state, the inputs at their positions, the graph of the task, alive.
 *
 * @module
 */
import type { OwnedTask } from '../broker/broker.ts';
import { KeyInterner, keyRef } from '../codec/key.ts';
import { Effects } from '../core/effects.ts';
import { assert, MillraceError } from '../core/errors.ts';
import { rawValueOf } from '../core/event.ts';
import type { EventCell } from '../core/event.ts';
import type { TaskState } from '../state/task-state.ts';
import { instantiate } from '../stream/instance.ts';
import type { Instance } from '../stream/instance.ts';
import type { GraphNode } from '../stream/node.ts';
import type { MakeOperator, OperatorState, Receive, SinkPort } from '../stream/operator.ts';
import { fanOut } from '../stream/output.ts';
import { Policy } from '../stream/policy.ts';
import { streamTimeOf } from '../table/processing.ts';
import type { ProcessingCell, SendWithin, TaskTables } from '../table/processing.ts';
import { taskId } from '../topology/topology.ts';
import type { TopologyCut, TopologyInput } from '../topology/topology.ts';
import { repartitionTime, sourceTime, TaskTime } from '../window/stream-time.ts';
import type { InputTime } from '../window/stream-time.ts';
import { handedOn, isAsked } from './answer.ts';
import { Counters } from './counters.ts';
import { encodeKeyOf } from './format.ts';
import { deadLetterHeaders, guarded } from './guard.ts';
import type { GuardContext } from './guard.ts';
import { TaskInput } from './input.ts';
import { decodeMeta } from './meta.ts';
import { TaskOutputs } from './outputs.ts';
import { operatorState } from './scope.ts';
import type { AttachedAgent, TaskScope } from './scope.ts';
import type { Start } from './start.ts';
import type { TaskOptions } from './task-options.ts';
import { TaskWindows } from './task-windows.ts';

/** A task between a recovery and the next. */
export interface TaskLife {
  readonly state: TaskState;
  readonly inputs: readonly TaskInput[];
  readonly time: TaskTime;
  /** Where several events are under way: stream time with all that were taken, finished or not. */
  readonly ahead: TaskTime | undefined;
  readonly outputs: TaskOutputs;
  readonly instance: Instance;
  readonly windows: TaskWindows;
  /** What user code finds the task by, when events are processed one after the other. */
  readonly cell: ProcessingCell;
  /** The event that is being processed then, moved from record to record. */
  readonly event: EventCell;
  /** Its effects, `null` where a failure ends the task. */
  readonly effects: Effects | null;
  readonly policy: Policy;
  readonly guards: GuardContext;
  readonly abort: AbortController;
  readonly counters: Counters;
  readonly agents: readonly AttachedAgent[];
  /** How many events agents want at once, all together. */
  wanted: number;
}

/** Keys of a `groupBy` that are remembered in their canonical form. */
const KEYS = 4096;

/** Brings a task to life on the state of its last commit. `starts` are the places to read from, one for each input of the partition. */
export function bringToLife(
  options: TaskOptions,
  owned: OwnedTask,
  state: TaskState,
  starts: readonly Start[],
): TaskLife {
  const { partition, broker, sub, policy, clock, processing } = options;
  const read = inputsOf(options);
  const meta = decodeMeta(owned.meta, owned.id);
  const outputs = new TaskOutputs(partition);
  const windows = new TaskWindows(state, meta.closed);
  const abort = new AbortController();
  const counters = new Counters(meta);
  for (const { lost } of starts) counters.lost += lost;
  const timeOf = ({ topic, upstreamTasks }: TopologyInput): InputTime => {
    const time = upstreamTasks === 0 ? sourceTime(topic) : repartitionTime(topic, upstreamTasks);
    const saved = meta.inputs.find((input) => input.topic === topic);
    if (saved !== undefined) time.restore(saved);
    return time;
  };
  const times = read.map(timeOf);
  const time = new TaskTime(times);
  time.restore(meta.time);
  const ahead = sub.asynchronous ? new TaskTime(read.map(timeOf)) : undefined;
  ahead?.restore(meta.time);

  const sinks = new Map<SinkPort, Receive>();
  state.follow(() => {
    const asking = processing.find();
    return asking === undefined ? time.now : streamTimeOf(asking);
  });
  let ended = false;
  abort.signal.addEventListener('abort', () => {
    ended = true;
  });
  /** What a task that was dropped leaves running must not take the rows of nobody for its own. */
  const mustLive = (table: string): void => {
    if (!ended) return;
    throw new MillraceError(
      'MR_TABLE_OUTSIDE',
      `table ${table} was used by code whose task has ended; stop when the signal of the context aborts`,
      { details: { table } },
    );
  };
  const tables: TaskTables = {
    partition,
    partitions: sub.partitions,
    get streamTime() {
      return time.now;
    },
    keyed(table, codec, ttlMs) {
      mustLive(table);
      const stored = options.stored(table);
      options.own(stored);
      return state.keyed(stored, codec, ttlMs);
    },
    windowed(table, codec, window) {
      mustLive(table);
      const stored = options.stored(table);
      options.own(stored);
      return windows.open(stored, codec, window, () => {
        const closed = sub.closed.find((source) => source.table === table);
        if (closed === undefined) return undefined;
        const receive = life.instance.input(closed.node);
        return policy.failsAtOnce ? receive : guarded(guards, policy, receive);
      });
    },
    late(table, closed, effects) {
      const add = (more: number): void => {
        counters.late.set(table, (counters.late.get(table) ?? 0) + more);
      };
      add(closed);
      effects?.add({
        undo: () => {
          add(-closed);
          return true;
        },
      });
    },
    changes(table) {
      const source = sub.changes.find((each) => each.table === table);
      return source === undefined ? undefined : life.instance.input(source.node);
    },
    sink(target) {
      let receive = sinks.get(target);
      if (receive === undefined) {
        receive = target['~sink'](taskScope);
        sinks.set(target, receive);
      }
      return receive;
    },
  };
  const send: ProcessingCell['send'] = (from, topic, value, how) => {
    // Its outputs go nowhere any more: whoever waits for the send must hear of it.
    if (abort.signal.aborted) throw abort.signal.reason;
    sendWithin(options, outputs, from, topic, value, how);
  };
  const cell: ProcessingCell = { tables, event: null, send };
  const task = taskId(sub.name, partition);
  const guards: GuardContext = {
    clock,
    signal: abort.signal,
    processing,
    cellFor: (event) => ({ tables, event, send, concurrent: sub.asynchronous }),
    skipped: ({ effects }) => {
      counters.skipped++;
      effects?.add({
        undo: () => {
          counters.skipped--;
          return true;
        },
      });
    },
    deadLetter: (topic, event, error, attempts) => {
      forwardStored(
        options,
        outputs,
        topic,
        event,
        deadLetterHeaders(task, event, error, attempts),
        event.partition % options.format(topic).partitions,
      );
      counters.deadLettered++;
      event.effects?.add({
        undo: () => {
          counters.deadLettered--;
          return true;
        },
      });
    },
  };
  const agents: AttachedAgent[] = [];
  const life: Omit<TaskLife, 'instance' | 'inputs'> & {
    instance: Instance;
    inputs: readonly TaskInput[];
  } = {
    state,
    inputs: [],
    time,
    ahead,
    outputs,
    instance: undefined as unknown as Instance,
    windows,
    cell,
    event: newEvent(partition),
    effects: sub.asynchronous || policy.failsAtOnce ? null : new Effects(),
    policy,
    guards,
    abort,
    counters,
    agents,
    wanted: 0,
  };
  life.event.effects = life.effects;
  const taskScope = makeScope(options, life, {
    attach: (agent) => agents.push(agent),
    want: () => {
      life.wanted = agents.reduce((sum, { wanted }) => sum + wanted, 0);
      options.wake();
    },
  });
  life.instance = makeInstance(options, life, taskScope);
  for (const { table } of sub.closed) {
    const { codec, window } = options.window(table);
    tables.windowed(table, codec, window);
  }
  life.inputs = read.map(({ topic, roots }, i) => {
    return new TaskInput({
      topic,
      partition,
      format: options.format(topic),
      reader: broker.reader(topic, partition, (starts[i] as Start).offset),
      time: times[i] as InputTime,
      receive: fanOut(roots.map((root) => life.instance.input(root))),
      share: options.share,
      ahead: ahead?.inputs[i],
      done: meta.done[topic],
      decodePolicy: decodePolicy(roots, policy),
      wake: options.wake,
    });
  });
  return life;
}

/** The inputs that a task reads: without state topics with fewer partitions may take part, whose last partitions are nobody's here. */
export function inputsOf(
  options: Pick<TaskOptions, 'sub' | 'partition'>,
): TaskOptions['sub']['inputs'] {
  return options.sub.inputs.filter((input) => options.partition < input.partitions);
}

/** A cell that points at nothing yet. */
export function newEvent(partition: number): EventCell {
  return {
    topic: '',
    partition,
    offset: -1,
    timestamp: 0,
    key: null,
    headers: null,
    raw: null,
    effects: null,
    flight: null,
  };
}

/** What becomes of a record that cannot be read: what the first nodes say, as far as they agree, else the app. Without retries. */
function decodePolicy(roots: readonly GraphNode[], app: Policy): Policy {
  const own = roots.map((root) => {
    const [only, second] = root.children;
    const role = second === undefined ? only?.role : undefined;
    return role !== undefined && 'policy' in role ? role.policy : undefined;
  });
  const [first] = own;
  const chosen = first !== undefined && own.every((policy) => policy === first) ? first : app;
  return new Policy(chosen.steps.filter(({ step }) => step !== 'retry'));
}

function makeScope(
  options: TaskOptions,
  life: Omit<TaskLife, 'instance' | 'inputs'>,
  agents: Pick<TaskScope, 'attach' | 'want'>,
): TaskScope {
  const { sub, partition, clock, processing, atLeastOnce } = options;
  const { outputs, cell, guards, policy, abort } = life;
  return {
    kind: 'task',
    task: taskId(sub.name, partition),
    partition,
    clock,
    processing,
    signal: abort.signal,
    cell,
    guards,
    policy,
    atLeastOnce,
    ...agents,
    state: () => assert(false, 'state was asked for without its node') as never,
    guard: (by, next) => guarded(guards, by, next),
    send: (format, value, from) =>
      outputs.send(
        format,
        value,
        from?.key ?? null,
        from?.timestamp ?? clock.now(),
        handedOn(from?.headers ?? null),
        {
          explicitTime: false,
          partition: undefined,
          effects: from?.effects ?? null,
        },
      ),
    forward: (topic, event) =>
      forwardStored(options, outputs, topic, event, event.headers, undefined),
    reply: (agent, answer, event) => {
      if (event === null || !isAsked(event.headers)) return;
      options.reply(agent, answer, event, (format, value, to, headers) =>
        outputs.send(format, value, null, clock.now(), headers, {
          explicitTime: true,
          partition: to,
          effects: event.effects,
        }),
      );
    },
  };
}

function makeInstance(
  options: TaskOptions,
  { state, outputs }: Pick<TaskLife, 'state' | 'outputs'>,
  scope: TaskScope,
): Instance {
  const { sub, stateCodec } = options;
  const cuts = new Map(sub.cuts.map((cut) => [cut.node, cut]));
  const names = new Map(sub.states.map(({ node, name }) => [node, name]));
  return instantiate(
    [
      ...sub.inputs.flatMap((input) => input.roots),
      ...sub.closed.map(({ node }) => node),
      ...sub.changes.map(({ node }) => node),
    ],
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
    effects: event.effects,
  });
}

/** Sends an event on as it is stored. What was never stored, as the result of a closed window, goes without a value. */
function forwardStored(
  options: TaskOptions,
  outputs: TaskOutputs,
  topic: string,
  event: EventCell,
  headers: EventCell['headers'],
  partition: number | undefined,
): void {
  const to = options.format(topic);
  const from = options.readable(event.topic);
  const key = from === undefined ? (event.key?.bytes ?? null) : encodeKeyOf(from, event.key);
  outputs.sendStored(
    to,
    event.key,
    partition,
    { timestamp: event.timestamp, key, value: rawValueOf(event), headers },
    event.effects,
  );
}
