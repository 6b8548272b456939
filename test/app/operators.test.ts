/** Operators that apps need, in running apps: echo, through, processors, take, events. What they do in a process is tested in test/stream. */
import { describe, expect, test } from 'vitest';

import { App, unchecked } from '../../src/index.ts';
import type { Topic } from '../../src/index.ts';
import {
  bench,
  close,
  keyed,
  recordsOf,
  rowsOf,
  runOnce,
  valuesOf,
  withApp,
  withDirectory,
} from './support.ts';

type Numbers = Topic<string, number, number>;

const numbers = (app: App, name = 'numbers', partitions = 1): Numbers =>
  app.topic<number, number, string>(name, { ...keyed<number>(), partitions });

async function sendAll(topic: Numbers, values: readonly number[], key = 'k'): Promise<void> {
  for (const value of values) await topic.send(value, { key });
}

describe('echo', () => {
  test('sends within the commit, under the key, time and headers of the event, and goes on', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const [one, two] = [numbers(app, 'one'), numbers(app, 'two', 3)];
      const table = app.table('table', { default: () => 0 });
      source
        .stream()
        .echo(one, two)
        .filter((n) => n > 1)
        .update(table, (sum, n) => sum + n);
      await source.send(1, { key: 'a', timestamp: 7, headers: { trace: 'x' } });
      await source.send(2, { key: 'b' });
      await source.send(3, { key: 'b' });
      await runOnce(app);
      expect(await valuesOf(one)).toEqual([1, 2, 3]);
      expect((await valuesOf(two)).toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
      expect(await rowsOf(table)).toEqual(new Map([['b', 5]]));
      const [first] = await recordsOf(one);
      expect(first).toMatchObject({ key: 'a', timestamp: 7 });
      expect(Buffer.from(first?.headers['trace'] as Uint8Array).toString()).toBe('x');
    }));

  test('to an agent', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const seen: number[] = [];
      const agent = app.each<string, number>(
        'agent',
        { key: unchecked<string>(), value: unchecked<number>() },
        (n) => void seen.push(n),
      );
      const passed: number[] = [];
      source
        .stream()
        .echo(agent)
        .sink((n) => passed.push(n));
      await sendAll(source, [1, 2]);
      await runOnce(app);
      expect([seen, passed]).toEqual([
        [1, 2],
        [1, 2],
      ]);
    }));

  test('what fails behind it takes the record back', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const copies = numbers(app, 'copies');
      source
        .stream()
        .echo(copies)
        .sink((n) => {
          if (n === 2) throw new Error('two');
        });
      await sendAll(source, [2]);
      const running = await app.start();
      await expect(running.settled()).rejects.toMatchObject({ code: 'MR_PROCESSING_FAILED' });
      expect(await valuesOf(copies)).toEqual([]);
    }));
});

describe('through', () => {
  test('goes on in the tasks of the topic, and sees what others send to it', () =>
    withApp(async ({ app }) => {
      const source = numbers(app, 'source', 3);
      const between = numbers(app, 'between', 2);
      const table = app.table('table', { default: (): number[] => [] });
      source
        .stream()
        .map((n) => n * 10)
        .through(between)
        .update(table, (list, n) => [...list, n]);
      for (let n = 1; n <= 6; n++) await source.send(n, { key: `k${n % 2}` });
      await between.send(7, { key: 'other' });
      await runOnce(app);
      expect(await rowsOf(table)).toEqual(
        new Map([
          ['k0', [20, 40, 60]],
          ['k1', [10, 30, 50]],
          ['other', [7]],
        ]),
      );
      expect((await valuesOf(between)).toSorted((a, b) => a - b)).toEqual([
        7, 10, 20, 30, 40, 50, 60,
      ]);
      expect(app.topology()).toBe(
        [
          'app shop',
          '  between: 2 tasks',
          '    reads   between (2 partitions)',
          '    table   table',
          '  source: 3 tasks',
          '    reads   source (3 partitions)',
          '    feeds   between (2 partitions)',
        ].join('\n'),
      );
    }));

  test('values come out as the schema of the topic makes them', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const texts = app.topic<string, number, string>('texts', {
        key: unchecked<string>(),
        value: {
          '~standard': {
            version: 1,
            vendor: 'test',
            validate: (value) => ({ value: `<${String(value)}>` }),
          },
        },
        partitions: 1,
      });
      const seen: string[] = [];
      source
        .stream()
        .through(texts)
        .sink((text) => seen.push(text.toUpperCase()));
      await sendAll(source, [1, 2]);
      await runOnce(app);
      expect(seen).toEqual(['<1>', '<2>']);
    }));

  test('in front of an agent, behind a groupBy', () =>
    withApp(async ({ app }) => {
      const orders = app.topic('orders', {
        value: unchecked<{ item: string; n: number }>(),
        partitions: 2,
      });
      const byItem = app.topic('by-item', {
        ...keyed<{ item: string; n: number }>(),
        partitions: 2,
      });
      const seen: [string, number][] = [];
      app.agent('count', orders.stream().groupBy('item').through(byItem), async (stream) => {
        for await (const [item, { n }] of stream.items()) seen.push([item, n]);
      });
      await orders.send({ item: 'tea', n: 1 });
      await orders.send({ item: 'oats', n: 2 });
      await runOnce(app);
      expect(seen.toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual([
        ['oats', 2],
        ['tea', 1],
      ]);
    }));

  test('to the topic that it came from: round until a filter stops it', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      source
        .stream()
        .filter((n) => n > 0)
        .map((n) => n - 1)
        .through(source);
      await sendAll(source, [3]);
      await runOnce(app);
      expect(await valuesOf(source)).toEqual([3, 2, 1, 0]);
    }));

  test('survives a restart: every value once', () =>
    withDirectory(async (directory) => {
      const sums: number[] = [];
      for (let life = 1; life <= 3; life++) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const source = numbers(app);
          const between = numbers(app, 'between');
          source
            .stream()
            .through(between)
            .accumulate((sum, n) => sum + n, { start: 0 })
            .sink((sum) => sums.push(sum));
          await sendAll(source, [life]);
          await runOnce(app);
        } finally {
          await close(app);
        }
      }
      expect(sums).toEqual([1, 3, 6]);
    }));

  test('is refused for the stream of another app, and leaves nothing declared', async () => {
    const [shop, other] = [bench('shop').app, bench('other').app];
    const topic = numbers(shop);
    const table = other.table('table', { default: () => 0 }).tumbling('1s');
    for (const stream of [
      numbers(other)
        .stream()
        .map((n) => n),
      table.closed().map(({ value }) => value),
    ])
      expect(() => stream.through(topic)).toThrow(
        expect.objectContaining({ code: 'MR_NOT_IN_AN_APP' }) as Error,
      );
    expect(() => numbers(other, 'more').stream().through(topic)).toThrow(
      'through(numbers) on a stream of topic more, which belongs to another app than topic numbers; declare the topic in that app too, and go through that one',
    );
    expect(shop.topology()).toBe('app shop');
  });

  test('is refused while the app runs', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const between = numbers(app, 'between');
      const stream = source.stream();
      stream.sink(() => undefined);
      await app.start();
      expect(() => stream.through(between)).toThrow(
        expect.objectContaining({ code: 'MR_ARGUMENT_INVALID' }) as Error,
      );
      expect(app.topology()).not.toContain('between');
    }));
});

test('processors, synchronous and asynchronous', () =>
  withApp(async ({ app, clock }) => {
    const source = numbers(app);
    const seen: number[] = [];
    source
      .stream()
      .processors(
        (n) => n + 1,
        async (n) => {
          await clock.turn();
          return n * 10;
        },
      )
      .sink((n) => seen.push(n));
    await sendAll(source, [1, 2, 3]);
    await runOnce(app);
    expect(seen).toEqual([20, 30, 40]);
  }));

test('events have the key, time, headers and place of their record', () =>
  withApp(async ({ app }) => {
    const source = numbers(app, 'numbers', 3);
    const seen: unknown[] = [];
    source
      .stream()
      .map((n) => n * 2)
      .events()
      .sink((event) => seen.push(event));
    const sent = await source.send(4, { key: 'a', timestamp: 7, headers: { trace: 'x' } });
    await runOnce(app);
    expect(seen).toEqual([
      {
        value: 8,
        key: 'a',
        timestamp: 7,
        headers: { trace: expect.any(Uint8Array) as Uint8Array },
        topic: 'numbers',
        partition: sent.partition,
        offset: 0n,
      },
    ]);
  }));

describe('take', () => {
  test('keeps its groups over restarts, one per key', () =>
    withDirectory(async (directory) => {
      const groups: [string, number[]][] = [];
      for (let life = 0; life < 4; life++) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const source = numbers(app, 'numbers', 2);
          source
            .stream()
            .take(3)
            .items()
            .sink((group) => groups.push(group));
          for (const key of ['a', 'b']) await sendAll(source, [life * 2, life * 2 + 1], key);
          await runOnce(app);
        } finally {
          await close(app);
        }
      }
      for (const key of ['a', 'b'])
        expect(groups.filter(([of]) => of === key).map(([, group]) => group)).toEqual([
          [0, 1, 2],
          [3, 4, 5],
        ]);
    }));

  test('a group that fails comes again as a whole', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const groups: number[][] = [];
      const broken = { yet: true };
      source
        .stream()
        .take(2)
        .sink((group) => {
          groups.push(group);
          if (broken.yet && group[0] === 3) throw new Error('three');
        });
      await sendAll(source, [1, 2, 3, 4, 5]);
      const running = await app.start();
      await expect(running.settled()).rejects.toMatchObject({ code: 'MR_PROCESSING_FAILED' });
      await running.done.catch(() => undefined);
      broken.yet = false;
      await runOnce(app);
      expect(groups.at(-1)).toEqual([3, 4]);
    }));

  test('with a time it is refused before anything runs, and so is a buffer', () =>
    withApp(async ({ app }) => {
      numbers(app)
        .stream()
        .take(3, { within: '5s' })
        .sink(() => undefined);
      await expect(app.start()).rejects.toMatchObject({
        code: 'MR_TOPOLOGY_INVALID',
        message:
          '<take 3> on a stream of an app holds values back that a crash would lose, although they count as processed; leave within out, or take in an agent: stream.take(…)',
      });
      const { app: other } = bench('other');
      numbers(other)
        .stream()
        .buffer(3)
        .sink(() => undefined);
      await expect(other.start()).rejects.toMatchObject({ code: 'MR_TOPOLOGY_INVALID' });
      await other.close();
    }));
});
