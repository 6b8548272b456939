/**
 * The library's own clients, as the tests of this folder use them: each test shows what is wrong there, and that ours is right. One that fails in its first
 * half after the library was changed says that a workaround may go.
 *
 * @module
 */
import type * as library from '@platformatic/kafka';

import { FrameBuilder } from '../../../src/broker/frame-builder.ts';
import type { Outgoing, RecordLog } from '../../../src/broker/broker.ts';
import type { Cluster } from '../../../src/broker/kafka/cluster.ts';
import { Fetcher } from '../../../src/broker/kafka/fetcher.ts';
import { FrameSender } from '../../../src/broker/kafka/frame-sender.ts';
import { createKafkaTopic } from '../../../src/broker/kafka/kafka-topics.ts';
import { KafkaReader } from '../../../src/broker/kafka/reader.ts';
import { TransactionalProducer } from '../../../src/broker/kafka/transactions.ts';
import { deleteTopics, kafka, openCluster, unique } from '../support.ts';

type TextProducer = library.Producer<string, string, string, string>;

type TheirOptions = Partial<library.ProducerOptions<string, string, string, string>>;

/** One cluster with a topic of its own, and both ways to use it. */
export interface DefectBench {
  readonly cluster: Cluster;
  readonly topic: string;
  /** A producer of the library, with a transactional id. */
  readonly theirs: (options?: TheirOptions) => TextProducer;
  /** One of the library without. */
  readonly theirPlain: () => TextProducer;
  /** A producer of ours, not open yet. */
  readonly ours: (transactionalId?: string, timeoutMs?: number) => TransactionalProducer;
  /** One frame with a record for each text. */
  readonly frame: (partition: number, ...texts: string[]) => Outgoing;
  /** Texts of what our reader finds in a partition. */
  readonly read: (partition?: number) => Promise<string[]>;
  readonly close: () => Promise<void>;
}

export async function defectBench(partitions = 1): Promise<DefectBench> {
  const cluster = await openCluster();
  const topic = unique('defect');
  await createKafkaTopic(cluster, {
    name: topic,
    partitions,
    replication: 1,
    configs: { 'retention.ms': '-1' },
  });
  const sender = new FrameSender(cluster, { compression: 'none' });
  const fetcher = new Fetcher(cluster);
  const { Producer, stringSerializers } = cluster.library;
  const opened: TextProducer[] = [];
  const make = (options: TheirOptions): TextProducer => {
    const producer = new Producer({
      clientId: 'theirs',
      bootstrapBrokers: [kafka?.plain ?? ''],
      serializers: stringSerializers,
      ...options,
    });
    opened.push(producer);
    return producer;
  };
  return {
    cluster,
    topic,
    theirs: (options = {}) =>
      make({ idempotent: true, transactionalId: unique('theirs'), ...options }),
    theirPlain: () => make({}),
    ours: (transactionalId = unique('ours'), timeoutMs = 10_000) =>
      new TransactionalProducer(cluster, sender, { transactionalId, timeoutMs }),
    frame: (partition, ...texts) => {
      const builder = new FrameBuilder({ text: false, maxRecordBytes: Infinity });
      for (const text of texts) builder.add(1, null, Buffer.from(text));
      return { topic, partition, frame: builder.build() };
    },
    read: async (partition = 0) => {
      const reader = new KafkaReader(cluster, fetcher, { topic, partition, from: 0 });
      return await readTexts(reader);
    },
    close: async () => {
      for (const producer of opened) await producer.close(true).catch(() => undefined);
      await deleteTopics(cluster, [topic]);
      await cluster.close();
    },
  };
}

/** Everything from where a reader stands to the end. */
export async function readTexts(reader: ReturnType<RecordLog['reader']>): Promise<string[]> {
  const texts: string[] = [];
  for (let view = await reader.next(); view !== undefined; view = await reader.next())
    for (let i = 0; i < view.count; i++)
      texts.push(Buffer.from(view.value(i) ?? []).toString('utf8'));
  return texts;
}

/** Calls until the answer is as it should be, for a few seconds: markers of transactions are written a little after their ends. */
export async function eventually<T>(
  cluster: Cluster,
  look: () => Promise<T>,
  good: (found: T) => boolean,
): Promise<T> {
  let found = await look();
  await cluster
    .retry({ what: 'it does not become so', retryForMs: 5000, waitAtMostMs: 50 }, async () => {
      found = await look();
      if (!good(found)) throw new cluster.library.NetworkError('not yet');
    })
    .catch(() => undefined);
  return found;
}
