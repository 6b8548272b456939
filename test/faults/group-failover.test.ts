/** kill -9 of one of three workers: how long it takes until the others commit what were its tasks. `MILLRACE_SEED` replays the choices. */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';

import { seededRandom } from '../../src/core/random.ts';
import { withDirectory } from '../broker/log-over.ts';
import { Crew, monotonic, pause } from './crew.ts';
import type { Hand } from './crew.ts';
import { expectExact } from './orders-answer.ts';

const seed = Number(process.env['MILLRACE_SEED'] ?? randomInt(2 ** 31));
const KILLS = 10;
const WORKERS = 3;

test('the tasks of a killed worker go on elsewhere', async () => {
  const random = seededRandom(seed);
  await withDirectory(async (directory) => {
    const crew = new Crew(directory, { seed, paceMs: 50 });
    try {
      const loader = crew.hire('load');
      const workers = await Promise.all(Array.from({ length: WORKERS }, () => crew.worker()));
      const firstMs: number[] = [];
      const lastMs: number[] = [];
      for (let kill = 0; kill < KILLS; kill++) {
        await Promise.all(workers.map((worker) => worker.said('commit')));
        await pause(200 + random.below(300));
        const at = random.below(WORKERS);
        const victim = workers[at] as Hand;
        const took = await takeover(crew, victim);
        firstMs.push(took.firstMs);
        lastMs.push(took.lastMs);
        workers[at] = await crew.worker();
      }
      loader.tell({ finish: 0 });
      const [, count] = await loader.says('loaded');
      for (const worker of workers) await worker.end();
      await expectExact(directory, seed, Number(count));
      process.stdout.write(
        `group-failover: seed ${seed}, from kill -9 to a commit elsewhere of one of its tasks ${figures(firstMs)}, of all of them ${figures(lastMs)}, ${KILLS} kills\n`,
      );
    } finally {
      await crew.dismiss();
    }
  });
});

/** Kills `victim` and waits until all of its tasks have been committed by others. */
async function takeover(
  crew: Crew,
  victim: Hand,
): Promise<{ readonly firstMs: number; readonly lastMs: number }> {
  const { tasks } = victim;
  expect(tasks.length, victim.told).toBeGreaterThan(0);
  const killedAt = monotonic();
  const elsewhere = crew.committed(tasks, (hand) => hand !== victim);
  await victim.kill();
  const times = (await elsewhere).map((at) => at - killedAt);
  return { firstMs: Math.min(...times), lastMs: Math.max(...times) };
}

function figures(ms: readonly number[]): string {
  const sorted = ms.toSorted((a, b) => a - b);
  const of = (index: number): string => (sorted[index] ?? Number.NaN).toFixed(0);
  return `p50 ${of(sorted.length >> 1)} ms, max ${of(sorted.length - 1)} ms`;
}
