/**
 * What every broker must do, as tests. The runner comes in, so the suite works under vitest and `node:test` alike, and for
 * drivers that live outside this package.
 *
 * Fault model: none. Kills, full disks and flipped bits differ from broker to broker and have tests of their own.
 *
 * @module
 */
import type { Broker, RecordLog } from '../../broker/broker.ts';
import { VirtualClock } from '../../core/clock.ts';
import { seededRandom, type Random } from '../../core/random.ts';
import { START_MS, type LogBench } from './broker/bench.ts';
import { groupCases } from './broker/groups.ts';
import { lifeCases } from './broker/life.ts';
import { logCases, receiptCases } from './broker/log.ts';
import { runModel } from './broker/model.ts';
import { producerCases } from './broker/producers.ts';
import { retentionCases } from './broker/retention.ts';
import { sharingCases } from './broker/sharing.ts';
import { topicCases } from './broker/topics.ts';

/** A broker under test. */
export interface OpenedBroker {
  readonly broker: Broker;
  /** Another opening of the same content, as another process would have it. Called before and after `broker` was closed. */
  readonly reopen: () => Promise<Broker>;
  /** Ends everything that was opened and deletes what it left. */
  readonly dispose: () => Promise<void>;
}

/** What the suite needs. */
export interface BrokerConformanceOptions {
  /** Put before the name of every test. */
  readonly name: string;
  /** Registers a test, as `test` of vitest and `node:test` do. */
  readonly test: (name: string, fn: () => Promise<void>) => unknown;
  /** An empty broker that lives by this clock. */
  readonly open: (context: {
    readonly clock: VirtualClock;
    readonly random: Random;
  }) => Promise<OpenedBroker>;
  /** Tests that do not apply, by name, and why. */
  readonly skip?: readonly { readonly name: string; readonly reason: string }[] | undefined;
  /** Seed of the random test, printed with a failure. Default: `MILLRACE_SEED` of the environment, or always the same one. */
  readonly seed?: number | undefined;
}

/** A log under test; see {@link OpenedBroker}. */
export interface OpenedLog {
  readonly log: RecordLog;
  readonly reopen: () => Promise<RecordLog>;
  readonly dispose: () => Promise<void>;
}

/** What the part of the suite needs that is about topics and records. */
export interface LogConformanceOptions {
  readonly name: string;
  readonly test: (name: string, fn: () => Promise<void>) => unknown;
  /** An empty log, which lives by whatever clock it likes. */
  readonly open: () => Promise<OpenedLog>;
}

/** Registers the tests about topics, records and producers, which {@link brokerConformance} has as well: for a log without groups. */
export function logConformance({ name, test, open }: LogConformanceOptions): void {
  const cases = { ...topicCases, ...logCases, ...producerCases };
  for (const [title, run] of Object.entries(cases))
    test(`${name}: ${title}`, async () => {
      const { log, reopen, dispose } = await open();
      const bench: LogBench = { broker: log, reopen };
      try {
        await run(bench);
      } finally {
        await dispose();
      }
    });
}

/** Registers the tests. @throws when `skip` names a test that is not there. */
export function brokerConformance(options: BrokerConformanceOptions): void {
  const cases = {
    ...topicCases,
    ...logCases,
    ...receiptCases,
    ...producerCases,
    ...groupCases,
    ...sharingCases,
    ...lifeCases,
    ...retentionCases,
  };
  const skipped = new Map(options.skip?.map(({ name, reason }) => [name, reason]));
  for (const [name, run] of Object.entries(cases)) {
    if (skipped.delete(name)) continue;
    options.test(`${options.name}: ${name}`, async () => {
      const clock = new VirtualClock(START_MS);
      const opened = await options.open({ clock, random: seededRandom(1) });
      try {
        await run({ ...opened, clock });
      } finally {
        await opened.dispose();
      }
    });
  }
  const modelName = 'a random run agrees with a model';
  if (!skipped.delete(modelName))
    options.test(`${options.name}: ${modelName}`, async () => {
      const seed = options.seed ?? Number(process.env['MILLRACE_SEED'] ?? 20_010_101);
      const random = seededRandom(seed);
      const clock = new VirtualClock(START_MS);
      const opened = await options.open({ clock, random });
      try {
        await runModel(opened, clock, random).catch((error: unknown) => {
          throw new Error(`seed ${seed} (replay with MILLRACE_SEED=${seed})`, { cause: error });
        });
      } finally {
        await opened.dispose();
      }
    });
  if (skipped.size > 0)
    throw new Error(`skip names tests that do not exist: ${[...skipped.keys()].join(', ')}`);
}
