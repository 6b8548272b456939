/** kill -9 of a program that loads and works: nothing acknowledged is lost, nothing counts twice. `MILLRACE_SEED` replays the choices. */
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { seededRandom } from '../../src/core/random.ts';
import type { Random } from '../../src/core/random.ts';
import { withDirectory } from '../broker/log-over.ts';
import { KillRuns, summary } from './kill-runs.ts';

const seed = Number(process.env['MILLRACE_SEED'] ?? randomInt(2 ** 31));
const tell = (line: string): boolean => process.stdout.write(`${line}\n`);
tell(`app-kill: MILLRACE_SEED=${seed}`);

/** Loads `rows` with `kills` kills, evenly spread but for chance. */
async function killLoading(
  runs: KillRuns,
  random: Random,
  rows: number,
  kills: number,
): Promise<void> {
  for (let left = kills; left > 0; left--) {
    const at = runs.loaded + random.below(Math.floor((rows - runs.loaded) / (left + 1)));
    await runs.run('load', rows, { after: ({ loaded }) => loaded >= at });
  }
  expect(await runs.run('load', rows)).toBe(false);
  expect(runs.loaded).toBe(rows);
}

/** Works on `events` with `kills` kills and leaves the rest. */
async function killWorking(
  runs: KillRuns,
  random: Random,
  rows: number,
  events: number,
  kills: number,
): Promise<void> {
  for (let left = kills; left > 0; left--) {
    const at = runs.committed + random.below(Math.floor((events - runs.committed) / (left + 1)));
    await runs.run('work', rows, { after: ({ committed }) => committed >= at });
  }
}

function report(runs: KillRuns): void {
  const { starting, loading, working } = runs.kills;
  tell(`kills: ${starting} starting, ${loading} loading, ${working} working`);
  tell(`restart to first append of the loader: ${summary(runs.firstMs.load)}`);
  tell(`restart to first commit: ${summary(runs.firstMs.commit)}`);
  // Only against a start that hangs: the figures are for the reader.
  for (const ms of [...runs.firstMs.load, ...runs.firstMs.commit]) expect(ms).toBeLessThan(20_000);
}

test('50 kills at random moments while loading, working, and both', async () => {
  const random = seededRandom(seed);
  await withDirectory(async (directory) => {
    const runs = new KillRuns(directory, 'origin');
    await killLoading(runs, random, 400_000, 20);
    await killWorking(runs, random, 400_000, 400_000, 20);
    // More to load each time, so that a process that outran its kill leaves work to the next one.
    for (let rows = 420_000; rows <= 600_000; rows += 20_000) {
      let lines = random.below(40);
      await runs.run(
        'both',
        rows,
        random.below(2) === 0 ? { after: () => lines-- <= 0 } : { afterMs: random.below(700) },
      );
    }
    while (runs.killed < 50) await runs.run('both', 600_000, { afterMs: random.below(400) });
    expect(await runs.run('both', 600_000)).toBe(false);
    report(runs);
    expect(runs.kills.loading).toBeGreaterThanOrEqual(20);
    expect(runs.kills.working).toBeGreaterThanOrEqual(20);
    await runs.expectExact(600_000);
  });
});

test('10 kills behind a groupBy from a topic with another key', async () => {
  const random = seededRandom(seed + 1);
  await withDirectory(async (directory) => {
    const runs = new KillRuns(directory, 'destination');
    await killLoading(runs, random, 300_000, 4);
    // Each flight is worked on twice: before the groupBy and behind it.
    await killWorking(runs, random, 300_000, 600_000, 6);
    expect(await runs.run('work', 300_000)).toBe(false);
    report(runs);
    expect(runs.kills.loading).toBe(4);
    expect(runs.kills.working).toBe(6);
    await runs.expectExact(300_000);
  });
});

test.each(['origin', 'destination'] as const)(
  'the demo straight, keyed by %s, then once more',
  async (keyedBy) => {
    await withDirectory(async (directory) => {
      const demo = (...more: string[]): string => {
        const { status, stdout, stderr } = spawnSync(
          process.execPath,
          [
            '-C',
            'millrace-source',
            fileURLToPath(new URL('../../examples/flights/demo.ts', import.meta.url)),
            '--rows',
            '300000',
            '--directory',
            directory,
            '--keyed-by',
            keyedBy,
            ...more,
          ],
          { encoding: 'utf8' },
        );
        expect(stderr).toBe('');
        expect(status).toBe(0);
        expect(stdout.match(/identical/gu)).toHaveLength(3);
        expect(stdout).toContain('late events dropped: 0\n');
        return stdout;
      };
      expect(demo('--fresh')).toMatch(/loading .*100 %/u);
      const again = demo();
      expect(again).toContain('all 300,000 flights were loaded before');
      expect(again).toContain('everything was processed before');
    });
  },
);
