/** The pipeline and the app of the first page. */
import { App, Stream } from 'millrace';
import { expect, test } from 'vitest';
import { z } from 'zod';

import { runApp, valuesOf } from './support.ts';

test('1: a pipeline', async () => {
  const seen: number[] = [];
  const source = new Stream<number>();
  source
    .map((x) => x * x + 1)
    .accumulate((sum, x) => sum + x)
    .sink((sum) => seen.push(sum));
  for (let i = 0; i < 10; i++) await source.emit(i);
  expect(seen).toEqual([1, 3, 8, 18, 35, 61, 98, 148, 213, 295]);
});

test('2: an app: late departures per origin and hour, and an agent for big delays', async () => {
  const Flight = z.object({ date: z.number(), origin: z.string(), delay: z.number() });
  const app = new App('flights', { broker: 'memory:' });
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
  const alerts = app.topic('alerts', {
    value: z.object({ origin: z.string(), delay: z.number() }),
  });
  const told: unknown[] = [];
  const origins: number[] = [];
  app.agent(
    'big-delays',
    departures,
    async function* (stream) {
      for await (const f of stream) if (f.delay > 300) yield { origin: f.origin, delay: f.delay };
    },
    { sinks: [alerts, (a) => told.push(a), (a) => origins.push(a.origin.length)] },
  );

  const hour = 3_600_000;
  const flights = [
    { date: 0, origin: 'ATL', delay: 400 },
    { date: 5, origin: 'ATL', delay: 16 },
    { date: 10, origin: 'SFO', delay: 15 },
    { date: hour - 1, origin: 'SFO', delay: 20 },
    { date: hour, origin: 'ATL', delay: 301 },
    { date: 30, origin: 'ATL', delay: 17 },
  ];
  const send = (): Promise<unknown> =>
    Promise.all(flights.map((f) => departures.send(f, { partition: 0 })));
  await runApp(app, send, async () => {
    const rows = await Array.fromAsync(
      late.snapshot(),
      ({ key, window, value }) => `${key} ${window.start / hour}-${window.end / hour} ${value}`,
    );
    expect(rows.toSorted()).toEqual(['ATL 0-1 3', 'ATL 1-2 1', 'SFO 0-1 1']);
    const big = [
      { origin: 'ATL', delay: 400 },
      { origin: 'ATL', delay: 301 },
    ];
    expect(await valuesOf(alerts)).toEqual(big);
    expect(told).toEqual(big);
    expect(origins).toEqual([3, 3]);
  });
});
