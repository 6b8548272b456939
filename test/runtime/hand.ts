/**
 * Workers put together by hand on a broker over a simulated store, so that tests can make commits fail and processes die. What
 * `App` adds to it (options, opening a broker by its URL, Running) has tests of its own.
 */
import { App, unchecked } from '../../src/index.ts';
import type { Duration, Key, SinkTarget, Stream, Table, Topic } from '../../src/index.ts';
import type { WindowedTable, WindowOptions } from '../../src/index.ts';
import { settingsOf } from '../../src/app/options.ts';
import { openLog, logTables } from '../../src/broker/log/index.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { LocalHub } from '../../src/broker/groups/local-links.ts';
import type { Clock } from '../../src/core/clock.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';
import type {
  CommitFault,
  SimulatedCommit,
  SimulatedKv,
} from '../../src/kv/simulated/simulated.ts';
import type { CommitSettings } from '../../src/runtime/task-options.ts';
import type { Worker } from '../../src/runtime/worker.ts';

/** A store that lives on while processes come and go. */
export class Disk {
  readonly clock: VirtualClock = new VirtualClock(1_000_000);
  /** Asked for each commit; see `simulated.ts`. */
  faults: ((commit: SimulatedCommit) => CommitFault | undefined) | undefined;
  readonly #random = seededRandom(1);
  readonly #hub = new LocalHub();
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
    const broker = await openLog({
      kv,
      url: 'memory:disk',
      clock,
      random: this.#random,
      links: this.#hub.open(),
    });
    return {
      broker,
      clock,
      crash: () => {
        kv.crash();
        void broker.close().catch(() => undefined);
      },
    };
  }
}

/** An opened disk. */
export interface Process {
  readonly broker: Broker;
  readonly clock: VirtualClock;
  /** SIGKILL: what is not durable is gone. */
  readonly crash: () => void;
}

/** An app on a broker of its own choice, whose workers a test holds in its hand. */
export class Hand {
  readonly #app: App;
  readonly #broker: Broker;
  readonly warnings: string[] = [];

  constructor(process: Process, group = 'hand') {
    const log = (_fields: unknown, message: string): void => void this.warnings.push(message);
    this.#broker = process.broker;
    this.#app = new App(group, {
      clock: process.clock,
      random: seededRandom(2),
      logger: { debug: () => undefined, info: () => undefined, warn: log, error: log },
    });
    this.#app['~replace']({ open: () => Promise.resolve(process.broker) });
  }

  /** For what the hand has no words for. */
  get app(): App {
    return this.#app;
  }

  topic<V, K = string>(
    name: string,
    options: {
      readonly partitions?: number | undefined;
      readonly timestamp?: ((value: V) => number) | undefined;
    } = {},
  ): Topic<K & (Key | null), V> {
    return this.#app.topic<V, V, K & (Key | null)>(name, {
      key: unchecked<K & (Key | null)>(),
      value: unchecked<V>(),
      ...options,
    });
  }

  table<V, K extends Key = string>(name: string, first: () => V): Table<K, V, V> {
    return this.#app.table<V, K>(name, { default: first });
  }

  windows<V, K extends Key = string>(
    name: string,
    first: () => V,
    size: Duration,
    options?: WindowOptions<K>,
  ): WindowedTable<K, V, V> {
    return this.table<V, K>(name, first).tumbling(size, options);
  }

  each<V, K>(
    name: string,
    source: Stream<V, K>,
    fn: (value: V, key: K) => unknown,
    ...sinks: SinkTarget<never>[]
  ): void {
    this.#app.each<K, V, unknown>(name, source, (value, event) => fn(value, event.key), {
      sinks: sinks as SinkTarget<unknown>[],
    });
  }

  /** Joins the group, loads all tasks and gives a worker that does not run yet. */
  async worker(
    commit: Partial<CommitSettings> = {},
    retryForMs = 60_000,
    atLeastOnce = false,
  ): Promise<Worker> {
    const { commit: before } = settingsOf('hand', {});
    this.#app['~replace']({
      retryForMs,
      atLeastOnce,
      leaseMs: 60_000,
      commit: { ...before, every: 10_000, intervalMs: 100, idleAfterMs: 1_000, ...commit },
    });
    const start = await this.#app['~prepare']();
    return await start(this.#broker);
  }
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
