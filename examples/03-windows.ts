/**
 * Windows of event time: the mean temperature of each minute, sent on once the minute is over for good.
 *
 * What counts is when something was measured, not when it comes in. A window stays open for its grace; what comes later is counted as
 * late and dropped.
 *
 * Run: `node 03-windows.ts`
 */
import { App } from 'millrace';
import { z } from 'zod';

const Reading = z.object({ sensor: z.string(), at: z.number(), celsius: z.number() });

const app = new App('greenhouse', { broker: 'memory:' });
const readings = app.topic('readings', {
  key: z.string(),
  value: Reading,
  partitions: 1,
  timestamp: (reading) => reading.at,
});
const minutes = app
  .table('minutes', { default: () => ({ sum: 0, count: 0 }) })
  .tumbling('1m', { grace: '30s', retention: '1h' });

readings.stream().update(minutes, ({ sum, count }, { celsius }) => ({
  sum: sum + celsius,
  count: count + 1,
}));
minutes
  .closed()
  .map(({ key, window, value }) => {
    const minute = new Date(window.start).toISOString().slice(11, 16);
    return `${minute} ${key}: ${(value.sum / value.count).toFixed(1)} °C of ${value.count}`;
  })
  .sink(console.log);

const running = await app.start();
for (const [seconds, celsius] of [
  [0, 20],
  [50, 22],
  [70, 30],
  [40, 24], // out of order, but within the grace
  [95, 31], // now the first minute is over for good
  [30, 99], // too late
  [400, 25], // and the second one
] as const) {
  const at = Date.UTC(2026, 0, 1, 12) + seconds * 1_000;
  await readings.send({ sensor: 'north', at, celsius }, { key: 'north' });
}
await running.settled();
console.log('late:', running.stats.late['minutes']);
await running.stop();
await app.close();
