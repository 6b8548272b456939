/**
 * Apps: topics, tables, streams and agents under one name, and the worker that runs them.
 *
 * @module
 */
import { openBroker } from '../broker/open.ts';
import type { Broker } from '../broker/broker.ts';
import { msgpack } from '../codec/msgpack.ts';
import type { Codec } from '../codec/codec.ts';
import type { Schema } from '../codec/schema.ts';
import { MillraceError } from '../core/errors.ts';
import { validName } from '../core/names.ts';
import type { Key } from '../core/types.ts';
import type { AnyAgentBody } from '../runtime/agent-instance.ts';
import type { TopicFormat } from '../runtime/format.ts';
import { Task } from '../runtime/task.ts';
import { Worker } from '../runtime/worker.ts';
import type { GraphNode } from '../stream/node.ts';
import { childNode } from '../stream/graph.ts';
import type { MakeOperator, SinkTarget } from '../stream/operator.ts';
import { nodeOf, Stream } from '../stream/stream.ts';
import { Processing } from '../table/processing.ts';
import { Table } from '../table/table.ts';
import type { TableHost } from '../table/definition.ts';
import { WindowedTable } from '../table/windowed-table.ts';
import { buildTopology } from '../topology/build.ts';
import { checkChange, fingerprint } from '../topology/compare.ts';
import { printTopology } from '../topology/print.ts';
import { changelogTopic, taskId } from '../topology/topology.ts';
import type { SubTopology, Topology, TopologyCut } from '../topology/topology.ts';
import { Agent, agentNode, eachNode } from './agent.ts';
import type { AgentBody, AgentOptions, EachFunction, OwnTopic, Source } from './agent.ts';
import { declaredFormat, repartitionFormat } from './formats.ts';
import type { AnyTopicOptions } from './formats.ts';
import type { Host } from './host.ts';
import { runMain } from './main.ts';
import { settingsOf } from './options.ts';
import type { AppOptions, Settings } from './options.ts';
import { Running } from './running.ts';
import { readRows, readWindowRows } from '../runtime/snapshot.ts';
import { Topic } from './topic.ts';
import type { TopicOptions } from './topic.ts';

/** How a table is declared. */
export interface TableOptions<K, V> {
  /** The type of keys, if not string. Only a type: key identity is canonical bytes. */
  readonly key?: Schema<K, unknown> | undefined;
  /** The type of rows, for tables without a default. Only a type: rows are written by the app itself and are not checked. */
  readonly value?: Schema<V, unknown> | undefined;
  /** How rows become bytes in changelog and checkpoint. Default msgpack: plain data, dates, maps, sets, bigints, bytes. */
  readonly codec?: Codec<unknown> | undefined;
}

/**
 * An app: the unit of deployment, and a group of its own on its broker. Declare topics, tables, streams and agents, then
 * {@link App.start} or {@link App.main} it. Whoever declares the same things under the same id continues where it stopped.
 *
 * @example
 * ```ts
 * import { App, unchecked } from 'millrace';
 *
 * const app = new App('shop', { broker: 'memory:shop' });
 * const orders = app.topic('orders', { key: unchecked<string>(), value: unchecked<{ amount: number }>() });
 * const spent = app.table('spent', { default: () => 0 });
 * orders.stream().update(spent, (sum, order) => sum + order.amount);
 *
 * const running = await app.start();
 * await orders.send({ amount: 20 }, { key: 'ann' });
 * await orders.send({ amount: 22 }, { key: 'ann' });
 * await running.settled();
 * (await Array.fromAsync(spent.snapshot())) // => [['ann', 42]]
 * await running.stop();
 * await app.close();
 * ```
 */
export class App {
  readonly id: string;
  readonly #settings: Settings;
  readonly #processing = new Processing();
  readonly #formats = new Map<string, TopicFormat>();
  /** Of the topics between the app's tasks. */
  readonly #internalFormats = new Map<string, TopicFormat>();
  readonly #names = new Map<string, string>();
  readonly #tables = new Map<string, Codec<unknown>>();
  readonly #windows = new Map<string, WindowedTable<never, unknown, unknown>>();
  readonly #sources: { node: GraphNode; topic: string; partitions: number }[] = [];
  /** Waits for the sends to each topic. */
  readonly #topics: (() => Promise<void>)[] = [];
  readonly #created = new Map<string, Promise<void>>();
  #broker: Promise<Broker> | undefined;
  #running: Running | undefined;
  /** From the call of start to the end of the worker. */
  #started = false;

  /**
   * @throws `MR_NAME_INVALID`, `MR_OPTION_INVALID`. The broker is opened at the first use.
   */
  constructor(id: string, options: AppOptions = {}) {
    this.#settings = settingsOf(id, options);
    this.id = id;
  }

  /**
   * Declares a topic. Topics are shared by all apps on a broker; what they are made of must agree.
   *
   * @throws `MR_NAME_INVALID`, `MR_NAME_TAKEN`, `MR_OPTION_INVALID`. At start, `MR_TOPIC_CONFLICT` when the stored topic is another.
   */
  topic<V = unknown, In = V, K extends Key | null = string | null>(
    name: string,
    options: TopicOptions<K, V, In, unknown> = {},
  ): Topic<K, V, In> {
    return this.#declareTopic<K, V, In>(name, options as unknown as AnyTopicOptions);
  }

  #declareTopic<K, V, In>(name: string, options: AnyTopicOptions): Topic<K, V, In> {
    validName('topic', name);
    const format = declaredFormat(name, options, this.#settings);
    this.#take('topic', name);
    this.#formats.set(name, format);
    const topic = new Topic<K, V, In>(format, this.#host());
    this.#topics.push(() => topic['~settled']());
    return topic;
  }

  /**
   * Declares a table: with a `default` for rows that are not there, or with the type of its rows.
   *
   * @throws `MR_NAME_INVALID`, `MR_NAME_TAKEN`.
   */
  table<V, K extends Key = string>(
    name: string,
    options: TableOptions<K, V> & { readonly value: Schema<V, unknown>; readonly default?: never },
  ): Table<K, V>;
  table<V, K extends Key = string>(
    name: string,
    options: TableOptions<K, V> & { readonly default: () => V },
  ): Table<K, V, V>;
  table<V, K extends Key = string>(
    name: string,
    options: TableOptions<K, V> & { readonly default?: (() => V) | undefined },
  ): Table<K, V, V | undefined> {
    validName('table', name);
    this.#mustBeOpen(`table ${name}`);
    this.#take('table', name);
    const codec = options.codec ?? msgpack;
    this.#tables.set(name, codec);
    return new Table<K, V, V | undefined>(
      { name, codec, default: options.default },
      this.#tableHost(),
    );
  }

  /**
   * Declares an agent: any asynchronous code over the events of a topic or a declared stream, one instance per task. Its name is durable.
   *
   * @throws `MR_NAME_INVALID`, `MR_NAME_TAKEN`, `MR_ARGUMENT_INVALID` for sinks on a body that cannot yield.
   */
  agent<K = string | null, V = unknown, Out = never>(
    name: string,
    source: Source<K, V> | OwnTopic<K, V>,
    body: AgentBody<K, V, Out>,
    options: AgentOptions<Out> = {},
  ): Agent<K, V, Out> {
    const sinks = (options.sinks ?? []) as readonly SinkTarget<never>[];
    if (sinks.length > 0 && body.constructor.name === 'AsyncFunction')
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `agent ${name} has sinks, but its body is an async function and never yields; write async function* and yield results`,
        {
          details: { agent: name },
        },
      );
    return this.#agent(name, source, agentNode(name, body as unknown as AnyAgentBody, sinks));
  }

  /**
   * Declares an agent that handles one event at a time. What it returns goes to the sinks; `undefined` goes nowhere.
   *
   * @throws as {@link App.agent}.
   */
  each<K = string | null, V = unknown, Out = never>(
    name: string,
    source: Source<K, V> | OwnTopic<K, V>,
    fn: EachFunction<K, V, Out>,
    options: AgentOptions<Out> = {},
  ): Agent<K, V, Out> {
    const sinks = (options.sinks ?? []) as readonly SinkTarget<never>[];
    return this.#agent(
      name,
      source,
      eachNode(name, fn as unknown as EachFunction<unknown, unknown, unknown>, sinks),
    );
  }

  #agent<K, V, Out>(
    name: string,
    source: Source<K, V> | OwnTopic<K, V>,
    make: MakeOperator,
  ): Agent<K, V, Out> {
    validName('agent', name);
    this.#mustBeOpen(`agent ${name}`);
    this.#take('agent', name);
    const inbox =
      source instanceof Stream
        ? undefined
        : source instanceof Topic
          ? source
          : this.#ownTopic(name, source);
    const stream = source instanceof Stream ? source : (inbox as Topic<K, V, never>).stream();
    const agent = new Agent<K, V, Out>(name, inbox as Topic<K, unknown, V> | undefined);
    childNode([nodeOf(stream)], {
      kind: 'agent',
      name,
      role: { role: 'sink', target: agent },
      make,
    });
    return agent;
  }

  #ownTopic<K, V>(agent: string, options: OwnTopic<K, V>): Topic<K, V, never> {
    const name = `${this.#settings.group}-${agent}`;
    return this.#declareTopic<K, V, never>(name, options as unknown as AnyTopicOptions);
  }

  /**
   * Starts a worker: creates topics that are missing, takes the app's tasks, loads their state and processes. A worker of the same app that
   * is running elsewhere on the broker loses its tasks and fails with `MR_FENCED`.
   *
   * @throws `MR_TOPOLOGY_INVALID`, `MR_TOPOLOGY_CHANGED`, `MR_TOPIC_CONFLICT`, `MR_NAME_TAKEN`, `MR_NAME_MISSING`; `MR_PERMISSION`,
   * `MR_VERSION_UNSUPPORTED`, `MR_CORRUPT` and `MR_IO` of the broker.
   */
  async start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Running> {
    if (this.#started)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `app ${this.id} is running already; stop it before you start it again`,
      );
    this.#started = true;
    try {
      return await this.#start(options.signal);
    } catch (error) {
      this.#started = false;
      throw error;
    }
  }

  async #start(signal: AbortSignal | undefined): Promise<Running> {
    const topology = this.#topology();
    const broker = await this.#open();
    // Those that it reads, and those that it only sends to.
    for (const format of this.#formats.values()) await this.#ensureTopic(format);
    const { group } = this.#settings;
    const text = fingerprint(topology);
    checkChange(this.id, (await broker.describeGroup(group))?.topology, text);
    await this.#createInternalTopics(broker, topology);
    const tasks = topology.subTopologies.flatMap((sub) =>
      Array.from({ length: sub.partitions }, (_, partition) => ({
        sub,
        partition,
        id: taskId(sub.name, partition),
      })),
    );
    const membership = await broker.join(group, {
      tasks: tasks.map(({ id }) => ({ id })),
      topology: text,
    });
    const owners = new Map(
      topology.subTopologies.flatMap(({ name, tables }) => tables.map((table) => [table, name])),
    );
    const made: Task[] = [];
    try {
      for (const { sub, partition, id } of tasks) {
        const owned = membership.tasks.find((task) => task.id === id);
        if (owned === undefined) continue;
        const task = this.#task(broker, membership, sub, partition, owned, owners);
        await task.recover(owned);
        made.push(task);
      }
    } catch (error) {
      await Promise.all(made.map((task) => task.close()));
      await membership.leave();
      throw error;
    }
    const { clock, retryForMs, warn } = this.#settings;
    const worker = new Worker({ broker, membership, clock, group, tasks: made, retryForMs, warn });
    const running = new Running(worker, clock, warn);
    this.#running = running;
    const stop = (): void => void running.stop().catch(() => undefined);
    const ended = (): void => {
      this.#running = undefined;
      this.#started = false;
      signal?.removeEventListener('abort', stop);
    };
    worker.run().then(ended, ended);
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
    return running;
  }

  /**
   * Runs the app as a program: `worker` (default) until SIGTERM or SIGINT, or `topology` to print what would run. A worker that fails
   * says why on standard error and ends the process with status 1.
   */
  async main(argv: readonly string[] = process.argv.slice(2)): Promise<void> {
    await runMain(this, argv);
  }

  /** What the app consists of, for people. */
  topology(): string {
    return printTopology(this.#topology());
  }

  /** Stops a running worker, waits for what was sent, and closes the broker. The app can be used again afterwards. Idempotent. */
  async close(): Promise<void> {
    try {
      await this.#running?.stop();
    } catch (error) {
      // What made the worker fail was told by `done`, `settled` or `warn`; that it would not stop is news.
      if (MillraceError.is(error) && error.code === 'MR_STOP_TIMEOUT') throw error;
    } finally {
      // A send that nobody waits for would open the broker again.
      await Promise.all(this.#topics.map((settled) => settled()));
      const broker = this.#broker;
      this.#broker = undefined;
      this.#created.clear();
      await (await broker)?.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #task(
    broker: Broker,
    membership: Awaited<ReturnType<Broker['join']>>,
    sub: SubTopology,
    partition: number,
    owned: (typeof membership.tasks)[number],
    owners: Map<string, string>,
  ): Task {
    const { group, clock, commit } = this.#settings;
    return new Task(
      {
        group,
        sub,
        partition,
        broker,
        membership,
        clock,
        processing: this.#processing,
        commit,
        format: (topic) => this.#format(topic),
        stateCodec: msgpack,
        own: (table) => {
          const owner = owners.get(table);
          if (owner === undefined) owners.set(table, sub.name);
          else if (owner !== sub.name)
            throw new MillraceError(
              'MR_TABLE_OWNED',
              `table ${table} is used by ${sub.name}, but its rows live in the tasks of ${owner}; use one table for each, or do both in one place`,
              { details: { table, owner, by: sub.name } },
            );
        },
        window: (table) => {
          const windowed = this.#windows.get(table);
          return {
            codec: this.#tables.get(table) ?? msgpack,
            window: (windowed as WindowedTable<never, unknown, unknown>)['~window'],
          };
        },
      },
      owned,
    );
  }

  #topology(): Topology {
    const topology = buildTopology({
      app: this.id,
      group: this.#settings.group,
      sources: this.#sources,
      closed: [...this.#windows.values()].flatMap((table) => {
        const node = table['~closed'];
        return node === undefined
          ? []
          : [{ node, table: table.name, graceMs: table['~window'].graceMs }];
      }),
      tables: [...this.#tables.keys()],
      windows: Object.fromEntries(
        [...this.#windows.values()].map((table) => [table.name, table['~window'].sizeMs]),
      ),
    });
    this.#internalFormats.clear();
    const cuts = new Map(
      topology.subTopologies.flatMap((sub) => sub.cuts.map((cut) => [cut.topic, cut])),
    );
    for (const cut of cuts.values()) this.#repartitionFormat(cut, cuts);
    return topology;
  }

  /** Values that are passed on as bytes have the format of the topic that they came from, which may be behind a `groupBy` itself. */
  #repartitionFormat(cut: TopologyCut, cuts: ReadonlyMap<string, TopologyCut>): TopicFormat {
    let format = this.#internalFormats.get(cut.topic);
    if (format === undefined) {
      const from = cut.transparentFrom;
      const before = from === undefined ? undefined : cuts.get(from);
      format = repartitionFormat(
        cut,
        before !== undefined
          ? this.#repartitionFormat(before, cuts)
          : from === undefined
            ? undefined
            : this.#formats.get(from),
        this.#settings,
      );
      this.#internalFormats.set(cut.topic, format);
    }
    return format;
  }

  async #createInternalTopics(broker: Broker, topology: Topology): Promise<void> {
    for (const sub of topology.subTopologies) {
      for (const cut of sub.cuts)
        await broker.createTopic({
          name: cut.topic,
          partitions: cut.partitions,
          codec: this.#format(cut.topic).codec.name,
          role: 'repartition',
          owner: this.#settings.group,
        });
      await broker.createTopic({
        name: changelogTopic(this.#settings.group, sub.name),
        partitions: sub.partitions,
        codec: 'rows',
        role: 'changelog',
        owner: this.#settings.group,
      });
    }
  }

  #open(): Promise<Broker> {
    const { broker, clock, random } = this.#settings;
    this.#broker ??= openBroker(broker, { clock, random }).catch((error: unknown) => {
      this.#broker = undefined;
      throw error;
    });
    return this.#broker;
  }

  async #ensureTopic(format: TopicFormat): Promise<Broker> {
    const broker = await this.#open();
    let created = this.#created.get(format.topic);
    if (created === undefined) {
      created = broker.createTopic({
        name: format.topic,
        partitions: format.partitions,
        codec: format.codec.name,
        role: 'source',
      });
      this.#created.set(format.topic, created);
      created.catch(() => this.#created.delete(format.topic));
    }
    await created;
    return broker;
  }

  #format(topic: string): TopicFormat {
    const format = this.#formats.get(topic) ?? this.#internalFormats.get(topic);
    if (format === undefined)
      throw new MillraceError('MR_UNKNOWN_TOPIC', `app ${this.id} declares no topic ${topic}`, {
        details: { topic },
      });
    return format;
  }

  /** A declaration that a running worker would not see must not pass in silence. */
  #mustBeOpen(what: string): void {
    if (this.#started)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `${what} was declared while app ${this.id} runs, which would have no effect; declare everything before start()`,
      );
  }

  #take(what: string, name: string): void {
    const key = `${what} ${name}`;
    if (this.#names.has(key))
      throw new MillraceError(
        'MR_NAME_TAKEN',
        `app ${this.id} declares ${what} ${name} twice; keep the first in a variable`,
        { details: { name } },
      );
    this.#names.set(key, what);
  }

  #host(): Host {
    return {
      clock: this.#settings.clock,
      processing: this.#processing,
      broker: () => this.#open(),
      ensureTopic: (format) => this.#ensureTopic(format),
      addSource: (node, format) => {
        this.#mustBeOpen(`a stream of topic ${format.topic}`);
        this.#sources.push({ node, topic: format.topic, partitions: format.partitions });
      },
    };
  }

  #tableHost(): TableHost {
    return {
      processing: this.#processing,
      rows: (table, codec) => readRows(this.#open(), this.#settings.group, table, codec),
      windowRows: (table, codec) =>
        readWindowRows(this.#open(), this.#settings.group, table, codec),
      declare: (table) => {
        if (this.#windows.has(table.name))
          throw new MillraceError(
            'MR_NAME_TAKEN',
            `table ${table.name} has windows already; keep what tumbling() returned, or declare another table`,
          );
        if (table instanceof WindowedTable)
          this.#windows.set(table.name, table as unknown as WindowedTable<never, unknown, unknown>);
      },
    };
  }
}
