/**
 * The demo: three million real flights through the embedded log, exactly once, compared with DuckDB.
 *
 * `npm run demo` continues where the last run stopped, however it ended; `npm run demo -- --fresh` starts over.
 *
 * @module
 */
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { flightsApp } from './app.ts';
import type { FlightsApp } from './app.ts';
import { compare } from './compare.ts';
import { openFlights, TOTAL } from './dataset.ts';
import { load } from './load.ts';
import { Progress, readable } from './progress.ts';

const { values: options } = parseArgs({
  options: {
    fresh: { type: 'boolean', default: false },
    directory: { type: 'string', default: '.millrace/flights' },
    rows: { type: 'string', default: String(TOTAL) },
    'keyed-by': { type: 'string', default: 'origin' },
  },
});
const rows = Math.min(TOTAL, Number(options.rows));
const keyedBy = options['keyed-by'] === 'destination' ? 'destination' : 'origin';

if (options.fresh) rmSync(options.directory, { recursive: true, force: true });
console.log(
  `millrace demo: ${readable(rows)} US flights of 2001, embedded log in ${options.directory}`,
);

const connection = await openFlights(rows);
const flights = flightsApp({ broker: `file:${options.directory}`, keyedBy });
await loadFlights(flights);
const rate = await work(flights);
await showWorst(flights);
const equal = await showComparison(flights);
await flights.app.close();
if (rate > 0)
  console.log(
    `\n${readable(Math.round(rate))} events/s, one process, exactly once, every commit synced to the disk`,
  );
process.exitCode = equal ? 0 : 1;

async function loadFlights(app: FlightsApp): Promise<void> {
  let progress: Progress | undefined;
  let loaded = 0;
  await load(app, connection, {
    rows,
    keyedBy,
    onStart(from) {
      loaded = from;
      if (from >= rows) console.log(`all ${readable(rows)} flights were loaded before`);
      else if (from > 0)
        console.log(`loading was interrupted: continuing after ${readable(from)} flights`);
      if (from < rows) progress = new Progress('loading', rows, from);
    },
    onProgress(count) {
      loaded = count;
      progress?.show(count);
    },
  });
  if (progress !== undefined) progress.end(Math.max(loaded, rows));
}

/** Runs a worker until everything is processed; gives the rate, 0 when there was nothing to do. */
async function work({ app }: FlightsApp): Promise<number> {
  const running = await app.start();
  const before = running.stats.events;
  const total = before + (await running.lag());
  if (before > 0 && total > before)
    console.log(`work was interrupted: continuing after ${readable(before)} events`);
  if (total === before) console.log('everything was processed before');
  const progress = new Progress('working', total, before);
  const timer = setInterval(() => {
    void running.lag().then((lag) => progress.show(running.stats.events, `  lag ${readable(lag)}`));
  }, 100);
  try {
    await running.settled();
  } finally {
    clearInterval(timer);
  }
  const { events, late } = running.stats;
  const perSecond = total === before ? 0 : progress.end(events, '  lag 0');
  const dropped = Object.values(late).reduce((sum, one) => sum + one, 0);
  console.log(`late events dropped: ${dropped}`);
  await running.stop();
  return perSecond;
}

async function showWorst({ airports }: FlightsApp): Promise<void> {
  const all = await Array.fromAsync(
    airports.snapshot(),
    ([origin, { flights: count, minutes }]) => ({
      origin,
      flights: count,
      mean: minutes / count,
    }),
  );
  console.log('\nairport    flights   mean delay');
  for (const { origin, flights: count, mean } of all
    .toSorted((a, b) => b.mean - a.mean)
    .slice(0, 10))
    console.log(
      `${origin.padEnd(7)} ${readable(count).padStart(10)}   ${mean.toFixed(2).padStart(6)} min`,
    );
}

async function showComparison(app: FlightsApp): Promise<boolean> {
  console.log('\ncompared with DuckDB');
  const comparisons = await compare(app, connection);
  for (const { what, rows: count, differences } of comparisons) {
    console.log(
      `  ${differences.length === 0 ? 'identical' : 'DIFFERENT'}  ${what} (${readable(count)})`,
    );
    for (const line of differences) console.log(`             ${line}`);
  }
  return comparisons.every(({ differences }) => differences.length === 0);
}
