/** The simulator itself: the same seed is the same run, and it finds what it is there to find. */
import { expect, test } from 'vitest';

import { drain, fromMacrotask } from '../../simulation/lib/drain.ts';
import { fenced } from '../../simulation/lib/guard.ts';
import { run } from '../../simulation/lib/run.ts';
import type { RunResult } from '../../simulation/lib/run.ts';
import { scenarioOf, scenarios, simulate } from '../../simulation/lib/simulate.ts';
import { shrink, story, testOf } from '../../simulation/lib/story.ts';

async function traceOf(seed: number): Promise<readonly [readonly string[], RunResult]> {
  const lines: string[] = [];
  const scenario = scenarioOf(seed);
  const result = await fromMacrotask(() =>
    run({ seed, scenario, tell: (line) => lines.push(line) }),
  );
  return [lines, result];
}

test('a seed is the same run each time, whatever ran before', async () => {
  const [before, first] = await traceOf(4);
  await traceOf(5);
  const [after, second] = await traceOf(4);
  expect(after).toEqual(before);
  expect(second).toEqual(first);
});

test('other seeds are other runs', async () => {
  const [, first] = await traceOf(4);
  const [, second] = await traceOf(4 + scenarios.length);
  expect(second.hash).not.toBe(first.hash);
});

test('telling the story changes nothing', async () => {
  const [, told] = await traceOf(7);
  expect(await fromMacrotask(() => run({ seed: 7, scenario: scenarioOf(7) }))).toEqual(told);
});

test('some seeds of each scenario hold what must always hold', async () => {
  const found: (string | undefined)[] = [];
  const { seeds, twice } = await simulate({
    seed: 45,
    seeds: 12,
    violated: ({ violation }) => found.push(violation?.message) > 0,
  });
  expect(found).toEqual([]);
  expect([seeds, twice]).toEqual([12, 1]);
});

test('microtasks run dry however long their chain is', async () => {
  const count = await fromMacrotask(() => {
    let links = 0;
    void (async () => {
      while (links < 10_000) {
        await Promise.resolve();
        links++;
      }
    })();
    drain();
    return links;
  });
  expect(count).toBe(10_000);
});

test.each([
  ['setTimeout', () => void setTimeout(() => undefined, 1_000)],
  ['now', () => void Date.now()],
  ['random', () => void Math.random()],
])('%s of the platform is refused during a run', (name, call) => {
  expect(() => fenced(call)).toThrow(`${name} of the platform`);
  expect(Date.now()).toBeGreaterThan(0);
});

test('a violation is told with the faults that it needs, and becomes a test', async () => {
  const scenario = {
    ...scenarioOf(0, 'standard'),
    // A model that is wrong as soon as a worker is killed.
    once: { seen: () => 'all' },
  };
  const result = await fromMacrotask(() => run({ seed: 1, scenario }));
  expect(result.violation?.invariant).toBe('exactly once');
  const least = await shrink(result, scenario);
  expect(least.faults).toEqual([]);
  const lines = await story(least, scenario);
  expect(lines.length).toBeLessThanOrEqual(60);
  expect(lines.at(-1)).toContain('VIOLATION of exactly once: seen has all twice');
  expect(testOf(least, scenario)).toContain("scenarioOf(1, 'standard')");
});
