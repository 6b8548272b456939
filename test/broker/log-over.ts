/** Ways to open a log for tests: over the store in memory, and over lmdb in a directory of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Broker } from '../../src/broker/broker.ts';
import type { Frame } from '../../src/broker/frame.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import { openBroker, type OpenBrokerContext } from '../../src/broker/open.ts';
import { SharedStores } from '../../src/broker/shared-stores.ts';
import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import type { OpenedBroker } from '../../src/testing/conformance/broker.ts';

/** The platform's clock and random numbers. */
export function realContext(): OpenBrokerContext {
  return { clock: systemClock(), random: systemRandom() };
}

export async function inMemory(context: OpenBrokerContext): Promise<OpenedBroker> {
  const memory = new SharedStores();
  const opened: Broker[] = [];
  const reopen = async (): Promise<Broker> => {
    const broker = await openBroker('memory:test', { ...context, memory });
    opened.push(broker);
    return broker;
  };
  return { broker: await reopen(), reopen, dispose: async () => await closeAll(opened) };
}

export async function inDirectory(context: OpenBrokerContext): Promise<OpenedBroker> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  const opened: Broker[] = [];
  const reopen = async (): Promise<Broker> => {
    const broker = await openBroker(`file:${directory}`, context);
    opened.push(broker);
    return broker;
  };
  return {
    broker: await reopen(),
    reopen,
    dispose: async () => {
      await closeAll(opened);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Runs `body` with a directory that is gone afterwards. */
export async function withDirectory<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A frame with one record per text. */
export function frameOf(...texts: string[]): Frame {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: 1 << 24 });
  for (const text of texts) builder.add(1, null, Buffer.from(text));
  return builder.build();
}

/** The text of every record of a partition, from its start. */
export async function textsOf(broker: Broker, topic: string, partition = 0): Promise<string[]> {
  const texts: string[] = [];
  const reader = broker.reader(topic, partition, (await broker.bounds(topic, partition)).start);
  for (let view = await reader.next(); view !== undefined; view = await reader.next())
    for (let i = 0; i < view.count; i++)
      texts.push(Buffer.from(view.value(i) as Uint8Array).toString());
  return texts;
}

async function closeAll(brokers: readonly Broker[]): Promise<void> {
  for (const broker of brokers) await broker.close();
}
