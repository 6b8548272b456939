/** Agents that have several events under way: order, how many at once, and results that are exact whatever dies when. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { unchecked } from '../../src/index.ts';
import type { Table, Topic } from '../../src/index.ts';
import { advancing, Disk, Hand, turns } from '../runtime/hand.ts';
import type { Process } from '../runtime/hand.ts';
import { paced, sendAll, upTo } from './paced.ts';
import { rowsOf, valuesOf } from './support.ts';

const kinds = ['each', 'agent'] as const;
type Kind = (typeof kinds)[number];

const cases = kinds.flatMap((kind) => [1, 4, 64].map((concurrency) => ({ kind, concurrency })));

describe.each(cases)('$kind with a concurrency of $concurrency', ({ kind, concurrency }) => {
  test('works on so many at once, and on those of a key in their order', () =>
    paced({ commit: { interval: '1s' } }, async (it) => {
      const topic = it.numbers('numbers', 2);
      const random = mulberry(concurrency);
      const underWay = new Map<number, number>();
      const keys = new Map<string, number[]>();
      let most = 0;
      const work = async (
        n: number,
        key: string,
        partition: number,
        sleep: (ms: number) => Promise<void>,
      ): Promise<void> => {
        const now = (underWay.get(partition) ?? 0) + 1;
        underWay.set(partition, now);
        most = Math.max(most, now);
        const mine = keys.get(key) ?? [];
        keys.set(key, mine);
        mine.push(n);
        await sleep(Math.floor(random() * 100));
        mine.push(n);
        underWay.set(partition, (underWay.get(partition) ?? 0) - 1);
      };
      if (kind === 'each')
        it.app.each(
          'worker',
          topic,
          async (n, { key }, { sleep, task }) => await work(n, key, task.partition, sleep),
          { concurrency },
        );
      else
        it.app.agent(
          'worker',
          topic,
          async (stream, { sleep, task }) => {
            for await (const [key, n] of stream.items()) await work(n, key, task.partition, sleep);
          },
          { concurrency },
        );
      await sendAll(topic, upTo(600), (n) => `k${(n * 7919) % 151}`);
      await it.start();
      await it.settled();
      expect(most).toBeLessThanOrEqual(concurrency);
      expect(most).toBeGreaterThan(concurrency * 0.6);
      const all: number[] = [];
      for (const seen of keys.values()) {
        // Each begins when the one before it has ended, and none was begun twice.
        for (let i = 0; i < seen.length; i += 2) expect(seen[i + 1]).toBe(seen[i]);
        const once = seen.filter((_, i) => i % 2 === 0);
        expect(once).toEqual(once.toSorted((a, b) => a - b));
        all.push(...once);
      }
      expect(all.toSorted((a, b) => a - b)).toEqual(upTo(600));
    }));

  test('spreads events without keys', () =>
    paced({}, async (it) => {
      const topic = it.app.topic('numbers', { value: unchecked<number>(), partitions: 1 });
      let now = 0;
      let most = 0;
      const work = async (sleep: (ms: number) => Promise<void>): Promise<void> => {
        most = Math.max(most, ++now);
        await sleep(100);
        now--;
      };
      if (kind === 'each')
        it.app.each('worker', topic, async (_n, _event, { sleep }) => await work(sleep), {
          concurrency,
        });
      else
        it.app.agent(
          'worker',
          topic,
          async (stream, { sleep }) => {
            for await (const _ of stream) await work(sleep);
          },
          { concurrency },
        );
      await Promise.all(upTo(200).map((n) => topic.send(n)));
      await it.start();
      await it.settled();
      expect(most).toBe(concurrency);
    }));
});

test('a concurrency of 1,000 is one', () =>
  paced({}, async (it) => {
    const topic = it.app.topic('numbers', { value: unchecked<number>(), partitions: 1 });
    let now = 0;
    let most = 0;
    it.app.each(
      'worker',
      topic,
      async (_n, _event, { sleep }) => {
        most = Math.max(most, ++now);
        await sleep(100);
        now--;
      },
      { concurrency: 1_000 },
    );
    await Promise.all(upTo(2_000).map((n) => topic.send(n)));
    await it.start();
    await it.settled();
    expect(most).toBe(1_000);
  }));

interface Work {
  readonly n: number;
  readonly key: string;
  readonly ms: number;
}

interface Form {
  readonly kind: Kind | 'take';
  readonly concurrency: number;
  /** What stands in front of the agent. */
  readonly front: 'nothing' | 'filter' | 'state' | 'slow';
}

interface Bench {
  readonly hand: Hand;
  readonly works: Topic<string, Work>;
  readonly out: Topic<string, string>;
  readonly sums: Table<string, number, number>;
  readonly before: Table<string, number, number>;
}

/** Numbers the events of each key, passes them through an agent that takes a while, adds them up and passes them on. */
function declare(process: Process, { kind, concurrency, front }: Form): Bench {
  const hand = new Hand(process);
  const works = hand.topic<Work>('works', { partitions: 2 });
  const out = hand.topic<string>('out', { partitions: 2 });
  const sums = hand.table<number>('sums', () => 0);
  const before = hand.table<number>('before', () => 0);
  const { app } = hand;
  const stream = works.stream();
  const source =
    front === 'nothing'
      ? stream
      : front === 'filter'
        ? stream.filter(({ n }) => n % 3 !== 0)
        : front === 'state'
          ? stream.map((work) => {
              before.update(work.key, (count) => count + 1);
              return work;
            })
          : stream.map(async (work) => {
              await wait(process, work.ms / 2);
              before.update(work.key, (count) => count + 1);
              return work;
            });
  const work = async (
    { n, key, ms }: Work,
    sleep: (ms: number) => Promise<void>,
  ): Promise<string> => {
    const first = sums.get(key);
    if (ms > 0) await sleep(ms);
    sums.set(key, first + 1);
    sums.update(key, (sum) => sum + 1);
    return `${n} ${first / 2}`;
  };
  const options = { concurrency, sinks: [out] };
  if (kind === 'each')
    app.each('worker', source, (value, _, { sleep }) => work(value, sleep), options);
  else if (kind === 'agent')
    app.agent(
      'worker',
      source,
      async function* (values, { sleep }) {
        for await (const value of values) yield await work(value, sleep);
      },
      options,
    );
  else
    app.agent(
      'worker',
      source,
      // oxlint-disable-next-line require-yield -- it has nothing to say, and is one of the forms of a body
      async function* (values, { sleep }) {
        for await (const group of values.take(3, { within: 40 })) {
          const [first] = group;
          if (first !== undefined && first.ms > 0) await sleep(first.ms);
          for (const { n, key } of group) {
            let count = 0;
            sums.update(key, (sum) => {
              count = sum / 2;
              return sum + 2;
            });
            await out.send(`${n} ${count}`, { key });
          }
        }
      },
      { concurrency },
    );
  return { hand, works, out, sums, before };
}

async function wait({ clock }: Process, ms: number): Promise<void> {
  await new Promise<void>((resolve) => void clock.setTimer(ms, resolve));
}

const keys = ['a', 'b', 'c', 'd', 'e'];

const life = fc.record({
  works: fc.array(
    fc.record({ key: fc.constantFrom(...keys), ms: fc.constantFrom(0, 0, 5, 30, 200) }),
    { maxLength: 30 },
  ),
  /** How long it lives. */
  ms: fc.nat(400),
  turns: fc.nat(15),
  every: fc.constantFrom(1, 2, 5, 20, 10_000),
  intervalMs: fc.constantFrom(10, 40, 100),
  fault: fc.tuple(fc.nat(20), fc.constantFrom('io-before', 'io-after', 'disk-full')),
});

const form: fc.Arbitrary<Form> = fc.record({
  kind: fc.constantFrom('each', 'agent', 'take'),
  concurrency: fc.constantFrom(1, 4, 64),
  front: fc.constantFrom('nothing', 'filter', 'state', 'slow'),
});

test('whatever dies when, every result is there once', async () => {
  await fc.assert(
    fc.asyncProperty(form, fc.array(life, { minLength: 1, maxLength: 4 }), async (how, lives) => {
      const disk = new Disk();
      const sent: Work[] = [];
      for (const { works, ms, turns: count, every, intervalMs, fault } of lives) {
        const process = await disk.open();
        const { hand, works: topic } = declare(process, how);
        const worker = await hand.worker({ every, intervalMs });
        worker.run().catch(() => undefined);
        for (const { key, ms: takes } of works) {
          const work = { n: sent.length, key, ms: takes };
          sent.push(work);
          await topic.send(work, { key });
        }
        let commits = 0;
        disk.faults = () => (commits++ === fault[0] ? { fail: fault[1] } : undefined);
        await disk.clock.advance(ms);
        await turns(disk.clock, count);
        process.crash();
        disk.faults = undefined;
      }
      const process = await disk.open();
      const { hand, works, out, sums, before } = declare(process, how);
      const worker = await hand.worker({ every: 7, intervalMs: 50 });
      const run = worker.run();
      run.catch(() => undefined);
      await advancing(disk.clock, worker.settled(), 10);
      await advancing(disk.clock, worker.stop(60_000));
      expect(await valuesOf(works)).toHaveLength(sent.length);
      const kept = sent.filter(({ n }) => how.front !== 'filter' || n % 3 !== 0);
      const counts = new Map<string, number>();
      const expected = kept.map(({ n, key }) => {
        const count = counts.get(key) ?? 0;
        counts.set(key, count + 1);
        return `${n} ${count}`;
      });
      expect((await valuesOf(out)).toSorted(byNumber)).toEqual(expected);
      expect(await rowsOf(sums)).toEqual(
        new Map([...counts].map(([key, count]) => [key, count * 2])),
      );
      if (how.front === 'state' || how.front === 'slow')
        expect(await rowsOf(before)).toEqual(counts);
      expect(worker.stats.events).toBe(sent.length);
    }),
    { numRuns: 60 },
  );
}, 120_000);

function byNumber(a: string, b: string): number {
  return Number.parseInt(a, 10) - Number.parseInt(b, 10);
}

/** Numbers from 0 to 1, the same ones for the same seed. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
