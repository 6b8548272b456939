/** Groups of events: full ones, those that time has cut, what commits and failures do to them. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { deadLetter, retry, unchecked } from '../../src/index.ts';
import type { AppOptions, Duration, Topic } from '../../src/index.ts';
import { paced, sendAll, upTo } from './paced.ts';
import type { Paced } from './paced.ts';
import { keyed, rowsOf, valuesOf } from './support.ts';

interface Group {
  readonly atMs: number;
  readonly values: readonly number[];
}

/** An agent that notes its groups, and takes so long for each. */
function grouping(
  it: Paced,
  most: number,
  within: Duration | undefined,
  bodyMs = 0,
): { readonly topic: Topic<string, number>; readonly groups: Group[] } {
  const topic = it.numbers();
  const groups: Group[] = [];
  it.app.agent('grouping', topic, async (stream, { sleep }) => {
    for await (const values of stream.take(most, { within })) {
      groups.push({ atMs: it.clock.monotonic(), values });
      if (bodyMs > 0) await sleep(bodyMs);
    }
  });
  return { topic, groups };
}

/** Arrivals in seconds, and the groups with the time at which each of them comes. */
const arrivals: readonly {
  readonly name: string;
  readonly most: number;
  readonly within: number | undefined;
  readonly body?: number;
  readonly come: readonly (readonly [seconds: number, value: number])[];
  readonly groups: readonly (readonly [seconds: number, values: readonly number[]])[];
}[] = [
  {
    name: 'one that time cuts, and a full one',
    most: 3,
    within: 1,
    come: [
      [0, 0],
      [0.8, 1],
      [1.2, 2],
      [1.6, 3],
      [1.7, 4],
    ],
    groups: [
      [1, [0, 1]],
      [1.7, [2, 3, 4]],
    ],
  },
  {
    name: 'groups of one',
    most: 1,
    within: 1,
    come: [
      [0, 0],
      [0, 1],
      [0, 2],
    ],
    groups: [
      [0, [0]],
      [0, [1]],
      [0, [2]],
    ],
  },
  {
    name: 'time runs from the first of a group on, not from the start',
    most: 10,
    within: 0.5,
    come: [
      [1.2, 7],
      [2, 8],
      [2.3, 9],
    ],
    groups: [
      [1.7, [7]],
      [2.5, [8, 9]],
    ],
  },
  {
    name: 'full groups wait for the body and for nothing else',
    most: 2,
    within: 0.3,
    body: 0.6,
    come: [0, 1, 2, 3, 4, 5].map((n) => [0, n] as const),
    groups: [
      [0, [0, 1]],
      [0.6, [2, 3]],
      [1.2, [4, 5]],
    ],
  },
  {
    name: 'without a time, until there are enough',
    most: 3,
    within: undefined,
    come: [
      [0, 0],
      [0, 1],
      [0, 2],
      [0, 3],
      [5, 4],
      [60, 5],
    ],
    groups: [
      [0, [0, 1, 2]],
      [60, [3, 4, 5]],
    ],
  },
  {
    name: 'what has waited for the body for long enough is taken at once',
    most: 10,
    within: 0.3,
    body: 1,
    come: [
      [0, 0],
      [0.5, 1],
      [0.6, 2],
      [0.7, 3],
    ],
    groups: [
      [0.3, [0]],
      [1.3, [1, 2, 3]],
    ],
  },
];

/** Commits often, and has to take back what waits each time. */
const often: AppOptions = { commit: { interval: 20 } };

describe.each([
  ['exactly-once', often],
  ['at-least-once', { ...often, processing: 'at-least-once' }],
] as const)('%s', (_, options) => {
  test.each(arrivals)('$name', ({ most, within, body, come, groups: expected }) =>
    paced(options, async (it) => {
      const { topic, groups } = grouping(
        it,
        most,
        within === undefined ? undefined : within * 1_000,
        (body ?? 0) * 1_000,
      );
      await it.start();
      await it.for(10);
      const began = it.clock.monotonic();
      for (const [seconds, value] of come) {
        await it.for(began + seconds * 1_000 - it.clock.monotonic());
        await topic.send(value, { key: 'k' });
      }
      await it.until(() => groups.length === expected.length);
      expect(groups.map(({ values }) => values)).toEqual(expected.map(([, values]) => values));
      groups.forEach(({ atMs }, i) => {
        const late = atMs - began - (expected[i]?.[0] ?? 0) * 1_000;
        expect(late).toBeGreaterThanOrEqual(-1);
        // A commit may be in the way for a moment.
        expect(late).toBeLessThanOrEqual(30);
      });
      await it.settled();
    }),
  );

  test('groups larger than what is under way otherwise', () =>
    paced(options, async (it) => {
      const { topic, groups } = grouping(it, 1_500, undefined);
      await sendAll(topic, upTo(4_500));
      await it.start();
      await it.settled();
      expect(groups.map(({ values }) => values.length)).toEqual([1_500, 1_500, 1_500]);
    }));

  test('a group that waits for more does not count as stalled, and does not hold up a stop', () =>
    paced({ ...options, stallAfter: '1m' }, async (it) => {
      const { topic, groups } = grouping(it, 10, undefined);
      await sendAll(topic, upTo(13));
      await it.start();
      await it.for(300_000);
      expect(groups).toHaveLength(1);
      expect(await it.running.lag()).toBe(3);
      const before = it.clock.monotonic();
      await it.stop();
      expect(it.clock.monotonic() - before).toBeLessThan(500);
      await it.start();
      await sendAll(topic, upTo(7));
      await it.settled();
      expect(groups.at(-1)?.values).toEqual([10, 11, 12, ...upTo(7)]);
    }));

  test('several bodies that wait for company do not keep each other from it', () =>
    paced({ ...options, commit: { ...options.commit, every: 10 } }, async (it) => {
      const topic = it.numbers();
      const groups: number[][] = [];
      it.app.agent(
        'grouping',
        topic,
        async (stream) => {
          for await (const group of stream.take(100)) groups.push(group);
        },
        { concurrency: 8 },
      );
      await sendAll(topic, upTo(8_000), (n) => `k${n % 40}`);
      await it.start();
      await it.for(2_000);
      expect(groups.flat().length).toBeGreaterThan(7_000);
      expect(groups.every((group) => group.length === 100)).toBe(true);
    }));
});

test('more commits than events: one lane is not split by them', () =>
  paced({ commit: { every: 1, interval: 1 } }, async (it) => {
    const { topic, groups } = grouping(it, 50, '1s');
    await it.start();
    for (const n of upTo(100)) {
      await topic.send(n, { key: 'k' });
      await it.for(10);
    }
    await it.settled();
    expect(groups.map(({ values }) => values.length)).toEqual([50, 50]);
  }));

test('time that runs out while a commit waits for others does not split a group', () =>
  paced({ commit: { interval: 50 } }, async (it) => {
    const topic = it.numbers();
    const groups: number[][] = [];
    it.app.agent(
      'grouping',
      topic,
      async (stream, { sleep }) => {
        for await (const group of stream.take(5, { within: 200 })) {
          groups.push(group);
          if (group.includes(0)) await sleep('1s');
        }
      },
      { concurrency: 8 },
    );
    // Two keys of different bodies: one of them is busy while the other waits for company.
    await sendAll(topic, [0, 0, 0, 0, 0], () => 'busy');
    await it.start();
    await it.for(20);
    await sendAll(topic, [1, 2, 3], () => 'other');
    await it.settled();
    expect(groups).toEqual([
      [0, 0, 0, 0, 0],
      [1, 2, 3],
    ]);
  }));

describe('a group that fails', () => {
  test('is tried again as it was, and goes to the dead letters as a whole', () =>
    paced({}, async (it) => {
      const topic = it.numbers();
      const dead = it.app.topic('dead', { ...keyed<number>(), partitions: 1 });
      const sums = it.app.table('sums', { default: () => 0 });
      const tries: number[][] = [];
      it.app.agent(
        'grouping',
        topic,
        async (stream) => {
          for await (const group of stream.take(3, { within: 100 })) {
            tries.push(group);
            for (const n of group) sums.update('k', (sum) => sum + n);
            if (group.includes(4)) throw new Error('four');
          }
        },
        { onError: retry({ times: 2, backoff: 30 }).orElse(deadLetter(dead)) },
      );
      await it.start();
      await sendAll(topic, [1, 2, 3, 4, 5]);
      await it.for(110);
      // Does not join those that are tried again.
      await sendAll(topic, [6, 7, 8]);
      await it.settled();
      expect(tries).toEqual([
        [1, 2, 3],
        [4, 5],
        [4, 5],
        [4, 5],
        [6, 7, 8],
      ]);
      expect(await valuesOf(dead)).toEqual([4, 5]);
      await it.stop();
      expect(await rowsOf(sums)).toEqual(new Map([['k', 27]]));
    }));
});

test('what is read again by a body that takes one by one comes one by one', () =>
  paced({ onError: retry({ times: 1 }) }, async (it) => {
    const topic = it.numbers();
    const seen: unknown[] = [];
    let failed = false;
    it.app.agent('turncoat', topic, async (stream) => {
      if (!failed)
        for await (const group of stream.take(3)) {
          failed = true;
          seen.push(group);
          throw new Error('once');
        }
      for await (const n of stream) seen.push(n);
    });
    await sendAll(topic, upTo(4));
    await it.start();
    await it.settled();
    expect(seen).toEqual([[0, 1, 2], 0, 1, 2, 3]);
  }));

test('random arrivals, commits, calls and bodies: every event is in one group of its own key', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        most: fc.integer({ min: 1, max: 8 }),
        within: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }),
        concurrency: fc.constantFrom(1, 3, 16),
        intervalMs: fc.constantFrom(5, 20, 100),
        every: fc.constantFrom(1, 4, 1_000),
        events: fc.array(fc.record({ key: fc.nat(6), afterMs: fc.constantFrom(0, 0, 0, 10, 50) }), {
          maxLength: 60,
        }),
        bodyMs: fc.constantFrom(0, 0, 20, 100),
        stop: fc.boolean(),
      }),
      async ({ most, within, concurrency, intervalMs, every, events, bodyMs, stop }) =>
        await paced({ commit: { interval: intervalMs, every } }, async (it) => {
          const topic = it.numbers();
          const out = it.app.topic('out', { value: unchecked<number[]>(), partitions: 1 });
          it.app.agent(
            'grouping',
            topic,
            async function* (stream, { sleep }) {
              for await (const group of stream.take(most, { within })) {
                if (bodyMs > 0) await sleep(bodyMs);
                yield group;
              }
            },
            { concurrency, sinks: [out] },
          );
          await it.start();
          for (const [n, { key, afterMs }] of events.entries()) {
            if (afterMs > 0) await it.for(afterMs);
            await topic.send(n, { key: `k${key}` });
          }
          if (stop) {
            await it.stop();
            await it.start();
          }
          // What waits for company for ever is given it.
          if (within === undefined)
            for (const key of upTo(7))
              for (const _ of upTo(most)) await topic.send(-1, { key: `k${key}` });
          await it.for(within === undefined ? 1_000 : within + 12_000);
          await it.stop();
          const groups = await valuesOf(out);
          const all = groups.flat().filter((n) => n >= 0);
          expect(new Set(all).size).toBe(all.length);
          if (within !== undefined) expect(all.length).toBe(events.length);
          for (const group of groups) expect(group.length).toBeLessThanOrEqual(most);
          for (const key of upTo(7)) {
            const mine = all.filter((n) => events[n]?.key === key);
            expect(mine).toEqual(mine.toSorted((a, b) => a - b));
          }
        }),
    ),
    { numRuns: 40 },
  );
}, 60_000);
