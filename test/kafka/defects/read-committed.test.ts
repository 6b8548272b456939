/**
 * Defect 1: reading what was committed, the library's streams deliver aborted records.
 */
import { expect, onTestFinished, test } from 'vitest';

import { kafka, unique } from '../support.ts';
import { defectBench, eventually, type DefectBench } from './library.ts';

/** What a stream of the library delivers until nothing comes for a second. */
async function streamed({ cluster, topic }: DefectBench, maxBytes?: number): Promise<string[]> {
  const { Consumer, stringDeserializers, FetchIsolationLevels, MessagesStreamModes } =
    cluster.library;
  const consumer = new Consumer({
    groupId: unique('group'),
    clientId: 'theirs',
    bootstrapBrokers: [kafka?.plain ?? ''],
    deserializers: stringDeserializers,
    isolationLevel: FetchIsolationLevels.READ_COMMITTED,
    maxWaitTime: 100,
    ...(maxBytes === undefined ? {} : { maxBytes }),
  });
  const stream = await consumer.consume({
    topics: [topic],
    mode: MessagesStreamModes.EARLIEST,
    autocommit: false,
    isolationLevel: FetchIsolationLevels.READ_COMMITTED,
    maxWaitTime: 100,
    ...(maxBytes === undefined ? {} : { maxBytes }),
  });
  const texts: string[] = [];
  let quiet: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    quiet = resolve;
  });
  let timer = setTimeout(quiet, 3000);
  stream.on('data', ({ value }) => {
    texts.push(value);
    clearTimeout(timer);
    timer = setTimeout(quiet, 1000);
  });
  await ended;
  await stream.close();
  await consumer.close(true);
  return texts;
}

test.skipIf(kafka === null)('two aborted transactions of one producer', async () => {
  const bench = await defectBench();
  onTestFinished(bench.close);
  const producer = bench.ours();
  await producer.open();
  for (const text of ['aborted 1', 'committed 1', 'aborted 2', 'committed 2']) {
    const transaction = producer.begin();
    await transaction.send([bench.frame(0, text)]);
    await (text.startsWith('a') ? transaction.abort() : transaction.commit());
  }
  const good = ['committed 1', 'committed 2'];
  expect(await eventually(bench.cluster, bench.read, (texts) => texts.length === 2)).toEqual(good);
  expect(await streamed(bench), 'the library delivers the first one').not.toEqual(good);
});

test.skipIf(kafka === null)('an aborted transaction that spans several answers', async () => {
  const bench = await defectBench();
  onTestFinished(bench.close);
  const producer = bench.ours();
  await producer.open();
  const aborted = producer.begin();
  const large = 'A'.repeat(400_000);
  for (let i = 0; i < 10; i++) await aborted.send([bench.frame(0, large)]);
  await aborted.abort();
  const transaction = producer.begin();
  await transaction.send([bench.frame(0, 'committed')]);
  await transaction.commit();
  expect(await eventually(bench.cluster, bench.read, (texts) => texts.length > 0)).toEqual([
    'committed',
  ]);
  const theirs = await streamed(bench, 500_000);
  expect(
    theirs.filter((text) => text === large).length,
    'the library delivers some',
  ).toBeGreaterThan(0);
});
