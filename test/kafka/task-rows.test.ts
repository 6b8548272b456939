/**
 * Tasks of a group: taken over from the living and the dead, committed as one, fenced in three ways.
 */
import { expect, onTestFinished, test } from 'vitest';

import type { TaskCommit } from '../../src/broker/broker.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import type { Cluster } from '../../src/broker/kafka/cluster.ts';
import { Fetcher } from '../../src/broker/kafka/fetcher.ts';
import { FrameSender } from '../../src/broker/kafka/frame-sender.ts';
import { GroupSession } from '../../src/broker/kafka/group-session.ts';
import { createKafkaTopic } from '../../src/broker/kafka/kafka-topics.ts';
import { committedOffsets } from '../../src/broker/kafka/offsets.ts';
import { KafkaReader } from '../../src/broker/kafka/reader.ts';
import { TaskRows } from '../../src/broker/kafka/task-rows.ts';
import type { TaskOwner } from '../../src/broker/kafka/task-rows.ts';
import { TransactionalProducer } from '../../src/broker/kafka/transactions.ts';
import { eventually, readTexts } from './defects/library.ts';
import { deleteTopics, kafka, openCluster, unique } from './support.ts';

const kafkaTest = test.skipIf(kafka === null);

interface Bench {
  readonly cluster: Cluster;
  readonly group: string;
  readonly out: string;
  readonly rows: () => TaskRows;
  readonly join: (
    member: string,
    session?: GroupSession,
  ) => Promise<TaskOwner & { session: GroupSession }>;
  readonly commit: (task: string, epoch: number, offset: number, ...texts: string[]) => TaskCommit;
  readonly read: () => Promise<string[]>;
}

async function bench(): Promise<Bench> {
  const cluster = await openCluster();
  const group = unique('group');
  const out = unique('out');
  onTestFinished(async () => {
    await deleteTopics(cluster, [out, `${group}-tasks`]);
    await cluster.close();
  });
  await createKafkaTopic(cluster, {
    name: out,
    partitions: 1,
    replication: 1,
    configs: { 'retention.ms': '-1' },
  });
  const fetcher = new Fetcher(cluster);
  const sender = new FrameSender(cluster, { compression: 'none' });
  return {
    cluster,
    group,
    out,
    rows: () => new TaskRows({ cluster, fetcher, sender, group, replication: 1 }),
    join: async (member, before) => {
      const session =
        before ?? new GroupSession(cluster, member, { group, sessionMs: 6000, rebalanceMs: 2000 });
      await session.join({ topics: [out], data: Buffer.alloc(0) }, () => new Map());
      const producer = new TransactionalProducer(cluster, sender, {
        transactionalId: `${group}-${member}`,
      });
      await producer.open();
      return { member, producer, offsets: session.owner, session };
    },
    commit: (task, epoch, offset, ...texts) => {
      const builder = new FrameBuilder({ text: false, maxRecordBytes: 1000 });
      for (const text of texts) builder.add(1, null, Buffer.from(text));
      return {
        task,
        epoch,
        positions: [{ topic: out, partition: 0, offset }],
        meta: Buffer.from(`after ${texts.join()}`),
        outputs: [{ topic: out, partition: 0, frame: builder.build() }],
      };
    },
    read: async () =>
      await readTexts(new KafkaReader(cluster, fetcher, { topic: out, partition: 0, from: 0 })),
  };
}

kafkaTest('commits of several tasks are one: outputs, rows, offsets', async () => {
  const { cluster, group, out, rows, join, commit, read } = await bench();
  const owner = await join('a');
  const tasks = rows();
  const claimed = await tasks.claim(owner, ['x/0', 'x/1'], []);
  expect([...claimed]).toEqual(
    ['x/0', 'x/1'].map((task) => [task, { epoch: 1, owner: 'a', positions: [], meta: undefined }]),
  );
  const placed = await tasks.commit(owner, [
    commit('x/0', 1, 7, 'one'),
    commit('x/1', 1, 5, 'two', 'three'),
  ]);
  expect(placed.map((own) => own.map(({ baseOffset }) => baseOffset))).toEqual([[0], [1]]);
  expect(await eventually(cluster, read, (texts) => texts.length === 3)).toEqual([
    'one',
    'two',
    'three',
  ]);
  expect(await rows().read('x/1')).toEqual({
    epoch: 1,
    owner: 'a',
    positions: [{ topic: out, partition: 0, offset: 5 }],
    meta: Buffer.from('after two,three'),
  });
  const partitions = [{ topic: out, partition: 0 }];
  expect(await committedOffsets(cluster, { group, partitions })).toEqual([
    { topic: out, partition: 0, offset: 5 },
  ]);
  await expect(tasks.commit(owner, [commit('x/0', 2, 8, 'no')])).rejects.toMatchObject({
    code: 'MR_FENCED',
  });
  await expect(tasks.commit(owner, [commit('y/0', 1, 8, 'no')])).rejects.toMatchObject({
    code: 'MR_FENCED',
  });
  await tasks.release(owner, ['x/1', 'not mine']);
  expect((await rows().read('x/1'))?.owner).toBe(null);
  await owner.session.leave();
});

kafkaTest(
  'what a dead owner had under way between sending and the end is not there, 20 times',
  async () => {
    const { cluster, group, rows, join, commit, read } = await bench();
    const good: string[] = [];
    let slowestMs = 0;
    let owner = await join('m0');
    let tasks = rows();
    await tasks.claim(owner, ['x/0'], []);
    for (let i = 1; i <= 20; i++) {
      await tasks.commit(owner, [commit('x/0', i, i, `good ${i}`)]);
      good.push(`good ${i}`);
      // It dies with a transaction that has written outputs and rows, and lacks nothing but its end.
      const zombie = owner.producer.begin();
      await zombie.send(commit('x/0', i, i + 1, `zombie ${i}`).outputs);
      await owner.session.leave();
      const dead = `${group}-${owner.member}`;
      const startedMs = performance.now();
      const next = await join(`m${i}`);
      tasks = rows();
      const claimed = await tasks.claim(next, ['x/0'], [dead]);
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
      expect(claimed.get('x/0')).toMatchObject({ epoch: i + 1, positions: [{ offset: i }] });
      expect(Buffer.from(claimed.get('x/0')?.meta ?? []).toString()).toBe(`after good ${i}`);
      await expect(zombie.commit()).rejects.toMatchObject({ code: 'MR_FENCED' });
      owner = next;
    }
    expect(await eventually(cluster, read, (texts) => texts.length >= good.length)).toEqual(good);
    expect(slowestMs, 'the slowest of 20').toBeLessThan(1000);
    await owner.session.leave();
  },
);

kafkaTest('an owner of an earlier generation commits nothing', async () => {
  const { cluster, rows, join, commit, read } = await bench();
  const owner = await join('a');
  const tasks = rows();
  await tasks.claim(owner, ['x/0'], []);
  await tasks.commit(owner, [commit('x/0', 1, 1, 'good')]);
  // The group has joined anew since the owner looked.
  await owner.session.join({ topics: [], data: Buffer.from('changed') }, () => new Map());
  expect(owner.session.owner.generation).toBeGreaterThan(owner.offsets.generation);
  await expect(tasks.commit(owner, [commit('x/0', 1, 2, 'late')])).rejects.toMatchObject({
    code: 'MR_FENCED',
    details: { kafka: 'ILLEGAL_GENERATION' },
  });
  const again = await join('a', owner.session);
  const claimed = await rows().claim(again, ['x/0'], []);
  expect(claimed.get('x/0')).toMatchObject({ epoch: 2, positions: [{ offset: 1 }] });
  expect(await eventually(cluster, read, (texts) => texts.length > 0)).toEqual(['good']);
  await again.session.leave();
});
