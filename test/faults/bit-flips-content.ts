/** A directory with records of all kinds, and everything that can be read of it. */
import { crc32 } from 'node:zlib';

import { App, unchecked } from 'millrace';
import type { Broker } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { frameOf, realContext } from '../broker/log-over.ts';

const ORDERS = 3_000;
const BLOBS = 40;
const BLOB_BYTES = 5_000;
const PARTITIONS = 4;

/** Small frames and large ones, what a worker leaves, and places of what was deleted. */
export async function fill(directory: string): Promise<void> {
  const app = new App('shop', { broker: `file:${directory}`, commit: { every: 100 } });
  const orders = app.topic('orders', {
    key: unchecked<string>(),
    value: unchecked<number>(),
    partitions: PARTITIONS,
  });
  const spent = app.table('spent', { default: () => 0 });
  orders.stream().update(spent, (sum, amount) => sum + amount);
  const producer = await orders.producer({ id: 'loader' });
  for (let i = 0; i < ORDERS; i++) {
    await producer.send(i, { key: `customer ${i % 700}` });
    if (i % 10 === 0) await producer.flush();
  }
  await producer.flush();
  const running = await app.start();
  await running.settled();
  await running.stop();
  await app.close();

  const broker = await openBroker(`file:${directory}`, realContext());
  await broker.createTopic({ name: 'blobs', partitions: PARTITIONS, codec: 'raw', role: 'source' });
  for (let i = 0; i < BLOBS; i++)
    await broker.append(
      Array.from({ length: PARTITIONS }, (_, partition) => {
        const text = `${partition}/${i} `.repeat(BLOB_BYTES / 5);
        return { topic: 'blobs', partition, frame: frameOf(text, `${text}!`) };
      }),
    );
  for (let partition = 0; partition < PARTITIONS; partition++)
    await broker.truncate('blobs', partition, BLOBS / 2);
  await broker.close();
}

/** The records of a partition as checksums, in order, as far as they could be read. */
export interface ReadPartition {
  readonly records: readonly number[];
  readonly error?: string | undefined;
}

/** What was read: partitions by `topic[partition]`, and other things as text. */
export interface Everything {
  readonly partitions: Readonly<Record<string, ReadPartition>>;
  readonly rows: Readonly<Record<string, string>>;
  readonly errors: readonly string[];
}

/** Reads all partitions of the topics that are known to be there, and what is stored of groups. */
export async function readAll(
  directory: string,
  topics: Readonly<Record<string, number>>,
): Promise<Everything> {
  const partitions: Record<string, ReadPartition> = {};
  const rows: Record<string, string> = {};
  const errors: string[] = [];
  const attempt = async (what: () => Promise<void>): Promise<void> => {
    try {
      await what();
    } catch (error) {
      errors.push(codeOf(error));
    }
  };
  await attempt(async () => {
    const broker = await openBroker(`file:${directory}`, realContext());
    try {
      for (const [topic, count] of Object.entries(topics))
        for (let partition = 0; partition < count; partition++)
          partitions[`${topic}[${partition}]`] = await readPartition(broker, topic, partition);
      await attempt(async () => {
        for (const group of await broker.groups())
          await attempt(async () => {
            rows[`group ${group}`] = JSON.stringify(await broker.describeGroup(group));
          });
      });
    } finally {
      await broker.close();
    }
  });
  return { partitions, rows, errors };
}

/** Names and partitions of the topics of an undamaged directory. */
export async function topicsOf(directory: string): Promise<Record<string, number>> {
  const broker = await openBroker(`file:${directory}`, realContext());
  const specs = await broker.topics();
  await broker.close();
  return Object.fromEntries(specs.map(({ name, partitions }) => [name, partitions]));
}

async function readPartition(
  broker: Broker,
  topic: string,
  partition: number,
): Promise<ReadPartition> {
  const records: number[] = [];
  try {
    const { start, end } = await broker.bounds(topic, partition);
    const reader = broker.reader(topic, partition, start);
    for (let view = await reader.next(); view !== undefined; view = await reader.next())
      for (let i = 0; i < view.count; i++) {
        let sum = crc32(`${view.baseOffset + i} ${view.timestamp(i)} ${view.receivedAt}`);
        for (const part of [view.key(i), view.value(i)])
          sum = part === null ? sum + 1 : crc32(part, sum);
        records.push(sum);
      }
    if (reader.offset !== end) throw new Error(`read to ${reader.offset} of ${end}`);
    return { records };
  } catch (error) {
    return { records, error: codeOf(error) };
  }
}

function codeOf(error: unknown): string {
  if (MillraceError.is(error)) return error.code;
  return `untyped: ${String((error as Error).stack)}`;
}
