/** Many records that are sent at once become several frames, none of which is large, in the order of the sends. */
import { expect, test } from 'vitest';

import type { Broker } from '../../src/broker/broker.ts';
import type { FrameView } from '../../src/broker/frame-view.ts';
import { encodeKey } from '../../src/codec/key.ts';
import { partitionOf } from '../../src/codec/partition.ts';
import { App } from '../../src/index.ts';
import type { Topic } from '../../src/index.ts';
import { close, keyed, runOnce, withBroker, withDirectory } from './support.ts';

const RECORDS = 3_000;
const EIGHT_PAGES_BYTES = 8 * 4096;
const textOf = (i: number): string => `${i}:${'x'.repeat(i % 60)}`;
/** A key that lives in each of two partitions. */
const KEYS = [0, 1].map((partition) => {
  const names = Array.from({ length: 20 }, (_, i) => `key-${i}`);
  return names.find((name) => partitionOf(encodeKey(name), 2) === partition) ?? '';
});
const homeOf = (i: number): number => (i % 3 === 0 ? 1 : 0);
const keyOf = (i: number): string => KEYS[homeOf(i)] ?? '';

async function framesOf(broker: Broker, topic: string, partition: number): Promise<FrameView[]> {
  const frames: FrameView[] = [];
  const reader = broker.reader(topic, partition, 0);
  for (let view = await reader.next(); view !== undefined; view = await reader.next())
    frames.push(view);
  return frames;
}

async function withTopic(
  body: (app: App, topic: Topic<string, string>, broker: Broker) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const app = new App('shop', { broker: `file:${directory}` });
    try {
      const topic = app.topic('topic', { ...keyed<string>(), partitions: 2 });
      await withBroker(directory, (broker) => body(app, topic, broker));
    } finally {
      await close(app);
    }
  });
}

/** None is larger than it should be, and together they have all texts in order. */
async function checkFrames(broker: Broker, topic: string): Promise<void> {
  for (const partition of [0, 1]) {
    const frames = await framesOf(broker, topic, partition);
    expect(frames.length).toBeGreaterThan(1);
    for (const { byteLength } of frames) expect(byteLength).toBeLessThanOrEqual(EIGHT_PAGES_BYTES);
    const all = Array.from({ length: RECORDS }, (_, i) => i);
    expect(frames.flatMap((frame) => frame.json())).toEqual(
      all.filter((i) => homeOf(i) === partition).map(textOf),
    );
  }
}

test('what is sent in one turn', async () => {
  await withTopic(async (_app, topic, broker) => {
    const sent = await Promise.all(
      Array.from({ length: RECORDS }, (_, i) => topic.send(textOf(i), { key: keyOf(i) })),
    );
    const next = new Map([
      [0, 0n],
      [1, 0n],
    ]);
    for (const { partition, offset } of sent) {
      expect(offset).toBe(next.get(partition));
      next.set(partition, offset + 1n);
    }
    await checkFrames(broker, 'topic');
  });
});

test('what a producer sends as one batch, and a task passes on', async () => {
  await withTopic(async (app, topic, broker) => {
    const passed = app.topic('passed', { ...keyed<string>(), partitions: 2 });
    topic.stream().sink(passed);
    const producer = await topic.producer({ id: 'loader', batch: RECORDS });
    for (let i = 0; i < RECORDS; i++) await producer.send(textOf(i), { key: keyOf(i) });
    await producer.close();
    await checkFrames(broker, 'topic');
    await runOnce(app);
    await checkFrames(broker, 'passed');
  });
});

test('a record that is larger is a frame of its own', async () => {
  await withTopic(async (_app, topic, broker) => {
    const large = 'x'.repeat(100_000);
    await Promise.all(
      ['a', large, 'b', 'c'].map((text) => topic.send(text, { key: 'a', partition: 0 })),
    );
    const frames = await framesOf(broker, 'topic', 0);
    expect(frames.map((frame) => frame.json())).toEqual([
      ['a', large],
      ['b', 'c'],
    ]);
  });
});
