/**
 * Apps: topics, tables, streams and agents under one name, and the workers that run them.
 *
 * @module
 */
import { openBroker } from '../broker/open.ts';
import type { Broker, TopicSpec } from '../broker/broker.ts';
import { msgpack } from '../codec/msgpack.ts';
import type { Codec } from '../codec/codec.ts';
import type { Schema } from '../codec/schema.ts';
import { sleep } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { checkFunction, checkOptions, kindOf } from '../core/given.ts';
import type { Known } from '../core/given.ts';
import type { Logger } from '../core/log.ts';
import { validName } from '../core/names.ts';
import type { Key } from '../core/types.ts';
import type { AgentRun, AnyAgentBody } from '../runtime/agent-instance.ts';
import type { TopicFormat } from '../runtime/format.ts';
import { readRows, readWindowRows } from '../runtime/snapshot.ts';
import { readStoredAnswer } from '../runtime/stored-answer.ts';
import { tableHome } from '../runtime/table-home.ts';
import type { Worker } from '../runtime/worker.ts';
import { childNode } from '../stream/graph.ts';
import { nodeOf, Stream } from '../stream/stream.ts';
import { ChangeSource } from '../table/changes.ts';
import type { TableHost } from '../table/definition.ts';
import { Processing } from '../table/processing.ts';
import { Table } from '../table/table.ts';
import { WindowedTable } from '../table/windowed-table.ts';
import type { Topology } from '../topology/topology.ts';
import { storedName } from '../topology/rename.ts';
import { topologyData, topologyMermaid } from '../topology/formats.ts';
import { printTopology } from '../topology/print.ts';
import { channelPort, noPort, topicPort } from './agent-ports.ts';
import { Agent, agentNode, agentRun, bodyAgent, canYield, eachAgent, sinksOf } from './agent.ts';
import type {
  AgentBody,
  AgentOptions,
  EachFunction,
  MakeAgent,
  OwnTopic,
  Source,
} from './agent.ts';
import { Asker } from './ask.ts';
import { Beside, BesideDeclared } from './beside.ts';
import { ChannelAgent } from './channel-agent.ts';
import { Channel } from './channel.ts';
import type { ChannelOptions } from './channel.ts';
import { Declared } from './declared.ts';
import { declaredFormat, declaredKeep } from './formats.ts';
import type { AnyTopicOptions } from './formats.ts';
import type { AppEvents, Listener, ListenOptions } from './hooks.ts';
import type { Host } from './host.ts';
import type { JobContext, JobOptions } from './jobs.ts';
import { iterateTopic } from './iterate.ts';
import { ownArguments, runMain } from './main.ts';
import type { Program } from './main.ts';
import { inRange, settingsOf } from './options.ts';
import type { AppOptions, Settings } from './options.ts';
import type { AppParts } from './parts.ts';
import { repliesFormat, repliesSpec, repliesTopic, replyBy } from './replies.ts';
import { Running } from './running.ts';
import { housekeep, prepare, startWorker } from './starting.ts';
import type { StartContext } from './starting.ts';
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
  /** How long a row lives after it was written last, on stream time: at least 1 ms. Not for tables with windows. Default: for ever. */
  readonly ttl?: Duration | undefined;
}

const TABLE_OPTIONS: Known<TableOptions<never, never> & { readonly default?: unknown }> = {
  key: true,
  value: true,
  codec: true,
  ttl: true,
  default: true,
  partitions: 'later',
};

/** What a test may put in the place of an app's own settings. */
export type Replaced = Partial<Settings> & { readonly open?: (() => Promise<Broker>) | undefined };

/** How an app is started. */
export interface StartOptions {
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
  /** Members of the app's group in this process, 1 to 64. One does as much as a process can; several are for tests. Default 1. */
  readonly workers?: number | undefined;
}

const START_OPTIONS: Known<StartOptions> = {
  signal: true,
  workers: true,
};

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
  #settings: Settings;
  readonly #processing = new Processing();
  readonly #declared: Declared;
  readonly #beside = new BesideDeclared();
  readonly #asker: Asker;
  /** Whether there is an agent that can be asked. */
  #answers = false;
  /** Whether it was given a logger. */
  readonly #logs: boolean;
  /** Waits for the sends to each topic. */
  readonly #topics: (() => Promise<void>)[] = [];
  /** Groups of topics that are being iterated. */
  readonly #iterated = new Set<string>();
  readonly #created = new Map<string, Promise<void>>();
  #openBroker: () => Promise<Broker>;
  #broker: Promise<Broker> | undefined;
  #running: Running | undefined;
  #starting: Promise<Running> | undefined;
  /** From the call of start to the end of the worker. */
  #started = false;
  /** A test drives it: it takes no more declarations, and its clock and broker may still be replaced. */
  #driven = false;

  /**
   * @throws `MR_NAME_INVALID`, `MR_OPTION_INVALID`. The broker is opened at the first use.
   */
  constructor(id: string, options: AppOptions = {}) {
    const settings = settingsOf(id, options);
    this.#settings = settings;
    this.#logs = options.logger !== undefined;
    this.#declared = new Declared(settings);
    this.#openBroker = () => openBroker(settings.broker, settings);
    this.#asker = new Asker({
      settings: () => this.#settings,
      processing: this.#processing,
      format: repliesFormat(settings),
      broker: () => this.#ensure(repliesSpec(this.#settings)),
    });
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

  #declareTopic<K, V, In>(name: string, options: AnyTopicOptions, own = false): Topic<K, V, In> {
    validName('topic', name);
    if (name === repliesTopic(this.#settings.group))
      throw new MillraceError(
        'MR_NAME_TAKEN',
        `${name} is the topic that the agents of app ${this.id} answer in; give the topic or agent another name`,
        { details: { name } },
      );
    const format = declaredFormat(name, options, this.#settings);
    const keep = declaredKeep(name, options);
    this.#declared.take('topic', name);
    this.#declared.addTopic(format, keep, own);
    const topic = new Topic<K, V, In>(format, this.#host());
    this.#topics.push(() => topic['~settled']());
    this.#declared.parts.topics.set(name, topic);
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
    if ((options as unknown) === undefined)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `table ${name} was declared without options; give what reading a missing row gives, { default: () => 0 }, or the type of its rows, { value: schema }`,
        { details: { table: name } },
      );
    checkOptions(`table ${name}`, options, TABLE_OPTIONS);
    if (options.default !== undefined && typeof options.default !== 'function')
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `default of table ${name} is ${kindOf(options.default)}; give a function that makes it: { default: () => … }`,
        { details: { table: name } },
      );
    this.#declared.take('table', name);
    const codec = options.codec ?? msgpack;
    const ttlMs =
      options.ttl === undefined ? undefined : durationMs(options.ttl, `ttl of table ${name}`, 1);
    const changes = new ChangeSource(name);
    this.#declared.addTable(name, { codec, ttlMs, changes });
    const table = new Table<K, V, V | undefined>(
      { name, codec, default: options.default, ttlMs },
      this.#tableHost(),
      changes,
    );
    this.#declared.parts.tables.set(name, table);
    return table;
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
    checkFunction(`agent ${name}`, body);
    const run = agentRun(name, options, this.#settings.commit.drainTimeoutMs);
    const sinks = sinksOf(name, options.sinks);
    if (sinks.length > 0 && !canYield(body))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `agent ${name} has sinks, but its body is an async function and never yields; write async function* and yield results`,
        {
          details: { agent: name },
        },
      );
    const make = bodyAgent(name, body as unknown as AnyAgentBody, sinks, run);
    return this.#agent(name, source, make, run, canYield(body));
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
    checkFunction(`agent ${name}`, fn);
    const run = agentRun(name, options, this.#settings.commit.drainTimeoutMs);
    const sinks = sinksOf(name, options.sinks);
    const call = fn as unknown as EachFunction<unknown, unknown, unknown>;
    return this.#agent(name, source, eachAgent(name, call, sinks, run), run, true);
  }

  #agent<K, V, Out>(
    name: string,
    source: Source<K, V> | OwnTopic<K, V>,
    make: MakeAgent,
    run: AgentRun,
    yields: boolean,
  ): Agent<K, V, Out> {
    validName('agent', name);
    this.#mustBeOpen(`agent ${name}`);
    if (typeof source !== 'object' || source === null || Array.isArray(source))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `agent ${name} was given ${kindOf(source)} as its source; give a topic, a stream of one, a channel, or { value: schema } for a topic of its own`,
        { details: { agent: name } },
      );
    this.#declared.take('agent', name);
    if (source instanceof Channel) return this.#channelAgent<K, V, Out>(name, source, make, run);
    const inbox =
      source instanceof Stream
        ? undefined
        : source instanceof Topic
          ? source
          : this.#ownTopic(name, source);
    const stream = source instanceof Stream ? source : (inbox as Topic<K, V, never>).stream();
    const port =
      inbox === undefined
        ? noPort(name)
        : topicPort(name, inbox as Topic<unknown, unknown, unknown>, this.#asker, yields);
    this.#answers ||= inbox !== undefined && yields;
    let instances = 0;
    const agent = new Agent<K, V, Out>(name, port, () => instances);
    this.#declared.parts.agents.set(name, inbox);
    childNode([nodeOf(stream)], {
      kind: 'agent',
      name,
      role: { role: 'sink', target: agent, policy: run.policy },
      make: agentNode(name, make, (change) => {
        instances += change;
      }),
    });
    return agent;
  }

  #channelAgent<K, V, Out>(
    name: string,
    source: Channel<V>,
    make: MakeAgent,
    run: AgentRun,
  ): Agent<K, V, Out> {
    const channel = source as unknown as Channel<unknown>;
    const beside = new ChannelAgent(name, channel, make, run, this.#settings.policy);
    this.#beside.agents.push(beside);
    this.#declared.parts.agents.set(name, undefined);
    return new Agent<K, V, Out>(name, channelPort(name, channel), () => beside.instances);
  }

  /**
   * A way for values within this process, in memory: `put`, and read with `for await`, as a stream, or as the source of an agent, which then runs in
   * this process only, beside the tasks. See {@link Channel}.
   *
   * @throws `MR_OPTION_INVALID`
   */
  channel<T>(options: ChannelOptions = {}): Channel<T> {
    return new Channel<T>(options, () => this.#settings.clock);
  }

  #ownTopic<K, V>(agent: string, options: OwnTopic<K, V>): Topic<K, V, never> {
    const name = `${this.#settings.group}-${agent}`;
    return this.#declareTopic<K, V, never>(name, options as unknown as AnyTopicOptions, true);
  }

  /**
   * Declares a task: a function that runs beside the streams, once a started app has loaded its state, in each of its processes or on its leader
   * only. It may run until `signal` aborts, or end before. It is outside of any event: it sends and queries as any other program does.
   *
   * What it throws makes the worker fail with `MR_JOB_FAILED`. On the leader it is called anew each time that this process becomes the leader.
   *
   * @throws `MR_ARGUMENT_INVALID`, `MR_NAME_INVALID`, `MR_NAME_TAKEN`.
   */
  task(fn: (context: JobContext) => Promise<void>, options: JobOptions = {}): void {
    this.#mustBeOpen('a task');
    this.#beside.addTask(fn, options);
  }

  /**
   * Declares a timer: a function that runs every `interval` (at least 1 ms) while the app runs, for the first time one interval after its start.
   * The times do not drift; those that come while it runs are left out. A run that throws is logged, and the timer goes on.
   *
   * @throws as {@link App.task}, and `MR_OPTION_INVALID`.
   */
  timer(interval: Duration, fn: (context: JobContext) => unknown, options: JobOptions = {}): void {
    this.#mustBeOpen('a timer');
    this.#beside.addTimer(interval, fn, options);
  }

  /**
   * Declares a listener: a function that is told when partitions come to this process or leave it, or when a table has been loaded. What it waits
   * for waits for it, for as long as its deadline allows. One that throws or is late is logged, and the worker goes on.
   *
   * @throws `MR_ARGUMENT_INVALID`, `MR_OPTION_INVALID`.
   */
  on<E extends keyof AppEvents>(event: E, fn: Listener<E>, options: ListenOptions = {}): void {
    this.#mustBeOpen(`a listener to ${event}`);
    this.#beside.listen(event, fn, options.deadline);
  }

  /**
   * Starts a worker: creates topics that are missing, takes its share of the app's tasks, loads their state and processes. Workers of the same
   * app, in whatever processes, share the tasks among them.
   *
   * @throws `MR_TOPOLOGY_INVALID`, `MR_TOPOLOGY_CHANGED`, `MR_TOPIC_CONFLICT`, `MR_NAME_TAKEN`, `MR_NAME_MISSING`, `MR_OFFSET_LOST`,
   * `MR_OPTION_INVALID`; `MR_PERMISSION`, `MR_VERSION_UNSUPPORTED`, `MR_CORRUPT` and `MR_IO` of the broker.
   */
  async start(options: StartOptions = {}): Promise<Running> {
    return await this.#begin(options);
  }

  async #begin(options: StartOptions, beat?: (label: string) => void): Promise<Running> {
    if (this.#started)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `app ${this.id} is running already; stop it before you start it again`,
      );
    checkOptions(`start of app ${this.id}`, options, START_OPTIONS);
    const workers = inRange('workers', options.workers ?? 1, 1, 64);
    this.#started = true;
    try {
      this.#starting = this.#start(workers, options.signal, beat);
      return await this.#starting;
    } catch (error) {
      this.#started = false;
      throw error;
    } finally {
      this.#starting = undefined;
    }
  }

  async #prepare(): Promise<{ broker: Broker; topology: Topology; context: StartContext }> {
    const topology = this.#declared.topology();
    const broker = await this.#open();
    // Those that it reads, and those that it only sends to.
    for (const format of this.#declared.topics) await this.#ensureTopic(format);
    const context = this.#startContext();
    await prepare(broker, topology, context);
    // An answer must have somewhere to go, whatever old question it is that is read.
    if (this.#answers) await this.#ensure(repliesSpec(this.#settings));
    return { broker, topology, context };
  }

  async #start(
    count: number,
    signal: AbortSignal | undefined,
    beat: ((label: string) => void) | undefined,
  ): Promise<Running> {
    const { broker, topology, context: base } = await this.#prepare();
    const beside = new Beside(this.#beside, topology, this.#settings);
    const context = { ...base, ...beside.told, beat };
    const workers: Worker[] = [];
    try {
      while (workers.length < count) workers.push(await startWorker(broker, topology, context));
    } catch (error) {
      await Promise.all(workers.map((worker) => worker.end()));
      throw error;
    }
    const { clock, logger, group } = this.#settings;
    let detach: (() => void) | undefined = undefined;
    const running = new Running(workers, {
      clock,
      warn: (message) => logger.error({ group }, message),
      beside: {
        run: (end, failed) =>
          beside.run(end, failed, {
            housekeeping: () =>
              housekeep(broker, this.#settings, end, (delayMs, until) =>
                sleep(clock, delayMs, until),
              ),
          }),
        busy: () => beside.busy,
      },
      ended: () => {
        this.#running = undefined;
        this.#started = false;
        detach?.();
      },
    });
    this.#running = running;
    const stop = (): void => void running.stop().catch(() => undefined);
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
    detach = () => signal?.removeEventListener('abort', stop);
    return running;
  }

  #startContext(): StartContext {
    return {
      settings: this.#settings,
      declared: this.#declared,
      processing: this.#processing,
      reply: replyBy(repliesFormat(this.#settings)),
    };
  }

  /**
   * Runs the app as a program: `worker` (default) until SIGTERM or SIGINT, or `topology` to print what would run. A worker that fails
   * says why on standard error and ends the process with status 1. Call it under `if (import.meta.main)`, so that the module can be loaded by others.
   *
   * @throws `MR_ARGUMENT_INVALID` where a command of `millrace` has loaded the module.
   */
  async main(argv: readonly string[] = ownArguments(this.id)): Promise<void> {
    await runMain((logger) => this['~program'](logger), argv);
  }

  /** What the app consists of: as a text for people (default), as JSON, or as a Mermaid diagram. @throws as {@link App.start} for what is declared. */
  topology(format: 'text' | 'json' | 'mermaid' = 'text'): string {
    const topology = this.#declared.topology();
    if (format === 'json') return JSON.stringify(topologyData(topology));
    return format === 'mermaid' ? topologyMermaid(topology) : printTopology(topology);
  }

  /** Stops a running worker, waits for what was sent, and closes the broker. The app can be used again afterwards. Idempotent. */
  async close(): Promise<void> {
    this.#asker.close();
    // Whoever has not waited for the start shall not find the broker closed in the middle of it.
    await this.#starting?.catch(() => undefined);
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

  /** @internal What was declared so far, for tools. */
  '~parts'(): AppParts {
    const { group, broker } = this.#settings;
    return {
      group,
      brokerUrl: broker,
      broker: () => this.#open(),
      topology: () => this.#declared.topology(),
      ...this.#declared.parts,
    };
  }

  /** @internal What it takes to run it as a program, which logs to `logger` unless the app was given one of its own. */
  '~program'(logger: Logger): Program {
    if (!this.#logs) this.#settings = { ...this.#settings, logger };
    const { id, stuckAfterMs, logger: log } = this.#settings;
    return {
      id,
      stuckAfterMs,
      log,
      start: (beat) => this.#begin({}, beat),
      close: () => this.close(),
      topology: () => this.topology(),
    };
  }

  /**
   * @internal For tests: what an app runs with, instead of what its options say. Before its first use, or when it is closed. Gives what there was,
   * to be put back.
   */
  '~replace'(replaced: Replaced): Settings & Replaced {
    if (this.#started)
      throw new MillraceError('MR_ARGUMENT_INVALID', this.#tooLate('a replacement'));
    const { open, ...settings } = replaced;
    if (open !== undefined && this.#broker !== undefined)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `app ${this.id} is in use: it has opened its broker, or is under test already; close it, or end that test first`,
      );
    const before = { ...this.#settings, open: this.#openBroker };
    this.#settings = { ...this.#settings, ...settings };
    if (open !== undefined) this.#openBroker = open;
    return before;
  }

  /**
   * @internal For tests: brings about everything that `start` does before it starts a worker, and says how to start one. Jobs are given to `take`;
   * they run when it runs them.
   */
  async '~prepare'(): Promise<
    (broker: Broker, take?: (beside: Beside) => void) => Promise<Worker>
  > {
    const { topology, context } = await this.#prepare();
    return (broker, take) => {
      const beside = new Beside(this.#beside, topology, this.#settings);
      take?.(beside);
      return startWorker(broker, topology, { ...context, ...beside.told });
    };
  }

  /** @internal For tests: as `~prepare`, for workers that have the jobs and listeners of the app beside them, as processes do. */
  async '~processes'(): Promise<(broker: Broker) => Promise<{ worker: Worker; beside: Beside }>> {
    const { topology, context } = await this.#prepare();
    this.#driven = true;
    return async (broker) => {
      const beside = new Beside(this.#beside, topology, this.#settings);
      const worker = await startWorker(broker, topology, { ...context, ...beside.told });
      return { worker, beside };
    };
  }

  #open(): Promise<Broker> {
    this.#broker ??= this.#openBroker().catch((error: unknown) => {
      this.#broker = undefined;
      throw error;
    });
    return this.#broker;
  }

  #ensureTopic(format: TopicFormat): Promise<Broker> {
    return this.#ensure(this.#declared.spec(format));
  }

  async #ensure(spec: TopicSpec): Promise<Broker> {
    const broker = await this.#open();
    let created = this.#created.get(spec.name);
    if (created === undefined) {
      created = broker.createTopic(spec);
      this.#created.set(spec.name, created);
      created.catch(() => this.#created.delete(spec.name));
    }
    await created;
    return broker;
  }

  /** A declaration that a running worker would not see must not pass in silence. */
  #mustBeOpen(what: string): void {
    if (this.#started || this.#driven)
      throw new MillraceError('MR_ARGUMENT_INVALID', this.#tooLate(what));
  }

  #tooLate(what: string): string {
    return `${what} was declared while app ${this.id} runs, which would have no effect; declare everything before start()`;
  }

  #host(): Host {
    const settings = (): Settings => this.#settings;
    return {
      get clock() {
        return settings().clock;
      },
      processing: this.#processing,
      broker: () => this.#open(),
      ensureTopic: (format) => this.#ensureTopic(format),
      sealed: ({ topic }) =>
        this.#started || this.#driven ? this.#tooLate(`a stream of topic ${topic}`) : undefined,
      addSource: (node, format) => this.#declared.addSource(node, format),
      iterate: (format, options) =>
        iterateTopic(
          format,
          {
            settings: this.#settings,
            groups: this.#iterated,
            broker: () => this.#ensureTopic(format),
          },
          options,
        ),
      foreignSource: (node) => this.#declared.foreignSource(node),
    };
  }

  #tableHost(): TableHost {
    const { group, rename } = this.#settings;
    const settings = (): Settings => this.#settings;
    const stored = (table: string): string => storedName(table, rename);
    return {
      processing: this.#processing,
      get clock() {
        return settings().clock;
      },
      rows: (table) => readRows(this.#open(), group, stored(table.name), table),
      windowRows: (table, codec) => readWindowRows(this.#open(), group, stored(table), codec),
      declare: (table) => {
        if (table instanceof WindowedTable)
          this.#declared.addWindows(table as unknown as WindowedTable<never, unknown, unknown>);
      },
      home: async (table) => await tableHome(await this.#open(), group, stored(table)),
      ask: async (task, question, limits) =>
        await (await this.#open()).ask(group, task, question, limits),
      stored: async (task, question) =>
        await readStoredAnswer(await this.#open(), group, task, question, (table) =>
          this.#declared.rowFormat(table),
        ),
    };
  }
}
