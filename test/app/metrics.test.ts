/** What an app tells through diagnostics_channel: figures that can be checked, and nothing while nobody listens. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, describe, expect, test } from 'vitest';

import { deadLetter } from '../../src/index.ts';
import type {
  AppOptions,
  CommitMessage,
  JobMessage,
  Running,
  TasksMessage,
  WorkerMessage,
} from '../../src/index.ts';
import { reportCommit } from '../../src/runtime/metrics.ts';
import { bench, close, keyed, moment, turns } from './support.ts';
import type { Bench } from './support.ts';

const unsubscribes: (() => void)[] = [];

afterEach(() => {
  for (const end of unsubscribes.splice(0)) end();
});

/** Messages of a channel from here on. */
function hear<T>(name: string): T[] {
  const messages: T[] = [];
  const listener = (message: unknown): void => void messages.push(message as T);
  subscribe(name, listener);
  unsubscribes.push(() => unsubscribe(name, listener));
  return messages;
}

interface Reading {
  readonly at: number;
  readonly n: number;
}

/** An app with a table with windows, late events, and records that fail. */
async function withReadings(
  body: (made: Bench & { send: (at: number, n?: number) => Promise<unknown> }) => Promise<void>,
  options: AppOptions = {},
): Promise<void> {
  const made = bench('shop', options);
  try {
    const readings = made.app.topic('readings', {
      ...keyed<Reading>(),
      partitions: 1,
      timestamp: ({ at }) => at,
    });
    const sums = made.app.table<number>('sums', { default: () => 0 }).tumbling(10);
    readings
      .stream()
      .map(({ n }) => {
        if (n < 0) throw new Error('negative');
        return n;
      })
      .update(sums, (sum, n) => sum + n);
    const send = (at: number, n = 1): Promise<unknown> =>
      readings.send({ at, n }, { key: `k${at % 3}` });
    await body({ ...made, send });
  } finally {
    await close(made.app);
  }
}

/** What commits add up to. */
function total(commits: readonly CommitMessage[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const message of commits)
    for (const name of ['events', 'skipped', 'deadLettered', 'late', 'changedRows'] as const)
      sums[name] = (sums[name] ?? 0) + message[name];
  return sums;
}

describe('millrace:commit', () => {
  test('has what each commit adds', () =>
    withReadings(
      async ({ app, send }) => {
        const commits = hear<CommitMessage>('millrace:commit');
        const running = await app.start();
        for (const at of [1, 2, 3]) await send(at);
        await running.settled();
        expect(total(commits)).toEqual({
          events: 3,
          skipped: 0,
          deadLettered: 0,
          late: 0,
          changedRows: 3,
        });
        expect(commits.at(-1)).toMatchObject({ group: 'shop', task: 'readings/0', rows: 3 });
        commits.length = 0;
        await send(25);
        await running.settled();
        // Both are too late by now, and one is refused.
        await send(4);
        await send(5);
        await send(26, -1);
        await running.settled();
        expect(total(commits)).toMatchObject({ events: 4, skipped: 1, deadLettered: 0, late: 2 });
        expect(commits.every(({ changedRows, rows }) => changedRows <= rows + 3)).toBe(true);
        expect(running.stats).toMatchObject({ events: 7, skipped: 1, late: { sums: 2 } });
        await running.stop();
      },
      { onError: 'skip' },
    ));

  test('counts dead letters', () =>
    withReadings(
      async ({ app, send }) => {
        const commits = hear<CommitMessage>('millrace:commit');
        const running = await app.start();
        for (const n of [1, -1, 1, -1]) await send(1, n);
        await running.settled();
        expect(total(commits)).toMatchObject({ events: 4, skipped: 0, deadLettered: 2 });
        await running.stop();
      },
      { onError: deadLetter('graveyard') },
    ));

  test('tells how long events took, and how much of it was waiting for them', async () => {
    const { app, clock } = bench('shop', { commit: { interval: '1s' } });
    try {
      const numbers = app.topic('numbers', { ...keyed<number>(), partitions: 1 });
      const goOn = moment();
      app.each('slow', numbers, async () => await goOn.reached);
      const commits = hear<CommitMessage>('millrace:commit');
      const running = await app.start();
      await numbers.send(1, { key: 'k' });
      await turns(clock);
      await clock.advance(1_000);
      await clock.advance(250);
      goOn.come();
      await turns(clock);
      const [commit] = commits;
      expect(commit).toMatchObject({ events: 1, drainMs: 250, durationMs: 250, latencyMs: 1_250 });
      expect(commits).toHaveLength(1);
      await running.stop();
    } finally {
      await close(app);
    }
  });

  test('is not put together while nobody listens', () => {
    const never = (): never => {
      throw new Error('nobody listens');
    };
    reportCommit(never);
    hear('millrace:commit');
    expect(() => reportCommit(never)).toThrow('nobody listens');
  });
});

describe('millrace:worker', () => {
  test('has rates, lag and sizes, once a second', () =>
    withReadings(async ({ app, clock, send }) => {
      const reports = hear<WorkerMessage>('millrace:worker');
      const running = await app.start();
      await clock.advance(2_000);
      for (const at of [1, 2, 3, 4]) await send(at);
      await running.settled();
      await clock.advance(5_000);
      expect(reports.length).toBeGreaterThanOrEqual(5);
      for (const report of reports)
        expect(report).toMatchObject({ group: 'shop', tasks: 1, lag: 0, lost: 0 });
      for (const { elapsedMs } of reports) expect(elapsedMs).toBeGreaterThanOrEqual(1_000);
      expect(reports.reduce((sum, { events }) => sum + events, 0)).toBe(4);
      expect(reports.at(-1)?.rows).toBe(3);
      await running.stop();
    }));

  test('has the lag of a task that is stuck', async () => {
    const { app, clock } = bench();
    try {
      const numbers = app.topic('numbers', { ...keyed<number>(), partitions: 1 });
      const goOn = moment();
      app.each('slow', numbers, async () => await goOn.reached);
      for (let n = 0; n < 5; n++) await numbers.send(n, { key: 'k' });
      const reports = hear<WorkerMessage>('millrace:worker');
      const running = await app.start();
      await clock.advance(3_000);
      expect(reports.at(-1)).toMatchObject({ lag: 5, events: 0 });
      goOn.come();
      await running.settled();
      await clock.advance(3_000);
      expect(reports.at(-1)).toMatchObject({ lag: 0 });
      await running.stop();
    } finally {
      await close(app);
    }
  });

  test('asks the broker for nothing while nobody listens', async () => {
    const { app, clock } = bench();
    let asked = 0;
    try {
      const numbers = app.topic('numbers', { ...keyed<number>(), partitions: 1 });
      numbers.stream().sink(() => undefined);
      const broker = await app['~parts']().broker();
      const bounds = broker.bounds.bind(broker);
      broker.bounds = (...args) => {
        asked++;
        return bounds(...args);
      };
      const running: Running = await app.start();
      await turns(clock);
      const before = asked;
      await clock.advance(10_000);
      expect(asked).toBe(before);
      hear('millrace:worker');
      await clock.advance(10_000);
      expect(asked).toBeGreaterThan(before);
      await running.stop();
    } finally {
      await close(app);
    }
  });
});

describe('millrace:tasks', () => {
  test('says which come and go', () =>
    withReadings(async ({ app }) => {
      const changes = hear<TasksMessage>('millrace:tasks');
      const running = await app.start();
      await running.stop();
      const none = { gained: [], revoked: [], released: [], lost: [] };
      const { member } = changes[0] as TasksMessage;
      expect(changes).toEqual([
        { group: 'shop', member, ...none, gained: ['readings/0'] },
        { group: 'shop', member, ...none, released: ['readings/0'] },
      ]);
    }));
});

describe('millrace:job', () => {
  test('has each run of a timer and a task', () =>
    withReadings(async ({ app, clock }) => {
      const jobs = hear<JobMessage>('millrace:job');
      app.task(({ sleep }) => sleep('150ms'), { name: 'warm-up' });
      let runs = 0;
      app.timer('1s', async ({ sleep }) => {
        runs++;
        if (runs === 1) throw new Error('first');
        if (runs === 2) await sleep(2_500);
      });
      const running = await app.start();
      await clock.advance(5_000);
      await running.stop();
      const timer = { group: 'shop', job: 'timer 1', kind: 'timer' };
      expect(jobs).toEqual([
        { group: 'shop', job: 'warm-up', kind: 'task', durationMs: 150, failed: false, skipped: 0 },
        { ...timer, durationMs: 0, failed: true, skipped: 0 },
        { ...timer, durationMs: 2_500, failed: false, skipped: 2 },
        { ...timer, durationMs: 0, failed: false, skipped: 0 },
      ]);
    }));
});
