/** `each` whose calls share rows, and a policy that tries again: what has failed leaves nothing, what has succeeded is there once. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { faultOf } from './agent-model.ts';
import { runScript } from './agent-bench.ts';
import { ALWAYS, form, jobs, scriptOf } from './agent-script.ts';
import type { Script } from './agent-script.ts';

async function check(script: Script): Promise<void> {
  expect(faultOf(script, await runScript(script))).toBe(undefined);
}

test('random calls', async () => {
  const forms = form
    .filter(({ policy }) => policy.startsWith('retry'))
    .map(({ concurrency, policy, partitions, every, intervalMs }) => ({
      concurrency,
      policy,
      partitions,
      every,
      intervalMs,
    }));
  const kinds = fc.constantFrom('each' as const, 'sync each' as const);
  await fc.assert(
    fc.asyncProperty(forms, kinds, jobs, (how, kind, all) =>
      check(scriptOf({ ...how, kind }, all)),
    ),
    { numRuns: 40 },
  );
});

describe('a call that fails', () => {
  test('when another one has built on what it did: the task goes back, and its policy tries no further', () =>
    check(
      scriptOf({ concurrency: 2, every: 3, policy: 'retry, skip' }, [
        { key: 'a', fails: 1 },
        { key: 'b', before: 120, fails: 1 },
        { key: 'a', after: 120, fails: ALWAYS },
      ]),
    ));

  test('when another one has read what it did, and has sent it', () =>
    check(
      scriptOf({ concurrency: 2, policy: 'skip' }, [
        { key: 'a', after: 120 },
        { key: 'b', before: 120, after: 30, looks: true },
        { key: 'a', after: 120, fails: 1 },
        { key: 'a' },
      ]),
    ));

  test('and ends the worker: no commit takes half of the others', () =>
    check(
      scriptOf({ concurrency: 4, every: 3, policy: 'retry' }, [
        { key: 'a' },
        { key: 'a', fails: 3 },
        { key: 'b' },
      ]),
    ));

  test('and ends the worker, although another one has built on what it did', async () => {
    const script = scriptOf({ concurrency: 2 }, [
      { key: 'a', after: 5, fails: 1 },
      { key: 'b', after: 30 },
    ]);
    const left = await runScript(script);
    expect(left.failure).toMatchObject({ code: 'MR_PROCESSING_FAILED', details: { key: 'a' } });
    expect(faultOf(script, left)).toBe(undefined);
  });
});
