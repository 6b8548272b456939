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
import { msgpack } from 'millrace';
import { z } from 'zod';

import { FrameView } from '../src/broker/frame-view.ts';
import { privateMegabytes, watchMemory } from './memory.ts';

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
  'produce-by-destination': () => produce({ broker, keyedBy: 'destination' }),
  'work-json': () => work({ broker }),
  'work-zod': () => work({ broker, schema, validate: 'both' }),
  'work-msgpack': () => work({ broker, codec: msgpack }),
  'work-group-by': () => work({ broker, keyedBy: 'destination' }),
  limit: () => limit(),
};

const figures = await cases[name]?.();
console.log(JSON.stringify(figures ?? { error: 1 }));
process.exit(figures === undefined ? 1 : 0);

/** Values that are there before the clock starts, in batches of 1,000 with an fsync each. */
async function produce(options: FlightsOptions): Promise<Record<string, number>> {
  const flights = flightsApp(options);
  const key = options.keyedBy ?? 'origin';
  const connection = await openFlights(rows);
  const chunks: (readonly Flight[])[] = [];
  for await (const chunk of readFlights(connection, 0)) chunks.push(chunk);
  const producer = await flights.departures.producer({ id: 'bench', batch: 1_000 });
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  for (const chunk of chunks)
    for (const flight of chunk) {
      const wait = producer.send(flight, { key: flight[key] });
      if (wait !== undefined) await wait;
    }
  await producer.flush();
  return figuresOf(startedAt, cpu, { megabytes: privateMegabytes() });
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
