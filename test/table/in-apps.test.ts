/** Hopping windows, late output, changes, expiry and queries in whole apps. */
import { describe, expect, test } from 'vitest';

import { App, json, unchecked } from '../../src/index.ts';
import type { Change, LateEvent } from '../../src/index.ts';
import {
  close,
  keyed,
  recordsOf,
  rowsOf,
  runOnce,
  valuesOf,
  withApp,
  withDirectory,
} from '../app/support.ts';

describe('hopping windows', () => {
  test('count each event in all of its windows, and close one after the other', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1, timestamp: (n) => n });
      const counts = app.table('counts', { default: () => 0 }).hopping(10, 5, { grace: 3 });
      topic.stream().update(counts, (n) => n + 1);
      const done: unknown[] = [];
      counts.closed().sink(({ key, window, value }) => done.push([key, window.start, value]));
      for (const time of [7, 12, 9, 40]) await topic.send(time, { key: 'k' });
      const running = await app.start();
      await running.settled();
      expect(done).toEqual([
        ['k', 0, 2],
        ['k', 5, 3],
        ['k', 10, 1],
      ]);
      expect(running.stats.late).toEqual({});
      await topic.send(14, { key: 'k' });
      await running.settled();
      expect(running.stats.late).toEqual({ counts: 2 });
      expect(done).toHaveLength(3);
      await running.stop();
    }));

  test('another step is another table', () =>
    withDirectory(async (directory) => {
      for (const step of [5, 2]) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const topic = app.topic('topic', keyed<number>());
          const counts = app.table('counts', { default: () => 0 }).hopping(10, step);
          topic.stream().update(counts, (n) => n + 1);
          if (step === 5) await runOnce(app);
          else
            await expect(app.start()).rejects.toMatchObject({
              code: 'MR_TOPOLOGY_CHANGED',
              message: expect.stringMatching(/windows of 10 ms every 5 ms/u) as unknown,
            });
        } finally {
          await close(app);
        }
      }
    }));
});

describe('late output', () => {
  test('goes to a topic, in the commit, from streams and from agents', () =>
    withApp(async ({ app }) => {
      const late = app.topic('late', {
        key: unchecked<string>(),
        value: unchecked<LateEvent<string>>(),
        partitions: 1,
      });
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1, timestamp: (n) => n });
      const streamed = app.table('streamed', { default: () => 0 }).tumbling(10, { onLate: late });
      const called = app.table('called', { default: () => 0 }).tumbling(10, { onLate: late });
      topic.stream().update(streamed, (n) => n + 1);
      app.each('agent', topic, (_, { key }) => called.update(key, (n) => n + 1));
      for (const time of [25, 3]) await topic.send(time, { key: 'k' });
      const running = await app.start();
      await running.settled();
      expect(running.stats.late).toEqual({ streamed: 1, called: 1 });
      const found = (await recordsOf(late)).toSorted((a, b) =>
        a.value.table < b.value.table ? -1 : 1,
      );
      expect(found).toMatchObject([
        { key: 'k', timestamp: 3, value: { table: 'called', lateByMs: 15 } },
        {
          key: 'k',
          timestamp: 3,
          value: { table: 'streamed', value: 3, window: { start: 0, end: 10 }, windows: 1 },
        },
      ]);
      await running.stop();
    }));
});

describe('rows that expire', () => {
  test('are not in a snapshot, though they are stored still', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1, timestamp: (n) => n });
      const last = app.table('last', { default: () => -1, ttl: 100, codec: json });
      topic.stream().update(last, (_, n) => n);
      const running = await app.start();
      // More than one commit deletes.
      const all = 12_000;
      await Promise.all(Array.from({ length: all }, (_, i) => topic.send(10, { key: `k${i}` })));
      for (const time of [60, 70]) await topic.send(time, { key: `at ${time}` });
      await running.settled();
      expect((await rowsOf(last)).size).toBe(all + 2);
      await topic.send(160, { key: 'at 160' });
      await running.settled();
      expect(running.stats.rows).toBeGreaterThan(2);
      expect(await rowsOf(last)).toEqual(
        new Map([
          ['at 70', 70],
          ['at 160', 160],
        ]),
      );
      expect(await last.query('k0')).toBe(-1);
      expect(await last.query('k0', { stale: true })).toBe(-1);
      await running.stop();
    }));
});

describe('changes', () => {
  test('of an agent’s table feed another table, a topic and another part of the app', () =>
    withApp(async ({ app }) => {
      const doors = app.topic('doors', keyed<boolean>());
      const open = app.table('open', { default: () => false });
      const flips = app.table('flips', { default: () => 0 });
      const total = app.table('total', { default: () => 0 });
      const log = app.topic('log', { ...keyed<Change<string, boolean>>(), partitions: 1 });
      app.each('door', doors, (isOpen, { key }) => open.set(key, isOpen));
      const changed = open.changes().filter(({ value, previous }) => value !== previous);
      changed.update(flips, (n) => n + 1);
      changed.sink(log);
      changed.groupBy(() => 'all', { name: 'all' }).update(total, (n) => n + 1);
      for (const isOpen of [true, true, false]) await doors.send(isOpen, { key: 'front' });
      await doors.send(true, { key: 'back' });
      await runOnce(app);
      expect(await rowsOf(flips)).toEqual(
        new Map([
          ['front', 2],
          ['back', 1],
        ]),
      );
      expect(await rowsOf(total)).toEqual(new Map([['all', 3]]));
      expect(
        (await valuesOf(log)).filter(({ key }) => key === 'front').map(({ value }) => value),
      ).toEqual([true, false]);
    }));

  test('of a declared update, followed by an agent that takes time', () =>
    withApp(async ({ app, clock }) => {
      const orders = app.topic('orders', { ...keyed<number>(), partitions: 1 });
      const spent = app.table('spent', { default: () => 0 });
      orders.stream().update(spent, (sum, n) => sum + n);
      const alerts = app.topic('alerts', { ...keyed<string>(), partitions: 1 });
      app.each(
        'alert',
        spent.changes(),
        async ({ key, value = 0, previous = 0 }) => {
          await clock.turn();
          return value >= 100 && previous < 100 ? `${key} at ${value}` : undefined;
        },
        { sinks: [alerts] },
      );
      for (const n of [60, 30, 20, 50]) await orders.send(n, { key: 'ann' });
      await runOnce(app);
      expect(await valuesOf(alerts)).toEqual(['ann at 110']);
    }));
});

describe('query', () => {
  test('gives committed rows of any key, while a worker runs', () =>
    withApp(async ({ app, clock }) => {
      const topic = app.topic('topic', { ...keyed<number>(), timestamp: (n) => n });
      const sums = app.table('sums', { default: () => 0 });
      const counts = app.table('counts', { default: () => 0 }).tumbling(10, { grace: 100 });
      topic.stream().update(sums, (sum, n) => sum + n);
      topic.stream().update(counts, (n) => n + 1);
      const running = await app.start();
      for (const key of ['a', 'b', 'c', 'd', 'e']) {
        await topic.send(7, { key });
        await topic.send(12, { key });
      }
      await running.settled();
      for (const key of ['a', 'b', 'c', 'd', 'e']) {
        expect(await sums.query(key)).toBe(19);
        expect(await counts.query(key, { at: 3 })).toBe(1);
        expect(await counts.query(key)).toBe(1);
      }
      expect(await sums.query('nobody')).toBe(0);
      await running.stop();
      expect(await sums.query('a', { stale: true })).toBe(19);
      expect(await counts.query('a', { at: 12, stale: true })).toBe(1);
      const gone = sums.query('a', { timeout: 200 });
      const failed = expect(gone).rejects.toMatchObject({ code: 'MR_NO_OWNER' });
      for (let i = 0; i < 50; i++) await clock.advance(10);
      await failed;
    }));

  test('from another app object on the same directory', () =>
    withDirectory(async (directory) => {
      const make = () => {
        const app = new App('shop', { broker: `file:${directory}` });
        const topic = app.topic('topic', keyed<number>());
        const sums = app.table('sums', { default: () => 0 });
        app.each('adder', topic, (n, { key }) => void sums.update(key, (sum) => sum + n));
        return { app, topic, sums };
      };
      const [worker, reader] = [make(), make()];
      try {
        const running = await worker.app.start();
        expect(await reader.sums.query('ann')).toBe(0);
        for (const n of [5, 6]) await worker.topic.send(n, { key: 'ann' });
        await running.settled();
        expect(await reader.sums.query('ann')).toBe(11);
        expect(await reader.sums.query('ann', { stale: true })).toBe(11);
        await running.stop();
        expect(await reader.sums.query('ann', { stale: true })).toBe(11);
      } finally {
        await close(reader.app);
        await close(worker.app);
      }
    }));
});

test('rows with a ttl expire by stream time', () =>
  withApp(async ({ app }) => {
    const topic = app.topic('topic', { ...keyed<number>(), partitions: 1, timestamp: (n) => n });
    const seen = app.table('seen', { default: () => 0, ttl: 10 });
    const counts: number[] = [];
    app.each('agent', topic, (_, { key }) => {
      counts.push(seen.update(key, (n) => n + 1));
    });
    for (const [key, time] of [
      ['a', 100],
      ['a', 105],
      ['b', 114],
      ['a', 114],
      ['a', 124],
      ['a', 125],
    ] as const)
      await topic.send(time, { key });
    const running = await app.start();
    await running.settled();
    expect(counts).toEqual([1, 2, 1, 3, 1, 2]);
    expect(await seen.query('a')).toBe(2);
    expect(await seen.query('b')).toBe(0);
    expect(await seen.query('b', { stale: true })).toBe(0);
    await running.stop();
  }));
