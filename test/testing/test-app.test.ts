/** TestApp: what its calls do, and what they say when something is wrong. */
import { setTimeout as realTime } from 'node:timers/promises';

import { describe, expect, test } from 'vitest';

import { App, retry, unchecked } from '../../src/index.ts';
import type { AppOptions, Table, Topic } from '../../src/index.ts';
import { TestApp } from '../../src/testing/index.ts';
import { keyed } from '../app/support.ts';

const START = Date.parse('2026-01-01T00:00:00Z');

interface Counting {
  readonly app: App;
  readonly numbers: Topic<string, number>;
  readonly doubled: Topic<string, number>;
  readonly sums: Table<string, number, number>;
}

/** Numbers by key, doubled and summed. */
function counting(options: AppOptions = {}): Counting {
  const app = new App('counting', { broker: 'file:./never-opened', ...options });
  const numbers = app.topic('numbers', keyed<number>());
  const doubled = app.topic('doubled', keyed<number>());
  const sums = app.table('sums', { default: () => 0 });
  const stream = numbers.stream();
  stream.map((n) => n * 2).sink(doubled);
  stream.update(sums, (sum, n) => sum + n);
  return { app, numbers, doubled, sums };
}

describe('sending and looking', () => {
  test('what is sent has been processed and committed when send returns, and time has not moved', async () => {
    const { app, numbers, doubled, sums } = counting();
    await using t = await TestApp.start(app);
    await t.send(numbers, 1, { key: 'a' });
    await t.send(numbers, 2, { key: 'a', timestamp: 5, headers: { by: 'me' } });
    expect(t.table(sums).get('a')).toBe(3);
    expect(await t.output(doubled)).toEqual([
      { key: 'a', value: 2, timestamp: START, partition: expect.any(Number), headers: {} },
      {
        key: 'a',
        value: 4,
        timestamp: 5,
        partition: expect.any(Number),
        headers: expect.any(Object),
      },
    ]);
    expect(t.now).toBe(START);
    expect(t.stats).toMatchObject({ events: 2, committed: 2 });
    expect(await Array.fromAsync(sums.snapshot())).toEqual([['a', 3]]);
    expect(await sums.query('a')).toBe(3);
  });

  test('output gives what came since the last call, steps in their order, partitions by event time', async () => {
    const { app, numbers } = counting();
    await using t = await TestApp.start(app);
    const send = async (n: number, partition: number, timestamp: number): Promise<void> =>
      await t.send(numbers, n, { key: 'k', partition, timestamp });
    const values = async (): Promise<number[]> =>
      (await t.output(numbers)).map(({ value }) => value);
    await send(1, 3, 90);
    await send(2, 0, 10);
    expect(await values()).toEqual([1, 2]);
    await t.sendAll(numbers, [
      [3, { key: 'k', partition: 2, timestamp: 30 }],
      [4, { key: 'k', partition: 0, timestamp: 40 }],
      [5, { key: 'k', partition: 0, timestamp: 20 }],
      [6, { key: 'k', partition: 1, timestamp: 30 }],
    ]);
    await send(7, 1, 1);
    expect(await values()).toEqual([6, 3, 4, 5, 7]);
    expect(await values()).toEqual([]);
  });

  test('headers come back as texts where they are texts', async () => {
    const { app, numbers } = counting();
    await using t = await TestApp.start(app);
    const headers = { text: 'ä', bytes: Uint8Array.of(0xff) };
    await t.send(numbers, 1, { key: 'a', headers });
    const [record] = await t.output(numbers);
    expect(record?.headers['text']).toBe('ä');
    expect(record?.headers['bytes']).toEqual(Buffer.of(0xff));
  });

  test('records that cannot be sent are refused, and nothing is stored of them', async () => {
    const { app, numbers } = counting();
    await using t = await TestApp.start(app);
    const wrong = { key: 'a', timestamp: 0.5 };
    await expect(t.send(numbers, 1, wrong)).rejects.toMatchObject({ code: 'MR_TIMESTAMP_INVALID' });
    await t.send(numbers, 1, { key: 'a' });
    expect((await t.output(numbers)).length).toBe(1);
  });

  test('many records', async () => {
    const { app, numbers, sums } = counting();
    await using t = await TestApp.start(app, { workers: 3 });
    await t.sendAll(
      numbers,
      Array.from({ length: 2_500 }, (_, i) => [1, { key: `k${i % 7}` }] as const),
    );
    const rows = [...t.table(sums).entries()];
    expect(rows.map(([key]) => key)).toEqual(['k0', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6']);
    expect(rows.reduce((total, [, sum]) => total + sum, 0)).toBe(2_500);
  });
});

describe('tables', () => {
  test('all shards at once, with defaults, ranges and keys that a sender has put elsewhere', async () => {
    const { app, numbers, sums } = counting();
    await using t = await TestApp.start(app, { workers: 2 });
    const view = t.table(sums);
    expect([view.get('a'), view.has('a'), [...view.entries()]]).toEqual([0, false, []]);
    for (const key of ['d', 'b', 'a', 'c']) await t.send(numbers, 1, { key });
    for (const partition of [0, 1, 2, 3])
      await t.send(numbers, 1, { key: `p${partition}`, partition });
    expect([view.get('a'), view.has('a'), view.get('x'), view.has('x')]).toEqual([
      1,
      true,
      0,
      false,
    ]);
    expect(['p0', 'p1', 'p2', 'p3'].map((key) => view.get(key))).toEqual([1, 1, 1, 1]);
    const keys = [...view.entries({ from: 'b', to: 'p0' })].map(([key]) => key);
    expect(keys).toEqual(['b', 'c', 'd']);
  });

  test('rows are copies', async () => {
    const app = new App('lists', { broker: 'memory:' });
    const words = app.topic('words', keyed<string>());
    const lists = app.table<string[]>('lists', { default: () => [] });
    words.stream().update(lists, (list, word) => {
      list.push(word);
      return list;
    });
    await using t = await TestApp.start(app);
    await t.send(words, 'one', { key: 'a' });
    const before = t.table(lists).get('a');
    before.push('mine');
    await t.send(words, 'two', { key: 'a' });
    expect(before).toEqual(['one', 'mine']);
    expect(t.table(lists).get('a')).toEqual(['one', 'two']);
  });

  test('windows', async () => {
    const app = new App('windows', { broker: 'memory:' });
    const hits = app.topic('hits', { ...keyed<{ page: string }>(), partitions: 2 });
    const perHour = app.table('per-hour', { default: () => 0 }).tumbling('1h', { grace: '5m' });
    hits
      .stream()
      .groupBy('page')
      .update(perHour, (n) => n + 1);
    await using t = await TestApp.start(app, { now: 0 });
    const view = t.table(perHour);
    expect([view.at('/', 0), view.now('/'), [...view.windows('/')]]).toEqual([0, 0, []]);
    await t.send(hits, { page: '/' }, { key: 'a' });
    await t.advance('1h');
    await t.sendAll(hits, [
      [{ page: '/' }, { key: 'a', partition: 0 }],
      [{ page: '/' }, { key: 'b', partition: 1 }],
    ]);
    expect([view.at('/', 0), view.at('/', 3_599_999), view.at('/', 3_600_000)]).toEqual([1, 1, 2]);
    expect(view.now('/')).toBe(2);
    expect([...view.windows('/')]).toEqual([
      [{ start: 0, end: 3_600_000 }, 1],
      [{ start: 3_600_000, end: 7_200_000 }, 2],
    ]);
  });

  test('a table that was renamed', async () => {
    const app = new App('renamed', { broker: 'memory:', rename: { totals: 'sums' } });
    const numbers = app.topic('numbers', keyed<number>());
    const totals = app.table('totals', { default: () => 0 });
    numbers.stream().update(totals, (sum, n) => sum + n);
    await using t = await TestApp.start(app);
    await t.send(numbers, 2, { key: 'a' });
    expect(t.table(totals).get('a')).toBe(2);
    expect([...t.table(totals).entries()]).toEqual([['a', 2]]);
  });
});

describe('time', () => {
  test('starts where the test says', async () => {
    const { app } = counting();
    for (const [now, ms] of [
      ['2001-01-01T00:00:00Z', 978_307_200_000],
      [12_345, 12_345],
    ] as const) {
      await using t = await TestApp.start(app, { now });
      expect(t.now).toBe(ms);
    }
  });

  test('an agent that waits gets its time, without advance', async () => {
    const app = new App('slow', { broker: 'memory:' });
    const jobs = app.topic('jobs', keyed<number>());
    const done = app.topic('done', keyed<number>());
    app.each(
      'worker',
      jobs,
      async (n, _event, context) => {
        await context.sleep('20s');
        return n;
      },
      { sinks: [done] },
    );
    await using t = await TestApp.start(app, { now: 0 });
    await t.send(jobs, 1, { key: 'a' });
    expect((await t.output(done)).map(({ value }) => value)).toEqual([1]);
    expect(t.now).toBe(20_000);
  });

  test('idle inputs let windows behind a groupBy close', async () => {
    const app = new App('idle', { broker: 'memory:' });
    const hits = app.topic('hits', keyed<{ page: string }>());
    const closed = app.topic('closed', keyed<number>());
    const perMinute = app.table('per-minute', { default: () => 0 }).tumbling('1m');
    hits
      .stream()
      .groupBy('page')
      .update(perMinute, (n) => n + 1);
    perMinute
      .closed()
      .map(({ value }) => value)
      .sink(closed);
    await using t = await TestApp.start(app, { now: 0 });
    await t.send(hits, { page: '/' }, { key: 'a', timestamp: 0 });
    await t.send(hits, { page: '/' }, { key: 'a', timestamp: 60_000 });
    expect(await t.output(closed)).toEqual([]);
    await t.advance('2s');
    expect(await t.output(closed)).toMatchObject([{ key: '/', value: 1, timestamp: 59_999 }]);
  });

  test('days pass quickly, and what waits on the clock happens when it is due', async () => {
    const { app, numbers, sums } = counting();
    await using t = await TestApp.start(app, { now: 0 });
    await t.send(numbers, 1, { key: 'a' });
    const fired: number[] = [];
    for (const delayMs of [86_400_000, 1, 3_600_000])
      t.clock.setTimer(delayMs, () => fired.push(t.now));
    await t.advance('2d');
    expect(fired).toEqual([1, 3_600_000, 86_400_000]);
    expect(t.now).toBe(2 * 86_400_000);
    await t.send(numbers, 1, { key: 'a' });
    expect(t.table(sums).get('a')).toBe(2);
  });

  test('retention is looked after', async () => {
    const app = new App('kept', { broker: 'memory:' });
    const log = app.topic('log', { ...keyed<number>(), partitions: 1, retention: '1d' });
    app.each('reader', log, () => undefined);
    await using t = await TestApp.start(app);
    await t.send(log, 1, { key: 'a' });
    await t.advance('2d');
    await t.send(log, 2, { key: 'a' });
    expect((await Array.fromAsync(log.records())).map(({ value }) => value)).toEqual([2]);
  });
});

describe('jobs', () => {
  test('run beside each worker, on the time of the test, and what they send is processed', async () => {
    const { app, numbers, sums } = counting();
    const ticks: number[] = [];
    let told = 0;
    app.task(async ({ sleep }) => {
      await numbers.send(1, { key: 'task' });
      await sleep('1h');
      await numbers.send(1, { key: 'task' });
    });
    app.timer('10m', () => ticks.push(minutes()), { onLeader: true });
    app.on('partitionsAssigned', (partitions) => void (told += partitions.length));
    app.on('partitionsRevoked', (partitions) => void (told -= partitions.length));
    await using t = await TestApp.start(app, { now: 0, workers: 2 });
    const minutes = (): number => t.now / 60_000;
    expect(t.table(sums).get('task')).toBe(2);
    await t.advance('25m');
    await t.crash(0);
    await t.advance('15m');
    expect(ticks).toEqual([10, 20, 30, 40]);
    await t.advance('20m');
    // The one that died at 25 minutes did not live to send its second number.
    expect(t.table(sums).get('task')).toBe(3);
    // It did not live to say that its two are gone, either.
    expect(told).toBe(6);
  });

  test('a job that fails ends the app', async () => {
    const { app } = counting();
    app.task(async ({ sleep }) => {
      await sleep('1s');
      throw new Error('no more');
    });
    await using t = await TestApp.start(app);
    await expect(t.advance('2s')).rejects.toMatchObject({ code: 'MR_JOB_FAILED' });
  });
});

test('a job that sends for ever without waiting is found out', async () => {
  const { app, numbers } = counting();
  app.task(async ({ signal }) => {
    while (!signal.aborted) await numbers.send(1, { key: 'a' });
  });
  await expect(TestApp.start(app)).rejects.toMatchObject({ code: 'MR_STALLED' });
}, 60_000);

describe('workers', () => {
  test('tasks are shared, and moving them takes no time', async () => {
    const { app, numbers, sums } = counting();
    await using t = await TestApp.start(app, { workers: 2, now: 0 });
    expect(t.workers).toBe(2);
    for (const change of [{ add: 2 }, { remove: 1 }, { add: 1, remove: 2 }]) {
      await t.rebalance(change);
      await t.send(numbers, 1, { key: 'a' });
    }
    await t.crash();
    await t.crash(0);
    expect(t.workers).toBe(1);
    expect(t.stats.tasks.length).toBe(4);
    expect(t.table(sums).get('a')).toBe(3);
    expect(t.now).toBe(0);
    expect(t.warnings).toEqual([]);
  });

  test('the last one is replaced', async () => {
    const { app, numbers, sums } = counting();
    await using t = await TestApp.start(app);
    await t.send(numbers, 1, { key: 'a' });
    await t.crash();
    await t.crash();
    expect(t.workers).toBe(1);
    await t.send(numbers, 1, { key: 'a' });
    expect(t.table(sums).get('a')).toBe(2);
  });

  test('a crash in the middle of an event: what it did is gone, and it comes again', async () => {
    const app = new App('crashing', { broker: 'memory:' });
    const jobs = app.topic('jobs', keyed<number>());
    const done = app.topic('done', keyed<number>());
    const counts = app.table('counts', { default: () => 0 });
    let calls = 0;
    let running: TestApp | undefined;
    app.agent(
      'worker',
      jobs,
      async function* (stream) {
        for await (const n of stream) {
          counts.update('a', (count) => count + 1);
          yield n;
          if (++calls === 1) void running?.crash();
          await Promise.resolve();
        }
      },
      { sinks: [done] },
    );
    await using t = await TestApp.start(app, { workers: 2 });
    running = t;
    await t.send(jobs, 1, { key: 'a' });
    expect(calls).toBe(2);
    expect(t.table(counts).get('a')).toBe(1);
    expect((await t.output(done)).map(({ value }) => value)).toEqual([1]);
  });

  test('faults strike workers by their number', async () => {
    const { app, numbers, sums } = counting();
    const seen = new Set<number>();
    await using t = await TestApp.start(app, {
      workers: 2,
      now: 0,
      faults: ({ worker, call, index }) => {
        if (call !== 'commit') return undefined;
        seen.add(worker);
        return worker === 1 && index < 3 ? { fail: 'after' } : undefined;
      },
    });
    await t.sendAll(
      numbers,
      Array.from({ length: 50 }, (_, i) => [1, { key: `k${i}` }] as const),
    );
    expect(seen).toEqual(new Set([0, 1]));
    expect([...t.table(sums).entries()].map(([, n]) => n)).toEqual(
      Array.from({ length: 50 }, () => 1),
    );
    expect(t.warnings.join('\n')).toContain('trying again');
    // It pauses before it tries again.
    expect(t.now).toBeGreaterThan(0);
  });
});

describe('failures', () => {
  function failing(options: AppOptions = {}): Counting {
    const parts = counting(options);
    parts.numbers.stream().filter((n) => {
      if (n < 0) throw new Error('negative');
      return true;
    });
    return parts;
  }

  test('what a worker fails with rejects the call and all later ones; what is stored can be read', async () => {
    const { app, numbers, sums, doubled } = failing();
    await using t = await TestApp.start(app, { workers: 2 });
    await t.send(numbers, 1, { key: 'a' });
    const failed = { code: 'MR_PROCESSING_FAILED', message: expect.stringContaining('negative') };
    await expect(t.send(numbers, -1, { key: 'a' })).rejects.toMatchObject(failed);
    await expect(t.send(numbers, 1, { key: 'a' })).rejects.toMatchObject(failed);
    await expect(t.settled()).rejects.toMatchObject(failed);
    await expect(t.advance('1s')).rejects.toMatchObject(failed);
    expect(() => t.table(sums).get('a')).toThrow('negative');
    expect((await t.output(doubled)).map(({ value }) => value)).toEqual([2]);
    expect(await Array.fromAsync(sums.snapshot())).toEqual([['a', 1]]);
    expect(t.workers).toBe(0);
  });

  test('an app that cannot start says why, and can be tested again', async () => {
    const app = new App('broken', { broker: 'memory:' });
    const numbers = app.topic('numbers', keyed<number>());
    let broken = true;
    app.each('reader', numbers, () => undefined);
    await expect(
      TestApp.start(app, {
        faults: ({ call }) => (call === 'join' && broken ? { fail: 'before' } : undefined),
      }),
    ).rejects.toMatchObject({ code: 'MR_IO' });
    broken = false;
    await using t = await TestApp.start(app);
    await t.send(numbers, 1, { key: 'a' });
  });

  test('an agent that never finishes is named', async () => {
    const app = new App('hanging', { broker: 'memory:' });
    const jobs = app.topic('jobs', { ...keyed<number>(), partitions: 1 });
    app.each('worker', jobs, () => new Promise<void>(() => undefined));
    await using t = await TestApp.start(app, { now: 0 });
    const hanging = t.send(jobs, 1, { key: 'a' });
    await expect(hanging).rejects.toMatchObject({
      code: 'MR_STALLED',
      message: expect.stringMatching(/worker\/0 has not finished jobs\[0\] offset 0.*setTimeout/),
    });
    expect(t.now).toBeLessThan(10_000);
  });

  test('an agent that waits for the real world too long is named', async () => {
    const app = new App('real', { broker: 'memory:' });
    const jobs = app.topic('jobs', { ...keyed<number>(), partitions: 1 });
    const end = new AbortController();
    app.each('worker', jobs, async () => {
      await realTime(60_000, undefined, { signal: end.signal }).catch(() => undefined);
    });
    await using t = await TestApp.start(app);
    await expect(t.send(jobs, 1, { key: 'a' })).rejects.toMatchObject({ code: 'MR_STALLED' });
    end.abort();
  });

  test('a topic that feeds itself is found out', async () => {
    const app = new App('loop', { broker: 'memory:' });
    const loop = app.topic('loop', { ...keyed<number>(), partitions: 1 });
    app.each(
      'again',
      loop,
      async (n, _event, context) => {
        await context.sleep('1s');
        return n;
      },
      { sinks: [loop] },
    );
    await using t = await TestApp.start(app);
    await expect(t.send(loop, 1, { key: 'a' })).rejects.toMatchObject({
      code: 'MR_STALLED',
      message: expect.stringContaining('feeds itself'),
    });
  }, 30_000);

  test('a retry may wait for hours', async () => {
    const parts = counting({
      onError: retry({ times: 1, backoff: '2h' }),
      commit: { drainTimeout: '3h' },
      stallAfter: '4h',
    });
    let tries = 0;
    parts.numbers.stream().filter(() => {
      if (++tries === 1) throw new Error('once');
      return true;
    });
    await using t = await TestApp.start(parts.app, { now: 0 });
    await t.send(parts.numbers, 1, { key: 'a' });
    expect(tries).toBe(2);
    expect(t.now).toBeGreaterThanOrEqual(7_200_000);
  });
});

describe('around it', () => {
  test('one test after the other on the same app, and none of them leaves anything', async () => {
    const { app, numbers, sums } = counting();
    for (let i = 0; i < 3; i++) {
      const t = await TestApp.start(app, { workers: 2 });
      expect(t.table(sums).get('a')).toBe(0);
      await t.send(numbers, 1, { key: 'a' });
      expect(t.table(sums).get('a')).toBe(1);
      const { clock } = t;
      await t[Symbol.asyncDispose]();
      await t[Symbol.asyncDispose]();
      expect(clock).toMatchObject({ timers: 0 });
      await expect(t.send(numbers, 1, { key: 'a' })).rejects.toMatchObject({ code: 'MR_CLOSED' });
    }
  });

  test('a failed or hanging app is let go of', async () => {
    const app = new App('hanging', { broker: 'memory:' });
    const jobs = app.topic('jobs', keyed<number>());
    app.each('worker', jobs, () => new Promise<void>(() => undefined));
    const t = await TestApp.start(app);
    await expect(t.send(jobs, 1, { key: 'a' })).rejects.toMatchObject({ code: 'MR_STALLED' });
    await t[Symbol.asyncDispose]();
    expect(t.clock).toMatchObject({ timers: 0 });
  });

  test('the app is what it was afterwards', async () => {
    const { app, numbers } = counting({ broker: 'memory:' });
    {
      await using t = await TestApp.start(app, { now: 0 });
      await t.send(numbers, 1, { key: 'a' });
    }
    const running = await app.start();
    const { timestamp } = await numbers.send(1, { key: 'a' });
    expect(timestamp).toBeGreaterThan(START / 2);
    await running.settled();
    await expect(TestApp.start(app)).rejects.toMatchObject({ code: 'MR_ARGUMENT_INVALID' });
    await running.stop();
    await expect(TestApp.start(app)).rejects.toThrow('is in use');
    await app.close();
    await using t = await TestApp.start(app);
    expect(await t.output(numbers)).toEqual([]);
  });

  test('an app is in one test at a time', async () => {
    const { app } = counting();
    await using t = await TestApp.start(app);
    expect(t.workers).toBe(1);
    await expect(TestApp.start(app)).rejects.toThrow('is in use');
  });

  test("another app's topic is refused", async () => {
    const { app } = counting();
    const other = counting();
    await using t = await TestApp.start(app);
    const sending = t.send(other.numbers, 1, { key: 'a' });
    await expect(sending).rejects.toMatchObject({ code: 'MR_NOT_IN_AN_APP' });
    await expect(t.output(other.numbers)).rejects.toMatchObject({ code: 'MR_NOT_IN_AN_APP' });
  });

  test('options and arguments are checked', async () => {
    const { app } = counting();
    const invalid = { code: expect.stringMatching(/MR_(ARGUMENT|OPTION)_INVALID/) };
    for (const options of [
      { workers: 0 },
      { workers: 17 },
      { now: 'soon' },
      { now: 0.5 },
      { seed: -1 },
    ])
      await expect(TestApp.start(app, options)).rejects.toMatchObject(invalid);
    await using t = await TestApp.start(app);
    await expect(t.crash(1)).rejects.toMatchObject(invalid);
    await expect(t.rebalance({ remove: 1 })).rejects.toMatchObject(invalid);
    await expect(t.rebalance({ add: 16 })).rejects.toMatchObject(invalid);
    await expect(t.advance(-1)).rejects.toMatchObject(invalid);
    expect(t.workers).toBe(1);
  });

  test('a topic without a table or stream, and an app that only sends', async () => {
    const app = new App('sender', { broker: 'memory:' });
    const out = app.topic('out', { value: unchecked<number>() });
    const table = app.table('unused', { default: () => 0 });
    await using t = await TestApp.start(app);
    await t.send(out, 1);
    expect((await t.output(out)).map(({ key, value }) => [key, value])).toEqual([[null, 1]]);
    expect(() => t.table(table).get('a')).toThrow('nothing in the app processes events');
  });
});

test('a seed replays a run: the same outputs in the same commits at the same times', async () => {
  const run = async (seed: number): Promise<string> => {
    const { app, numbers, doubled } = counting();
    const trace: string[] = [];
    await using t = await TestApp.start(app, {
      workers: 3,
      seed,
      faults: ({ worker, call, index, task }) => {
        if (call !== 'commit' && call !== 'tend') return undefined;
        trace.push(`${worker} ${call} ${task ?? ''}`);
        return index % 5 === 4 ? { fail: 'after', delayMs: 7 } : undefined;
      },
    });
    for (let i = 0; i < 4; i++) {
      await t.sendAll(
        numbers,
        Array.from({ length: 10 }, (_, n) => [n, { key: `k${n}` }] as const),
      );
      await t.crash(i % t.workers);
      await t.rebalance({ add: 1 });
      await t.advance('3s');
    }
    const outputs = await t.output(doubled);
    expect(outputs.length).toBe(40);
    return JSON.stringify([trace, outputs, t.now]);
  };
  expect(await run(1)).toBe(await run(1));
});
