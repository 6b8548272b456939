/** Agents of every form: whatever fails, dies or moves, each event is good or given up, once, and those of a key keep their order. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { faultOf } from './agent-model.ts';
import { runScript } from './agent-bench.ts';
import { ALWAYS, scriptOf, scripts } from './agent-script.ts';
import type { Script } from './agent-script.ts';

async function check(script: Script): Promise<void> {
  expect(faultOf(script, await runScript(script))).toBe(undefined);
}

test('random work, random storms', async () => {
  await fc.assert(fc.asyncProperty(scripts, check), { numRuns: 100 });
}, 60_000);

describe('an event that fails in front of an agent and is tried again keeps its place', () => {
  const three = [{ before: 5, failsInFront: 1 }, { before: 30 }, { key: 'b', failsInFront: 1 }];

  test.each(['state', 'slow', 'groupBy'] as const)('front: %s', async (front) => {
    await check(scriptOf({ front, guard: 'retry' }, three));
    await check(scriptOf({ front, guard: 'app' }, three));
  });

  test('although its task commits meanwhile', () =>
    check(
      scriptOf({ front: 'state', guard: 'app', every: 1 }, [
        { after: 30 },
        { failsInFront: 1, after: 5 },
        {},
      ]),
    ));
});

test('a task that goes back, and comes as far as before, does not hang', () => {
  const row = 'aadaaeadea'
    .split('')
    .map((key, id) => ({ key, fails: id === 7 ? 3 : id === 8 ? 2 : 0 }));
  return check(scriptOf({ concurrency: 16, policy: 'skip' }, row));
});

test('a task that goes back commits when it is past what it went back for', async () => {
  let first = 0;
  const keys = 'abcdefghijklmnopqrstuvwxyz';
  const script = scriptOf(
    { concurrency: 16, policy: 'skip', intervalMs: 100 },
    Array.from({ length: 100 }, (_, id) => ({
      key: keys.charAt(id % keys.length),
      fails: id % 10 === 9 ? ALWAYS : 0,
    })),
  );
  const left = await runScript(script, (line) => {
    if (line.endsWith(': 0 (a)')) first++;
  });
  expect(faultOf(script, left)).toBe(undefined);
  // Before the first failure, and after it: those that follow bring less back.
  expect(first).toBe(2);
});

test('records are in the order of the events, whichever ended first', () =>
  check(
    scriptOf({ kind: 'sync each', front: 'slow', guard: 'retry, deadLetter', every: 3 }, [
      { failsInFront: 1 },
      {},
      { failsInFront: ALWAYS },
    ]),
  ));

test('a commit takes nothing of an event whose failure has ended the worker', () =>
  check(
    scriptOf(
      { kind: 'take', concurrency: 4, every: 1, intervalMs: 40 },
      [{ key: 'd' }, { key: 'e', before: 5, fails: 3 }, { key: 'b', after: 30 }],
      { workers: 2, moves: ['remove'] },
    ),
  ));

describe('acknowledged by hand', () => {
  test('what is let through at a later try ends the worker, although others have built on it', async () => {
    const script = scriptOf(
      { kind: 'manual', atLeastOnce: true, front: 'slow', guard: 'retry', every: 1 },
      [{ after: 120, fails: 1, failsInFront: 1 }, { failsInFront: 1 }],
    );
    const left = await runScript(script);
    expect(left.failure).toMatchObject({ code: 'MR_PROCESSING_FAILED', details: { offset: 0 } });
  });

  test('what is to be tried again when its task has moved is for the new owner', () =>
    check(
      scriptOf(
        { kind: 'manual', atLeastOnce: true, policy: 'retry, deadLetter', partitions: 3, every: 1 },
        [{ fails: 1 }, {}],
        { workers: 3, moves: ['both'] },
      ),
    ));
});
