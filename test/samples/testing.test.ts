/** The sample about testing: an app under TestApp. */
import { App } from 'millrace';
import { TestApp } from 'millrace/testing';
import type { TestRecord } from 'millrace/testing';
import { expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';

const Flight = z.object({ date: z.number(), origin: z.string(), delay: z.number() });
const app = new App('flights', { broker: 'file:./data' });
const departures = app.topic('departures', {
  value: Flight,
  partitions: 8,
  timestamp: (f) => f.date,
});
const late = app
  .table('late', { default: () => 0 })
  .tumbling('1h', { retention: '7d', grace: '10m' });
departures
  .stream()
  .filter((f) => f.delay > 15)
  .groupBy('origin')
  .update(late, (n) => n + 1);
const alerts = app.topic('alerts', { value: z.object({ origin: z.string(), delay: z.number() }) });
app.agent(
  'big-delays',
  departures,
  async function* (stream) {
    for await (const f of stream) if (f.delay > 300) yield { origin: f.origin, delay: f.delay };
  },
  { sinks: [alerts] },
);

test('22: testing an app', async () => {
  await using t = await TestApp.start(app, { now: '2001-01-01T00:00:00Z', seed: 7, workers: 2 });
  await t.send(departures, { date: 0, origin: 'ATL', delay: 400 });
  await t.advance('2h');
  const [first] = await t.output(alerts);
  expectTypeOf(first).toEqualTypeOf<
    TestRecord<string | null, { origin: string; delay: number }> | undefined
  >();
  expect(first).toMatchObject({ value: { origin: 'ATL', delay: 400 }, timestamp: 0 });
  const n = t.table(late).at('ATL', 0);
  expectTypeOf(n).toEqualTypeOf<number>();
  expect(n).toBe(1);
  await t.crash(0);
  await t.rebalance({ add: 1 });
  expect(t.workers).toBe(2);
  expect(t.table(late).at('ATL', 0)).toBe(1);
  expect(await t.output(alerts)).toEqual([]);
});

test('22: the same app in the next test is empty', async () => {
  await using t = await TestApp.start(app);
  expect(t.table(late).at('ATL', 0)).toBe(0);
  expect(await t.output(departures)).toEqual([]);
});
