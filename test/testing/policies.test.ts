/**
 * Failed means undone: whatever a handler has done before it throws is gone before its policy is carried out, in every form of handler.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { deadLetter, retry } from '../../src/index.ts';
import { TestApp } from '../../src/testing/index.ts';
import { forms, leftOf, look, policyBench, runPolicy } from './policy-bench.ts';
import type { Work } from './policy-bench.ts';

const NEVER = 0;
const ALWAYS = 1_000;

/** Ten keys, in one turn; every seventh event fails `fails` times. */
function events(fails: number, count = 60): Work[] {
  return Array.from({ length: count }, (_, id) => ({
    id,
    key: `k${(id * 7) % 10}`,
    fails: id % 7 === 3 ? fails : NEVER,
  }));
}

const good = (all: readonly Work[], most = 0): Work[] => all.filter(({ fails }) => fails <= most);
const bad = (all: readonly Work[], most = 0): Work[] => all.filter(({ fails }) => fails > most);

describe.each(forms)('$name', (form) => {
  test('fail: the worker stops at the event, and nothing of it is left', async () => {
    const bench = policyBench(form, 'fail');
    await using t = await TestApp.start(bench.app);
    const before = events(NEVER, 20);
    await t.sendAll(
      bench.inbox,
      before.map((work) => [work, { key: work.key }] as const),
    );
    const poison = { id: 99, key: 'k1', fails: ALWAYS };
    const failing = t.send(bench.inbox, poison, { key: 'k1' });
    await expect(failing).rejects.toMatchObject({
      code: 'MR_PROCESSING_FAILED',
      details: { topic: 'inbox', key: 'k1' },
    });
    await expect(t.settled()).rejects.toMatchObject({ code: 'MR_PROCESSING_FAILED' });
    expect(Object.fromEntries(await Array.fromAsync(bench.counts.snapshot()))).toEqual(
      leftOf(before).counts,
    );
    expect((await t.output(bench.results)).length).toBe(20);
    expect((await t.output(bench.notes)).length).toBe(20);
    expect(bench.calls.get(99)).toBe(1);
  });

  test('skip: nothing of the failed ones is left, all of the others is', async () => {
    const all = events(ALWAYS);
    const bench = policyBench(form, 'skip');
    const { left } = await runPolicy(bench, all);
    expect(left).toEqual(leftOf(good(all)));
    for (const { id } of bad(all)) expect(bench.calls.get(id)).toBe(1);
  });

  test('retry: an event that succeeds at last counts once, in its place', async () => {
    const all = events(2);
    const bench = policyBench(form, retry({ times: 2 }));
    const { left } = await runPolicy(bench, all);
    expect(left).toEqual(leftOf(all));
    for (const { id } of bad(all)) expect(bench.calls.get(id)).toBe(3);
  });

  test('retry with a backoff: time moves as far as it has to', async () => {
    const bench = policyBench(form, retry({ times: 2, backoff: '1s' }));
    await using t = await TestApp.start(bench.app, { now: 0 });
    await t.send(bench.inbox, { id: 1, key: 'a', fails: 2 }, { key: 'a' });
    expect(await look(t, bench)).toEqual(leftOf([{ id: 1, key: 'a', fails: 2 }]));
    expect(t.now).toBeGreaterThanOrEqual(3_000);
    expect(t.now).toBeLessThan(3_300);
  });

  test('retry that does not help: the worker stops', async () => {
    const bench = policyBench(form, retry({ times: 2 }));
    await using t = await TestApp.start(bench.app);
    const failing = t.send(bench.inbox, { id: 1, key: 'a', fails: 3 }, { key: 'a' });
    await expect(failing).rejects.toMatchObject({ code: 'MR_PROCESSING_FAILED' });
    expect(bench.calls.get(1)).toBe(3);
    expect(await Array.fromAsync(bench.counts.snapshot())).toEqual([]);
    expect(await t.output(bench.results)).toEqual([]);
    expect(await t.output(bench.notes)).toEqual([]);
  });

  test('deadLetter: the failed ones are put aside, and nothing else of them is left', async () => {
    const all = events(ALWAYS);
    const bench = policyBench(form, deadLetter('dead'));
    const { left } = await runPolicy(bench, all);
    expect(left).toEqual(leftOf(good(all), bad(all)));
  });

  test('retry, else deadLetter: tried, then put aside with where it came from', async () => {
    const all = [...events(2), { id: 100, key: 'k1', fails: ALWAYS }];
    const bench = policyBench(form, retry({ times: 2 }).orElse(deadLetter('dead')));
    await using t = await TestApp.start(bench.app);
    await t.sendAll(
      bench.inbox,
      all.map((work) => [work, { key: work.key }] as const),
    );
    const [letter, ...others] = await t.output(bench.dead);
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      key: 'k1',
      value: { id: 100 },
      headers: {
        'mr-error-message': 'event 100 fails, time 3',
        'mr-origin-topic': 'inbox',
        'mr-attempts': '3',
      },
    });
    expect(await look(t, bench)).toEqual(leftOf(good(all, 2)));
    expect(t.stats).toMatchObject({ deadLettered: 1, skipped: 0 });
  });
});

/** What must be left after a script under `retry(2).orElse(deadLetter)`. */
const script = fc.array(
  fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    fails: fc.oneof({ weight: 4, arbitrary: fc.constant(NEVER) }, fc.constantFrom(1, 2, 3, ALWAYS)),
  }),
  { minLength: 1, maxLength: 40 },
);

describe('random scripts', () => {
  test.each(forms)('$name: retries and dead letters agree with a plain model', async (form) => {
    await fc.assert(
      fc.asyncProperty(script, fc.constantFrom(1, 2), async (works, workers) => {
        const all = works.map((work, id) => ({ id, ...work }));
        const bench = policyBench(form, retry({ times: 2 }).orElse(deadLetter('dead')));
        const { left } = await runPolicy(bench, all, { workers });
        expect(left).toEqual(leftOf(good(all, 2), bad(all, 2)));
      }),
      { numRuns: 15 },
    );
  });
});
