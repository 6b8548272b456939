/** Tasks with several inputs: whose time counts, and topics that are not partitioned alike. */
import { describe, expect, test } from 'vitest';

import { unchecked } from '../../src/index.ts';
import type { ClosedWindow } from '../../src/index.ts';
import { bench, close } from '../app/support.ts';

interface Click {
  readonly at: number;
}

const minute = 60_000;

describe('a silent input', () => {
  test('holds windows open for idleAfter, and no longer', async () => {
    const { app, clock } = bench('clicks', { idleAfter: '5s', commit: { interval: 10 } });
    try {
      const options = {
        key: unchecked<string>(),
        value: unchecked<Click>(),
        timestamp: (click: Click) => click.at,
      };
      const web = app.topic('web', options);
      const phone = app.topic('phone', options);
      const counts = app.table('counts', { default: () => 0 }).tumbling('1m');
      web
        .stream()
        .union(phone.stream())
        .update(counts, (n) => n + 1);
      const closed: ClosedWindow<string, number>[] = [];
      counts.closed().sink((result) => void closed.push(result));
      const running = await app.start();
      await web.send({ at: 1 }, { key: 'ann' });
      await web.send({ at: 5 * minute }, { key: 'ann' });
      await running.settled();
      await clock.advance(4_000);
      expect(closed).toEqual([]);
      await clock.advance(3_000);
      expect(closed).toEqual([{ key: 'ann', window: { start: 0, end: minute }, value: 1 }]);

      // It speaks again: what lies behind by then is late, the rest counts.
      await phone.send({ at: 2 }, { key: 'ann' });
      await phone.send({ at: 5 * minute + 1 }, { key: 'ann' });
      await running.settled();
      expect(running.stats.late).toEqual({ counts: 1 });
      await running.stop();
      const rows = await Array.fromAsync(counts.snapshot());
      expect(rows.find(({ window }) => window.start === 5 * minute)?.value).toBe(2);
    } finally {
      await close(app);
    }
  });

  test('that still has records counts with its least', async () => {
    const { app } = bench('clicks');
    try {
      const options = {
        key: unchecked<string>(),
        value: unchecked<Click>(),
        timestamp: (click: Click) => click.at,
      };
      const web = app.topic('web', options);
      const phone = app.topic('phone', options);
      const counts = app.table('counts', { default: () => 0 }).tumbling('1m');
      web
        .stream()
        .union(phone.stream())
        .update(counts, (n) => n + 1);
      for (let i = 0; i < 10; i++) await web.send({ at: i * minute }, { key: 'ann' });
      for (let i = 0; i < 10; i++) await phone.send({ at: i * minute }, { key: 'ann' });
      const running = await app.start();
      await running.settled();
      // Taken in the order of their times, nothing is late although each topic spans ten windows.
      expect(running.stats.late).toEqual({});
      await running.stop();
      const rows = await Array.fromAsync(counts.snapshot());
      expect(rows.map(({ value }) => value)).toEqual(Array.from({ length: 10 }, () => 2));
    } finally {
      await close(app);
    }
  });
});

describe('topics with different numbers of partitions', () => {
  test('can be united as long as nothing is kept', async () => {
    const { app } = bench('union');
    try {
      const wide = app.topic('wide', { value: unchecked<number>(), partitions: 4 });
      const narrow = app.topic('narrow', { value: unchecked<number>(), partitions: 2 });
      const seen: number[] = [];
      wide
        .stream()
        .union(narrow.stream())
        .sink((n) => void seen.push(n));
      for (let i = 0; i < 4; i++) await wide.send(i, { partition: i });
      for (let i = 0; i < 2; i++) await narrow.send(10 + i, { partition: i });
      const running = await app.start();
      await running.settled();
      await running.stop();
      expect(seen.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 10, 11]);
    } finally {
      await close(app);
    }
  });

  test('cannot feed one table', async () => {
    const { app } = bench('union');
    const wide = app.topic('wide', {
      key: unchecked<string>(),
      value: unchecked<number>(),
      partitions: 4,
    });
    const narrow = app.topic('narrow', {
      key: unchecked<string>(),
      value: unchecked<number>(),
      partitions: 2,
    });
    const table = app.table('sum', { default: () => 0 });
    wide
      .stream()
      .union(narrow.stream())
      .update(table, (sum, n) => sum + n);
    await expect(app.start()).rejects.toMatchObject({
      code: 'MR_TOPOLOGY_INVALID',
      message: expect.stringContaining('wide (4 partitions) and narrow (2 partitions)') as string,
    });
    await close(app);
  });
});

describe('windows behind closed windows', () => {
  test('need a groupBy between them', async () => {
    const { app } = bench('cascade');
    const clicks = app.topic('clicks', { key: unchecked<string>(), value: unchecked<Click>() });
    const perMinute = app.table('per-minute', { default: () => 0 }).tumbling('1m');
    const perHour = app.table('per-hour', { default: () => 0 }).tumbling('1h');
    clicks.stream().update(perMinute, (n) => n + 1);
    perMinute.closed().update(perHour, (n, { value }) => n + value);
    expect(() => app.topology()).toThrow(/put groupBy\(…\) before update\(per-hour/);
    await close(app);
  });
});

test('`at` must give a time', async () => {
  const { app } = bench('at');
  try {
    const clicks = app.topic('clicks', { key: unchecked<string>(), value: unchecked<Click>() });
    const table = app.table('n', { default: () => 0 }).tumbling('1m');
    clicks.stream().update(table, (n) => n + 1, { at: () => Number.NaN });
    await clicks.send({ at: 1 }, { key: 'ann' });
    const running = await app.start();
    await expect(running.settled()).rejects.toMatchObject({
      code: 'MR_PROCESSING_FAILED',
      cause: { code: 'MR_TIMESTAMP_INVALID' },
    });
  } finally {
    await close(app);
  }
});
