/** Whatever dies, fails or moves, and whenever: what is left in the end is what would be left without. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { seededFaults, seededRandom } from '../../src/testing/index.ts';
import type { TestFault } from '../../src/testing/index.ts';
import { runShop, steps } from './shop.ts';
import type { Step } from './shop.ts';

const script: readonly Step[] = [
  {
    send: [
      ['ann', 'Rome', 3],
      ['bob', 'Oslo', 7],
      ['ann', 'Oslo', 9],
    ],
  },
  { advanceMs: 3_600_000 },
  {
    send: [
      ['cid', 'Rome', 6],
      ['ann', 'Rome', 8],
      ['bob', 'Rome', 1],
    ],
  },
];

test('the script leaves what it should', async () => {
  const left = await runShop(script);
  expect(left).toMatchObject({
    spent: [
      ['ann', 20],
      ['bob', 8],
      ['cid', 6],
      ['end', 0],
      ['end', 0],
      ['end', 0],
      ['end', 0],
    ],
    large: {
      ann: [
        { key: 'ann', value: 2 },
        { key: 'ann', value: 4 },
      ],
      bob: [{ key: 'bob', value: 1 }],
      cid: [{ key: 'cid', value: 3 }],
    },
    hours: ['Oslo 0 16', 'Rome 0 18'],
  });
});

describe('a worker dies at a commit', () => {
  const cases = [1, 2].flatMap((workers) =>
    (['before', 'after'] as const).map((fail) => ({ workers, fail })),
  );
  test.each(cases)(
    '$fail it, with workers: $workers',
    async ({ workers, fail }) => {
      const left = await runShop(script);
      let died = 0;
      // Every fourth one here, and those between in the other cases.
      const first = cases.findIndex((each) => each.workers === workers && each.fail === fail);
      for (let at = first; ; at += 4) {
        let commits = 0;
        const result = await runShop(script, {
          workers,
          faults: ({ call }) =>
            call === 'commit' && commits++ === at ? { fail, crash: true } : undefined,
        });
        if (commits <= at) break;
        died++;
        expect(result).toEqual(left);
      }
      expect(died).toBeGreaterThan(10);
    },
    60_000,
  );
});

const faults: readonly TestFault[] = [
  { fail: 'before' },
  { fail: 'after' },
  { fail: 'disk-full' },
  { delayMs: 40 },
  { delayMs: 2_000, fail: 'after' },
  { fail: 'before', crash: true },
  { fail: 'after', crash: true },
];

test('random scripts with random faults leave what they leave without', async () => {
  let fired = 0;
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.constantFrom(1, 2, 3),
      fc.integer({ min: 1, max: 2 ** 31 }),
      async (random, workers, seed) => {
        const left = await runShop(random);
        const chance = seededRandom(seed);
        const writes = seededFaults({
          random: chance,
          chance: 0.15,
          faults,
          calls: ['commit', 'tend', 'release'],
          most: 25,
        });
        // There are many of them, and a worker that cannot read does not start.
        const reads = seededFaults({ random: chance, chance: 0.005, faults, calls: ['read'] });
        let starting = true;
        const died = await runShop(
          random,
          {
            workers,
            seed,
            // Nothing is promised of a start that fails.
            faults: (call) => {
              const fault = starting ? undefined : (writes(call) ?? reads(call));
              if (fault !== undefined) fired++;
              return fault;
            },
          },
          () => {
            starting = false;
            return Promise.resolve();
          },
        );
        expect(died).toEqual(left);
      },
    ),
    { numRuns: 15 },
  );
  expect(fired).toBeGreaterThan(15);
}, 60_000);

test('workers that come, go and die between any two steps change nothing', async () => {
  const moves = fc.array(fc.constantFrom('add', 'remove', 'both', 'crash', 'none'), {
    minLength: 6,
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(steps, moves, async (random, storm) => {
      const left = await runShop(random);
      const moved = await runShop(random, { workers: 2 }, async (t, i) => {
        const move = storm[i] ?? 'none';
        const add = move === 'add' || move === 'both' ? 1 : 0;
        const remove = (move === 'remove' || move === 'both') && t.workers > 1 ? 1 : 0;
        if (move === 'crash') await t.crash(t.workers - 1);
        else await t.rebalance({ add: t.workers > 4 ? 0 : add, remove });
      });
      expect(moved).toEqual(left);
    }),
    { numRuns: 8 },
  );
}, 60_000);

test('a storm while events are on their way', async () => {
  const left = await runShop(script);
  const stormy = await runShop(script, { workers: 3 }, async (t) => {
    const crashes = [t.crash(0), t.rebalance({ add: 2 }), t.crash(0), t.rebalance({ remove: 1 })];
    await Promise.all(crashes);
  });
  expect(stormy).toEqual(left);
});
