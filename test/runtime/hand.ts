/**
 * Workers put together by hand on a broker over a simulated store, so that tests can make commits fail and processes die. What
 * `App` adds to it (options, opening a broker by its URL, Running) has tests of its own.
 */
import { openLog, logTables } from '../../src/broker/log/index.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import type { Clock } from '../../src/core/clock.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import { eachNode } from '../../src/app/agent.ts';
import { declaredFormat, repartitionFormat } from '../../src/app/formats.ts';
import { settingsOf } from '../../src/app/options.ts';
import { Topic } from '../../src/app/topic.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';
import type {
  CommitFault,
  SimulatedCommit,
  SimulatedKv,
} from '../../src/kv/simulated/simulated.ts';
import type { TopicFormat } from '../../src/runtime/format.ts';
import { readRows, readWindowRows } from '../../src/runtime/snapshot.ts';
import { Task } from '../../src/runtime/task.ts';
import type { CommitSettings } from '../../src/runtime/task-options.ts';
import { Worker } from '../../src/runtime/worker.ts';
import { childNode } from '../../src/stream/graph.ts';
import type { GraphNode } from '../../src/stream/node.ts';
import type { SinkTarget } from '../../src/stream/operator.ts';
import { nodeOf } from '../../src/stream/stream.ts';
import type { Stream } from '../../src/stream/stream.ts';
import type { TableHost } from '../../src/table/definition.ts';
import { Processing } from '../../src/table/processing.ts';
import { Table } from '../../src/table/table.ts';
import type { WindowedTable } from '../../src/table/windowed-table.ts';
import { buildTopology } from '../../src/topology/build.ts';
import { fingerprint } from '../../src/topology/compare.ts';
import { changelogTopic, taskId } from '../../src/topology/topology.ts';
import type { Duration } from '../../src/core/duration.ts';
import type { WindowDefinition, WindowOptions } from '../../src/window/tumbling.ts';

/** A store that lives on while processes come and go. */
export class Disk {
  readonly clock: VirtualClock = new VirtualClock(1_000_000);
  /** Asked for each commit; see `simulated.ts`. */
  faults: ((commit: SimulatedCommit) => CommitFault | undefined) | undefined;
  #kv: SimulatedKv;

  constructor() {
    this.#kv = simulatedKv({
      tables: logTables,
      clock: this.clock,
      faults: (commit) => this.faults?.(commit),
    });
  }

  /** Opens it as another process would. */
  async open(): Promise<Process> {
    this.#kv = this.#kv.reopen();
    const kv = this.#kv;
    const { clock } = this;
    const broker = await openLog({ kv, url: 'memory:disk', clock, random: seededRandom(1) });
    return { broker, clock, crash: () => kv.crash() };
  }
}

/** An opened disk. */
export interface Process {
  readonly broker: Broker;
  readonly clock: VirtualClock;
  /** SIGKILL: what is not durable is gone. */
  readonly crash: () => void;
}

/** What `App` is to users, as far as these tests need it. */
export class Hand {
  readonly #broker: Promise<Broker>;
  readonly #clock: Clock;
  readonly #group: string;
  readonly #processing = new Processing();
  readonly #formats = new Map<string, TopicFormat>();
  readonly #sources: { node: GraphNode; topic: string; partitions: number }[] = [];
  readonly #tables = new Set<string>();
  readonly #windows = new Map<string, WindowedTable<never, unknown, unknown>>();
  readonly warnings: string[] = [];

  constructor(process: Process, group = 'hand') {
    this.#broker = Promise.resolve(process.broker);
    this.#clock = process.clock;
    this.#group = group;
  }

  topic<V, K = string>(
    name: string,
    options: {
      readonly partitions?: number | undefined;
      readonly timestamp?: ((value: V) => number) | undefined;
    } = {},
  ): Topic<K, V> {
    const settings = settingsOf(this.#group, {});
    const format = declaredFormat(name, options, settings);
    this.#formats.set(name, format);
    return new Topic<K, V>(format, {
      clock: this.#clock,
      processing: this.#processing,
      broker: () => this.#broker,
      ensureTopic: async (of) => {
        const broker = await this.#broker;
        await create(broker, of);
        return broker;
      },
      addSource: (node, { topic, partitions }) => this.#sources.push({ node, topic, partitions }),
    });
  }

  table<V, K = string>(name: string, first: () => V): Table<K, V, V> {
    this.#tables.add(name);
    return new Table<K, V, V>({ name, codec: msgpack, default: first }, this.#tableHost());
  }

  windows<V, K = string>(
    name: string,
    first: () => V,
    size: Duration,
    options?: WindowOptions,
  ): WindowedTable<K, V, V> {
    const table = this.table<V, K>(name, first).tumbling(size, options);
    this.#windows.set(name, table as unknown as WindowedTable<never, unknown, unknown>);
    return table;
  }

  each<V, K>(
    name: string,
    source: Stream<V, K>,
    fn: (value: V, key: K) => unknown,
    ...sinks: SinkTarget<never>[]
  ): void {
    childNode([nodeOf(source)], {
      kind: 'agent',
      name,
      role: { role: 'sink', target: fn },
      make: eachNode(name, (value, event) => fn(value as V, event.key as K), sinks),
    });
  }

  /** Joins the group, loads all tasks and gives a worker that does not run yet. */
  async worker(commit: Partial<CommitSettings> = {}, retryForMs = 60_000): Promise<Worker> {
    const broker = await this.#broker;
    const group = this.#group;
    const topology = buildTopology({
      app: group,
      group,
      sources: this.#sources,
      closed: [...this.#windows.values()].flatMap((table) => {
        const node = table['~closed'];
        const { graceMs } = table['~window'];
        return node === undefined ? [] : [{ node, table: table.name, graceMs }];
      }),
      tables: [...this.#tables],
    });
    for (const format of this.#formats.values()) await create(broker, format);
    const formats = new Map(this.#formats);
    const spec = { owner: group } as const;
    for (const { name, partitions, cuts } of topology.subTopologies) {
      for (const cut of cuts) {
        const from = cut.transparentFrom;
        const format = repartitionFormat(
          cut,
          from === undefined ? undefined : formats.get(from),
          settingsOf(group, {}),
        );
        formats.set(cut.topic, format);
        const codec = format.codec.name;
        await broker.createTopic({
          name: cut.topic,
          partitions: cut.partitions,
          codec,
          role: 'repartition',
          ...spec,
        });
      }
      await broker.createTopic({
        name: changelogTopic(group, name),
        partitions,
        codec: 'rows',
        role: 'changelog',
        ...spec,
      });
    }
    const all = topology.subTopologies.flatMap((sub) =>
      Array.from({ length: sub.partitions }, (_, partition) => ({ sub, partition })),
    );
    const membership = await broker.join(group, {
      tasks: all.map(({ sub, partition }) => ({ id: taskId(sub.name, partition) })),
      topology: fingerprint(topology),
    });
    const tasks: Task[] = [];
    for (const [i, { sub, partition }] of all.entries()) {
      const owned = membership.tasks[i];
      if (owned === undefined) throw new Error('a task was not given');
      const task = new Task(
        {
          group,
          sub,
          partition,
          broker,
          membership,
          clock: this.#clock,
          processing: this.#processing,
          commit: {
            every: 10_000,
            intervalMs: 100,
            maxBufferedBytes: 1 << 22,
            maxDirtyRows: 50_000,
            idleAfterMs: 1_000,
            checkpointEntries: 100_000,
            ...commit,
          },
          format: (topic) => formats.get(topic) as TopicFormat,
          stateCodec: msgpack,
          own: () => undefined,
          window: (table) => ({ codec: msgpack, window: this.#windowOf(table) }),
        },
        owned,
      );
      await task.recover(owned);
      tasks.push(task);
    }
    return new Worker({
      broker,
      membership,
      clock: this.#clock,
      group,
      tasks,
      retryForMs,
      warn: (message) => this.warnings.push(message),
    });
  }

  #windowOf(table: string): WindowDefinition {
    return (this.#windows.get(table) as WindowedTable<never, unknown, unknown>)['~window'];
  }

  #tableHost(): TableHost {
    return {
      processing: this.#processing,
      rows: (table, codec) => readRows(this.#broker, this.#group, table, codec),
      windowRows: (table, codec) => readWindowRows(this.#broker, this.#group, table, codec),
      declare: () => undefined,
    };
  }
}

async function create(broker: Broker, format: TopicFormat): Promise<void> {
  await broker.createTopic({
    name: format.topic,
    partitions: format.partitions,
    codec: format.codec.name,
    role: 'source',
  });
}

/** Lets everything that is ready have its turn, several times over. */
export async function turns(clock: Clock, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await clock.turn();
}

/** Advances time until `done` has settled. */
export async function advancing<T>(clock: VirtualClock, done: Promise<T>, stepMs = 50): Promise<T> {
  let settled = false;
  const mark = (): void => {
    settled = true;
  };
  done.then(mark, mark);
  for (let i = 0; !settled; i++) {
    if (i === 10_000) throw new Error('it has not ended after 10,000 steps');
    await clock.advance(stepMs);
  }
  return await done;
}
