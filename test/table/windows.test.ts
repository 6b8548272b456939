/** Windowed tables: which events count, what is kept, and what closed windows give. */
import { describe, expect, test } from 'vitest';

import { App, DELETE, deadLetter, unchecked } from '../../src/index.ts';
import type { ClosedWindow, Table, Topic, WindowedTable, WindowOptions } from '../../src/index.ts';
import {
  bench,
  close,
  failureOf,
  keyed,
  recordsOf,
  runOnce,
  valuesOf,
  withApp,
  withDirectory,
} from '../app/support.ts';
import type { Readable } from '../app/support.ts';

type Counts = WindowedTable<string, number, number>;

interface Counting {
  readonly topic: Topic<string, number>;
  readonly counts: Counts;
}

/** Counts events per key in windows of 10 ms. A value is its own event time. */
function counting(app: App, options?: WindowOptions, partitions = 1): Counting {
  const topic = app.topic('topic', {
    ...keyed<number>(),
    partitions,
    timestamp: (time) => time,
  });
  const counts = app.table('counts', { default: () => 0 }).tumbling(10, options);
  topic.stream().update(counts, (n) => n + 1);
  return { topic, counts };
}

/** Windows as `start: count`, sorted. */
async function windowsOf(counts: Pick<Counts, 'snapshot'>): Promise<Record<number, number>> {
  const found: Record<number, number> = {};
  for await (const { window, value } of counts.snapshot())
    found[window.start] = (found[window.start] ?? 0) + value;
  return found;
}

async function sendAll(topic: Topic<string, number>, times: number[], key = 'k'): Promise<void> {
  await Promise.all(times.map((time) => topic.send(time, { key })));
}

/** Rows of closed windows as they went into a topic: `key@start=value`. */
async function closedIn(topic: Readable<ClosedWindow<string, number>>): Promise<string[]> {
  return (await valuesOf(topic)).map(({ key, window, value }) => `${key}@${window.start}=${value}`);
}

describe('late events', () => {
  test.each<[string, WindowOptions | undefined, number[], Record<number, number>, number]>([
    ['at the end the window is closed', undefined, [5, 10, 9], { 0: 1, 10: 1 }, 1],
    ['a millisecond before it is open', undefined, [5, 9, 0], { 0: 3 }, 0],
    ['grace keeps it open', { grace: 5 }, [5, 14, 9], { 0: 2, 10: 1 }, 0],
    ['until its last millisecond', { grace: 5 }, [5, 15, 9], { 0: 1, 10: 1 }, 1],
    ['the event that moves time is in time itself', undefined, [5, 100], { 0: 1, 100: 1 }, 0],
    ['times before 1970', undefined, [-1, -10, 0, -1], { [-10]: 2, 0: 1 }, 1],
    ['each is counted', { grace: 1 }, [50, 1, 2, 3, 39, 40], { 50: 1, 40: 1 }, 4],
  ])('%s', (_, options, times, windows, late) =>
    withApp(async ({ app }) => {
      const { topic, counts } = counting(app, options);
      await sendAll(topic, times);
      const running = await app.start();
      await running.settled();
      expect(await windowsOf(counts)).toEqual(windows);
      expect(running.stats.late).toEqual(late === 0 ? {} : { counts: late });
    }),
  );

  test('stream time and the count of late events outlive the worker', () =>
    withDirectory(async (directory) => {
      for (let life = 1; life <= 3; life++) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const { topic, counts } = counting(app);
          await sendAll(topic, life === 1 ? [5, 20] : [5, 9]);
          const running = await app.start();
          await running.settled();
          expect(running.stats.late).toEqual(life === 1 ? {} : { counts: (life - 1) * 2 });
          expect(await windowsOf(counts)).toEqual({ 0: 1, 20: 1 });
        } finally {
          await close(app);
        }
      }
    }));

  test('one task does not close the windows of another', () =>
    withApp(async ({ app }) => {
      const { topic, counts } = counting(app, undefined, 4);
      await topic.send(1_000, { key: 'a', partition: 0 });
      await topic.send(5, { key: 'b', partition: 1 });
      const running = await app.start();
      await running.settled();
      expect(await windowsOf(counts)).toEqual({ 0: 1, 1_000: 1 });
    }));

  test('out of order within grace, every event counts in its window', () =>
    withApp(async ({ app }) => {
      const { topic, counts } = counting(app, { grace: 30 });
      const times = [12, 3, 25, 9, 14, 31, 2, 28, 11, 40, 15, 39];
      await sendAll(topic, times);
      const running = await app.start();
      await running.settled();
      const expected: Record<number, number> = {};
      for (const time of times) {
        const start = time - (time % 10);
        expected[start] = (expected[start] ?? 0) + 1;
      }
      expect(await windowsOf(counts)).toEqual(expected);
      expect(running.stats.late).toEqual({});
    }));
});

describe('in an agent', () => {
  test('current, at, windows and update', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1, timestamp: (n) => n });
      const counts = app.table('counts', { default: () => 0 }).tumbling(10, { grace: 100 });
      const seen: unknown[] = [];
      app.each('agent', topic, (time, { key }) => {
        counts.update(key, (n) => n + 1);
        seen.push([counts.current(key), counts.at(key, 5), counts.at(key, 99)]);
        if (time === 7)
          seen.push([...counts.windows(key)].map(([window, n]) => [window.start, window.end, n]));
      });
      for (const time of [5, 15, 6, 7]) await topic.send(time, { key: 'k' });
      await runOnce(app);
      expect(seen).toEqual([
        [1, 1, 0],
        [1, 1, 0],
        [2, 2, 0],
        [3, 3, 0],
        [
          [0, 10, 3],
          [10, 20, 1],
        ],
      ]);
    }));

  test('a late update is counted and changes nothing', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1, timestamp: (n) => n });
      const counts = app.table('counts', { default: () => 0 }).tumbling(10);
      app.each('agent', topic, (_, { key }) => counts.update(key, (n) => n + 1));
      for (const time of [5, 15, 6]) await topic.send(time, { key: 'k' });
      const running = await app.start();
      await running.settled();
      expect(await windowsOf(counts)).toEqual({ 0: 1, 10: 1 });
      expect(running.stats.late).toEqual({ counts: 1 });
    }));

  test('outside of one it is refused, as for any table', () => {
    const counts = bench()
      .app.table('counts', { default: () => 0 })
      .tumbling(10);
    const outside = expect.objectContaining({ code: 'MR_TABLE_OUTSIDE' }) as unknown;
    expect(() => counts.current('k')).toThrow(outside);
    expect(() => counts.at('k', 0)).toThrow(outside);
    expect(() => counts.update('k', (n) => n)).toThrow(outside);
    expect(() => [...counts.windows('k')]).toThrow(outside);
  });

  test('another key is refused', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), timestamp: (n) => n });
      const counts = app.table('counts', { default: () => 0 }).tumbling(10);
      app.each('agent', topic, () => {
        for (let i = 0; i < 50; i++) counts.update(`customer-${i}`, (n) => n + 1);
      });
      await topic.send(1, { key: 'k' });
      expect(await failureOf(await app.start())).toMatchObject({
        cause: { code: 'MR_CO_PARTITION', details: { table: 'counts' } },
      });
    }));
});

describe('declared updates', () => {
  test('pass on the change with its window, DELETE removes the row', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1, timestamp: (n) => n });
      const counts = app.table('counts', { value: unchecked<number>() }).tumbling(10);
      const changes: unknown[] = [];
      topic
        .stream()
        .update(counts, (n, time) => (time === 8 ? DELETE : (n ?? 100) + 1))
        .sink((change) => changes.push(change));
      for (const time of [5, 6, 8, 9]) await topic.send(time, { key: 'k' });
      await runOnce(app);
      const window = { start: 0, end: 10 };
      expect(changes).toEqual([
        { key: 'k', value: 101, previous: undefined, window },
        { key: 'k', value: 102, previous: 101, window },
        { key: 'k', value: undefined, previous: 102, window },
        { key: 'k', value: 101, previous: undefined, window },
      ]);
      expect(await windowsOf(counts as Counts)).toEqual({ 0: 101 });
    }));

  test('`at` gives another time than that of the event', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const counts = app.table('counts', { default: () => 0 }).tumbling(10);
      topic.stream().update(counts, (n) => n + 1, { at: (n) => 2_000_000 + n });
      for (const n of [1, 2, 13]) await topic.send(n, { key: 'k' });
      await runOnce(app);
      expect(await windowsOf(counts)).toEqual({ 2_000_000: 2, 2_000_010: 1 });
    }));
});

describe('retention', () => {
  test('removes rows that long after the end of their window, in memory and on the disk', () =>
    withDirectory(async (directory) => {
      const { app } = bench('shop', { broker: `file:${directory}` });
      try {
        const { topic, counts } = counting(app, { grace: 5, retention: 20 });
        await sendAll(topic, [5, 15]);
        await runOnce(app);
        expect(await windowsOf(counts)).toEqual({ 0: 1, 10: 1 });
        // The end of the first window is at 10: it is kept until 30.
        await sendAll(topic, [30]);
        const running = await app.start();
        await running.settled();
        expect(running.stats.rows).toBe(3);
        expect(await windowsOf(counts)).toEqual({ 0: 1, 10: 1, 30: 1 });
        await sendAll(topic, [31]);
        await running.settled();
        expect(running.stats.rows).toBe(2);
        expect(await windowsOf(counts)).toEqual({ 10: 1, 30: 2 });
        await running.stop();
        await sendAll(topic, [1_000]);
        await runOnce(app);
        expect(await windowsOf(counts)).toEqual({ 1000: 1 });
      } finally {
        await close(app);
      }
    }));
});

describe('closed()', () => {
  /** Puts closed windows into the topic `closed`. */
  function closing(app: App, options?: WindowOptions, partitions = 1) {
    const made = counting(app, options, partitions);
    const closed = app.topic('closed', {
      key: unchecked<string>(),
      value: unchecked<ClosedWindow<string, number>>(),
      partitions: 1,
    });
    made.counts.closed().sink(closed);
    return { ...made, closed };
  }

  test('in the commit that closes the window', () =>
    withApp(async ({ app }) => {
      const { topic, closed } = closing(app, { grace: 5 });
      const running = await app.start();
      await sendAll(topic, [5, 6]);
      await sendAll(topic, [7], 'other');
      await running.settled();
      await sendAll(topic, [14]);
      await running.settled();
      expect(await closedIn(closed)).toEqual([]);
      await sendAll(topic, [15]);
      await running.settled();
      expect((await closedIn(closed)).toSorted()).toEqual(['k@0=2', 'other@0=1']);
      const [first] = await recordsOf(closed);
      expect(first).toMatchObject({ key: 'k', timestamp: 9, value: { window: { end: 10 } } });
      await sendAll(topic, [100]);
      await running.settled();
      expect((await closedIn(closed)).slice(2)).toEqual(['k@10=2']);
      // Nothing is new, so nothing is said again.
      await sendAll(topic, [100, 101, 5]);
      await running.settled();
      expect(await closedIn(closed)).toHaveLength(3);
    }));

  test('each once also over restarts, and in order', () =>
    withDirectory(async (directory) => {
      for (let life = 0; life < 6; life++) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const { topic, closed } = closing(app, { grace: 5 });
          await sendAll(topic, [life * 10 + 3, life * 10 + 7]);
          await runOnce(app);
          expect(await closedIn(closed)).toEqual(
            Array.from({ length: life }, (_, i) => `k@${i * 10}=2`),
          );
        } finally {
          await close(app);
        }
      }
    }));

  test('what happens behind a failure closes again', () =>
    withDirectory(async (directory) => {
      const app = new App('shop', { broker: `file:${directory}` });
      try {
        const { topic, counts, closed } = closing(app);
        const broken = { now: true };
        counts.closed().sink(() => {
          if (broken.now) throw new Error('the window is stuck');
        });
        await sendAll(topic, [5, 15, 25]);
        expect(await failureOf(await app.start())).toMatchObject({
          code: 'MR_PROCESSING_FAILED',
          message: expect.stringMatching(/the window is stuck/u) as unknown,
          details: { topic: 'counts', key: 'k' },
        });
        expect(await closedIn(closed)).toEqual([]);
        expect(await windowsOf(counts)).toEqual({});
        broken.now = false;
        await runOnce(app);
        expect(await closedIn(closed)).toEqual(['k@0=1', 'k@10=1']);
      } finally {
        await close(app);
      }
    }));

  test('a window without rows gives nothing, nor does a row that was deleted', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1, timestamp: (n) => n });
      const counts = app.table('counts', { default: () => 0 }).tumbling(10);
      topic.stream().update(counts, (n, time) => (time === 6 ? DELETE : n + 1));
      const seen: unknown[] = [];
      counts.closed().sink(({ window, value }) => seen.push([window.start, value]));
      await sendAll(topic, [5, 6, 15, 1_005, 2_000]);
      await runOnce(app);
      expect(seen).toEqual([
        [10, 1],
        [1_000, 1],
      ]);
    }));

  test('several streams of it, and operators behind them', () =>
    withApp(async ({ app }) => {
      const { topic, counts } = counting(app);
      const starts: number[] = [];
      const values: unknown[] = [];
      counts
        .closed()
        .map(({ window }) => window.start)
        .sink((start) => starts.push(start));
      counts
        .closed()
        .filter(({ value }) => value > 1)
        .accumulate((sum, { value }) => sum + value, { start: 0, name: 'sum' })
        .sink((sum) => values.push(sum));
      await sendAll(topic, [5, 6, 15, 16, 25, 100]);
      await runOnce(app);
      expect(starts).toEqual([0, 10, 20]);
      expect(values).toEqual([2, 4]);
    }));

  test('asynchronous operators get each row with its own key and time', () =>
    withApp(async ({ app, clock }) => {
      const { topic, counts } = counting(app, { grace: 50 });
      const out = app.topic('out', keyed<string>());
      counts
        .closed()
        .map(async ({ key, window }) => {
          await clock.turn();
          return `${key}@${window.start}`;
        })
        .sink(out);
      for (const key of ['a', 'b', 'c']) await sendAll(topic, [5, 15], key);
      await sendAll(topic, [100]);
      await runOnce(app);
      const found = await recordsOf(out);
      expect(found.map(({ value }) => value).toSorted()).toEqual(
        ['a@0', 'a@10', 'b@0', 'b@10', 'c@0', 'c@10'].toSorted(),
      );
      for (const { key, value, timestamp } of found) expect(`${key}@${timestamp - 9}`).toBe(value);
    }));

  test('an agent over it sees each row, and may use the tables of its task', () =>
    withApp(async ({ app, clock }) => {
      const { topic, counts } = counting(app, { grace: 50 });
      const out = app.topic('out', keyed<string>());
      const seen = app.table('seen', { default: () => 0 });
      app.agent(
        'closer',
        counts.closed(),
        async function* (stream) {
          for await (const { key, window, value } of stream) {
            await clock.turn();
            seen.update(key, (n) => n + value);
            yield `${key}@${window.start}=${value}`;
          }
        },
        { sinks: [out] },
      );
      for (const key of ['a', 'b', 'c']) await sendAll(topic, [5, 6, 15], key);
      await sendAll(topic, [100]);
      await runOnce(app);
      expect((await valuesOf(out)).toSorted()).toEqual([
        'a@0=2',
        'a@10=1',
        'b@0=2',
        'b@10=1',
        'c@0=2',
        'c@10=1',
      ]);
      expect(new Map(await Array.fromAsync(seen.snapshot()))).toEqual(
        new Map([
          ['a', 3],
          ['b', 3],
          ['c', 3],
        ]),
      );
    }));

  test.each(['operator', 'agent'])(
    'a dead letter of a result, from an %s: key, time, table and error, and no value',
    (by) =>
      withApp(async ({ app }) => {
        const { topic, counts } = counting(app);
        const dead = app.topic('dead', { ...keyed<unknown>(), partitions: 1 });
        const fails = (): never => {
          throw new RangeError('no such result');
        };
        const closed = counts.closed();
        if (by === 'operator') closed.onError(deadLetter(dead)).sink(fails);
        else app.each('closer', closed, fails, { onError: deadLetter(dead) });
        const running = await app.start();
        await topic.send(5, {
          key: 'k',
          headers: { trace: 'of the event, and not of the result' },
        });
        await sendAll(topic, [100]);
        await running.settled();
        expect(running.stats).toMatchObject({ events: 2, deadLettered: 1 });
        const [letter, ...more] = await recordsOf(dead);
        expect(more).toEqual([]);
        expect(letter).toMatchObject({ key: 'k', value: null, timestamp: 9, partition: 0 });
        const headers = Object.entries(letter?.headers ?? {});
        expect(Object.fromEntries(headers.map(([name, bytes]) => [name, String(bytes)]))).toEqual({
          'mr-error-name': 'RangeError',
          'mr-error-message': 'no such result',
          'mr-origin-topic': 'counts',
          'mr-origin-partition': '0',
          'mr-origin-offset': '-1',
          'mr-origin-timestamp': '9',
          'mr-task': by === 'operator' ? 'topic/0' : 'agent-closer/0',
          'mr-attempts': '1',
        });
        // The result itself is still in the table.
        expect(await counts.query('k', { at: letter?.timestamp ?? Number.NaN })).toBe(1);
      }),
  );

  test('an agent over it that throws undoes the closing', () =>
    withApp(async ({ app, clock }) => {
      const { topic, counts } = counting(app);
      const out = app.topic('out', keyed<string>());
      const broken = { now: true };
      app.each(
        'closer',
        counts.closed(),
        async ({ key, window }) => {
          await clock.turn();
          if (broken.now && key === 'b') throw new Error('stuck');
          return `${key}@${window.start}`;
        },
        { sinks: [out] },
      );
      for (const key of ['a', 'b']) await sendAll(topic, [5], key);
      await sendAll(topic, [100]);
      expect(await failureOf(await app.start())).toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        details: { topic: 'counts', key: 'b' },
        cause: { message: 'stuck' },
      });
      expect(await valuesOf(out)).toEqual([]);
      broken.now = false;
      await runOnce(app);
      expect((await valuesOf(out)).toSorted()).toEqual(['a@0', 'b@0']);
    }));

  test('needs a declared update of its table', () => {
    const { app } = bench();
    const counts = app.table('counts', { default: () => 0 }).tumbling(10);
    counts.closed().sink(() => undefined);
    expect(() => app.topology()).toThrow(
      /^the closed windows of table counts are used, but no declared stream updates the table/u,
    );
  });
});

describe('closed windows as events of others', () => {
  interface PerUser {
    readonly user: string;
    readonly time: number;
  }

  test('through a groupBy none is late, whatever the grace', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', {
        value: unchecked<PerUser>(),
        partitions: 3,
        timestamp: ({ time }) => time,
      });
      const perUser = app.table('per-user', { default: () => 0 }).tumbling(10, { grace: 25 });
      topic
        .stream()
        .groupBy('user')
        .update(perUser, (n) => n + 1);
      const perWindow = app.table('per-window', { default: () => 0 }).tumbling(10);
      perUser
        .closed()
        .groupBy(() => 'all', { name: 'all' })
        .update(perWindow, (sum, { value }) => sum + value);
      const done: [number, number][] = [];
      perWindow.closed().sink(({ window, value }) => done.push([window.start, value]));
      for (let i = 0; i < 300; i++)
        await topic.send({ user: `u${i % 7}`, time: i - (i % 3) * 8 + 20 }, { partition: i % 3 });
      for (let partition = 0; partition < 3; partition++)
        await topic.send({ user: 'last', time: 10_000 }, { partition });
      const running = await app.start();
      await running.settled();
      expect(running.stats.late).toEqual({});
      const expected = new Map<number, number>();
      for (let i = 0; i < 300; i++) {
        const time = i - (i % 3) * 8 + 20;
        const start = time - (time % 10);
        expected.set(start, (expected.get(start) ?? 0) + 1);
      }
      expect(done).toEqual([...expected].toSorted(([a], [b]) => a - b));
    }));
});

describe('stream time over several inputs', () => {
  const twoTopics = (app: App) => {
    const [a, b] = ['a', 'b'].map((name) =>
      app.topic(name, { ...keyed<number>(), partitions: 1, timestamp: (time) => time }),
    ) as [Topic<string, number>, Topic<string, number>];
    const counts = app.table('counts', { default: () => 0 }).tumbling(10);
    a.stream()
      .union(b.stream())
      .update(counts, (n) => n + 1);
    return { a, b, counts };
  };

  test('is the least of them', () =>
    withApp(async ({ app }) => {
      const { a, b, counts } = twoTopics(app);
      const running = await app.start();
      await sendAll(b, [1]);
      await sendAll(a, [50]);
      await running.settled();
      // `b` has only come to 1.
      await sendAll(a, [5]);
      await running.settled();
      await sendAll(b, [20, 8]);
      await running.settled();
      expect(await windowsOf(counts)).toEqual({ 0: 2, 20: 1, 50: 1 });
      expect(running.stats.late).toEqual({ counts: 1 });
    }));

  test('events are taken in the order of their times', () =>
    withApp(async ({ app }) => {
      const { a, b, counts } = twoTopics(app);
      await sendAll(a, [10, 30, 50, 70]);
      await sendAll(b, [1, 20, 40, 60]);
      const running = await app.start();
      await running.settled();
      expect(running.stats.late).toEqual({});
      expect(Object.keys(await windowsOf(counts))).toHaveLength(8);
    }));
});

describe('stream time behind a groupBy', () => {
  interface Hit {
    readonly page: string;
    readonly time: number;
  }

  function hits(app: App, partitions = 4) {
    const topic = app.topic('hits', {
      value: unchecked<Hit>(),
      partitions,
      timestamp: ({ time }) => time,
    });
    const counts = app.table('counts', { default: () => 0 }).tumbling(10);
    topic
      .stream()
      .groupBy('page')
      .update(counts, (n) => n + 1);
    const done: [string, number, number][] = [];
    counts.closed().sink(({ key, window, value }) => done.push([key, window.start, value]));
    return { topic, counts, done };
  }

  test('partitions without any event do not hold windows open for longer than idleAfter', async () => {
    const { app, clock } = bench('shop', { idleAfter: '5s' });
    try {
      const { topic, done } = hits(app);
      for (const time of [1, 2, 15]) await topic.send({ page: 'p', time }, { partition: 2 });
      const running = await app.start();
      await running.settled();
      expect(done).toEqual([]);
      await clock.advance(4_999);
      await running.settled();
      expect(done).toEqual([]);
      await clock.advance(1);
      for (let i = 0; i < 20; i++) await clock.turn();
      await clock.advance(100);
      await running.settled();
      expect(done).toEqual([['p', 0, 2]]);
      await running.stop();
    } finally {
      await close(app);
    }
  });

  test('a partition that wakes up again is waited for again', async () => {
    const { app, clock } = bench('shop', { idleAfter: '1s' });
    try {
      const { topic, counts, done } = hits(app, 2);
      await topic.send({ page: 'p', time: 15 }, { partition: 0 });
      const running = await app.start();
      await running.settled();
      await clock.advance(2_000);
      await running.settled();
      await topic.send({ page: 'p', time: 12 }, { partition: 1 });
      await running.settled();
      await topic.send({ page: 'p', time: 95 }, { partition: 0 });
      await running.settled();
      // Partition 1 has come to 12 only.
      expect(done).toEqual([]);
      await topic.send({ page: 'p', time: 30 }, { partition: 1 });
      await running.settled();
      expect(done).toEqual([['p', 10, 2]]);
      expect(await windowsOf(counts)).toEqual({ 10: 2, 30: 1, 90: 1 });
      expect(running.stats.late).toEqual({});
    } finally {
      await close(app);
    }
  });

  test('partitions that advance at different speeds lose nothing', () =>
    withApp(async ({ app }) => {
      const { topic, counts } = hits(app);
      const sends: Promise<unknown>[] = [];
      for (let time = 0; time < 400; time++)
        for (let partition = 0; partition < 4; partition++)
          // Partition 3 holds everything that is old in one large backlog.
          sends.push(topic.send({ page: `p${time % 5}`, time }, { partition }));
      await Promise.all(sends);
      const running = await app.start();
      await running.settled();
      expect(running.stats.late).toEqual({});
      const total = Object.values(await windowsOf(counts)).reduce((sum, n) => sum + n, 0);
      expect(total).toBe(1_600);
    }));
});

test('a plain table beside it', () =>
  withApp(async ({ app }) => {
    const { topic, counts } = counting(app);
    const all: Table<string, number, number> = app.table('all', { default: () => 0 });
    topic.stream().update(all, (n) => n + 1);
    await sendAll(topic, [5, 15, 6]);
    await runOnce(app);
    expect(await windowsOf(counts)).toEqual({ 0: 1, 10: 1 });
    expect(await Array.fromAsync(all.snapshot())).toEqual([['k', 3]]);
  }));
