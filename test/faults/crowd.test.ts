/**
 * Many processes on one directory, each as fast as it goes: none starves, none sees an error, and each finds what it wrote.
 *
 * `MILLRACE_CROWD_SECONDS` says for how long.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { openBroker } from '../../src/broker/open.ts';
import { realContext, textsOf, withDirectory } from '../broker/log-over.ts';

const PROCESSES = 8;
const SECONDS = Number(process.env['MILLRACE_CROWD_SECONDS'] ?? 6);
/** The least of what each would have if all had the same. */
const LEAST_SHARE = 0.5;

const program = fileURLToPath(new URL('crowd-child.ts', import.meta.url));

interface Member {
  readonly ready: Promise<unknown>;
  readonly begin: () => void;
  readonly end: Promise<{ readonly commits: number; readonly records: number }>;
}

function start(directory: string, partition: number): Member {
  const args = [program, directory, String(partition), String(SECONDS * 1000)];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const ready = once(lines, 'line');
  let counted: number[] = [];
  lines.on('line', (line) => {
    if (line.startsWith('counted')) counted = line.split(' ').slice(1).map(Number);
  });
  const end = once(child, 'close').then(([status, signal]) => {
    expect([status, signal], `process ${partition}`).toEqual([0, null]);
    const [commits = 0, records = 0] = counted;
    return { commits, records };
  });
  return { ready, begin: () => child.stdin.write('begin\n'), end };
}

test(`${PROCESSES} processes share one directory fairly`, async () => {
  await withDirectory(async (directory) => {
    const broker = await openBroker(`file:${directory}`, realContext());
    try {
      for (const name of ['in', 'out'])
        await broker.createTopic({ name, partitions: PROCESSES, codec: 'utf8', role: 'source' });
      const members = Array.from({ length: PROCESSES }, (_, i) => start(directory, i));
      await Promise.all(members.map(({ ready }) => ready));
      for (const { begin } of members) begin();
      const counts = await Promise.all(members.map(({ end }) => end));
      const total = counts.reduce((sum, { commits }) => sum + commits, 0);
      const shares = counts.map(({ commits }) => (commits * PROCESSES) / total);
      process.stdout.write(
        `crowd: ${PROCESSES} processes, ${Math.round(total / SECONDS)} commits a second together, ` +
          `shares of the mean ${shares.map((share) => share.toFixed(2)).join(' ')}\n`,
      );
      for (const [partition, { records }] of counts.entries()) {
        const wanted = Array.from({ length: records }, (_, i) => `${partition}/${i}`);
        expect(await textsOf(broker, 'in', partition)).toEqual(wanted);
        expect(await textsOf(broker, 'out', partition)).toEqual(wanted);
      }
      expect(Math.min(...shares)).toBeGreaterThanOrEqual(LEAST_SHARE);
    } finally {
      await broker.close();
    }
  });
});
