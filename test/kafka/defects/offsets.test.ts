/**
 * Defect 8: what the library does not say in its requests.
 */
import { expect, onTestFinished, test } from 'vitest';

import type * as library from '@platformatic/kafka';

import { loadKafka } from '../../../src/broker/kafka/library.ts';
import { committedOffsets } from '../../../src/broker/kafka/offsets.ts';
import { makeRequests } from '../../../src/broker/kafka/requests.ts';
import { kafka, unique } from '../support.ts';
import { defectBench } from './library.ts';

test.skipIf(kafka === null)(
  'offsets are not read while a transaction is about to change them',
  async () => {
    const bench = await defectBench();
    onTestFinished(bench.close);
    const group = unique('group');
    const owner = { group, generation: -1, memberId: '', instanceId: null };
    const place = { topic: bench.topic, partition: 0 };
    const producer = bench.ours();
    await producer.open();
    const first = producer.begin();
    await first.offsets(owner, [{ ...place, offset: 1 }]);
    await first.commit();
    const open = producer.begin();
    await open.offsets(owner, [{ ...place, offset: 2 }]);

    const { Consumer } = bench.cluster.library;
    const consumer = new Consumer({
      groupId: group,
      clientId: 'theirs',
      bootstrapBrokers: [kafka?.plain ?? ''],
    });
    const theirs = await consumer.listCommittedOffsets({
      topics: [{ topic: bench.topic, partitions: [0] }],
    });
    await consumer.close(true);
    expect(theirs.get(bench.topic), 'the library reads what is about to be old').toEqual([1n]);

    await expect(
      committedOffsets(bench.cluster, { group, partitions: [place], waitForMs: 200 }),
    ).rejects.toMatchObject({ code: 'MR_IO', retryable: true });
    const waiting = committedOffsets(bench.cluster, { group, partitions: [place] });
    await open.commit();
    expect(await waiting).toEqual([{ ...place, offset: 2 }]);
  },
);

test.skipIf(kafka === null)('a static member that was replaced is told so', async () => {
  const bench = await defectBench();
  onTestFinished(bench.close);
  const { cluster, topic } = bench;
  const group = unique('group');
  const instanceId = 'one';
  const join = async (): Promise<{ generation: number; memberId: string }> => {
    const coordinator = { kind: 'coordinator', of: 'group', key: group } as const;
    const what = 'the test cannot join';
    const joined = await cluster.call(
      coordinator,
      cluster.library.joinGroupV9.api,
      [
        group,
        10_000,
        10_000,
        '',
        instanceId,
        'consumer',
        [{ name: 'x', metadata: Buffer.alloc(0) }],
        '',
      ],
      { what },
    );
    const { generationId, memberId, protocolName } = joined;
    await cluster.call(
      coordinator,
      cluster.library.syncGroupV5.api,
      [
        group,
        generationId,
        memberId,
        instanceId,
        'consumer',
        protocolName ?? 'x',
        [{ memberId, assignment: Buffer.alloc(0) }],
      ],
      { what },
    );
    return { generation: generationId, memberId };
  };
  const former = await join();
  const latter = await join();
  const position = { topic, partition: 0, offset: 1 };
  const producer = bench.ours();
  await producer.open();
  const refused = producer.begin();
  await expect(refused.offsets({ group, ...former, instanceId }, [position])).rejects.toMatchObject(
    { code: 'MR_FENCED', details: { kafka: 'FENCED_INSTANCE_ID' } },
  );
  await refused.abort();
  await producer.open();
  const transaction = producer.begin();
  await transaction.offsets({ group, ...latter, instanceId }, [position]);
  await transaction.commit();
  expect(await committedOffsets(cluster, { group, partitions: [position] })).toEqual([position]);
});

test('every append waits for all replicas that are in sync', async () => {
  const kafkaLibrary = await loadKafka();
  const written: number[] = [];
  const connection = {
    send: (_key: number, _version: number, create: () => library.Writer) => {
      const bytes = create().buffer;
      // Transactional id of no bytes, then how many must have it.
      written.push(bytes.readInt16BE(1));
    },
  } as unknown as library.Connection;
  const { produce } = makeRequests(kafkaLibrary);
  produce(connection, null, 1000, [{ topic: 't', partition: 0, batch: Buffer.alloc(1) }]);
  kafkaLibrary.produceV9.api(connection, undefined, 1000, [], { transactionalId: null });
  expect(written).toEqual([-1, 1]);
});
