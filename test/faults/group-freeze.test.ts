/**
 * Workers that stand still for longer than their lease (SIGSTOP) and go on: what they held in memory is nobody's business any more.
 * `MILLRACE_SEED` replays the choices.
 */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';

import { seededRandom } from '../../src/core/random.ts';
import { withDirectory } from '../broker/log-over.ts';
import { Crew, monotonic, pause } from './crew.ts';
import type { Hand } from './crew.ts';
import { expectExact } from './orders-answer.ts';

const seed = Number(process.env['MILLRACE_SEED'] ?? randomInt(2 ** 31));
const WORKERS = 3;
const LEASE_MS = 1_000;
const tell = (line: string): boolean => process.stdout.write(`${line}\n`);

/** Runs `body` with workers and a loader, then compares what has become of the orders. */
async function withWorkers(
  body: (crew: Crew, workers: readonly Hand[]) => Promise<string>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const crew = new Crew(directory, { seed, leaseMs: LEASE_MS, commitMs: 50, paceMs: 50 });
    try {
      const loader = crew.hire('load');
      const workers = await Promise.all(Array.from({ length: WORKERS }, () => crew.worker()));
      await Promise.all(workers.map((worker) => worker.said('commit')));
      const figures = await body(crew, workers);
      loader.tell({ finish: 0 });
      const [, count] = await loader.says('loaded');
      for (const worker of workers) {
        await worker.end();
        expect(worker.stderr).toBe('');
      }
      await expectExact(directory, seed, Number(count));
      tell(`group-freeze: seed ${seed}, ${count} orders, ${figures}`);
      for (const [warning, times] of crew.warnings) tell(`group-freeze: ${times} × ${warning}`);
    } finally {
      await crew.dismiss();
    }
  });
}

test('a worker that freezes in the middle of events cannot commit when it wakes, and joins again', async () => {
  const random = seededRandom(seed);
  await withWorkers(async (crew, workers) => {
    const rounds = 5;
    const takenMs: number[] = [];
    let refused = 0;
    for (let round = 0; round < rounds; round++) {
      const victim = workers[random.below(WORKERS)] as Hand;
      if (victim.tasks.length === 0) await victim.says('gained');
      const frozen = victim.says('frozen');
      victim.tell('freeze');
      await frozen;
      const frozenAt = monotonic();
      const owned = new Set(victim.tasks);
      expect(owned.size, victim.told).toBeGreaterThan(0);
      await crew.committed(owned, (hand) => hand !== victim);
      takenMs.push(monotonic() - frozenAt);

      // What it says of each of these tasks first must not be that it has committed it.
      const first = new Map<string, string>();
      const off = crew.listen((hand, [word = '', task = '']) => {
        if (hand === victim && ['commit', 'lost', 'gained', 'released'].includes(word))
          if (owned.has(task) && !first.has(task)) first.set(task, word);
      });
      const again = victim.says('gained');
      victim.signal('SIGCONT');
      await again;
      await victim.says('commit');
      off();
      expect([...first].filter(([, word]) => word === 'commit' || word === 'released')).toEqual([]);
      refused += [...first.values()].filter((word) => word === 'lost').length;
    }
    expect(refused).toBeGreaterThan(0);
    return `${rounds} workers froze in an event; others had committed all of their tasks after ${list(takenMs)} ms (lease ${LEASE_MS}); ${refused} tasks lost at waking`;
  });
});

test('a worker that is stopped from outside, wherever it is, disturbs nobody for good', async () => {
  const random = seededRandom(seed + 1);
  await withWorkers(async (crew, workers) => {
    const rounds = 8;
    let taken = 0;
    let held = 0;
    for (let round = 0; round < rounds; round++) {
      const victim = workers[random.below(WORKERS)] as Hand;
      await Promise.all(workers.map(async (worker) => await worker.says('commit')));
      await pause(random.below(200));
      const owned = new Set(victim.tasks);
      victim.signal('SIGSTOP');
      // If it stopped within a transaction it holds the lock of all writers, and nobody can do anything until it goes on.
      let awake = false;
      const goingOn = crew.committed(owned, (hand) => awake || hand !== victim).then(() => true);
      if (await Promise.race([goingOn, pause(LEASE_MS * 4).then(() => false)])) taken++;
      else held++;
      awake = true;
      victim.signal('SIGCONT');
      await goingOn;
    }
    expect(taken).toBeGreaterThan(0);
    return `${rounds} workers stopped from outside: ${taken} times the others went on, ${held} times they waited until it woke`;
  });
});

const list = (ms: readonly number[]): string => ms.map((each) => each.toFixed(0)).join(', ');
