/** Tables fed by agents and by declared streams; schemas that transform; msgpack. */
import { gzip, json, msgpack, pipe } from 'millrace';
import { expect, test } from 'vitest';
import { z } from 'zod';

import { memoryApp, rowsOf, runApp, valuesOf } from './support.ts';

test('9: withdrawals by user and by country', async () => {
  const app = memoryApp('withdrawals');
  const Withdrawal = z.object({
    user: z.string(),
    country: z.string(),
    amount: z.number(),
    at: z.number(),
  });
  const topic = app.topic('withdrawals', {
    key: z.string(),
    value: Withdrawal,
    timestamp: (w) => w.at,
  });
  const byUser = app.table('user_to_total', { default: () => 0 });
  const byCountry = app
    .table('country_to_total', { default: () => 0 })
    .tumbling('10s', { retention: '10s' });
  app.agent('users', topic, async (s) => {
    for await (const w of s) byUser.update(w.user, (t) => t + w.amount);
  });
  app.agent('countries', topic.stream().groupBy('country'), async (s) => {
    for await (const w of s) byCountry.update(w.country, (t) => t + w.amount);
  });
  const withdrawals = [
    { user: 'ann', country: 'FR', amount: 10, at: 1_000 },
    { user: 'bob', country: 'FR', amount: 20, at: 2_000 },
    { user: 'ann', country: 'DE', amount: 40, at: 9_999 },
    { user: 'ann', country: 'FR', amount: 80, at: 10_000 },
  ];
  await runApp(
    app,
    () => Promise.all(withdrawals.map((w) => topic.send(w, { key: w.user, partition: 0 }))),
    async () => {
      expect(await rowsOf(byUser)).toEqual({ ann: 130, bob: 20 });
      const rows = await Array.fromAsync(
        byCountry.snapshot(),
        ({ key, window, value }) => `${key} ${window.start} ${value}`,
      );
      expect(rows.toSorted()).toEqual(['DE 0 40', 'FR 0 30', 'FR 10000 80']);
    },
  );
});

test('10: page views by URL, but for the page', async () => {
  const app = memoryApp('page-views');
  const views = app.topic('views', { value: z.object({ url: z.string(), user: z.number() }) });
  const counts = app.table('counts', { default: () => 0 });
  views
    .stream()
    .groupBy('url')
    .update(counts, (n) => n + 1);
  const urls = ['/', '/tea', '/', '__proto__', 'constructor', '/tea', '/'];
  await runApp(
    app,
    () => Promise.all(urls.map((url, user) => views.send({ url, user }))),
    async () => {
      expect(new Map(await Array.fromAsync(counts.snapshot()))).toEqual(
        new Map([
          ['/', 3],
          ['/tea', 2],
          ['__proto__', 1],
          ['constructor', 1],
        ]),
      );
    },
  );
});

test('20: a schema that transforms, in compressed JSON', async () => {
  const app = memoryApp('transform');
  const Raw = z.object({
    at: z.iso.datetime().transform((t) => new Date(t)),
    n: z.coerce.number<string>(),
  });
  const raw = app.topic('raw', {
    value: Raw,
    codec: pipe(json, gzip),
    timestamp: (r) => r.at.getTime(),
  });
  const seconds = app.topic('seconds', { value: z.number() });
  raw
    .stream()
    .map((r) => r.at.getTime() / 1_000 + r.n)
    .sink(seconds);
  await runApp(
    app,
    async () => {
      const { timestamp } = await raw.send({ at: '1970-01-01T00:01:00Z', n: '3' });
      expect(timestamp).toBeGreaterThan(0);
      await expect(raw.send({ at: 'yesterday', n: '3' })).rejects.toMatchObject({
        code: 'MR_SCHEMA_VIOLATION',
      });
    },
    async () => {
      expect(await valuesOf(seconds)).toEqual([63]);
      const records = await Array.fromAsync(raw.records());
      expect(records.map(({ value, timestamp }) => [value, timestamp])).toEqual([
        [{ at: new Date(60_000), n: 3 }, 60_000],
      ]);
    },
  );
});

test('25: msgpack, numeric keys, an optional field as a key, a table without a default', async () => {
  const app = memoryApp('opt');
  const topic = app.topic('t', {
    key: z.number(),
    value: z.object({ country: z.string().optional(), n: z.number() }),
    codec: msgpack,
  });
  const last = app.table('last', { value: z.object({ n: z.number() }) });
  topic
    .stream()
    .groupBy((x) => x.country ?? 'none', { name: 'country' })
    .update(last, (current, x) => ({ n: (current?.n ?? 0) + x.n }));
  const byNumber = app.table('by-number', { key: z.number(), default: () => '' });
  topic.stream().update(byNumber, (text, x) => `${text}${x.n};`);
  await runApp(
    app,
    async () => {
      await topic.send({ n: 1 }, { key: 3 });
      await topic.send({ n: 2, country: 'FR' }, { key: -1.5 });
      await topic.send({ n: 4 }, { key: 3 });
    },
    async () => {
      expect(await rowsOf(last)).toEqual({ none: { n: 5 }, FR: { n: 2 } });
      expect(new Map(await Array.fromAsync(byNumber.snapshot()))).toEqual(
        new Map([
          [3, '1;4;'],
          [-1.5, '2;'],
        ]),
      );
    },
  );
});

test('a producer with an id continues where it stopped', async () => {
  const app = memoryApp('loader');
  const lines = app.topic('lines', { key: z.string(), value: z.string(), partitions: 1 });
  const load = async (text: readonly string[], upTo: number): Promise<number> => {
    const producer = await lines.producer<{ line: number }>({ id: 'loader' });
    const from = producer.position?.line ?? 0;
    for (const [line, value] of text.entries())
      if (line >= from && line < upTo)
        await producer.send(value, { key: 'k', position: { line: line + 1 } });
    await producer.close();
    return from;
  };
  try {
    expect(await load(['a', 'b', 'c', 'd'], 2)).toBe(0);
    expect(await load(['a', 'b', 'c', 'd'], 4)).toBe(2);
    expect(await valuesOf(lines)).toEqual(['a', 'b', 'c', 'd']);
  } finally {
    await app.close();
  }
});
