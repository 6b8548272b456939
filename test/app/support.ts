/** What tests of apps share: an app in memory on a clock that stands still, directories, and looking at what was stored. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { App, unchecked, VirtualClock } from '../../src/index.ts';
import type {
  AppOptions,
  Logger,
  Running,
  Schema,
  StreamEvent,
  Table,
  Topic,
} from '../../src/index.ts';
import { openBroker } from '../../src/broker/open.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';

/** An app in memory, its clock, and what it warned of. */
export interface Bench {
  readonly app: App;
  readonly clock: VirtualClock;
  readonly warnings: string[];
}

/** Time stands still at `now`, default 1,000,000 ms after 1970. Everything is committed when a test asks for it. */
export function bench(id = 'shop', options: AppOptions = {}, now = 1_000_000): Bench {
  const clock = new VirtualClock(now);
  const warnings: string[] = [];
  const app = new App(id, {
    broker: 'memory:',
    clock,
    logger: logTo(warnings),
    ...options,
  });
  return { app, clock, warnings };
}

/** A logger that keeps what warns or fails. */
export function logTo(lines: string[]): Logger {
  const line = (_fields: unknown, message: string): void => void lines.push(message);
  return { debug: () => undefined, info: () => undefined, warn: line, error: line };
}

/** Runs `body` with an app, and closes it whatever happens. */
export async function withApp<T>(body: (bench: Bench) => Promise<T>, id?: string): Promise<T> {
  const made = bench(id);
  try {
    return await body(made);
  } finally {
    await close(made.app);
  }
}

/** Closes an app whose worker may have failed. */
export async function close(app: App): Promise<void> {
  await app.close().catch(() => undefined);
}

/** Starts, waits until all is processed, and stops. */
export async function runOnce(app: App): Promise<void> {
  const running = await app.start();
  await running.settled();
  await running.stop();
}

/** Runs `body` with a directory that is gone afterwards. */
export async function withDirectory<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-app-'));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Runs `body` with the broker of a directory, opened beside the app. */
export async function withBroker<T>(
  directory: string,
  body: (broker: Broker) => Promise<T>,
): Promise<T> {
  const broker = await openBroker(`file:${directory}`, {
    clock: systemClock(),
    random: systemRandom(),
  });
  try {
    return await body(broker);
  } finally {
    await broker.close();
  }
}

/** A topic, whatever it is sent. */
export type Readable<V, K = unknown> = Pick<Topic<K, V, never>, 'records'>;

export async function recordsOf<V, K>(topic: Readable<V, K>): Promise<StreamEvent<V, K>[]> {
  return await Array.fromAsync(topic.records());
}

export async function valuesOf<V>(topic: Readable<V>): Promise<V[]> {
  return (await recordsOf(topic)).map(({ value }) => value);
}

/** The committed rows of a table. */
export async function rowsOf<K, V>(
  table: Pick<Table<K, V, unknown>, 'snapshot'>,
): Promise<Map<K, V>> {
  return new Map(await Array.fromAsync(table.snapshot()));
}

/** What the worker fails with while it does all that there is to do. */
export async function failureOf(running: Running): Promise<Error> {
  const failure = await running.settled().then(
    () => {
      throw new Error('the worker did not fail');
    },
    (error: unknown) => error as Error,
  );
  await running.done.catch(() => undefined);
  return failure;
}

/** Resolves when it is called: a moment to wait for. */
export interface Moment {
  readonly come: () => void;
  readonly reached: Promise<void>;
}

export function moment(): Moment {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { come: resolve, reached: promise };
}

/** Lets everything that is ready have its turn, several times over. */
export async function turns(clock: { turn(): Promise<void> }, count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await clock.turn();
}

/** Topic options for values of a type under text keys, unchecked. */
export function keyed<V>(): { key: Schema<string>; value: Schema<V> } {
  return { key: unchecked<string>(), value: unchecked<V>() };
}
