/** A sink that stands still: what is not processed stays in the log, not in memory. */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { withDirectory } from '../broker/log-over.ts';
import { Program } from './processes.ts';

const child = new URL('stalled-sink-child.ts', import.meta.url);
const MiB = 1024 * 1024;
const MOST_BYTES = 64 * MiB;

async function grown(broker: string, how: 'stalled' | 'alone'): Promise<number> {
  const program = new Program(child, [broker, how]);
  try {
    expect(await program.status, program.stderr).toBe(0);
    const [, bytes] = /^grown (-?\d+) \d+$/mu.exec(program.stdout) ?? [];
    const [, sunk, sent] = /^done (\d+) of (\d+)$/mu.exec(program.stdout) ?? [];
    expect(sunk).toBe(how === 'stalled' ? sent : '0');
    return Number(bytes);
  } finally {
    await program.end();
  }
}

const megabytes = (bytes: number): string => `${(bytes / MiB).toFixed(1)} MiB`;

// Linux says how much memory is private.
describe.skipIf(!existsSync('/proc/self/status'))(
  'a sink that stands still for 60 virtual seconds',
  () => {
    test('file:', async () => {
      await withDirectory(async (directory) => {
        const bytes = await grown(`file:${directory}`, 'stalled');
        process.stdout.write(`stalled-sink: file: private memory grew by ${megabytes(bytes)}\n`);
        expect(bytes).toBeLessThanOrEqual(MOST_BYTES);
      });
    });

    test('memory:', async () => {
      // Here the log itself is in memory: what counts is what comes on top of it.
      const log = await grown('memory:stalled', 'alone');
      const both = await grown('memory:stalled', 'stalled');
      process.stdout.write(
        `stalled-sink: memory: private memory grew by ${megabytes(both)}, ${megabytes(log)} of it are the log\n`,
      );
      expect(both - log).toBeLessThanOrEqual(MOST_BYTES);
    });
  },
);
