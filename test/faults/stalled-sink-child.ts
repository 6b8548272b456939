/**
 * A sink that stands still for a minute of virtual time while a producer goes on at full rate. Says on standard output
 * `grown <largest growth of private memory, bytes> <bytes sent>` and `done <events that came to the sink>`.
 *
 * Run: `node -C millrace-source stalled-sink-child.ts <broker> <stalled|alone>`; `alone`: nobody reads what is sent.
 */
import { readFileSync } from 'node:fs';

import { App, unchecked, VirtualClock } from 'millrace';

const SECONDS = 60;
const EVENTS_PER_SECOND = 25_000;

interface Reading {
  readonly n: number;
  readonly text: string;
}

const [url = '', how] = process.argv.slice(2);
const clock = new VirtualClock(Date.UTC(2026, 0, 1));
const app = new App('stalled', {
  broker: url as `file:${string}`,
  clock,
  // Longer than the sink needs: it is slow, not dead.
  commit: { drainTimeout: '10m' },
  stallAfter: '10m',
});
const readings = app.topic('readings', {
  key: unchecked<string>(),
  value: unchecked<Reading>(),
  partitions: 4,
});
const counts = app.table('counts', { default: () => 0 });
let released = false;
let stalled = 0;
let sunk = 0;
const release = Promise.withResolvers<void>();
readings.stream().update(counts, (n) => n + 1);
readings.stream().sink(() => {
  sunk++;
  if (released) return undefined;
  stalled++;
  return release.promise;
});

const producer = await readings.producer({ id: 'loader' });
const running = how === 'stalled' ? await app.start() : undefined;
let sent = 0;
const push = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    const wait = producer.send(
      { n: sent, text: `reading ${sent} of a sensor that has a lot to say` },
      { key: `sensor-${sent % 100}` },
    );
    sent++;
    if (wait !== undefined) await wait;
  }
  await producer.flush();
};

// Everything is loaded and compiled, and the sink stands still.
await push(EVENTS_PER_SECOND * 2);
await clock.advance(1_000);
if (running !== undefined && stalled === 0) throw new Error('the sink was not called');
const before = privateBytes();
let most = before;
for (let second = 1; second < SECONDS; second++) {
  await push(EVENTS_PER_SECOND);
  await clock.advance(1_000);
  most = Math.max(most, privateBytes());
}
if (stalled > 4) throw new Error(`the sink was called ${stalled} times while it stood still`);
process.stdout.write(`grown ${most - before} ${sent * 90}\n`);
released = true;
release.resolve();
if (running !== undefined) {
  let settled = false;
  const settling = running.settled().then(() => (settled = true));
  while (!settled) await clock.advance(100);
  await settling;
  await running.stop();
}
process.stdout.write(`done ${sunk} of ${sent}\n`);
const closing = app.close();
await clock.advance(1_000);
await closing;

/** RssAnon: without the pages of mapped files. */
function privateBytes(): number {
  const [, kib] = /^RssAnon:\s+(\d+) kB$/mu.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kib) * 1024;
}
