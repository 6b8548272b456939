/**
 * An app under test: as its program declares it, on a broker in memory of its own, in time that stands still until the test moves it.
 *
 * @module
 */
import type { App, Replaced } from '../app/app.ts';
import type { SendArgs, Topic } from '../app/topic.ts';
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { seededRandom } from '../core/random.ts';
import type { WorkerStats } from '../runtime/worker.ts';
import type { Table } from '../table/table.ts';
import type { WindowedTable } from '../table/windowed-table.ts';
import { storedName } from '../topology/rename.ts';
import { taskId } from '../topology/topology.ts';
import type { FaultPlan } from './faults.ts';
import { Outputs } from './outputs.ts';
import type { TestRecord } from './outputs.ts';
import { Stage } from './stage.ts';
import { viewOf } from './table-view.ts';
import type { TableView, ViewContext, WindowedTableView } from './table-view.ts';
import { TestClock } from './test-clock.ts';
import { TestWorkers } from './test-workers.ts';
import type { TestCall, TestFault } from './test-workers.ts';

/** How an app is tested. */
export interface TestAppOptions {
  /** Wall clock at the beginning: milliseconds since 1970, or a date as `Date.parse` takes it. Default `'2026-01-01T00:00:00Z'`. */
  readonly now?: string | number | undefined;
  /** Of everything that is left to chance. Default 1. */
  readonly seed?: number | undefined;
  /** How many workers share the app's tasks, 1 to 16. Default 1. */
  readonly workers?: number | undefined;
  /** What fails between workers and their broker, and when. Default: nothing. */
  readonly faults?: FaultPlan<TestCall, TestFault> | undefined;
}

const START = '2026-01-01T00:00:00Z';
const MOST_WORKERS = 16;
/** Sends that are under way at once. */
const SEND_BATCH = 1_000;
/** Leases do not end by themselves when days pass between two looks: who is killed is found dead at once. */
const LEASE_MS = 600_000;
/** Retention is looked after when time has moved so far. */
const MAINTAIN_MS = 60_000;
/** Lines of the log that are kept. */
const MOST_LINES = 10_000;

/**
 * Runs an app for a test. Whatever broker it was declared with, it runs on one in memory, empty at first and its own; with a clock that stands
 * still; and with chance that a seed replays.
 *
 * After each call everything that can be processed has been processed and committed, so a test reads like a script. Time moves by `advance`; other
 * calls move it only when nothing else can go on, as when an event is tried again after a pause. Calls that overlap take effect one after the
 * other, but for `crash`, which strikes at once.
 *
 * What makes a worker fail rejects the call that is under way and all later ones; `output` and `table.snapshot()` still tell what was stored.
 *
 * @example
 * ```ts
 * import { App, unchecked } from 'millrace';
 * import { TestApp } from 'millrace/testing';
 *
 * const app = new App('shop', { broker: 'file:./data' });
 * const orders = app.topic('orders', { key: unchecked<string>(), value: unchecked<number>() });
 * const spent = app.table('spent', { default: () => 0 });
 * orders.stream().update(spent, (sum, amount) => sum + amount);
 *
 * await using t = await TestApp.start(app);
 * await t.send(orders, 20, { key: 'ann' });
 * await t.send(orders, 22, { key: 'ann' });
 * t.table(spent).get('ann') // => 42
 * ```
 */
export class TestApp implements AsyncDisposable {
  readonly #app: App;
  readonly #before: Replaced;
  readonly #clock: TestClock;
  readonly #workers: TestWorkers;
  readonly #stage: Stage;
  readonly #view: ViewContext;
  readonly #broker: Broker;
  readonly #outputs: Outputs;
  readonly #warnings: string[];
  #last: Promise<void> = Promise.resolve();
  #maintainedMs = 0;
  #disposed: Promise<void> | undefined;

  private constructor(parts: TestAppParts) {
    const { app, before, clock, workers, broker, warnings, failures, rename, hangMs } = parts;
    const { subTopologies } = app['~parts']().topology();
    this.#app = app;
    this.#before = before;
    this.#clock = clock;
    this.#workers = workers;
    this.#broker = broker;
    this.#warnings = warnings;
    const tasks = subTopologies.flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => taskId(name, partition)),
    );
    this.#stage = new Stage({ clock, workers, broker, tasks, failures, hangMs });
    this.#outputs = new Outputs(
      broker,
      new Map(
        [...app['~parts']().topics].map(([name, topic]) => [name, topic['~format'].partitions]),
      ),
    );
    this.#view = {
      lives: () => this.#stage.lives(),
      stored: (table) => storedName(table, rename),
      nowMs: () => clock.now(),
    };
  }

  /**
   * Starts the app, in every test anew: nothing is left of the one before.
   *
   * @throws what `App.start` throws; `MR_ARGUMENT_INVALID` for an app that runs or is under test already.
   */
  static async start(app: App, options: TestAppOptions = {}): Promise<TestApp> {
    const { seed = 1, workers = 1, faults } = options;
    const count = wholeNumber('workers', workers, 1, MOST_WORKERS);
    const clock = new TestClock(startMs(options.now ?? START));
    const random = seededRandom(wholeNumber('seed', seed, 0, 2 ** 32 - 1));
    const warnings: string[] = [];
    const failures: { readonly error: unknown }[] = [];
    const made = new TestWorkers({
      clock,
      random,
      plan: faults,
      failed: (error) => failures.push({ error }),
    });
    const warn = (_fields: unknown, message: string): void => {
      if (warnings.length < MOST_LINES) warnings.push(message);
    };
    const broker = await made.open();
    let before: ReturnType<App['~replace']> | undefined;
    try {
      before = app['~replace']({
        open: () => Promise.resolve(broker),
        clock,
        random,
        leaseMs: LEASE_MS,
        logger: { debug: () => undefined, info: () => undefined, warn, error: warn },
      });
      made.use(await app['~processes']());
      const { rename, commit } = before;
      // A wait for events under way ends the worker after so long; it began a little ago.
      const hangMs = commit.drainTimeoutMs * 0.95;
      const t = new TestApp({
        ...{ app, before, clock, workers: made, broker, warnings, failures, rename, hangMs },
      });
      await t.#stage.add(count);
      await t.#settle();
      return t;
    } catch (error) {
      for (const { kill } of made.living) kill();
      await made.ended();
      if (before === undefined) await broker.close();
      else {
        await app.close().catch(() => undefined);
        app['~replace'](before);
      }
      await made.close();
      throw error;
    }
  }

  /** The time of the test, milliseconds since 1970. */
  get now(): number {
    return this.#clock.now();
  }

  /** The clock that the app lives by, for code under test that takes one. */
  get clock(): Clock {
    return this.#clock;
  }

  /** How many workers live. */
  get workers(): number {
    return this.#stage.living.length;
  }

  /** Counters of all workers that live. */
  get stats(): WorkerStats {
    return this.#stage.stats;
  }

  /** What the app has logged as a warning or an error, the first 10,000 lines. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** Sends a record as `topic.send` does, and resolves when the app has settled. @throws as `topic.send`, and as {@link TestApp.settled}. */
  async send<K, In>(topic: Topic<K, unknown, In>, ...args: SendArgs<K, In>): Promise<void> {
    await this.sendAll(topic, [args]);
  }

  /** Sends records, each given as the arguments of {@link TestApp.send}, and resolves when the app has settled. */
  async sendAll<K, In>(
    topic: Topic<K, unknown, In>,
    records: Iterable<SendArgs<K, In>>,
  ): Promise<void> {
    await this.#exclusive(async () => {
      this.#checkOwn(topic);
      let batch: Promise<unknown>[] = [];
      for (const args of records) {
        batch.push(topic.send(...args));
        if (batch.length < SEND_BATCH) continue;
        await this.#sent(batch);
        batch = [];
      }
      await this.#sent(batch);
      await this.#settle();
    });
  }

  /**
   * Moves time. What is due meanwhile happens in its order: retries, jobs, operators that wait, idle inputs, retention. Then the app has settled.
   *
   * @throws as {@link TestApp.settled}.
   */
  async advance(by: Duration): Promise<void> {
    const byMs = durationMs(by, 'by');
    await this.#exclusive(async () => {
      await this.#stage.driver.advance(byMs);
      if (this.#clock.monotonic() - this.#maintainedMs >= MAINTAIN_MS) {
        this.#maintainedMs = this.#clock.monotonic();
        await this.#broker.maintain();
      }
      await this.#settle();
    });
  }

  /**
   * What the topic has received since the last call, what the test has sent included. Records of a partition keep their order. Among partitions
   * those that came in an earlier step of the test (a call) are first, and those of one step are in the order of their event times.
   *
   * @throws `MR_DECODE_FAILED`, `MR_SCHEMA_VIOLATION` for a record that cannot be read.
   */
  async output<K, V>(topic: Topic<K, V, never>): Promise<TestRecord<K, V>[]> {
    this.#checkOwn(topic);
    return await this.#outputs.take(topic);
  }

  /**
   * The rows of all shards, as of the time of each call; readable outside processing. Rows are copies.
   *
   * @throws what made a worker fail, at each call.
   */
  table<K, V, R>(table: Table<K, V, R>): TableView<K, V, R>;
  table<K, V, R>(table: WindowedTable<K, V, R>): WindowedTableView<K, V, R>;
  table<K, V, R>(
    table: Table<K, V, R> | WindowedTable<K, V, R>,
  ): TableView<K, V, R> | WindowedTableView<K, V, R> {
    return viewOf(table, this.#view);
  }

  /**
   * Resolves when everything that is stored has been processed and committed, by workers that share the tasks evenly.
   *
   * @throws what made a worker fail; `MR_STALLED` when the app does not settle, naming what it waits for.
   */
  async settled(): Promise<void> {
    await this.#exclusive(() => this.#settle());
  }

  /**
   * Kills a worker at once, as SIGKILL does: nothing more is committed and nothing given back, and its events come again elsewhere. The last one is
   * replaced by a new one, which is started up to ten times if faults keep it from starting. Resolves when the app has settled. May be called at any time, also from within an agent; do not wait for it there.
   *
   * @param worker Its place among those that live, the oldest being 0.
   * @throws `MR_ARGUMENT_INVALID` when there is no such worker; as {@link TestApp.settled}.
   */
  async crash(worker = 0): Promise<void> {
    const { living } = this.#workers;
    wholeNumber('worker', worker, 0, living.length - 1);
    living[worker]?.kill();
    await this.settled();
  }

  /**
   * Has workers join, and others, the youngest first, finish and leave. Resolves when the tasks have moved and the app has settled.
   *
   * @throws `MR_ARGUMENT_INVALID` when less than one or more than 16 would be left; as {@link TestApp.settled}.
   */
  async rebalance(change: {
    readonly add?: number | undefined;
    readonly remove?: number | undefined;
  }): Promise<void> {
    const { add = 0, remove = 0 } = change;
    wholeNumber('add', add, 0, MOST_WORKERS);
    wholeNumber('remove', remove, 0, MOST_WORKERS);
    await this.#exclusive(async () => {
      const { living } = this.#workers;
      wholeNumber('workers left', living.length + add - remove, 1, MOST_WORKERS);
      const leaving = living.slice(living.length - Math.min(remove, living.length));
      await this.#stage.add(add);
      await this.#stage.drive(Promise.all(leaving.map((worker) => worker.stop())));
      await this.#settle();
    });
  }

  /** Stops the app. Does not throw: what failed was told by the call that it failed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    await this.#disposed;
  }

  async #dispose(): Promise<void> {
    await this.#last;
    await this.#stage.end();
    await this.#workers.ended();
    await this.#app.close().catch(() => undefined);
    await this.#workers.close();
    this.#app['~replace'](this.#before);
  }

  /** One call after the other, each in an app that has not failed. */
  async #exclusive(go: () => Promise<void>): Promise<void> {
    const before = this.#last;
    const turn = Promise.withResolvers<void>();
    this.#last = turn.promise;
    await before;
    try {
      if (this.#disposed !== undefined)
        throw new MillraceError(
          'MR_CLOSED',
          `the test of app ${this.#app.id} has ended; start another one`,
        );
      this.#stage.throwFailure();
      await go();
    } finally {
      turn.resolve();
    }
  }

  async #settle(): Promise<void> {
    try {
      await this.#stage.settle();
    } finally {
      await this.#outputs.mark();
    }
  }

  async #sent(batch: readonly Promise<unknown>[]): Promise<void> {
    const results = await this.#stage.drive(Promise.allSettled(batch));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #checkOwn(topic: { readonly name: string }): void {
    if ((this.#app['~parts']().topics.get(topic.name) as unknown) === topic) return;
    throw new MillraceError(
      'MR_NOT_IN_AN_APP',
      `topic ${topic.name} was not declared by app ${this.#app.id}, which is under test; give the object that its app.topic returned`,
      { details: { topic: topic.name } },
    );
  }
}

interface TestAppParts {
  readonly app: App;
  readonly before: Replaced;
  readonly clock: TestClock;
  readonly workers: TestWorkers;
  readonly broker: Broker;
  readonly warnings: string[];
  readonly failures: { readonly error: unknown }[];
  readonly rename: Readonly<Record<string, string>>;
  readonly hangMs: number;
}

function startMs(now: string | number): number {
  const ms = typeof now === 'string' ? Date.parse(now) : now;
  if (Number.isSafeInteger(ms)) return ms;
  throw new MillraceError(
    'MR_OPTION_INVALID',
    `now is ${JSON.stringify(now)}; give integer milliseconds since 1970, or a date such as '2026-01-01T00:00:00Z'`,
    { details: { option: 'now' } },
  );
}

function wholeNumber(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `${name} is ${String(value)}; give a whole number from ${least} to ${most}`,
    { details: { argument: name } },
  );
}
