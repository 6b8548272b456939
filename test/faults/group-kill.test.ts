/** kill -9 of workers of one app, again and again, and of the loader now and then. `MILLRACE_SEED` replays the choices, `MILLRACE_KILLS` is how many. */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';

import { seededRandom } from '../../src/core/random.ts';
import { withDirectory } from '../broker/log-over.ts';
import { Crew, monotonic, pause } from './crew.ts';
import type { Hand } from './crew.ts';
import { expectExact } from './orders-answer.ts';

const seed = Number(process.env['MILLRACE_SEED'] ?? randomInt(2 ** 31));
const kills = Number(process.env['MILLRACE_KILLS'] ?? 100);
const tell = (line: string): boolean => process.stdout.write(`${line}\n`);

const WORKERS = 3;
const LEAST_ORDERS = 300_000;
/** One of so many kills meets a worker that is starting, and after so many the loader is killed, too. */
const STARTING_EVERY = 8;
const LOADER_EVERY = 9;

test(`${kills} kills among ${WORKERS} workers: tables and outputs are DuckDB's`, async () => {
  const random = seededRandom(seed);
  const begun = monotonic();
  await withDirectory(async (directory) => {
    const crew = new Crew(directory, { seed, paceMs: 100 });
    try {
      let loader = crew.hire('load');
      const workers = await Promise.all(Array.from({ length: WORKERS }, () => crew.worker()));
      const killed = { starting: 0, working: 0, loading: 0 };
      let moved = 0;
      crew.listen((_, [word]) => {
        if (word === 'gained') moved++;
      });
      for (let i = 0; i < kills; i++) {
        const at = random.below(WORKERS);
        const victim = workers[at] as Hand;
        const starting = random.below(STARTING_EVERY) === 0;
        if (starting) await pause(random.below(600));
        else {
          // It has committed since it began, and gets on with it.
          await victim.said('commit');
          await pause(20 + random.below(300));
        }
        expect(victim.alive, victim.told).toBe(true);
        killed[victim.count('commit') === 0 ? 'starting' : 'working']++;
        await victim.kill();
        expect(victim.stderr).toBe('');
        const successor = crew.hire('work');
        successor.tell('start');
        workers[at] = successor;
        if (i % LOADER_EVERY !== LOADER_EVERY - 1) continue;
        await loader.said('loading');
        await loader.kill();
        expect(loader.stderr).toBe('');
        killed.loading++;
        loader = crew.hire('load');
      }
      const killedFor = monotonic() - begun;
      await loader.said('loading');
      loader.tell({ finish: LEAST_ORDERS });
      const [, count] = await loader.says('loaded');
      await Promise.all(
        workers.map(async (worker) => {
          await worker.said('running');
          await worker.end();
          expect(worker.stderr).toBe('');
        }),
      );
      const rows = await expectExact(directory, seed, Number(count));
      tell(
        `group-kill: seed ${seed}, ${count} orders; killed ${killed.working} working, ${killed.starting} starting, ${killed.loading} loading in ${(killedFor / 1000).toFixed(0)} s of ${((monotonic() - begun) / 1000).toFixed(0)} s; ${moved} tasks moved; ${rows} rows equal`,
      );
      for (const [warning, times] of crew.warnings) tell(`group-kill: ${times} × ${warning}`);
    } finally {
      await crew.dismiss();
    }
  });
});
