/**
 * A producer with an id: batches of 1,000, each appended and synced; several may share a sync.
 *
 * @module
 */
import { mkdirSync } from 'node:fs';

import { open } from 'lmdb';
import { msgpack } from 'millrace';

import { flightsApp } from '../../examples/flights/app.ts';
import type { Flight } from '../../examples/flights/dataset.ts';
import { measured } from '../lib/figures.ts';
import type { Figures } from '../lib/figures.ts';
import { someFlights } from '../lib/flights-input.ts';
import type { Case } from '../lib/stage.ts';

/** How many flights are sent over and over: those that a program has just made are in the processor's cache too. */
const SAMPLE = 20_000;
const BATCH = 1_000;

async function produce(directory: string, kind: string, events: number): Promise<Figures> {
  const { app, departures } = flightsApp({
    broker: `file:${directory}`,
    ...(kind === 'msgpack' ? { codec: msgpack } : {}),
  });
  const sample = await someFlights(SAMPLE);
  const producer = await departures.producer({ id: 'bench', batch: BATCH });
  const figures = await measured(async () => {
    for (let i = 0; i < events; i++) {
      const flight = sample[i % SAMPLE] as Flight;
      const wait = producer.send(flight, { key: flight.origin });
      if (wait !== undefined) await wait;
    }
    await producer.flush();
    return events;
  });
  await app.close();
  return figures;
}

/** The least that a producer has to do: JSON.stringify, bytes, a put of every 1,000 with a sync, sixteen of them under way. */
async function limit(directory: string, events: number): Promise<Figures> {
  mkdirSync(directory, { recursive: true });
  const root = open({ path: `${directory}/data.mdb`, noSubdir: true, overlappingSync: false });
  const table = root.openDB('frames', { encoding: 'binary', keyEncoding: 'uint32' });
  const sample = await someFlights(SAMPLE);
  const buffer = Buffer.allocUnsafe(1024 * 1024);
  const underWay: Promise<unknown>[] = [];
  const figures = await measured(async () => {
    for (let i = 0; i < events; i += BATCH) {
      let at = 0;
      for (let j = 0; j < BATCH; j++) {
        at += 4 + buffer.write(JSON.stringify(sample[(i + j) % SAMPLE]), at + 4);
      }
      const frame = Buffer.from(buffer.subarray(0, at));
      underWay.push(root.transaction(() => table.putSync(i, frame)));
      if (underWay.length >= 16) await underWay.shift();
    }
    await Promise.all(underWay);
    return events;
  });
  await root.close();
  return figures;
}

const producer: Case = {
  name: 'producer',
  title: 'a producer, batches of 1,000, every append synced',
  parts: {
    limit: (directory, { events }) => limit(directory, Number(events)),
    produce: (directory, { kind, events }) => produce(directory, String(kind), Number(events)),
  },
  run(stage) {
    const events = stage.size(500_000);
    const least = stage.bestOfNew('limit', { events });
    const json = stage.bestOfNew('produce', { kind: 'json', events });
    const packed = stage.bestOfNew('produce', { kind: 'msgpack', events });
    stage.throughput('limit: JSON.stringify, put, fsync', least, least);
    stage.throughput('JSON', json, least);
    stage.throughput('msgpack', packed, least);
  },
};
export default producer;
