/**
 * Processes that are killed while they copy records from one topic to another: each is there once, in order.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { expect, onTestFinished, test } from 'vitest';

import { runWithKafka } from '../../scripts/lib/kafka-server.ts';
import { seededRandom } from '../../src/core/random.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import type { Outgoing } from '../../src/broker/broker.ts';
import { Appender } from '../../src/broker/kafka/appender.ts';
import { Fetcher } from '../../src/broker/kafka/fetcher.ts';
import { FrameSender } from '../../src/broker/kafka/frame-sender.ts';
import { createKafkaTopic } from '../../src/broker/kafka/kafka-topics.ts';
import { KafkaReader } from '../../src/broker/kafka/reader.ts';
import { readTexts } from './defects/library.ts';
import { deleteTopics, kafka, kafkaUrl, openCluster, unique } from './support.ts';

const FRAMES = 3000;
const PER_FRAME = 10;
const KILLS = 8;
const seed = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 1e9);

/** Runs one process until it is killed, `killAfterMs` after it has taken the task, or has ended. Tells what it said. */
async function runChild(args: readonly string[], killAfterMs: number): Promise<string[]> {
  const child = spawn(
    process.execPath,
    ['-C', 'millrace-source', 'test/kafka/exactly-once-child.ts', ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    if (line.startsWith('claimed') && killAfterMs !== Infinity)
      timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  });
  await new Promise((ended) => child.once('close', ended));
  clearTimeout(timer);
  return lines;
}

test.skipIf(kafka === null)(
  `${KILLS} kills, seed ${seed}`,
  async () => {
    const cluster = await openCluster();
    const group = unique('group');
    const [from, to] = [unique('from'), unique('to')];
    onTestFinished(async () => {
      await deleteTopics(cluster, [from, to, `${group}-tasks`]);
      await cluster.close();
    });
    for (const name of [from, to])
      await createKafkaTopic(cluster, {
        name,
        partitions: 1,
        replication: 1,
        configs: { 'retention.ms': '-1' },
      });
    const builder = new FrameBuilder({ text: false, maxRecordBytes: 1000 });
    const texts: string[] = [];
    const appender = new Appender(cluster, new FrameSender(cluster, { compression: 'none' }));
    for (let i = 0; i < FRAMES; i++) {
      for (let j = 0; j < PER_FRAME; j++) {
        texts.push(`record ${texts.length}`);
        builder.add(texts.length, null, Buffer.from(texts.at(-1) as string));
      }
      const frame: Outgoing = { topic: from, partition: 0, frame: builder.build() };
      await appender.append([frame]);
    }

    const random = seededRandom(seed);
    const ids: string[] = [];
    let last: string[] = [];
    const starts: number[] = [];
    for (let run = 0; run <= KILLS; run++) {
      const id = `${group}-${run}`;
      const killAfterMs = run === KILLS ? Infinity : 100 + random.below(900);
      last = await runChild([kafkaUrl(), group, from, to, id, ...ids], killAfterMs);
      ids.push(id);
      const [, epoch, start] = (last[0] ?? '').split(' ');
      expect(Number(epoch)).toBe(run + 1);
      starts.push(Number(start));
    }
    expect(last.at(-1)).toBe('done');
    // Each went on where the one before was, and most got somewhere.
    expect(starts).toEqual(starts.toSorted((a, b) => a - b));
    expect(new Set(starts).size).toBeGreaterThan(KILLS / 2);
    const reader = new KafkaReader(cluster, new Fetcher(cluster), {
      topic: to,
      partition: 0,
      from: 0,
    });
    let copied: string[] = [];
    await cluster.retry({ what: 'not all records are there', retryForMs: 5000 }, async () => {
      copied = [...copied, ...(await readTexts(reader))];
      if (copied.length < texts.length) throw new cluster.library.NetworkError('not yet');
    });
    expect(copied.length).toBe(texts.length);
    expect(copied).toEqual(texts);
    // Kafka's own client sees the same.
    const theirs = await runWithKafka('test/kafka/ReadCommitted.java', [kafka?.plain ?? '', to]);
    if (theirs !== undefined)
      expect(theirs.split('\n').filter((line) => line.startsWith('record '))).toEqual(texts);
  },
  300_000,
);
