/**
 * Defect 9: the library's streams join a group in any case, cannot pause or move one partition, and end when brokers are away for a while.
 */
import { expect, onTestFinished, test } from 'vitest';

import { Fetcher } from '../../../src/broker/kafka/fetcher.ts';
import { Appender } from '../../../src/broker/kafka/appender.ts';
import { FrameSender } from '../../../src/broker/kafka/frame-sender.ts';
import { KafkaReader } from '../../../src/broker/kafka/reader.ts';
import { kafka } from '../support.ts';
import { defectBench, readTexts } from './library.ts';

test.skipIf(kafka === null)('each partition is read on its own, and no group is made', async () => {
  const bench = await defectBench(2);
  onTestFinished(bench.close);
  const { cluster, topic } = bench;
  const appender = new Appender(cluster, new FrameSender(cluster, { compression: 'none' }));
  await appender.append([bench.frame(0, 'a', 'b', 'c'), bench.frame(1, 'x', 'y')]);
  const fetcher = new Fetcher(cluster);
  const first = new KafkaReader(cluster, fetcher, { topic, partition: 0, from: 0 });
  const second = new KafkaReader(cluster, fetcher, { topic, partition: 1, from: 0 });
  // The second one is not asked: that is all there is to a pause.
  expect(await readTexts(first)).toEqual(['a', 'b', 'c']);
  first.seek(0);
  expect(await readTexts(first)).toEqual(['a', 'b', 'c']);
  expect(await readTexts(second)).toEqual(['x', 'y']);
  const groups = await cluster.call({ kind: 'any' }, cluster.library.listGroupsV4.api, [[], []], {
    what: 'groups cannot be listed',
  });
  expect(groups.groups.filter(({ groupId }) => groupId.includes(topic))).toEqual([]);
});

test.skipIf(kafka === null)('a reader outlives connections that break', async () => {
  const bench = await defectBench();
  onTestFinished(bench.close);
  const { cluster, topic } = bench;
  const appender = new Appender(cluster, new FrameSender(cluster, { compression: 'none' }));
  const reader = new KafkaReader(cluster, new Fetcher(cluster), { topic, partition: 0, from: 0 });
  await appender.append([bench.frame(0, 'before')]);
  expect(await readTexts(reader)).toEqual(['before']);
  for (let i = 0; i < 3; i++) {
    await cluster.disconnect();
    await appender.append([bench.frame(0, `after ${i}`)]);
    await cluster.disconnect();
    expect(await readTexts(reader)).toEqual([`after ${i}`]);
  }
});
