/** What an app consists of, as text, and changes of it that would orphan state. */
import { describe, expect, test } from 'vitest';

import { App } from '../../src/index.ts';
import type { Running } from '../../src/index.ts';
import { bench, close, keyed, rowsOf, valuesOf, withDirectory } from './support.ts';

type Declare = (app: App) => void;

/** Starts one app after the other in one directory; gives what the last start came to. */
async function startEach(
  ...lives: readonly (readonly [declare: Declare, version?: number])[]
): Promise<void> {
  await withDirectory(async (directory) => {
    for (const [declare, version] of lives) {
      const app = new App('shop', { broker: `file:${directory}`, version });
      declare(app);
      try {
        const running: Running = await app.start();
        await running.settled();
        await running.stop();
      } finally {
        await close(app);
      }
    }
  });
}

const counting =
  (table = 'counts', partitions = 2): Declare =>
  (app) => {
    const counts = app.table(table, { default: () => 0 });
    app
      .topic('orders', { ...keyed<number>(), partitions })
      .stream()
      .update(counts, (n) => n + 1);
  };

const refusal = { code: 'MR_TOPOLOGY_CHANGED' };

describe('topology()', () => {
  test('lists sub-topologies with what they read, keep and feed', () => {
    const { app } = bench();
    const orders = app.topic('orders', { ...keyed<{ city: string; n: number }>(), partitions: 2 });
    const perHour = app.table('per-hour', { default: () => 0 }).tumbling('1h');
    orders
      .stream()
      .groupBy('city')
      .accumulate((sum, order) => sum + order.n, { start: 0, name: 'running' })
      .sink(() => undefined);
    orders.stream().update(perHour, (n) => n + 1);
    perHour.closed().sink(() => undefined);
    app.each('mail', orders, () => undefined);
    expect(app.topology()).toBe(`app shop
  agent-mail: 2 tasks, asynchronous
    reads   orders (2 partitions)
    agent   mail
  orders: 2 tasks
    reads   orders (2 partitions)
    table   per-hour
    closes  windows of per-hour
    feeds   shop-orders-city-repartition (2 partitions)
  orders-city: 2 tasks
    reads   shop-orders-city-repartition (2 partitions)
    state   orders-city.running`);
  });

  test('needs no broker, and may be asked for at any time', async () => {
    const { app } = bench();
    expect(app.topology()).toBe('app shop');
    const orders = app.topic('orders', keyed<{ city: string }>());
    orders
      .stream()
      .groupBy('city')
      .sink(() => undefined);
    app.topology();
    // What was asked for before the last declaration leaves nothing behind.
    app
      .topic('returns', keyed<{ city: string }>())
      .stream()
      .union(orders.stream())
      .groupBy('city', { name: 'both' })
      .sink(() => undefined);
    const running = await app.start();
    await running.stop();
    await close(app);
  });
});

describe('a change', () => {
  test('that takes a table away is refused with the difference', async () => {
    await expect(
      startEach([counting()], [(app) => void app.topic('orders', { ...keyed(), partitions: 2 })]),
    ).rejects.toMatchObject({
      ...refusal,
      message: expect.stringMatching(
        /^app shop was changed in a way that would leave stored state behind:\n {2}- counts \(state of orders\) is not declared any more\n[^]*raise the app's version/u,
      ) as unknown,
      details: { app: 'shop' },
    });
  });

  test('of a name is refused', async () => {
    await expect(startEach([counting('counts')], [counting('tally')])).rejects.toMatchObject(
      refusal,
    );
  });

  test('of the number of partitions is refused', async () => {
    // The topic itself says so first.
    await expect(startEach([counting('counts', 2)], [counting('counts', 3)])).rejects.toMatchObject(
      { code: 'MR_TOPIC_CONFLICT' },
    );
    const grouped =
      (partitions: number): Declare =>
      (app) => {
        app
          .topic('orders', keyed<number>())
          .stream()
          .groupBy(String, { name: 'text', partitions })
          .update(app.table('counts', { default: () => 0 }), (n) => n + 1);
      };
    await expect(startEach([grouped(2)], [grouped(3)])).rejects.toMatchObject(refusal);
  });

  test('that adds something is taken', () =>
    startEach(
      [counting()],
      [
        (app) => {
          counting()(app);
          app
            .topic('returns', keyed<number>())
            .stream()
            .update(app.table('returned', { default: () => 0 }), (n) => n + 1);
        },
      ],
    ));

  test('is taken back, and the app continues', () =>
    withDirectory(async (directory) => {
      for (const [life, table] of ['counts', 'other', 'counts'].entries()) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const counts = app.table(table, { default: () => 0 });
          const orders = app.topic('orders', keyed<number>());
          orders.stream().update(counts, (n) => n + 1);
          await orders.send(1, { key: 'k' });
          const starting = app.start();
          if (table === 'other') {
            await expect(starting).rejects.toMatchObject(refusal);
            continue;
          }
          const running = await starting;
          await running.settled();
          await running.stop();
          expect(await rowsOf(counts)).toEqual(new Map([['k', life + 1]]));
        } finally {
          await close(app);
        }
      }
    }));

  test('with another version starts afresh, beside the old state', () =>
    withDirectory(async (directory) => {
      const life = async (version: number, table: string): Promise<Map<string, number>> => {
        const app = new App('shop', { broker: `file:${directory}`, version });
        try {
          const counts = app.table(table, { default: () => 0 });
          const orders = app.topic('orders', keyed<number>());
          orders
            .stream()
            .tap(() => undefined)
            .groupBy(String, { name: 'text' })
            .update(counts, (n) => n + 1);
          await orders.send(7, { key: 'k' });
          const running = await app.start();
          await running.settled();
          await running.stop();
          expect((await valuesOf(orders)).length).toBe(running.stats.events / 2);
          return await rowsOf(counts);
        } finally {
          await close(app);
        }
      };
      expect(await life(1, 'counts')).toEqual(new Map([['7', 1]]));
      expect(await life(2, 'tally')).toEqual(new Map([['7', 2]]));
      expect(await life(1, 'counts')).toEqual(new Map([['7', 3]]));
      expect(await life(2, 'tally')).toEqual(new Map([['7', 4]]));
    }));
});
