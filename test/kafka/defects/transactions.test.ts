/**
 * Defects 2, 3, 4, 6 and 7: transactions of the library.
 */
import { expect, onTestFinished, test } from 'vitest';

import { committedOffsets } from '../../../src/broker/kafka/offsets.ts';
import { kafka, unique } from '../support.ts';
import { defectBench, eventually } from './library.ts';

const nobody = (group: string) => ({ group, generation: -1, memberId: '', instanceId: null });

test.skipIf(kafka === null)(
  '2: an id that is taken again goes on, and its former holder is fenced',
  async () => {
    const bench = await defectBench();
    onTestFinished(bench.close);
    const id = unique('taken');
    const former = bench.ours(id);
    await former.open();
    const zombie = former.begin();
    await zombie.send([bench.frame(0, 'zombie')]);

    const theirs = bench.theirs({ transactionalId: id, retries: 0 });
    await expect(theirs.beginTransaction(), 'the library cannot take it').rejects.toThrow();

    const next = bench.ours(id);
    await next.open();
    const transaction = next.begin();
    await transaction.send([bench.frame(0, 'good')]);
    await transaction.commit();
    await expect(zombie.commit()).rejects.toMatchObject({ code: 'MR_FENCED' });
    expect(() => former.begin()).toThrow(expect.objectContaining({ code: 'MR_FENCED' }));
    expect(await eventually(bench.cluster, bench.read, (texts) => texts.length > 0)).toEqual([
      'good',
    ]);
  },
);

test.skipIf(kafka === null)('3: sends under way at once', async () => {
  const bench = await defectBench(8);
  onTestFinished(bench.close);
  const partitions = [0, 1, 2, 3, 4, 5, 6, 7];

  const theirs = await bench.theirs({ retries: 1, retryDelay: 5 }).beginTransaction({
    producerId: -1n,
    producerEpoch: -1,
  });
  const results = await Promise.allSettled(
    partitions.map((partition) =>
      theirs.send({ messages: [{ topic: bench.topic, partition, value: 'theirs' }] }),
    ),
  );
  expect(
    results.some(({ status }) => status === 'rejected'),
    'the library sends to partitions that it has not added',
  ).toBe(true);
  await theirs.abort();

  const producer = bench.ours();
  await producer.open();
  const transaction = producer.begin();
  const sends = partitions.map((partition) =>
    transaction.send([bench.frame(partition, `ours ${partition}`)]),
  );
  await Promise.all([...sends, transaction.commit()]);
  for (const partition of partitions)
    expect(
      await eventually(
        bench.cluster,
        () => bench.read(partition),
        (texts) => texts.length > 0,
      ),
    ).toEqual([`ours ${partition}`]);
});

test.skipIf(kafka === null)('4: offsets of several partitions, under way at once', async () => {
  const bench = await defectBench(4);
  onTestFinished(bench.close);
  const group = unique('group');
  const producer = bench.ours();
  await producer.open();
  const transaction = producer.begin();
  const positions = [0, 1, 2, 3].map((partition) => ({
    topic: bench.topic,
    partition,
    offset: partition + 1,
  }));
  await Promise.all([
    transaction.offsets(nobody(group), positions.slice(0, 1)),
    transaction.offsets(nobody(group), positions.slice(1)),
    transaction.commit(),
  ]);
  const committed = await committedOffsets(bench.cluster, { group, partitions: positions });
  expect(committed.toSorted((a, b) => a.partition - b.partition)).toEqual(positions);

  // The same with the library: all promises resolve, and some offsets are not there.
  const { Consumer } = bench.cluster.library;
  const theirGroup = unique('theirs');
  const consumer = new Consumer({
    groupId: theirGroup,
    clientId: 'theirs',
    bootstrapBrokers: [kafka?.plain ?? ''],
  });
  await bench.theirPlain().send({
    acks: -1,
    messages: [0, 1, 2, 3].map((partition) => ({ topic: bench.topic, partition, value: 'x' })),
  });
  const stream = await consumer.consume({
    topics: [bench.topic],
    mode: 'earliest',
    autocommit: false,
    maxWaitTime: 100,
  });
  const messages: Parameters<typeof theirs.addOffset>[0][] = [];
  await new Promise<void>((all) => {
    stream.on('data', (message) => {
      messages.push(message);
      if (messages.length === 4) all();
    });
  });
  const theirs = await bench.theirs().beginTransaction({ producerId: -1n, producerEpoch: -1 });
  await theirs.addConsumer(consumer);
  await Promise.all(messages.map((message) => theirs.addOffset(message)));
  await theirs.commit();
  await stream.close();
  await consumer.close(true);
  const found = await committedOffsets(bench.cluster, { group: theirGroup, partitions: positions });
  expect(found.length, 'the library loses some').toBeLessThan(4);
});

test.skipIf(kafka === null)(
  '6: how long a transaction may be open is an option of its own',
  async () => {
    const bench = await defectBench();
    onTestFinished(bench.close);
    const longMs = 2500;
    const theirs = await bench
      .theirs({ timeout: 1000, retries: 0 })
      .beginTransaction({ producerId: -1n, producerEpoch: -1 });
    await theirs.send({ messages: [{ topic: bench.topic, partition: 0, value: 'theirs' }] });
    const [long, short] = [bench.ours(undefined, 60_000), bench.ours(undefined, 1000)];
    await long.open();
    await short.open();
    const transactions = [long.begin(), short.begin()] as const;
    await transactions[0].send([bench.frame(0, 'long')]);
    await transactions[1].send([bench.frame(0, 'short')]);
    await new Promise((resolve) => setTimeout(resolve, longMs));
    await expect(theirs.commit(), 'the library takes its timeout of requests').rejects.toThrow();
    await expect(transactions[1].commit()).rejects.toMatchObject({ code: 'MR_FENCED' });
    await transactions[0].commit();
    expect(await eventually(bench.cluster, bench.read, (texts) => texts.length > 0)).toEqual([
      'long',
    ]);
  },
);

test.skipIf(kafka === null)(
  '7: transactions one after the other do not wait for a second each',
  async () => {
    const bench = await defectBench();
    onTestFinished(bench.close);
    const rounds = 10;
    const producer = bench.ours();
    await producer.open();
    const startedMs = performance.now();
    for (let i = 0; i < rounds; i++) {
      const transaction = producer.begin();
      await transaction.send([bench.frame(0, `${i}`)]);
      await transaction.commit();
    }
    const oursMs = (performance.now() - startedMs) / rounds;

    const theirs = bench.theirs();
    const theirStartMs = performance.now();
    for (let i = 0; i < 3; i++) {
      const transaction = await theirs.beginTransaction(
        i === 0 ? { producerId: -1n, producerEpoch: -1 } : {},
      );
      await transaction.send({ messages: [{ topic: bench.topic, partition: 0, value: `${i}` }] });
      await transaction.commit();
    }
    const theirsMs = (performance.now() - theirStartMs) / 3;
    expect(oursMs, `${oursMs} ms each, the library's ${theirsMs} ms`).toBeLessThan(theirsMs / 3);
  },
);
