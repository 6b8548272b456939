/** Declared streams: operators on topics, their state, and what a groupBy carries from task to task. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

import { App, bytes, json, msgpack, unchecked } from '../../src/index.ts';
import type { Codec, Topic } from '../../src/index.ts';
import {
  bench,
  close,
  failureOf,
  keyed,
  recordsOf,
  rowsOf,
  runOnce,
  valuesOf,
  withApp,
  withBroker,
  withDirectory,
} from './support.ts';

function numbers(app: App, name = 'numbers', partitions = 1): Topic<string, number> {
  return app.topic(name, { ...keyed<number>(), partitions });
}

async function sendAll(topic: Topic<string, number>, values: number[], key = 'k'): Promise<void> {
  await Promise.all(values.map((value) => topic.send(value, { key })));
}

const isEven = (n: number): boolean => n % 2 === 0;

describe('operators without state', () => {
  test('map, filter, flatten, pluck, starmap, tap, items, pipe, sink', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const target = app.topic('target', keyed<unknown>());
      const tapped: number[] = [];
      source
        .stream()
        .filter(isEven)
        .tap((n) => tapped.push(n))
        .map((n): [number, { found: number }] => [n, { found: n * 10 }])
        .starmap((n, { found }) => ({ n, found }))
        .pluck(['n', 'found'])
        .flatten()
        .pipe((stream) => stream.items())
        .sink(target);
      await sendAll(source, [1, 2, 3, 4]);
      await runOnce(app);
      expect(tapped).toEqual([2, 4]);
      expect(await valuesOf(target)).toEqual([
        ['k', 2],
        ['k', 20],
        ['k', 4],
        ['k', 40],
      ]);
    }));

  test('asynchronous ones keep the order, and what follows them may use tables', () =>
    withApp(async ({ app, clock }) => {
      const source = numbers(app, 'numbers', 3);
      const table = app.table('table', { default: (): number[] => [] });
      source
        .stream()
        .map(async (n) => {
          for (let i = 0; i < n % 4; i++) await clock.turn();
          return n;
        })
        .filter(async (n) => n !== 5)
        .update(table, (list, n) => [...list, n])
        .map(async (change) => change)
        .sink(async () => clock.turn());
      for (let n = 0; n < 20; n++) await source.send(n, { key: `k${n % 3}` });
      await runOnce(app);
      expect(await rowsOf(table)).toEqual(
        new Map([
          ['k0', [0, 3, 6, 9, 12, 15, 18]],
          ['k1', [1, 4, 7, 10, 13, 16, 19]],
          ['k2', [2, 8, 11, 14, 17]],
        ]),
      );
    }));

  test('a union of two topics, and of a topic with itself', () =>
    withApp(async ({ app }) => {
      const [a, b] = [numbers(app, 'a'), numbers(app, 'b')];
      const both: number[] = [];
      const twice: number[] = [];
      a.stream()
        .union(b.stream())
        .sink((n) => both.push(n));
      const stream = a.stream();
      stream
        .map((n) => n * 10)
        .union(stream)
        .sink((n) => twice.push(n));
      await sendAll(a, [1, 2]);
      await sendAll(b, [3]);
      await runOnce(app);
      expect(both.toSorted((x, y) => x - y)).toEqual([1, 2, 3]);
      expect(twice).toEqual([10, 1, 20, 2]);
    }));

  test('two streams of one topic are one sub-topology, and both see everything', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const seen: string[] = [];
      source.stream().sink((n) => seen.push(`a${n}`));
      source.stream().sink((n) => seen.push(`b${n}`));
      await sendAll(source, [1, 2]);
      const running = await app.start();
      await running.settled();
      expect(seen).toEqual(['a1', 'b1', 'a2', 'b2']);
      expect(running.stats.events).toBe(2);
    }));

  test('sinks into several topics and functions', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const [one, two] = [numbers(app, 'one'), numbers(app, 'two')];
      const seen: number[] = [];
      source.stream().sink(one, (n) => seen.push(n), two);
      await sendAll(source, [1, 2]);
      await runOnce(app);
      expect(seen).toEqual([1, 2]);
      expect(await valuesOf(one)).toEqual([1, 2]);
      expect(await valuesOf(two)).toEqual([1, 2]);
    }));

  test('a template refuses to be pushed to and looked at', async () => {
    const stream = numbers(bench().app).stream();
    const template = expect.objectContaining({ code: 'MR_TEMPLATE' }) as unknown;
    expect(() => stream.emit(1)).toThrow(template);
    await expect(stream.emitAll([1])).rejects.toMatchObject({ code: 'MR_TEMPLATE' });
    await expect(stream.toArray()).rejects.toMatchObject({ code: 'MR_TEMPLATE' });
    expect(() => stream.map((n) => n).iterate()).toThrow(template);
  });
});

describe('operators with state', () => {
  test('keep it per key, over restarts', () =>
    withDirectory(async (directory) => {
      const sums: [string, number][] = [];
      for (let life = 1; life <= 3; life++) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const source = numbers(app, 'numbers', 4);
          source
            .stream()
            .accumulate((sum, n) => sum + n, { start: 0 })
            .items()
            .sink(([key, sum]) => sums.push([key, sum]));
          for (const key of ['a', 'b', 'c']) await source.send(life, { key });
          await runOnce(app);
        } finally {
          await close(app);
        }
      }
      const of = (key: string) => sums.filter(([name]) => name === key).map(([, sum]) => sum);
      expect([of('a'), of('b'), of('c')]).toEqual([
        [1, 3, 6],
        [1, 3, 6],
        [1, 3, 6],
      ]);
    }));

  test('without a start the first value is the first state', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const seen: number[] = [];
      source
        .stream()
        .accumulate(Math.max)
        .sink((n) => seen.push(n));
      await sendAll(source, [3, 1, 5, 4]);
      await runOnce(app);
      expect(seen).toEqual([3, 3, 5, 5]);
    }));

  test('each in its own instance: a start value is not shared between keys', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const seen: number[][] = [];
      source
        .stream()
        .accumulate(
          (list, n) => {
            list.push(n);
            return list;
          },
          { start: [] as number[] },
        )
        .sink((list) => seen.push([...list]));
      await source.send(1, { key: 'a' });
      await source.send(2, { key: 'b' });
      await source.send(3, { key: 'a' });
      await runOnce(app);
      expect(seen).toEqual([[1], [2], [1, 3]]);
    }));

  test('several of them, with names', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const seen: unknown[] = [];
      source
        .stream()
        .accumulate((sum, n) => sum + n, { start: 0, name: 'sum' })
        .mapState(0, (count, sum) => [count + 1, sum / (count + 1)] as const, { name: 'mean' })
        .enumerate(1)
        .sink((found) => seen.push(found));
      await sendAll(source, [2, 4, 6]);
      await runOnce(app);
      expect(seen).toEqual([
        [1, 2],
        [2, 3],
        [3, 4],
      ]);
    }));

  test('two of a kind without names are refused before anything runs', () =>
    withApp(async ({ app }) => {
      const stream = numbers(app).stream();
      stream.accumulate((sum, n) => sum + n).sink(() => undefined);
      stream.accumulate((sum, n) => sum * n).sink(() => undefined);
      await expect(app.start()).rejects.toMatchObject({ code: 'MR_NAME_MISSING' });
    }));

  test('an unkeyed event on more than one partition is refused, on one it is taken', () =>
    withApp(async ({ app }) => {
      const seen: number[] = [];
      for (const [name, partitions] of [
        ['one', 1],
        ['several', 2],
      ] as const) {
        const topic = app.topic<number>(name, { partitions });
        topic
          .stream()
          .accumulate((sum, n) => sum + n)
          .sink((sum) => seen.push(sum));
        await topic.send(1);
        await topic.send(2);
      }
      expect(await failureOf(await app.start())).toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        cause: {
          code: 'MR_KEY_MISSING',
          message:
            'several.accumulate keeps state, and an event of topic several without a key reached it: the result would depend on the number of partitions (2). Key the stream with groupBy(…) first, or give the topic one partition',
        },
      });
      expect(seen).toEqual([1, 3]);
    }));

  test('a state that throws changes nothing', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const seen: number[] = [];
      const broken = { at: 3 };
      source
        .stream()
        .accumulate(
          (sum, n) => {
            if (n === broken.at) throw new Error('three');
            return sum + n;
          },
          { start: 0 },
        )
        .sink((n) => seen.push(n));
      await sendAll(source, [1, 2, 3, 4]);
      await failureOf(await app.start());
      broken.at = -1;
      seen.length = 0;
      await runOnce(app);
      expect(seen.at(-1)).toBe(10);
    }));
});

interface Order {
  readonly customer: string;
  readonly city: string | null;
  readonly amount: number;
}

describe('groupBy', () => {
  const orders = (app: App, partitions = 3) =>
    app.topic('orders', { value: unchecked<Order>(), partitions });

  const some: Order[] = Array.from({ length: 40 }, (_, n) => ({
    customer: `c${n % 7}`,
    city: `city ${n % 3}`,
    amount: n,
  }));

  const sumBy = (keyOf: (order: Order) => string): Map<string, number> => {
    const sums = new Map<string, number>();
    for (const order of some) sums.set(keyOf(order), (sums.get(keyOf(order)) ?? 0) + order.amount);
    return sums;
  };

  test('by a field and by a function', () =>
    withApp(async ({ app }) => {
      const topic = orders(app);
      const byCustomer = app.table('by-customer', { default: () => 0 });
      const byCity = app.table('by-city', { default: () => 0 });
      topic
        .stream()
        .groupBy('customer')
        .update(byCustomer, (sum, { amount }) => sum + amount);
      topic
        .stream()
        .groupBy(({ city }) => String(city), { name: 'city', partitions: 5 })
        .update(byCity, (sum, { amount }) => sum + amount);
      await Promise.all(some.map((order) => topic.send(order)));
      await runOnce(app);
      expect(await rowsOf(byCustomer)).toEqual(sumBy(({ customer }) => customer));
      expect(await rowsOf(byCity)).toEqual(sumBy(({ city }) => String(city)));
      expect(app.topology()).toMatch(/shop-orders-city-repartition \(5 partitions\)/u);
    }));

  test('twice in a row', () =>
    withApp(async ({ app }) => {
      const topic = orders(app);
      const perCustomer = app.table('per-customer', { default: () => 0 });
      const perSize = app.table<number, number>('per-size', { default: () => 0 });
      topic
        .stream()
        .groupBy('customer')
        .update(perCustomer, (n) => n + 1)
        .map(({ value }) => value ?? 0)
        .groupBy((count) => count, { name: 'size' })
        .update(perSize, (n) => n + 1);
      await Promise.all(some.map((order) => topic.send(order)));
      await runOnce(app);
      // Each customer passes every size on its way up: five of seven come to six orders.
      expect(await rowsOf(perSize)).toEqual(
        new Map([
          [1, 7],
          [2, 7],
          [3, 7],
          [4, 7],
          [5, 7],
          [6, 5],
        ]),
      );
    }));

  test('twice in a row without anything between, and beside a topic with an earlier name', () =>
    withApp(async ({ app }) => {
      const topic = orders(app);
      const aaa = app.topic('aaa', { ...keyed<number>(), partitions: 3 });
      const perCustomer = app.table('per-customer', { default: () => 0 });
      const perCity = app.table('per-city', { default: () => 0 });
      const grouped = topic.stream().groupBy('customer');
      grouped.update(perCustomer, (sum, { amount }) => sum + amount);
      aaa.stream().update(perCustomer, (sum, n) => sum + n);
      grouped
        .filter(({ amount }) => amount >= 0)
        .groupBy(({ city }) => String(city), { name: 'city' })
        .update(perCity, (sum, { amount }) => sum + amount);
      await Promise.all(some.map((order) => topic.send(order)));
      await runOnce(app);
      expect(await rowsOf(perCustomer)).toEqual(sumBy(({ customer }) => customer));
      expect(await rowsOf(perCity)).toEqual(sumBy(({ city }) => String(city)));
    }));

  test('events keep time and headers, and get the key', () =>
    withApp(async ({ app }) => {
      const topic = orders(app);
      const seen: unknown[] = [];
      app.each('look', topic.stream().groupBy('customer'), (_, event) => void seen.push(event));
      await topic.send(some[1] as Order, { key: 'x', timestamp: 5, headers: { trace: 'y' } });
      await runOnce(app);
      expect(seen).toMatchObject([
        { topic: 'shop-orders-customer-repartition', key: 'c1', timestamp: 5, value: some[1] },
      ]);
      const [event] = seen as { headers: Record<string, Uint8Array> }[];
      expect(Buffer.from(event?.headers['trace'] as Uint8Array).toString()).toBe('y');
    }));

  test.each<[string, unknown, string]>([
    ['null', null, 'MR_KEY_MISSING'],
    ['undefined', undefined, 'MR_KEY_MISSING'],
    ['NaN', Number.NaN, 'MR_KEY_INVALID'],
    ['a date', new Date(0), 'MR_KEY_INVALID'],
  ])('%s as a key fails the event', (_, key, code) =>
    withApp(async ({ app }) => {
      const topic = orders(app, 1);
      topic
        .stream()
        .groupBy(() => key as string, { name: 'key' })
        .sink(() => undefined);
      await topic.send(some[0] as Order);
      expect(await failureOf(await app.start())).toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        details: { topic: 'orders', offset: 0 },
        cause: { code },
      });
    }),
  );

  test('a field that is missing says so', () =>
    withApp(async ({ app }) => {
      const topic = orders(app, 1);
      topic
        .stream()
        .groupBy('city' as 'customer')
        .sink(() => undefined);
      await topic.send({ ...(some[0] as Order), city: null });
      expect(await failureOf(await app.start())).toMatchObject({
        cause: {
          message:
            'groupBy("city") found null as the key of an event, whose value is one with customer, city, amount; check the name of the field, or filter such events out before',
        },
      });
    }));

  test('a function needs a name', () => {
    const stream = orders(bench().app).stream();
    expect(() => stream.groupBy(((order: Order) => order.customer) as never)).toThrow(
      expect.objectContaining({ code: 'MR_NAME_MISSING' }),
    );
  });

  test('without anything behind it nothing is written', () =>
    withApp(async ({ app }) => {
      const topic = orders(app);
      topic.stream().groupBy('customer');
      await topic.send(some[0] as Order);
      await runOnce(app);
      expect(app.topology()).not.toMatch(/repartition/u);
    }));

  test('what it writes is committed with the state of the task that writes', () =>
    withApp(async ({ app }) => {
      const topic = orders(app, 1);
      const table = app.table('table', { default: () => 0 });
      const broken = { now: true };
      topic
        .stream()
        .tap(({ amount }) => {
          if (broken.now && amount === 20) throw new Error('twenty');
        })
        .groupBy('customer')
        .update(table, (sum, { amount }) => sum + amount);
      await Promise.all(some.map((order) => topic.send(order)));
      await failureOf(await app.start());
      broken.now = false;
      await runOnce(app);
      expect(await rowsOf(table)).toEqual(sumBy(({ customer }) => customer));
    }));

  const value = {
    at: new Date(5),
    tags: new Map([['a', new Set([1, 2])]]),
    big: 2n ** 70n,
    raw: Uint8Array.of(1, 2),
    nothing: undefined,
  };

  test('values that were changed on the way carry dates, maps, sets, bigints and bytes', () =>
    withApp(async ({ app }) => {
      const topic = numbers(app);
      const seen: unknown[] = [];
      topic
        .stream()
        .map((n) => Object.assign({}, value, { n }))
        .groupBy((row) => row.n, { name: 'n' })
        .sink((row) => seen.push(row));
      await sendAll(topic, [1]);
      await runOnce(app);
      expect(seen).toEqual([{ ...value, n: 1 }]);
    }));

  test.each<[string, Codec<unknown>, boolean]>([
    ['json', json, true],
    ['msgpack', msgpack, true],
    ['json', json, false],
    ['msgpack', msgpack, false],
  ])(
    'values are passed on as the bytes that they were read as (%s, changed: %j)',
    (_, codec, same) =>
      withDirectory(async (directory) => {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const topic = app.topic('orders', { value: unchecked<Order>(), codec, partitions: 1 });
          const stream = same
            ? topic.stream().filter(({ amount }) => amount > 0)
            : topic.stream().map((order) => order);
          const seen: Order[] = [];
          stream.groupBy('customer', { partitions: 1 }).sink((order) => seen.push(order));
          await Promise.all(some.map((order) => topic.send(order)));
          await runOnce(app);
          expect(seen).toEqual(same ? some.slice(1) : some);
          await withBroker(directory, async (broker) => {
            const found = await broker.describeTopic('shop-orders-customer-repartition');
            expect(found).toMatchObject({ codec: same ? codec.name : 'msgpack', owner: 'shop' });
          });
        } finally {
          await close(app);
        }
      }),
  );

  test('a schema that transforms is applied to stored bytes once on each way', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('orders', {
        value: z.object({
          n: z.coerce.number<string>(),
          at: z.iso.datetime().transform((t) => new Date(t)),
        }),
      });
      const seen: unknown[] = [];
      topic
        .stream()
        .filter(({ n }) => n > 1)
        .groupBy('n')
        .sink((row) => seen.push(row));
      topic
        .stream()
        .map((row) => row)
        .groupBy('n', { name: 'mapped' })
        .sink((row) => seen.push(row));
      await topic.send({ n: '5', at: '2001-01-01T00:00:00Z' });
      await runOnce(app);
      const row = { n: 5, at: new Date('2001-01-01T00:00:00Z') };
      expect(seen).toEqual([row, row]);
    }));

  test('keys of every kind find their rows', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<number>('numbers', { partitions: 2 });
      const keys = ['__proto__', 'constructor', '', 1, '1', 5n, true, 'k'.repeat(8_192)];
      const table = app.table<number, (typeof keys)[number]>('table', { default: () => 0 });
      topic
        .stream()
        .groupBy((n) => keys[n % keys.length] as (typeof keys)[number], { name: 'key' })
        .update(table, (sum) => sum + 1);
      for (let n = 0; n < keys.length * 3; n++) await topic.send(n);
      await runOnce(app);
      const rows = await rowsOf(table);
      expect(rows).toEqual(new Map(keys.map((key) => [key, 3])));
    }));

  test('a large value passes through, and one that grows too large fails', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<string>('texts', { partitions: 1 });
      const seen: number[] = [];
      topic
        .stream()
        .groupBy((text) => text.slice(0, 1), { name: 'first' })
        .sink((text) => seen.push(text.length));
      await topic.send('x'.repeat(1024 * 1024 - 2));
      await runOnce(app);
      expect(seen).toEqual([1024 * 1024 - 2]);
      const grown = app.topic<string>('grown', { partitions: 1 });
      grown
        .stream()
        .map((text) => text.repeat(3))
        .groupBy((text) => text.slice(0, 1), { name: 'first' })
        .sink(() => undefined);
      await grown.send('x'.repeat(1024 * 1024 - 2));
      expect(await failureOf(await app.start())).toMatchObject({
        cause: { code: 'MR_RECORD_TOO_LARGE' },
      });
    }));

  test('with binary values', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('raw', { value: bytes, partitions: 1 });
      const seen: unknown[] = [];
      topic
        .stream()
        .groupBy((found) => found.length, { name: 'length' })
        .items()
        .sink((item) => seen.push(item));
      await topic.send(Uint8Array.of(1, 2, 3));
      await runOnce(app);
      expect(seen).toEqual([[3, Uint8Array.of(1, 2, 3)]]);
    }));
});

test('a sink into a topic keeps key, time and headers, also behind a groupBy', () =>
  withApp(async ({ app }) => {
    const source = numbers(app);
    const [direct, grouped] = [numbers(app, 'direct'), numbers(app, 'grouped')];
    source.stream().sink(direct);
    source
      .stream()
      .groupBy((n) => `g${n}`, { name: 'g' })
      .sink(grouped);
    await source.send(1, { key: 'k', timestamp: 7, headers: { a: 'b' } });
    await runOnce(app);
    expect(await recordsOf(direct)).toMatchObject([{ key: 'k', timestamp: 7, value: 1 }]);
    expect(await recordsOf(grouped)).toMatchObject([{ key: 'g1', timestamp: 7, value: 1 }]);
    for (const topic of [direct, grouped])
      expect(Object.keys((await recordsOf(topic))[0]?.headers ?? {})).toEqual(['a']);
  }));

test('outputs larger than commit.maxBufferedBytes are committed in parts, each once', async () => {
  const { app } = bench('shop', { commit: { maxBufferedBytes: 65_536, every: 1_000_000 } });
  try {
    const source = numbers(app);
    const target = app.topic('target', keyed<{ n: number; filling: string }>());
    source
      .stream()
      .map((n) => [n, n].map((each) => ({ n: each, filling: 'x'.repeat(20_000) })))
      .flatten()
      .sink(target);
    await sendAll(
      source,
      Array.from({ length: 50 }, (_, n) => n),
    );
    const running = await app.start();
    await running.settled();
    expect(running.stats.commits).toBeGreaterThan(20);
    expect((await valuesOf(target)).map(({ n }) => n)).toEqual(
      Array.from({ length: 100 }, (_, n) => Math.floor(n / 2)),
    );
  } finally {
    await close(app);
  }
});
