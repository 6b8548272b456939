/** From declaration to start, work, stop and close, and back. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';

import { App } from '../../src/index.ts';
import type { Table, Topic } from '../../src/index.ts';
import { encodeRow, textKey } from '../../src/broker/log/rows.ts';
import {
  bench,
  close,
  failureOf,
  keyed,
  moment,
  rowsOf,
  runOnce,
  turns,
  valuesOf,
  withApp,
  withBroker,
  withDirectory,
} from './support.ts';

interface Order {
  readonly amount: number;
}

interface Shop {
  readonly app: App;
  readonly orders: Topic<string, Order>;
  readonly spent: Table<string, number, number>;
}

/** Sums what each customer spent. */
function shop(app: App): Shop {
  const orders = app.topic('orders', keyed<Order>());
  const spent = app.table('spent', { default: () => 0 });
  orders.stream().update(spent, (sum, order) => sum + order.amount);
  return { app, orders, spent };
}

describe('a life', () => {
  test('what was sent before the start is processed', () =>
    withApp(async ({ app }) => {
      const { orders, spent } = shop(app);
      await orders.send({ amount: 1 }, { key: 'ann' });
      await orders.send({ amount: 2 }, { key: 'ann' });
      await orders.send({ amount: 4 }, { key: 'bob' });
      const running = await app.start();
      await running.settled();
      expect(await rowsOf(spent)).toEqual(
        new Map([
          ['ann', 3],
          ['bob', 4],
        ]),
      );
      await running.stop();
      await expect(running.done).resolves.toBeUndefined();
    }));

  test('settled in a loop lets everything else have its turn', () =>
    withApp(async ({ app }) => {
      shop(app);
      const running = await app.start();
      await running.settled();
      let others = 0;
      const other = (): void => void (others++ < 1_000 && setImmediate(other));
      setImmediate(other);
      for (let i = 0; i < 20; i++) await running.settled();
      expect(others).toBeGreaterThanOrEqual(20);
    }));

  test('what is sent while it runs is processed', () =>
    withApp(async ({ app }) => {
      const { orders, spent } = shop(app);
      const running = await app.start();
      await running.settled();
      await orders.send({ amount: 1 }, { key: 'ann' });
      await running.settled();
      await orders.send({ amount: 1 }, { key: 'ann' });
      await running.settled();
      expect(await rowsOf(spent)).toEqual(new Map([['ann', 2]]));
    }));

  test('a second start is refused while it runs, also while the first is under way', () =>
    withApp(async ({ app }) => {
      shop(app);
      const starting = app.start();
      await expect(app.start()).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
        message: 'app shop is running already; stop it before you start it again',
      });
      const running = await starting;
      await expect(app.start()).rejects.toMatchObject({ code: 'MR_ARGUMENT_INVALID' });
      await running.stop();
      await (await app.start()).stop();
    }));

  test('after a start that failed it can be started', () =>
    withApp(async ({ app }) => {
      const { spent } = shop(app);
      const bad = spent as unknown as { tumbling(size: string): unknown };
      expect(() => bad.tumbling('soon')).toThrow(
        expect.objectContaining({ code: 'MR_OPTION_INVALID' }),
      );
      const loose = app.table('loose', { default: () => 0 }).tumbling('1s');
      loose.closed().sink(() => undefined);
      await expect(app.start()).rejects.toMatchObject({ code: 'MR_TOPOLOGY_INVALID' });
      app
        .topic('feed')
        .stream()
        .groupBy(String, { name: 'text' })
        .update(loose, (n) => n + 1);
      await (await app.start()).stop();
    }));

  test('started again it continues', () =>
    withApp(async ({ app }) => {
      const { orders, spent } = shop(app);
      for (let i = 0; i < 5; i++) {
        await orders.send({ amount: 1 }, { key: 'ann' });
        await runOnce(app);
      }
      expect(await rowsOf(spent)).toEqual(new Map([['ann', 5]]));
    }));

  test('another app object of the same id continues where it stopped', () =>
    withDirectory(async (directory) => {
      for (let life = 1; life <= 3; life++) {
        const { app, orders, spent } = shop(new App('shop', { broker: `file:${directory}` }));
        try {
          await orders.send({ amount: life }, { key: 'ann' });
          const running = await app.start();
          await running.settled();
          expect(running.stats).toMatchObject({ events: life, committed: life, rows: 1, late: {} });
          await running.stop();
          expect(await rowsOf(spent)).toEqual(new Map([['ann', (life * (life + 1)) / 2]]));
        } finally {
          await app.close();
        }
      }
    }));

  test('a worker without tasks can be started, is settled, and stops', () =>
    withApp(async ({ app }) => {
      app.topic('unused');
      const running = await app.start();
      await running.settled();
      expect(await running.lag()).toBe(0);
      expect(running.stats).toEqual({
        events: 0,
        committed: 0,
        commits: 0,
        rows: 0,
        skipped: 0,
        deadLettered: 0,
        lost: 0,
        late: {},
        tasks: [],
      });
      await running.stop();
    }));

  test('close stops the worker, may be called twice, and the app can be used again', () =>
    withDirectory(async (directory) => {
      const { app, orders, spent } = shop(new App('shop', { broker: `file:${directory}` }));
      try {
        const running = await app.start();
        await orders.send({ amount: 1 }, { key: 'ann' });
        await app.close();
        await running.done;
        await app.close();
        await orders.send({ amount: 1 }, { key: 'ann' });
        await runOnce(app);
        expect(await rowsOf(spent)).toEqual(new Map([['ann', 2]]));
      } finally {
        await app.close();
      }
    }));

  test('close without a start, and without any use', async () => {
    await bench().app.close();
    const { app } = bench();
    await app.topic('orders').send(1);
    await app.close();
    await app[Symbol.asyncDispose]();
  });

  test('close waits for sends that nobody awaited', () =>
    withDirectory(async (directory) => {
      const app = new App('shop', { broker: `file:${directory}` });
      const orders = app.topic<number>('orders');
      await orders.send(0, { partition: 0 });
      const sent: unknown[] = [];
      for (let n = 1; n <= 3; n++)
        void orders.send(n, { partition: 0 }).then((at) => sent.push(at));
      await app.close();
      expect(sent).toHaveLength(3);
      await withBroker(directory, async (broker) => {
        expect(await broker.bounds('orders', 0)).toEqual({ start: 0, end: 4 });
      });
    }));

  test('disposing of a running worker stops it', () =>
    withApp(async ({ app }) => {
      const { orders, spent } = shop(app);
      await orders.send({ amount: 1 }, { key: 'ann' });
      const running = await app.start();
      await running.settled();
      await running[Symbol.asyncDispose]();
      await running.done;
      expect(await rowsOf(spent)).toEqual(new Map([['ann', 1]]));
    }));
});

describe('stopping', () => {
  test('twice at once and once more afterwards', () =>
    withApp(async ({ app }) => {
      shop(app);
      const running = await app.start();
      await Promise.all([running.stop(), running.stop()]);
      await running.stop();
    }));

  test('an abort signal stops it', () =>
    withApp(async ({ app }) => {
      const { orders, spent } = shop(app);
      await orders.send({ amount: 1 }, { key: 'ann' });
      const abort = new AbortController();
      const running = await app.start({ signal: abort.signal });
      await running.settled();
      abort.abort();
      await running.done;
      expect(await rowsOf(spent)).toEqual(new Map([['ann', 1]]));
    }));

  test('a signal that was aborted before stops it at once', () =>
    withApp(async ({ app }) => {
      shop(app);
      const running = await app.start({ signal: AbortSignal.abort() });
      await running.done;
    }));

  test('a signal that aborts later does not stop the next worker', () =>
    withApp(async ({ app }) => {
      const { orders, spent } = shop(app);
      const abort = new AbortController();
      await (await app.start({ signal: abort.signal })).stop();
      const running = await app.start();
      abort.abort();
      await orders.send({ amount: 1 }, { key: 'ann' });
      await running.settled();
      expect(await rowsOf(spent)).toEqual(new Map([['ann', 1]]));
    }));

  test('what was processed is committed, also when much is left and no commit is due for long', async () => {
    const { app } = bench('shop', { commit: { every: 1_000_000, interval: '1h' } });
    try {
      const orders = app.topic('orders', { ...keyed<Order>(), partitions: 1 });
      const spent = app.table('spent', { default: () => 0 });
      const seen = moment();
      let count = 0;
      orders
        .stream()
        .tap(() => {
          if (++count === 1) seen.come();
        })
        .update(spent, (sum, order) => sum + order.amount);
      const sends: Promise<unknown>[] = [];
      for (let i = 0; i < 20_000; i++) sends.push(orders.send({ amount: 1 }, { key: 'ann' }));
      await Promise.all(sends);
      const running = await app.start();
      await seen.reached;
      await running.stop();
      expect(count).toBeLessThan(20_000);
      expect(running.stats.committed).toBe(count);
      await runOnce(app);
      expect(count).toBe(20_000);
      expect(await rowsOf(spent)).toEqual(new Map([['ann', 20_000]]));
    } finally {
      await close(app);
    }
  });

  test('a deadline that is none is refused', () =>
    withApp(async ({ app }) => {
      shop(app);
      const running = await app.start();
      await expect(running.stop({ deadline: -1 })).rejects.toMatchObject({
        code: 'MR_OPTION_INVALID',
      });
    }));

  test('settled ends with an error when the worker stops before', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<number>('numbers', { partitions: 1 });
      const seen = moment();
      const goOn = moment();
      app.each('slow', topic, async () => {
        seen.come();
        await goOn.reached;
      });
      await topic.send(1);
      await topic.send(2);
      const running = await app.start();
      const settled = running.settled();
      settled.catch(() => undefined);
      await seen.reached;
      const stopped = running.stop();
      goOn.come();
      await stopped;
      await expect(settled).rejects.toMatchObject({ code: 'MR_CLOSED' });
    }));

  test('settled after the end says so at once', () =>
    withApp(async ({ app }) => {
      shop(app);
      const running = await app.start();
      await running.stop();
      await expect(running.settled()).rejects.toMatchObject({ code: 'MR_CLOSED' });
    }));

  test('settled after a failure tells the failure', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<number>('numbers');
      topic.stream().sink(() => {
        throw new Error('broken');
      });
      await topic.send(1);
      const running = await app.start();
      const failure = await failureOf(running);
      await expect(running.settled()).rejects.toBe(failure);
      await expect(running.stop()).rejects.toBe(failure);
    }));
});

describe('counters', () => {
  test('stats and lag', () =>
    withApp(async ({ app }) => {
      const { orders } = shop(app);
      for (let i = 0; i < 10; i++) await orders.send({ amount: 1 }, { key: `k${i % 3}` });
      const running = await app.start();
      expect(await running.lag()).toBe(10);
      expect(running.stats).toMatchObject({ events: 0, committed: 0 });
      await running.settled();
      expect(await running.lag()).toBe(0);
      expect(running.stats).toMatchObject({ events: 10, committed: 10, rows: 3 });
      expect(running.stats.commits).toBeGreaterThan(0);
    }));

  test('lag counts what is on its way between tasks', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<number>('numbers', { partitions: 1 });
      const seen = moment();
      const goOn = moment();
      app.each('slow', topic.stream().groupBy(String, { name: 'text' }), async () => {
        seen.come();
        await goOn.reached;
      });
      for (let i = 0; i < 4; i++) await topic.send(i);
      const running = await app.start();
      const done = running.settled();
      await seen.reached;
      expect(await running.lag()).toBe(4);
      goOn.come();
      await done;
      expect(await running.lag()).toBe(0);
    }));

  test('late events of tables with any name', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('numbers', {
        ...keyed<number>(),
        partitions: 1,
        timestamp: (n) => n,
      });
      for (const name of ['constructor', 'toString', 'late']) {
        const table = app.table(name, { default: () => 0 }).tumbling(10);
        topic.stream().update(table, (n) => n + 1);
      }
      for (const time of [5, 10, 6]) await topic.send(time, { key: 'k' });
      const running = await app.start();
      await running.settled();
      expect({ ...running.stats.late }).toEqual({ constructor: 1, toString: 1, late: 1 });
    }));
});

describe('apps beside each other', () => {
  test('two apps in one directory share a topic', () =>
    withDirectory(async (directory) => {
      const first = shop(new App('first', { broker: `file:${directory}` }));
      const second = shop(new App('second', { broker: `file:${directory}` }));
      try {
        const runningFirst = await first.app.start();
        const runningSecond = await second.app.start();
        await first.orders.send({ amount: 1 }, { key: 'ann' });
        await second.orders.send({ amount: 2 }, { key: 'ann' });
        await runningFirst.settled();
        await runningSecond.settled();
        expect(await rowsOf(first.spent)).toEqual(new Map([['ann', 3]]));
        expect(await rowsOf(second.spent)).toEqual(new Map([['ann', 3]]));
      } finally {
        await first.app.close();
        await second.app.close();
      }
    }));

  test('one app feeds another', () =>
    withDirectory(async (directory) => {
      const first = new App('first', { broker: `file:${directory}` });
      const second = new App('second', { broker: `file:${directory}` });
      try {
        const numbers = first.topic('numbers', keyed<number>());
        numbers
          .stream()
          .map((n) => n * 2)
          .sink(first.topic('doubles', keyed<number>()));
        const sums = second.table('sums', { default: () => 0 });
        second
          .topic('doubles', keyed<number>())
          .stream()
          .update(sums, (sum, n) => sum + n);
        const running = [await first.start(), await second.start()];
        for (let n = 0; n < 10; n++) await numbers.send(n, { key: 'all' });
        for (const one of running) await one.settled();
        expect(await rowsOf(sums)).toEqual(new Map([['all', 90]]));
      } finally {
        await first.close();
        await second.close();
      }
    }));

  test('sending from inside another app is a plain send', () =>
    withDirectory(async (directory) => {
      const first = new App('first', { broker: `file:${directory}` });
      const second = new App('second', { broker: `file:${directory}` });
      try {
        const copies = second.topic<number>('copies', { partitions: 1 });
        const numbers = first.topic<number>('numbers', { partitions: 1 });
        const offsets: bigint[] = [];
        first.each('copy', numbers, async (n) => {
          offsets.push((await copies.send(n)).offset);
        });
        await numbers.send(7);
        await runOnce(first);
        expect(offsets).toEqual([0n]);
        expect(await valuesOf(copies)).toEqual([7]);
      } finally {
        await first.close();
        await second.close();
      }
    }));

  test('apps in memory are alone', async () => {
    const one = bench();
    const other = bench();
    try {
      await one.app.topic('orders').send(1);
      expect(await valuesOf(other.app.topic('orders'))).toEqual([]);
    } finally {
      await close(one.app);
      await close(other.app);
    }
  });
});

describe('the directory', () => {
  test('of a newer version is refused at start and at send', () =>
    withDirectory(async (directory) => {
      const { app } = shop(new App('shop', { broker: `file:${directory}` }));
      await app.start();
      await app.close();
      await withBroker(directory, async (broker) => {
        await broker.state.transact((txn) =>
          txn.put('meta', textKey('format'), encodeRow({ version: 99 })),
        );
      });
      const again = shop(new App('shop', { broker: `file:${directory}` }));
      const refusal = { code: 'MR_VERSION_UNSUPPORTED' };
      await expect(again.app.start()).rejects.toMatchObject(refusal);
      await expect(again.orders.send({ amount: 1 }, { key: 'ann' })).rejects.toMatchObject(refusal);
      await expect(Array.fromAsync(again.spent.snapshot())).rejects.toMatchObject(refusal);
      await expect(again.app.start()).rejects.toThrow(/version 99.*upgrade millrace/u);
      await again.app.close();
    }));

  test('a URL that names no broker is refused at start', async () => {
    const app = new App('shop', { broker: 'kafka://localhost' as 'memory:' });
    await expect(app.start()).rejects.toMatchObject({ code: 'MR_URL_INVALID' });
    await app.close();
  });
});

describe('nothing is left open', () => {
  test('no timer stays set', async () => {
    const { app, clock } = bench();
    const { orders } = shop(app);
    const producer = await orders.producer({ id: 'loader' });
    await producer.send({ amount: 1 }, { key: 'ann' });
    await producer.close();
    const running = await app.start();
    await running.settled();
    await running.stop();
    await app.close();
    await turns(clock);
    expect(clock.timers).toBe(0);
  });

  test('a program ends by itself', () =>
    withDirectory(async (directory) => {
      const program = `
        import { App } from './src/index.ts';
        const app = new App('shop', { broker: ${JSON.stringify(`file:${directory}`)} });
        const orders = app.topic('orders', { value: undefined });
        const spent = app.table('spent', { default: () => 0 });
        orders.stream().groupBy('who', { name: 'who' }).update(spent, (n) => n + 1);
        app.each('look', orders, async () => undefined);
        const running = await app.start();
        for (let i = 0; i < 100; i++) await orders.send({ who: 'k' + (i % 7) });
        await running.settled();
        await running.stop();
        console.log((await Array.fromAsync(spent.snapshot())).length);
        await app.close();`;
      const child = spawnSync(
        process.execPath,
        ['-C', 'millrace-source', '--input-type=module-typescript', '-e', program],
        { encoding: 'utf8', timeout: 60_000 },
      );
      expect(child.stderr).toBe('');
      expect(child.stdout.trim()).toBe('7');
      expect(child.status).toBe(0);
    }));
});
