/**
 * One measurement in a process of its own: `node case.ts <name> <directory> <rows>`; prints its figures as JSON.
 *
 * @module
 */
import { open } from 'lmdb';
import { flightsApp } from '../examples/flights/app.ts';
import type { FlightsOptions } from '../examples/flights/app.ts';
import { openFlights, readFlights } from '../examples/flights/dataset.ts';
import type { Flight } from '../examples/flights/dataset.ts';
import { load } from '../examples/flights/load.ts';
import { msgpack } from 'millrace';
import { z } from 'zod';

import { FrameView } from '../src/broker/frame-view.ts';
import { privateMegabytes, watchMemory } from './memory.ts';

/** How many flights are sent over and over: those that a program has just made are in the processor's cache too. */
const SAMPLE = 20_000;

const [name = '', directory = '', rowsText = '0'] = process.argv.slice(2);
const rows = Number(rowsText);
const broker = `file:${directory}` as const;

const schema = z.object({
  date: z.number(),
  delay: z.number(),
  distance: z.number(),
  origin: z.string(),
  destination: z.string(),
});

const cases: Readonly<Record<string, () => Promise<Record<string, number>>>> = {
  'produce-json': () => produce({ broker }),
  'produce-msgpack': () => produce({ broker, codec: msgpack }),
  'load-json': () => fill({ broker }),
  'load-msgpack': () => fill({ broker, codec: msgpack }),
  'load-by-destination': () => fill({ broker, keyedBy: 'destination' }),
  'work-json': () => work({ broker, schema, validate: 'off' }),
  'work-zod': () => work({ broker, schema, validate: 'both' }),
  'work-msgpack': () => work({ broker, codec: msgpack }),
  'work-group-by': () => work({ broker, keyedBy: 'destination' }),
  'produce-limit': () => produceLimit(),
  limit: () => limit(),
};

const figures = await cases[name]?.();
console.log(JSON.stringify(figures ?? { error: 1 }));
process.exit(figures === undefined ? 1 : 0);

/** Sends flights in batches of 1,000, each appended and synced; several may share a sync. */
async function produce(options: FlightsOptions): Promise<Record<string, number>> {
  const flights = flightsApp(options);
  const key = options.keyedBy ?? 'origin';
  const sample = await someFlights(SAMPLE);
  const producer = await flights.departures.producer({ id: 'bench', batch: 1_000 });
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  for (let i = 0; i < rows; i++) {
    const flight = sample[i % sample.length] as Flight;
    const wait = producer.send(flight, { key: flight[key] });
    if (wait !== undefined) await wait;
  }
  await producer.flush();
  return figuresOf(startedAt, cpu, { megabytes: privateMegabytes() });
}

/** What the workers work on: the real sequence of flights. */
async function fill(options: FlightsOptions): Promise<Record<string, number>> {
  const connection = await openFlights(rows);
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  await load(flightsApp(options), connection, {
    rows,
    keyedBy: options.keyedBy ?? 'origin',
    onStart: () => undefined,
    onProgress: () => undefined,
  });
  return figuresOf(startedAt, cpu, {});
}

async function someFlights(count: number): Promise<Flight[]> {
  const connection = await openFlights(count);
  const flights: Flight[] = [];
  for await (const chunk of readFlights(connection, 0)) flights.push(...chunk);
  connection.closeSync();
  return flights;
}

/** The least that a producer has to do: JSON.stringify, bytes, a put of every 1,000 with a sync, sixteen of them under way. */
async function produceLimit(): Promise<Record<string, number>> {
  const root = open({ path: `${directory}-limit`, noSubdir: true, overlappingSync: false });
  const table = root.openDB('frames', { encoding: 'binary', keyEncoding: 'uint32' });
  const sample = await someFlights(SAMPLE);
  const buffer = Buffer.allocUnsafe(1024 * 1024);
  const underWay: Promise<unknown>[] = [];
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  for (let i = 0; i < rows; i += 1_000) {
    let at = 0;
    for (let j = 0; j < 1_000; j++) {
      at += 4 + buffer.write(JSON.stringify(sample[(i + j) % SAMPLE]), at + 4);
    }
    const frame = Buffer.from(buffer.subarray(0, at));
    underWay.push(root.transaction(() => table.putSync(i, frame)));
    if (underWay.length >= 16) await underWay.shift();
  }
  await Promise.all(underWay);
  const result = figuresOf(startedAt, cpu, {});
  await root.close();
  return result;
}

async function work(options: FlightsOptions): Promise<Record<string, number>> {
  const { app } = flightsApp(options);
  const running = await app.start();
  const peak = watchMemory();
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await running.settled();
  const result = figuresOf(startedAt, cpu, { commits: running.stats.commits });
  return { ...result, megabytes: peak() };
}

/** The least that any program has to do: read frames, parse, count by key in a Map. Nothing is stored. */
async function limit(): Promise<Record<string, number>> {
  const root = open({
    path: `${directory}/data.mdb`,
    noSubdir: true,
    overlappingSync: false,
    maxDbs: 16,
  });
  const frames = root.openDB('frames', { encoding: 'binary', keyEncoding: 'binary' });
  const counts = new Map<string, number>();
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  let seen = 0;
  for (const { value } of frames.getRange({})) {
    const bytes = value as Buffer;
    const view = FrameView.open(bytes, 'limit', 0, bytes.readDoubleLE(16));
    if (!view.text) continue;
    for (const flight of view.json() as Flight[])
      counts.set(flight.origin, (counts.get(flight.origin) ?? 0) + 1);
    seen += view.count;
    if (seen >= rows) break;
  }
  const result = figuresOf(startedAt, cpu, { keys: counts.size });
  await root.close();
  return result;
}

function figuresOf(
  startedAt: number,
  cpu: NodeJS.CpuUsage,
  more: Record<string, number>,
): Record<string, number> {
  const seconds = (performance.now() - startedAt) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: rows / seconds, cpuMicroseconds: (user + system) / rows, ...more };
}
