/**
 * Defect 5: the library corrupts timestamps that are 25 days or more from the first of their batch.
 */
import { expect, onTestFinished, test } from 'vitest';

import { FrameBuilder } from '../../../src/broker/frame-builder.ts';
import { Appender } from '../../../src/broker/kafka/appender.ts';
import { Fetcher } from '../../../src/broker/kafka/fetcher.ts';
import { FrameSender } from '../../../src/broker/kafka/frame-sender.ts';
import { KafkaReader } from '../../../src/broker/kafka/reader.ts';
import { kafka } from '../support.ts';
import { defectBench, type DefectBench } from './library.ts';

const DAY_MS = 86_400_000;
const TIMES = [0, 24, 25, 100, 9000, -3, -400].map((days) => 1_000_000_000_000 + days * DAY_MS);

async function timestamps({ cluster, topic }: DefectBench): Promise<number[]> {
  const reader = new KafkaReader(cluster, new Fetcher(cluster), { topic, partition: 0, from: 0 });
  const found: number[] = [];
  for (let view = await reader.next(); view !== undefined; view = await reader.next())
    for (let i = 0; i < view.count; i++) found.push(view.timestamp(i));
  return found;
}

test.skipIf(kafka === null)('records of one batch, years apart', async () => {
  const ours = await defectBench();
  onTestFinished(ours.close);
  const builder = new FrameBuilder({ text: false, maxRecordBytes: 1000 });
  for (const time of TIMES) builder.add(time, null, Buffer.from('x'));
  const appender = new Appender(
    ours.cluster,
    new FrameSender(ours.cluster, { compression: 'none' }),
  );
  await appender.append([{ topic: ours.topic, partition: 0, frame: builder.build() }]);
  expect(await timestamps(ours)).toEqual(TIMES);

  const theirs = await defectBench();
  onTestFinished(theirs.close);
  const sent = theirs.theirPlain().send({
    acks: -1,
    messages: TIMES.map((time) => ({
      topic: theirs.topic,
      partition: 0,
      value: 'x',
      timestamp: BigInt(time),
    })),
  });
  // A broker may refuse what comes of it.
  const found = await sent.then(
    async () => await timestamps(theirs),
    () => [],
  );
  expect(found, 'what the library makes of it').not.toEqual(TIMES);
});
