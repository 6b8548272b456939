/** Tasks with several inputs, and inputs that several tasks share: order, waits, where reading begins, what was deleted, what is decoded. */
import { describe, expect, test } from 'vitest';

import { deadLetter, json } from '../../src/index.ts';
import type { AppOptions, Topic } from '../../src/index.ts';
import { openBroker } from '../../src/broker/open.ts';
import { seededRandom } from '../../src/core/random.ts';
import { FrameShare } from '../../src/runtime/frame-share.ts';
import { paced, sendAll, upTo } from './paced.ts';
import type { Paced } from './paced.ts';
import { keyed, rowsOf, valuesOf } from './support.ts';

interface Timed {
  readonly at: number;
}

function timed(it: Paced, name: string): Topic<string, Timed> {
  return it.app.topic(name, { ...keyed<Timed>(), partitions: 1, timestamp: ({ at }) => at });
}

async function send(topic: Topic<string, Timed>, ...times: number[]): Promise<void> {
  await Promise.all(times.map((at) => topic.send({ at }, { key: 'k' })));
}

/** A task over two topics: a stream or an agent. */
function united(it: Paced, kind: 'stream' | 'agent') {
  const left = timed(it, 'left');
  const right = timed(it, 'right');
  const seen: string[] = [];
  const both = left
    .stream()
    .map(({ at }) => `left ${at}`)
    .union(right.stream().map(({ at }) => `right ${at}`));
  if (kind === 'stream') both.sink((text) => void seen.push(text));
  else
    it.app.agent('both', both, async (stream) => {
      for await (const text of stream) seen.push(text);
    });
  return { left, right, seen };
}

describe.each(['stream', 'agent'] as const)('two topics of one %s', (kind) => {
  const run = (
    options: AppOptions,
    body: (it: Paced, parts: ReturnType<typeof united>) => Promise<void>,
  ) =>
    paced({ commit: { interval: 20 }, ...options }, async (it) => await body(it, united(it, kind)));

  test('what is there is taken in the order of time', () =>
    run({}, async (it, { left, right, seen }) => {
      await send(left, 1, 4, 5, 9, 9, 12);
      await send(right, 2, 3, 6, 9, 10);
      await it.start();
      await it.settled();
      expect(seen).toEqual(
        ['left 1', 'right 2', 'right 3', 'left 4', 'left 5', 'right 6', 'left 9', 'left 9'].concat([
          'right 9',
          'right 10',
          'left 12',
        ]),
      );
    }));

  test('one at its end is waited for as long as maxIdleWait says, and not for longer', () =>
    run({ maxIdleWait: 300, idleAfter: '2s' }, async (it, { left, right, seen }) => {
      await it.start();
      await it.for(5_000);
      await send(right, 1);
      await it.for(50);
      // Both have been silent for so long that nobody waits for them.
      expect(seen).toEqual(['right 1']);
      await send(left, 5);
      await it.for(200);
      expect(seen).toEqual(['right 1']);
      await send(right, 3);
      await it.for(50);
      expect(seen).toEqual(['right 1', 'right 3']);
      await it.for(350);
      expect(seen).toEqual(['right 1', 'right 3', 'left 5']);
      await it.settled();
    }));

  test('one that is far ahead waits for the other, until that is idle', () =>
    run({ maxSkew: 1_000, idleAfter: '3s' }, async (it, { left, right, seen }) => {
      await send(left, 100, 900, 5_000, 6_000);
      await send(right, 100, 200);
      await it.start();
      await it.for(1_000);
      expect(seen).toEqual(['left 100', 'right 100', 'right 200', 'left 900']);
      await send(right, 4_500);
      await it.for(1_000);
      expect(seen.slice(4)).toEqual(['right 4500', 'left 5000']);
      await it.for(3_000);
      expect(seen.slice(4)).toEqual(['right 4500', 'left 5000', 'left 6000']);
      await it.settled();
    }));

  test('times that are too far ahead are for the policy, and no time passes by them', () =>
    run({ maxFuture: '1m', onError: deadLetter('dead') }, async (it, { left, right, seen }) => {
      const dead = it.app.topic('dead', { ...keyed<Timed>(), partitions: 1 });
      const now = it.clock.now();
      await send(left, now, now + 90_000, now + 10, now + 61_000, now + 20);
      await send(right, now + 5);
      await it.start();
      await it.settled();
      expect(seen.toSorted()).toEqual(
        [`left ${now}`, `right ${now + 5}`, `left ${now + 10}`, `left ${now + 20}`].toSorted(),
      );
      expect((await valuesOf(dead)).map(({ at }) => at - now)).toEqual([90_000, 61_000]);
    }));

  test('and close no windows', () =>
    run({ maxFuture: '1m', onError: 'skip' }, async (it, { left }) => {
      const windows = it.app.table('windows', { default: () => 0 }).tumbling('1s');
      const closed: number[] = [];
      windows.closed().sink(({ window }) => void closed.push(window.start));
      const source = left.stream();
      source.update(windows, (count) => count + 1);
      if (kind === 'agent') it.app.each('beside', source, () => undefined);
      const now = it.clock.now();
      await it.start();
      for (const at of [now, now + 90_000, now + 10]) {
        await send(left, at);
        await it.settled();
      }
      expect(it.running.stats.late).toEqual({});
      expect(closed).toEqual([]);
    }));
});

describe('where reading begins', () => {
  test.each(['latest', 'earliest'] as const)('startFrom %s', (startFrom) =>
    paced({ startFrom }, async (it) => {
      const topic = it.numbers();
      const seen: number[] = [];
      const doubled: number[] = [];
      it.app.each('seeing', topic, (n) => void seen.push(n));
      // What lies between tasks is read from its first record on, whatever was said.
      topic
        .stream()
        .groupBy((n) => `k${n}`, { name: 'n' })
        .sink((n) => void doubled.push(n * 2));
      await sendAll(topic, [1, 2]);
      await it.start();
      await it.settled();
      await sendAll(topic, [3]);
      await it.settled();
      await it.stop();
      await sendAll(topic, [4]);
      await it.start();
      await it.settled();
      const expected = startFrom === 'latest' ? [3, 4] : [1, 2, 3, 4];
      expect(seen).toEqual(expected);
      expect(doubled.toSorted((a, b) => a - b)).toEqual(expected.map((n) => n * 2));
    }),
  );

  /** Records 0 to 9 are processed, then 10 to 19 come and those before 15 are deleted, while the app is down. */
  async function asleep(it: Paced, kind: 'stream' | 'each', seen: number[]): Promise<void> {
    const topic = it.numbers();
    if (kind === 'each') it.app.each('seeing', topic, (n) => void seen.push(n));
    else topic.stream().sink((n) => void seen.push(n));
    const broker = await openBroker('memory:', { clock: it.clock, random: seededRandom(1) });
    it.app['~replace']({ open: () => Promise.resolve(broker) });
    await sendAll(topic, upTo(10));
    await it.start();
    await it.settled();
    await it.stop();
    for (const n of upTo(10)) await topic.send(n + 10, { key: 'k' });
    await broker.truncate('numbers', 0, 15);
  }

  test.each(['stream', 'each'] as const)(
    'records that were deleted before they were read: %s',
    (kind) =>
      paced({}, async (it) => {
        const seen: number[] = [];
        await asleep(it, kind, seen);
        const failed = await it.start().then(
          async () => await it.failure(),
          (error: unknown) => error,
        );
        expect(failed).toMatchObject({
          code: 'MR_OFFSET_LOST',
          details: { topic: 'numbers', partition: 0, offset: 10, lost: 5 },
        });
        expect(seen).toEqual(upTo(10));
      }),
  );

  test.each(['stream', 'each'] as const)("the same with onOffsetLost: 'skip': %s", (kind) =>
    paced({ onOffsetLost: 'skip' }, async (it) => {
      const seen: number[] = [];
      await asleep(it, kind, seen);
      await it.start();
      await it.settled();
      expect(seen).toEqual([...upTo(10), 15, 16, 17, 18, 19]);
      expect(it.running.stats).toMatchObject({ lost: 5, events: 15 });
      await it.stop();
      await it.start();
      await it.settled();
      expect(seen).toHaveLength(15);
      expect(it.running.stats).toMatchObject({ lost: 5 });
    }),
  );
});

describe('behind a groupBy', () => {
  test('what writers say of their time is heard in its turn, however slow the agent is', () =>
    paced({ commit: { interval: 20 }, idleAfter: 200 }, async (it) => {
      const topic = it.app.topic('times', {
        ...keyed<Timed>(),
        partitions: 4,
        timestamp: ({ at }) => at,
      });
      const windows = it.app.table('windows', { default: () => 0 }).tumbling(100);
      const closed: number[] = [];
      windows.closed().sink(({ window }) => void closed.push(window.start));
      const one = topic.stream().groupBy(() => 'one', { name: 'one', partitions: 1 });
      one.update(windows, (count) => count + 1);
      it.app.each('slow', one, async (_value, _event, { sleep }) => await sleep(30), {
        concurrency: 4,
      });
      // The writers are at different times; none of their events may be late.
      for (const i of upTo(20))
        for (const p of upTo(4))
          await topic.send({ at: i * 50 + p * 400 }, { key: `k${p}`, partition: p });
      await it.start();
      await it.settled();
      await it.for(2_000);
      await it.settled();
      expect(it.running.stats.late).toEqual({});
      expect(closed).toEqual(closed.toSorted((a, b) => a - b));
      await it.stop();
      let total = 0;
      for await (const { value } of windows.snapshot() as never as AsyncIterable<{ value: number }>)
        total += value;
      expect(total).toBe(80);
    }));
});

describe('topics that several tasks read', () => {
  test('are decoded once, and everybody gets the right values', () =>
    paced({}, async (it) => {
      let decoded = 0;
      const counting = {
        name: 'json',
        encode: (value: unknown) => json.encode(value),
        decode: (encoded: Uint8Array) => {
          decoded++;
          return json.decode(encoded);
        },
      };
      const topic = it.app.topic('numbers', { ...keyed<number>(), codec: counting, partitions: 2 });
      const other = it.app.topic('others', { ...keyed<number>(), codec: counting, partitions: 2 });
      const sums = it.app.table('sums', { default: () => 0 });
      const seen = new Map<string, number[]>();
      const note = (who: string, n: number): void =>
        void seen.set(who, [...(seen.get(who) ?? []), n]);
      topic
        .stream()
        .filter((n) => n >= 0)
        .groupBy((n) => `k${n % 3}`, { name: 'mod' })
        .update(sums, (sum, n) => sum + n);
      for (const who of ['a', 'b', 'c'])
        it.app.each(who, topic, async (n, _, { sleep }) => {
          await sleep(who === 'a' ? 1 : 0);
          note(who, n);
        });
      it.app.each('d', other, (n) => note('d', n));
      it.app.each('e', other, (n) => note('e', n));
      for (const batch of upTo(10)) {
        await sendAll(
          topic,
          upTo(20).map((n) => batch * 20 + n),
          (n) => `k${n}`,
        );
        await sendAll(
          other,
          upTo(20).map((n) => -batch * 20 - n),
          (n) => `k${n}`,
        );
      }
      await it.start();
      await it.settled();
      await it.stop();
      const all = upTo(200);
      for (const who of ['a', 'b', 'c'])
        expect(seen.get(who)?.toSorted((a, b) => a - b)).toEqual(all);
      for (const who of ['d', 'e'])
        expect(seen.get(who)?.toSorted((a, b) => b - a)).toEqual(all.map((n) => 0 - n));
      expect([...(await rowsOf(sums)).values()].reduce((a, b) => a + b)).toBe(199 * 100);
      // Four readers of one topic, two of the other, and one behind the groupBy.
      expect(decoded).toBe(600);
    }));

  test('keep the last frames of each partition', () => {
    const share = new FrameShare(new Set(['shared']));
    let decodings = 0;
    const decode = (topic: string, partition: number, baseOffset: number, count = 10): unknown =>
      share.decoded(topic, partition, { baseOffset, count }, () => {
        decodings++;
        return { values: [`${topic} ${partition} ${baseOffset} ${count}`], errors: undefined };
      }).values[0];
    const decodes = (times: number, what: () => unknown): unknown => {
      const before = decodings;
      const value = what();
      expect(decodings - before).toBe(times);
      return value;
    };
    expect(decodes(1, () => decode('shared', 0, 0))).toBe('shared 0 0 10');
    expect(decodes(0, () => decode('shared', 0, 0))).toBe('shared 0 0 10');
    expect(decodes(1, () => decode('shared', 1, 0))).toBe('shared 1 0 10');
    // One task alone reads it.
    expect(decodes(1, () => decode('other', 0, 0))).toBe('other 0 0 10');
    expect(decodes(1, () => decode('other', 0, 0))).toBe('other 0 0 10');
    // The same place with another number of records is another frame.
    expect(decodes(1, () => decode('shared', 0, 0, 5))).toBe('shared 0 0 5');
    // Small frames: so many records.
    decodes(1_000, () => upTo(1_000).map((n) => decode('shared', 0, 100 + n * 10)));
    decodes(400, () => upTo(400).map((n) => decode('shared', 0, 100 + n * 10)));
    decodes(0, () => upTo(400).map((n) => decode('shared', 0, 100 + n * 10)));
    // Large ones: so many frames.
    decodes(10, () => upTo(10).map((n) => decode('shared', 0, 1e6 + n * 1e5, 1e5)));
    decodes(0, () => [6, 7, 8, 9].map((n) => decode('shared', 0, 1e6 + n * 1e5, 1e5)));
    decodes(1, () => decode('shared', 0, 1e6 + 5 * 1e5, 1e5));
  });
});
