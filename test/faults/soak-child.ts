/**
 * One of the processes of the soak.
 *
 * - `load`: sends numbers at a rate (events per second; 0: as fast as it goes) until it is told anything, then says `sent <count>`. It waits while the
 *   worker is far behind, so that retention deletes nothing that was not read.
 * - `work`: runs the app and starts it anew, the store with it, every so often, until it is told anything and has done what is left. Says
 *   `restarted <private bytes> <open files> <bytes of objects> <bytes of buffers> <events per second>` after each end.
 *
 * Run: `node --expose-gc --max-semi-space-size=4 -C millrace-source soak-child.ts <load|work> <directory> <retention bytes> <rate | restart after ms>`.
 */
import { once } from 'node:events';
import { readdirSync, writeSync } from 'node:fs';

import { openBroker } from '../../src/broker/open.ts';
import { systemClock } from '../../src/core/clock.ts';
import { realContext } from '../broker/log-over.ts';
import { keyOf, soakApp } from './soak-app.ts';
import { privateBytesOf } from './support/soak-process.ts';

const TICK_MS = 20;
/** Events that an unpaced loader sends before it looks at anything else. */
const CHUNK = 2_000;

const [role = '', directory = '', retentionText = '', number = ''] = process.argv.slice(2);
const retentionBytes = Number(retentionText);
const clock = systemClock();
const told = once(process.stdin, 'data').then(() => {
  ending = true;
  process.stdin.destroy();
});
let ending = false;

const say = (text: string): unknown => writeSync(1, `${text}\n`);
const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => void clock.setTimer(ms, resolve));

if (role === 'load') await load(Number(number));
else await work(Number(number));

async function load(rate: number): Promise<void> {
  const { app, numbers } = soakApp(directory, retentionBytes);
  const producer = await numbers.producer({ id: 'loader' });
  const broker = await openBroker(`file:${directory}`, realContext());
  const behind = async (): Promise<boolean> => {
    const group = await broker.describeGroup('soak');
    const positions = group?.tasks.flatMap((task) => task.positions) ?? [];
    for (const { topic, partition, offset } of positions) {
      if (topic !== 'numbers') continue;
      const { start, end } = await broker.bounds(topic, partition);
      const stored = await broker.storedBytes(topic, partition);
      if (stored * ((end - offset) / Math.max(1, end - start)) > retentionBytes / 4) return true;
    }
    return false;
  };
  let sent = 0;
  const push = async (until: number): Promise<void> => {
    for (; sent < until; sent++) {
      const wait = producer.send(sent, { key: keyOf(sent) });
      if (wait !== undefined) await wait;
    }
    await producer.flush();
  };
  let [last, due] = [clock.monotonic(), 0];
  while (!ending) {
    const now = clock.monotonic();
    due += rate === 0 ? CHUNK : (rate * Math.min(now - last, 1000)) / 1000;
    last = now;
    if (sent === 0) say('begun');
    await push(Math.floor(due));
    if (rate > 0) await pause(TICK_MS);
    while (!ending && (await behind())) {
      await pause(TICK_MS);
      last = clock.monotonic();
    }
  }
  await told;
  say(`sent ${sent}`);
  await broker.close();
  await app.close();
}

async function work(restartMs: number): Promise<void> {
  for (;;) {
    const { app } = soakApp(directory, retentionBytes);
    const running = await app.start();
    say('begun');
    const began = clock.monotonic();
    const due = Promise.withResolvers<void>();
    const timer = clock.setTimer(restartMs, due.resolve);
    await Promise.race([due.promise, told]);
    timer.cancel();
    if (ending) await running.settled();
    const events = running.stats.committed;
    const ms = clock.monotonic() - began;
    await running.stop();
    await app.close();
    await pause(0);
    globalThis.gc?.();
    globalThis.gc?.();
    const files = readdirSync('/proc/self/fd').length;
    const rate = Math.round((events * 1000) / ms);
    const { heapUsed, external } = process.memoryUsage();
    say(`restarted ${privateBytesOf('self')} ${files} ${heapUsed} ${external} ${rate}`);
    if (ending) return;
  }
}
