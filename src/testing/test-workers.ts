/**
 * The workers of a test app: each with an opening of one store in memory and a broker of its own, as processes on one directory have them.
 *
 * Fault model: a worker that is killed loses what is not durable at that moment, gives nothing back, and its neighbours find its links closed.
 *
 * @module
 */
import type { Beside } from '../app/beside.ts';
import type { Broker } from '../broker/broker.ts';
import { LocalHub } from '../broker/groups/local-links.ts';
import { logTables, openLog } from '../broker/log/index.ts';
import type { Random } from '../core/random.ts';
import { simulatedKv } from '../kv/simulated/simulated.ts';
import type { SimulatedKv } from '../kv/simulated/simulated.ts';
import type { Worker } from '../runtime/worker.ts';
import { faultyBroker } from './faulty-broker.ts';
import type { BrokerCall } from './faulty-broker.ts';
import type { Fault, FaultPlan } from './faults.ts';
import type { TestClock } from './test-clock.ts';

/** What brokers call themselves. */
const URL = 'memory:test';
/** Neighbours tell each other of changes; looking for them would only make noise. */
const POLL_MS = 600_000;
/** How long a worker may take to stop, in virtual time. */
const STOP_MS = 30_000;

/** What becomes of a call of a worker to its broker. */
export interface TestFault extends Fault {
  /** With `fail`: the worker dies at that moment, as by `TestApp.crash`. */
  readonly crash?: boolean | undefined;
}

/** A call of a worker to its broker. */
export interface TestCall extends BrokerCall {
  /** Which worker calls: 0 for the first one that was started, and each one that is started later has the next number. */
  readonly worker: number;
}

/** One worker, alive or not. */
export interface TestWorker {
  readonly number: number;
  readonly worker: Worker;
  /** Kills it, if it lives. */
  readonly kill: () => void;
  /** Has it finish, commit, give back its tasks and end. */
  readonly stop: () => Promise<void>;
  /** Resolves when it has ended, however. */
  readonly ended: Promise<void>;
}

/** Starts a worker of the app on a broker, and tells what runs beside it; neither runs yet. */
export type StartWorker = (
  broker: Broker,
) => Promise<{ readonly worker: Worker; readonly beside: Pick<Beside, 'run'> }>;

/** What {@link TestWorkers} needs. */
export interface TestWorkersOptions {
  readonly clock: TestClock;
  readonly random: Random;
  readonly plan: FaultPlan<TestCall, TestFault> | undefined;
  /** A worker has failed by itself. */
  readonly failed: (error: unknown) => void;
}

/** The store and those who use it. */
export class TestWorkers {
  readonly #options: TestWorkersOptions;
  readonly #hub = new LocalHub();
  readonly #kv: SimulatedKv;
  readonly #living = new Set<TestWorker>();
  readonly #ending = new Set<Promise<void>>();
  #start: StartWorker | undefined;
  #started = 0;
  #transactions = 0;

  constructor(options: TestWorkersOptions) {
    this.#options = options;
    this.#kv = simulatedKv({
      tables: logTables,
      clock: options.clock,
      // Asked at each transaction: none of them fails, but they are counted.
      faults: ({ index }) => {
        this.#transactions = index;
        return undefined;
      },
    });
  }

  /** Those that live, the one that was started first in front. */
  get living(): readonly TestWorker[] {
    return [...this.#living];
  }

  /** Transactions of the store so far. */
  get transactions(): number {
    return this.#transactions;
  }

  /** A broker of its own for somebody who is no worker; the caller closes it. */
  async open(): Promise<Broker> {
    return await this.#openLog(this.#kv.reopen());
  }

  /** Says how workers are started. */
  use(start: StartWorker): void {
    this.#start = start;
  }

  /** Starts one more, and has it run. It may die by a fault on the way. @throws what starting throws. */
  async add(): Promise<void> {
    const { plan, clock, failed } = this.#options;
    const number = this.#started++;
    const kv = this.#kv.reopen();
    const log = await this.#openLog(kv);
    let killed = false;
    let kill = (): void => {
      killed = true;
      kv.crash();
    };
    const broker =
      plan === undefined
        ? log
        : faultyBroker<TestFault>(log, (call) => plan({ ...call, worker: number }), {
            clock,
            failing: (fault) => {
              if (fault.crash === true) kill();
            },
          });
    let started: Awaited<ReturnType<StartWorker>>;
    try {
      started = await (this.#start as StartWorker)(broker);
    } catch (error) {
      await broker.close().catch(() => undefined);
      if (killed) return;
      throw error;
    }
    const { worker, beside } = started;
    const end = new AbortController();
    const fail = (error: unknown): void => {
      if (!killed) failed(error);
    };
    const besides = beside.run(end.signal, fail);
    const ended = this.#end(worker.run().catch(fail), async () => {
      this.#living.delete(made);
      end.abort();
      // Jobs of a process that is killed do not end; here they are told to.
      if (!killed) await besides;
      await broker.close().catch(() => undefined);
    });
    kill = () => {
      if (!this.#living.delete(made)) return;
      killed = true;
      kv.crash();
      end.abort();
      // What is under way ends with errors that nobody waits for.
      void broker.close().catch(() => undefined);
      void worker.crash();
    };
    const made: TestWorker = {
      number,
      worker,
      kill,
      stop: async () => {
        end.abort();
        // What makes it fail is told of by `run`.
        await worker.stop(STOP_MS).catch(() => undefined);
        await ended;
      },
      ended,
    };
    this.#living.add(made);
    if (killed) kill();
    this.#ending.add(ended);
    void ended.finally(() => this.#ending.delete(ended));
  }

  /** Resolves when all that were killed or stopped so far have ended, and nobody lives. */
  async ended(): Promise<void> {
    await Promise.all(this.#ending);
  }

  async #end(run: Promise<void>, after: () => Promise<void>): Promise<void> {
    await run;
    await after();
  }

  /** Lets go of the store. */
  async close(): Promise<void> {
    await this.#kv.close();
  }

  async #openLog(kv: SimulatedKv): Promise<Broker> {
    const { clock, random } = this.#options;
    return await openLog({
      kv,
      url: URL,
      clock: clock.background,
      random,
      links: this.#hub.open(),
      durable: false,
      pollMs: POLL_MS,
    });
  }
}
