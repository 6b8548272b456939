/**
 * Waiting for records that others append.
 */
import { expect, onTestFinished, test } from 'vitest';

import { append, readAll, topicSpec } from '../../src/testing/conformance/broker/bench.ts';
import { emptyLog, kafka } from './support.ts';

const kafkaTest = test.skipIf(kafka === null);

kafkaTest('a wait ends when there is more where a reader has come to the end', async () => {
  const { log, reopen, dispose } = await emptyLog();
  onTestFinished(dispose);
  const other = await reopen();
  await log.createTopic(topicSpec('t', { partitions: 3 }));
  const readers = [0, 1, 2].map((partition) => log.reader('t', partition, 0));
  for (let round = 0; round < 5; round++) {
    const since = log.changes();
    for (const reader of readers) expect(await reader.next()).toBeUndefined();
    // Before the wait has begun, and after.
    const early = round % 2 === 0;
    if (early) await append(other, 't', round % 3, `${round}`);
    const startedMs = performance.now();
    const waiting = log.changed(since, 30_000);
    if (!early) await append(other, 't', round % 3, `${round}`);
    await waiting;
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    expect(log.changes()).toBeGreaterThan(since);
    expect((await readers[round % 3]?.next())?.count).toBe(1);
  }
});

kafkaTest('own appends end a wait at once, and time, signals and closing do', async () => {
  const { log, dispose } = await emptyLog();
  onTestFinished(dispose);
  await log.createTopic(topicSpec('t'));
  const before = log.changes();
  const woken = log.changed(before, 30_000);
  await append(log, 't', 0, 'a');
  await woken;
  await log.changed(before, 30_000);
  const since = log.changes();
  await log.changed(since, 0);
  await log.changed(since, 20);
  const controller = new AbortController();
  const aborted = log.changed(since, 30_000, controller.signal);
  controller.abort();
  await expect(aborted).rejects.toMatchObject({ code: 'MR_ABORTED' });
  for (const [bad, timeoutMs] of [
    [Number.NaN, 0],
    [0, -1],
    [0, Infinity],
  ] as const)
    await expect(log.changed(bad, timeoutMs)).rejects.toMatchObject({
      code: 'MR_ARGUMENT_INVALID',
    });
  const closed = expect(log.changed(log.changes(), 30_000)).rejects.toMatchObject({
    code: 'MR_CLOSED',
  });
  await log.close();
  await closed;
  expect(() => log.changes()).toThrow(expect.objectContaining({ code: 'MR_CLOSED' }));
});

kafkaTest('two readers of one partition both hear of more', async () => {
  const { log, reopen, dispose } = await emptyLog();
  onTestFinished(dispose);
  const other = await reopen();
  await log.createTopic(topicSpec('t'));
  const [slow, quick] = [log.reader('t', 0, 0), log.reader('t', 0, 0)];
  expect(await slow.next()).toBeUndefined();
  const since = log.changes();
  await append(other, 't', 0, 'a');
  expect((await quick.next())?.count).toBe(1);
  expect(await quick.next()).toBeUndefined();
  // The quick one stands behind what the slow one has not seen.
  expect(log.changes()).toBeGreaterThan(since);
  expect((await slow.next())?.count).toBe(1);
  expect(await slow.next()).toBeUndefined();
  for (const reader of [slow, quick]) {
    const seen = log.changes();
    const waiting = log.changed(seen, 30_000);
    await append(other, 't', 0, 'b');
    await waiting;
    expect((await reader.next())?.count).toBeGreaterThan(0);
    while ((await reader.next()) !== undefined);
  }
});

kafkaTest('a wait without readers, or for what is gone, ends by its time', async () => {
  const { log, dispose } = await emptyLog();
  onTestFinished(dispose);
  await log.changed(log.changes(), 50);
  await log.createTopic(topicSpec('t'));
  expect(await readAll(log, 't', 0)).toEqual([]);
  const since = log.changes();
  await log.changed(since, 700);
  expect(log.changes()).toBe(since);
});
