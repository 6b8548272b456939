/** Producers with an id: they continue where they stopped, batch, push back, and fail once for all. */
import { describe, expect, test } from 'vitest';

import { App, unchecked } from '../../src/index.ts';
import type { Running, Topic, TopicProducer } from '../../src/index.ts';
import {
  bench,
  close,
  keyed,
  turns,
  valuesOf,
  withApp,
  withBroker,
  withDirectory,
} from './support.ts';

type Numbers = Topic<string | null, number>;

function numbers(app: App): Numbers {
  return app.topic('numbers', { value: unchecked<number>(), partitions: 1 });
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** Sends `from` to `to`, each with the position behind it. */
async function load(
  producer: TopicProducer<string | null, number, number>,
  from: number,
  to: number,
): Promise<void> {
  for (let n = from; n < to; n++) await producer.send(n, { position: n + 1 });
}

describe('an id', () => {
  test('that is new has no position', () =>
    withApp(async ({ app }) => {
      const producer = await numbers(app).producer({ id: 'loader' });
      expect(producer).toMatchObject({ id: 'loader', position: undefined, acknowledged: 0 });
      await producer.close();
    }));

  test('continues after close', () =>
    withDirectory(async (directory) => {
      for (let life = 0; life < 4; life++) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const producer = await numbers(app).producer<number>({ id: 'loader', batch: 3 });
          expect(producer.position).toBe(life === 0 ? undefined : life * 10);
          await load(producer, life * 10, life * 10 + 10);
          await producer.close();
          expect(producer.acknowledged).toBe(10);
        } finally {
          await close(app);
        }
      }
      const app = new App('shop', { broker: `file:${directory}` });
      try {
        expect(await valuesOf(numbers(app))).toEqual(upTo(40));
      } finally {
        await close(app);
      }
    }));

  test('continues after a crash with what was acknowledged', () =>
    withApp(async ({ app }) => {
      const topic = numbers(app);
      const crashed = await topic.producer<number>({ id: 'loader', batch: 10, linger: '1h' });
      await load(crashed, 0, 25);
      // Two batches are on their way, five records wait: they are gone with the process.
      let next = await topic.producer<number>({ id: 'loader', batch: 10, linger: '1h' });
      expect([undefined, 10, 20]).toContain(next.position);
      await load(next, next.position ?? 0, 30);
      await next.close();
      next = await topic.producer<number>({ id: 'loader' });
      expect(next.position).toBe(30);
      expect(await valuesOf(topic)).toEqual(upTo(30));
    }));

  test('of plain data, null included, is kept with its last batch', () =>
    withApp(async ({ app }) => {
      const topic = numbers(app);
      const positions = [{ file: 'a.csv', row: 5 }, null, 'text', [1, 2], 0, false];
      for (const [n, position] of positions.entries()) {
        const producer = await topic.producer({ id: 'loader' });
        if (n > 0) expect(producer.position).toEqual(positions[n - 1]);
        await producer.send(n, { position });
        await producer.close();
      }
      // What says no position keeps the one before.
      const producer = await topic.producer({ id: 'loader' });
      await producer.send(9);
      await producer.close();
      expect((await topic.producer({ id: 'loader' })).position).toBe(false);
    }));

  test('fences whoever used it before', () =>
    withApp(async ({ app }) => {
      const topic = numbers(app);
      const older = await topic.producer<number>({ id: 'loader' });
      await load(older, 0, 5);
      await older.flush();
      const newer = await topic.producer<number>({ id: 'loader' });
      await load(older, 5, 6);
      const fenced = { code: 'MR_FENCED' };
      await expect(older.flush()).rejects.toMatchObject(fenced);
      expect(() => older.send(7)).toThrow(expect.objectContaining(fenced));
      await expect(older.close()).rejects.toMatchObject(fenced);
      await load(newer, newer.position ?? 0, 10);
      await newer.close();
      expect(await valuesOf(topic)).toEqual(upTo(10));
    }));

  test('another one is not touched', () =>
    withApp(async ({ app }) => {
      const topic = numbers(app);
      const one = await topic.producer<number>({ id: 'one' });
      const two = await topic.producer<number>({ id: 'two' });
      await load(one, 0, 1);
      await load(two, 1, 2);
      await one.close();
      await two.close();
      expect(await valuesOf(topic)).toEqual([0, 1]);
    }));

  test('is one on the whole broker, whatever the topic', () =>
    withApp(async ({ app }) => {
      const one = await app.topic<number>('one').producer<number>({ id: 'loader' });
      await one.send(1, { position: 1 });
      await one.close();
      const two = await app.topic<number>('two').producer<number>({ id: 'loader' });
      expect(two.position).toBe(1);
    }));
});

describe('batches', () => {
  test('are sent when they are full, after the linger time, and by flush', () =>
    withDirectory(async (directory) => {
      const { app, clock } = bench('shop', { broker: `file:${directory}` });
      try {
        const topic = numbers(app);
        const producer = await topic.producer({ id: 'loader', batch: 4, linger: 50 });
        for (let n = 0; n < 9; n++) await producer.send(n);
        await producer.flush();
        for (let n = 9; n < 11; n++) await producer.send(n);
        await clock.advance(49);
        expect(producer.acknowledged).toBe(9);
        await clock.advance(1);
        while (producer.acknowledged < 11) await clock.turn();
        await producer.close();
        expect(clock.timers).toBe(0);
        await withBroker(directory, async (broker) => {
          const reader = broker.reader('numbers', 0, 0);
          const counts: number[] = [];
          for (let frame = await reader.next(); frame !== undefined; frame = await reader.next())
            counts.push(frame.count);
          expect(counts).toEqual([4, 4, 1, 2]);
        });
      } finally {
        await close(app);
      }
    }));

  test('a send waits once per batch for a turn, and while maxInFlight appends are under way', () =>
    withApp(async ({ app }) => {
      const producer = await numbers(app).producer({ id: 'loader', batch: 2, maxInFlight: 2 });
      expect(producer.send(0)).toBeUndefined();
      expect(producer.send(1)).toBeInstanceOf(Promise);
      expect(producer.acknowledged).toBe(0);
      expect(producer.send(2)).toBeUndefined();
      const full = producer.send(3);
      expect(full).toBeInstanceOf(Promise);
      await full;
      expect(producer.acknowledged).toBeGreaterThanOrEqual(2);
      await producer.close();
      expect(producer.acknowledged).toBe(4);
    }));

  test('sends that nobody waits for are limited', () =>
    withApp(async ({ app }) => {
      const topic = numbers(app);
      const producer = await topic.producer({ id: 'loader', batch: 1, maxInFlight: 1 });
      let taken = 0;
      expect(() => {
        for (; ; taken++) void producer.send(taken);
      }).toThrow(expect.objectContaining({ code: 'MR_OVERFLOW', retryable: true }));
      expect(taken).toBe(16);
      await producer.flush();
      await producer.send(taken);
      await producer.close();
      expect(await valuesOf(topic)).toEqual(upTo(17));
    }));

  test('keys, partitions and event times are those of topic.send', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('orders', keyed<number>());
      const producer = await topic.producer({ id: 'loader' });
      for (let n = 0; n < 20; n++) {
        const { partition } = await topic.send(n, { key: `k${n}` });
        await producer.send(n, { key: `k${n}` });
        await producer.flush();
        const found = (await Array.fromAsync(topic.records())).filter(({ value }) => value === n);
        expect(found.map((record) => record.partition)).toEqual([partition, partition]);
      }
      await producer.close();
    }));

  test('flush and close with nothing to do', () =>
    withApp(async ({ app }) => {
      const producer = await numbers(app).producer({ id: 'loader' });
      await producer.flush();
      await producer.close();
      await producer.close();
      await producer[Symbol.asyncDispose]();
      expect(() => producer.send(1)).toThrow(expect.objectContaining({ code: 'MR_CLOSED' }));
    }));
});

describe('a record that cannot be sent', () => {
  test('is refused at once, and the producer goes on', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('numbers', { value: unchecked<unknown>(), partitions: 1 });
      const producer = await topic.producer<number>({ id: 'loader' });
      await producer.send(1, { position: 1 });
      expect(() => producer.send(undefined, { position: 2 })).toThrow(
        expect.objectContaining({ code: 'MR_ENCODE_FAILED' }),
      );
      expect(() => producer.send('x'.repeat(2 ** 21), { position: 2 })).toThrow(
        expect.objectContaining({ code: 'MR_RECORD_TOO_LARGE' }),
      );
      await producer.close();
      expect(await valuesOf(topic)).toEqual([1]);
      // The position of what was refused is not saved.
      expect((await topic.producer({ id: 'loader' })).position).toBe(1);
    }));

  test('a position that is too large makes the producer unusable, with that error', () =>
    withApp(async ({ app, clock }) => {
      const topic = numbers(app);
      const producer = await topic.producer<string>({ id: 'loader', batch: 1 });
      void producer.send(1, { position: 'x'.repeat(70_000) });
      await turns(clock);
      const refusal = { code: 'MR_ARGUMENT_INVALID' };
      expect(() => producer.send(2)).toThrow(expect.objectContaining(refusal));
      await expect(producer.flush()).rejects.toMatchObject(refusal);
      expect(await valuesOf(topic)).toEqual([]);
    }));
});

test('the first failure is told from then on', () =>
  withApp(async ({ app }) => {
    const topic = numbers(app);
    const producer = await topic.producer<number>({ id: 'loader', batch: 1, maxInFlight: 64 });
    await topic.producer({ id: 'loader' });
    for (let n = 0; n < 10; n++) void producer.send(n, { position: n });
    const first = await producer.flush().catch((error: unknown) => error);
    expect(first).toMatchObject({ code: 'MR_FENCED' });
    await expect(producer.flush()).rejects.toBe(first);
    await expect(producer.close()).rejects.toBe(first);
    expect(await valuesOf(topic)).toEqual([]);
  }));

test('an app beside it works on what it sends', () =>
  withApp(async ({ app }) => {
    const topic = app.topic('orders', keyed<number>());
    const sums = app.table('sums', { default: () => 0 });
    topic.stream().update(sums, (sum, n) => sum + n);
    const running: Running = await app.start();
    const producer = await topic.producer({ id: 'loader', batch: 7 });
    for (let n = 0; n < 1_000; n++) await producer.send(1, { key: `k${n % 3}` });
    await producer.close();
    await running.settled();
    const rows = await Array.fromAsync(sums.snapshot());
    expect(rows.reduce((sum, [, n]) => sum + n, 0)).toBe(1_000);
  }));
