/**
 * How long an event takes through an app: from `send` until its result can be read in the output topic. A worker in a process of its own keeps
 * a table and sends on; this process sends a thousand events a second and reads the output.
 *
 * @module
 */
import { mkdirSync } from 'node:fs';

import { open } from 'lmdb';
import { App, unchecked } from 'millrace';
import type { Topic } from 'millrace';

import type { FrameView } from '../../src/broker/frame-view.ts';
import { Hand } from '../lib/crew.ts';
import { percentiles } from '../lib/figures.ts';
import type { Figures } from '../lib/figures.ts';
import { beMember } from '../lib/member.ts';
import type { Case } from '../lib/stage.ts';

interface Ping {
  readonly account: string;
  /** Milliseconds on the clock of the sender. */
  readonly sentAt: number;
}

const PER_MS = 1;
const PARTITIONS = 4;
const WARM_UP_MS = 1_000;

function pingApp(
  directory: string,
  processing: string,
): { app: App; pings: Topic<string, Ping>; pongs: Topic<string, Ping> } {
  const app = new App('pings', {
    broker: `file:${directory}`,
    processing: processing === 'at-least-once' ? 'at-least-once' : 'exactly-once',
  });
  const options = {
    key: unchecked<string>(),
    value: unchecked<Ping>(),
    partitions: PARTITIONS,
    validate: 'off',
  } as const;
  const pings = app.topic('pings', options);
  const pongs = app.topic('pongs', options);
  const counts = app.table('counts', { default: () => 0 });
  const stream = pings.stream();
  stream.update(counts, (count) => count + 1);
  stream.sink(pongs);
  return { app, pings, pongs };
}

/** Sends at an even pace for `durationMs`, reads what comes back, and gives the times of what was sent after the warm-up. */
async function through(
  directory: string,
  processing: string,
  durationMs: number,
): Promise<Figures> {
  const worker = new Hand('latency', 'worker', directory, { processing });
  await worker.said('ready');
  worker.tell('start');
  await worker.said('running');
  const { app, pings, pongs } = pingApp(directory, processing);
  const total = (WARM_UP_MS + durationMs) * PER_MS;
  const counted = WARM_UP_MS * PER_MS;
  const times: number[] = [];
  const reading = read(app, pongs, total, ({ sentAt }, n) => {
    if (n >= counted) times.push(performance.now() - sentAt);
  });
  await pace(total, async (n) => {
    const account = `a${n % 1_000}`;
    await pings.send({ account, sentAt: performance.now() }, { key: account });
  });
  await reading;
  await worker.end();
  await app.close();
  return percentiles(times);
}

/** Calls `send` a thousand times a second, whatever becomes of it; resolves when all of them have. */
async function pace(total: number, send: (n: number) => Promise<void>): Promise<void> {
  const sends: Promise<void>[] = [];
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor((performance.now() - startedAt) * PER_MS));
      while (sends.length < due) sends.push(send(sends.length));
      if (due < total) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  await Promise.all(sends);
}

/** Reads a topic as it grows. */
async function read(
  app: App,
  topic: Topic<string, Ping>,
  total: number,
  take: (ping: Ping, n: number) => void,
): Promise<void> {
  const broker = await app['~parts']().broker();
  const readers = Array.from({ length: PARTITIONS }, (_, p) => broker.reader(topic.name, p, 0));
  for (let n = 0; n < total;) {
    const seen = broker.changes();
    for (const reader of readers) {
      let frame: FrameView | undefined;
      while ((frame = await reader.next()) !== undefined)
        for (const ping of frame.json() as Ping[]) take(ping, n++);
    }
    if (n < total && broker.changes() === seen) await broker.changed(seen, 1_000);
  }
}

/** The least that durable messages take: two synced puts, one after the other, at the same pace. */
async function limit(directory: string, durationMs: number): Promise<Figures> {
  mkdirSync(directory, { recursive: true });
  const root = open({ path: `${directory}/data.mdb`, noSubdir: true, overlappingSync: false });
  const table = root.openDB('pings', { encoding: 'binary', keyEncoding: 'uint32' });
  const times: number[] = [];
  const bytes = Buffer.alloc(100);
  await pace(durationMs * PER_MS, async (n) => {
    const sentAt = performance.now();
    await root.transaction(() => table.putSync(2 * n, bytes));
    await root.transaction(() => table.putSync(2 * n + 1, bytes));
    times.push(performance.now() - sentAt);
  });
  await root.close();
  return percentiles(times);
}

const latency: Case = {
  name: 'latency',
  title:
    '1,000 events/s, from send in one process through a worker in another until it can be read',
  parts: {
    through: (directory, { processing, durationMs }) =>
      through(directory, String(processing), Number(durationMs)),
    worker: (directory, { processing }) =>
      beMember(pingApp(directory, String(processing)).app, { commits: false }),
    limit: (directory, { durationMs }) => limit(directory, Number(durationMs)),
  },
  run(stage) {
    const durationMs = stage.size(10_000);
    const least = stage.once('limit', { durationMs: stage.size(3_000) });
    const atLeastOnce = stage.once('through', { processing: 'at-least-once', durationMs });
    const exactlyOnce = stage.once('through', { processing: 'exactly-once', durationMs });
    stage.figures('limit: two synced puts, one after the other', least);
    stage.figures('at-least-once', atLeastOnce);
    stage.figures('exactly-once, commit.interval 100 ms', exactlyOnce);
    stage.goal({
      what: 'p99, at-least-once',
      value: atLeastOnce['p99Ms'] ?? Infinity,
      unit: 'ms',
      most: 20,
    });
    stage.goal({
      what: 'p99, exactly-once',
      value: exactlyOnce['p99Ms'] ?? Infinity,
      unit: 'ms',
      most: 120,
    });
  },
};
export default latency;
