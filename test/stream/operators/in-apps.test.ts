/** Operators in apps: state per key that survives crashes, with the models of the laws; and those that refuse to run there. */
import { describe, expect, test } from 'vitest';
import { App, unchecked } from '../../../src/index.ts';
import type { Stream, Topic } from '../../../src/index.ts';
import { TestApp } from '../../../src/testing/index.ts';
import { laws, steps } from '../laws/laws.ts';
import type { Law } from '../laws/laws.ts';

type Numbers = Topic<string, number>;
type Unknowns = Topic<string, unknown>;

const keys = ['ann', 'bob'] as const;
/** Values of the keys in turn, with repetitions. */
const values: readonly number[] = [3, 1, 3, 4, 4, 4, 0, 3, 5, 1, 5, 5, 2, 0, 2, 6, 1, 1];

function app(): { app: App; numbers: (name: string) => Numbers; out: Unknowns } {
  const made = new App('laws', { broker: 'memory:' });
  const keyed = { key: unchecked<string>(), partitions: 2 };
  return {
    app: made,
    numbers: (name) => made.topic(name, { ...keyed, value: unchecked<number>() }),
    out: made.topic('out', { ...keyed, value: unchecked<unknown>() }),
  };
}

async function valuesByKey(t: TestApp, out: Unknowns): Promise<Record<string, unknown[]>> {
  const byKey: Record<string, unknown[]> = { ann: [], bob: [] };
  for (const { key, value } of await t.output(out)) (byKey[key] ??= []).push(value);
  return byKey;
}

describe('state survives crashes, key by key', () => {
  test.each(laws.map((law): [string, Law] => [law.name, law]))('%s', async (_, law) => {
    const { app: made, numbers, out } = app();
    const topic = numbers('in');
    law.build(topic.stream(), 2).sink(out);
    await using t = await TestApp.start(made);
    for (const [i, value] of values.entries()) {
      await t.send(topic, value, { key: keys[i % 2] as string });
      if (i % 5 === 4) await t.crash();
    }
    const [ann = [], bob = []] = keys.map((_key, k) => values.filter((_value, i) => i % 2 === k));
    expect(await valuesByKey(t, out)).toEqual({
      ann: steps(law, ann, 2).flat(),
      bob: steps(law, bob, 2).flat(),
    });
  });
});

describe('several inputs, key by key', () => {
  type Join = (a: Stream<number, string>, b: Stream<number, string>) => Stream<unknown, string>;
  const script: readonly ['a' | 'b' | 'crash', ...number[]][] = [
    ['a', 1],
    ['a', 2],
    ['crash'],
    ['b', 10],
    ['a', 3],
    ['crash'],
    ['b', 20],
    ['b', 30],
    ['b', 40],
    ['crash'],
    ['a', 4],
  ];
  const joins: readonly [string, Join, unknown[]][] = [
    [
      'zip',
      (a, b) => a.zip(b),
      [
        [1, 10],
        [2, 20],
        [3, 30],
        [4, 40],
      ],
    ],
    [
      'zipLatest',
      (a, b) => a.zipLatest(b),
      [
        [1, 10],
        [2, 10],
        [3, 10],
        [4, 40],
      ],
    ],
    [
      'combineLatest',
      (a, b) => a.combineLatest(b),
      [
        [2, 10],
        [3, 10],
        [3, 20],
        [3, 30],
        [3, 40],
        [4, 40],
      ],
    ],
    [
      'combineLatest on the second',
      (a, b) => a.combineLatest([b], { emitOn: b }),
      [
        [2, 10],
        [3, 20],
        [3, 30],
        [3, 40],
      ],
    ],
    [
      'accumulate with a reset',
      (a, b) => a.accumulate((n, x) => n + x, { start: 0, resetOn: b }),
      [1, 3, 3, 4],
    ],
    ['collect with a flush', (a, b) => a.collect({ flushOn: b }), [[1, 2], [3]]],
    ['union', (a, b) => a.union(b), [1, 2, 10, 3, 20, 30, 40, 4]],
  ];

  test.each(joins)('%s', async (_, join, expected) => {
    const { app: made, numbers, out } = app();
    const topics = { a: numbers('a'), b: numbers('b') };
    join(topics.a.stream(), topics.b.stream()).sink(out);
    await using t = await TestApp.start(made);
    for (const [what, ...numbersOf] of script)
      if (what === 'crash') await t.crash();
      else
        for (const value of numbersOf)
          for (const key of keys) await t.send(topics[what], value, { key });
    expect(await valuesByKey(t, out)).toEqual({ ann: expected, bob: expected });
  });

  test('zip holds no more than it was told', async () => {
    const { app: made, numbers, out } = app();
    const [a, b] = [numbers('a'), numbers('b')];
    a.stream().zip([b.stream()], { maxsize: 2 }).sink(out);
    await using t = await TestApp.start(made);
    await t.send(a, 1, { key: 'ann' });
    await t.send(a, 2, { key: 'ann' });
    await expect(t.send(a, 3, { key: 'ann' })).rejects.toMatchObject({
      cause: { code: 'MR_OVERFLOW' },
    });
  });
});

describe('time, key by key', () => {
  test('throttle: what was let through keeps others back, also behind a crash', async () => {
    const { app: made, numbers, out } = app();
    const topic = numbers('in');
    topic.stream().throttle('10s').sink(out);
    await using t = await TestApp.start(made);
    await t.send(topic, 1, { key: 'ann' });
    await t.advance('4s');
    await t.send(topic, 2, { key: 'ann' });
    await t.send(topic, 2, { key: 'bob' });
    await t.crash();
    await t.advance('4s');
    await t.send(topic, 3, { key: 'ann' });
    await t.advance('4s');
    await t.send(topic, 4, { key: 'ann' });
    await t.send(topic, 4, { key: 'bob' });
    expect(await valuesByKey(t, out)).toEqual({ ann: [1, 4], bob: [2] });
  });

  test('rateLimit: values wait for their turn', async () => {
    const { app: made, numbers, out } = app();
    const topic = numbers('in');
    topic
      .stream()
      .rateLimit('10s')
      .map((value) => [value, t.now - began])
      .sink(out);
    await using t = await TestApp.start(made);
    const began = t.now;
    for (const value of [1, 2, 3]) await t.send(topic, value, { key: 'ann' });
    // It begins anew with the task.
    await t.crash();
    await t.send(topic, 4, { key: 'ann' });
    expect((await valuesByKey(t, out))['ann']).toEqual([
      [1, 0],
      [2, 10_000],
      [3, 20_000],
      [4, 20_000],
    ]);
  });
});

test('keys that are NaN are equal', async () => {
  const { app: made, numbers, out } = app();
  const topic = numbers('in');
  const stream = topic.stream();
  stream.unique({ key: () => Number.NaN }).sink(out);
  stream.distinct({ key: () => Number.NaN }).sink(out);
  stream.partition(2, { key: () => Number.NaN }).sink(out);
  await using t = await TestApp.start(made);
  await t.send(topic, 1, { key: 'ann' });
  await t.send(topic, 2, { key: 'ann' });
  expect((await valuesByKey(t, out))['ann']).toEqual([1, 1, [1, 2]]);
});

describe('operators that hold values back outside the commit refuse to run in an app', () => {
  type Refused = (stream: Stream<number, string>) => Stream<unknown, unknown>;
  const refused: readonly [string, Refused][] = [
    ['timedWindow', (s) => s.timedWindow('1s')],
    ['timedWindowUnique', (s) => s.timedWindowUnique('1s')],
    ['delay', (s) => s.delay('1s')],
    ['debounce', (s) => s.debounce('1s')],
    ['throttle with trailing', (s) => s.throttle('1s', { trailing: true })],
    ['latest', (s) => s.latest()],
    ['buffer', (s) => s.buffer(10)],
    ['partition with a timeout', (s) => s.partition(2, { timeout: '1s' })],
    ['take within', (s) => s.take(2, { within: '1s' })],
    ['collect without flushOn', (s) => s.collect()],
    ['switch', (s) => s.map(() => s).switch()],
    ['concat', (s) => s.map(() => s).concat()],
    ['merge', (s) => s.map(() => s).merge()],
    ['split', (s) => s.split(String)],
  ];

  test.each(refused)('%s', async (_, declare) => {
    const { app: made, numbers } = app();
    declare(numbers('in').stream()).sink(() => undefined);
    await expect(TestApp.start(made)).rejects.toMatchObject({ code: 'MR_TOPOLOGY_INVALID' });
    await made.close();
  });
});
