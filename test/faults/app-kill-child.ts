/**
 * The flights of the demo until it is killed: loads them, works on them, or does both at once.
 *
 * Says on standard output, one line each: `loading <rows>` and `working <events>` where it continues, `loaded <rows>` and
 * `committed <events>` whenever more is durable, `first load <ms>` and `first commit <ms>` since the process began, and `late <events>`
 * when all is done.
 *
 * Run: `node -C millrace-source app-kill-child.ts <directory> <load|work|both> <rows> <origin|destination>`.
 */
import { writeSync } from 'node:fs';

import { flightsApp } from '../../examples/flights/app.ts';

const [directory = '', mode, rowsText, keyed] = process.argv.slice(2);
const rows = Number(rowsText);
const keyedBy = keyed === 'destination' ? 'destination' : 'origin';
const flights = flightsApp({
  broker: `file:${directory}`,
  keyedBy,
  // Many small commits, so that kills fall between and into them.
  commit: { every: 1_000, interval: 20 },
});

const said = new Set<string>();

await (mode === 'load' ? load() : work());
await flights.app.close();

async function load(): Promise<void> {
  // DuckDB is loaded only by those who need it: what is measured is the restart of the app.
  const { openFlights } = await import('../../examples/flights/dataset.ts');
  const { load: loadFlights } = await import('../../examples/flights/load.ts');
  const connection = await openFlights(rows);
  let from = 0;
  await loadFlights(flights, connection, {
    rows,
    keyedBy,
    onStart(position) {
      from = position;
      say(`loading ${position}`);
    },
    onProgress(loaded) {
      if (loaded > from) sayFirst('load');
      say(`loaded ${loaded}`);
    },
  });
  say(`loaded ${rows}`);
}

async function work(): Promise<void> {
  const running = await flights.app.start();
  let committed = running.stats.committed;
  say(`working ${committed}`);
  const watch = setInterval(() => {
    const now = running.stats.committed;
    if (now === committed) return;
    committed = now;
    sayFirst('commit');
    say(`committed ${now}`);
  }, 1);
  try {
    if (mode === 'both') await load();
    await running.settled();
  } finally {
    clearInterval(watch);
  }
  const { late } = running.stats;
  await running.stop();
  say(`late ${Object.values(late).reduce((sum, one) => sum + one, 0)}`);
}

function sayFirst(what: string): void {
  if (said.has(what)) return;
  said.add(what);
  say(`first ${what} ${performance.now().toFixed(0)}`);
}

/** At once, past every buffer of this process: what was said counts after a kill. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}
