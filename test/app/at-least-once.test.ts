/** At-least-once: what is sent is visible at once, positions never pass what is unfinished, and nothing is lost. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Broker } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open.ts';
import { seededRandom } from '../../src/core/random.ts';
import { unchecked } from '../../src/index.ts';
import type { AppOptions, Topic } from '../../src/index.ts';
import { faultyBroker } from '../../src/testing/index.ts';
import type { BrokerCall, Fault } from '../../src/testing/index.ts';
import { Disk, Hand, advancing, turns } from '../runtime/hand.ts';
import type { Process } from '../runtime/hand.ts';
import { paced, sendAll, upTo } from './paced.ts';
import type { Paced } from './paced.ts';
import { keyed, valuesOf } from './support.ts';

const atLeastOnce: AppOptions = {
  processing: 'at-least-once',
  commit: { interval: '1h' },
};

describe('what an event sends', () => {
  test('is visible before any commit', () =>
    paced(atLeastOnce, async (it) => {
      const topic = it.numbers();
      const out = it.app.topic('out', { ...keyed<number>(), partitions: 1 });
      const more = it.app.topic('more', { ...keyed<number>(), partitions: 1 });
      topic
        .stream()
        .map((n) => n + 1)
        .sink(more);
      it.app.each('each', topic, async (n) => await Promise.resolve(n), { sinks: [out] });
      await it.start();
      await sendAll(topic, [1, 2, 3]);
      await turnsOf(it.clock);
      expect(await valuesOf(out)).toEqual([1, 2, 3]);
      expect(await valuesOf(more)).toEqual([2, 3, 4]);
      expect(it.running.stats).toMatchObject({ committed: 0, commits: 0 });
    }));

  test('is visible as soon as it is finished, however many others are under way', () =>
    paced(atLeastOnce, async (it) => {
      const topic = it.app.topic('numbers', { value: unchecked<number>(), partitions: 1 });
      const out = it.app.topic('out', { value: unchecked<number>(), partitions: 1 });
      it.app.each(
        'each',
        topic,
        async (n, _, { sleep }) => {
          await sleep(n === 100 ? 15 : '1h');
          return n;
        },
        { sinks: [out], concurrency: 256 },
      );
      await it.start();
      await Promise.all(upTo(256).map((n) => topic.send(n)));
      await it.for(20);
      expect(await valuesOf(out)).toEqual([100]);
    }));
});

describe('a broker that fails', () => {
  test('loses nothing that others have followed', async () => {
    const disk = new Disk();
    const process = await disk.open();
    const calls: string[] = [];
    // The first append of the task takes long and fails; the second is behind it, and so is the commit.
    let sends = 0;
    const plan = ({ call, outputs }: BrokerCall): Fault | undefined => {
      if (call !== 'append' || outputs?.includes('out') !== true) return undefined;
      calls.push(call);
      return sends++ === 0 ? { delayMs: 150, fail: 'before' } : { delayMs: 100 };
    };
    const broker = faultyBroker(process.broker, plan, { clock: disk.clock });
    const hand = new Hand({ ...process, broker });
    const topic = hand.topic<number>('numbers', { partitions: 1 });
    const out = hand.topic<number>('out', { partitions: 1 });
    hand.each('each', topic.stream(), (n) => n, out);
    const worker = await hand.worker({ every: 10_000, intervalMs: 120 }, 60_000, true);
    const run = worker.run();
    run.catch(() => undefined);
    await topic.send(1, { key: 'k' });
    await turns(disk.clock, 10);
    const sent = topic.send(2, { key: 'k' });
    await disk.clock.advance(100);
    await sent;
    await disk.clock.advance(100);
    await advancing(disk.clock, worker.settled(), 10);
    await advancing(disk.clock, worker.stop(60_000));
    expect(new Set(await valuesOf(out))).toEqual(new Set([1, 2]));
    expect(calls.length).toBeGreaterThan(1);
  });
});

test('a broker that is slow is not given more than it takes', () =>
  paced({ ...atLeastOnce, commit: { interval: 50, maxBufferedBytes: 65_536 } }, async (it) => {
    const topic = it.app.topic('numbers', { value: unchecked<number>(), partitions: 1 });
    const out = it.app.topic('out', { value: unchecked<string>(), partitions: 1 });
    let processed = 0;
    it.app.each(
      'each',
      topic,
      () => {
        processed++;
        return 'x'.repeat(1_000);
      },
      { sinks: [out] },
    );
    let slow = false;
    const broker = await openMemory(it, ({ call, outputs }) =>
      slow && call === 'append' && outputs?.includes('out') === true
        ? { delayMs: 1_000 }
        : undefined,
    );
    it.app['~replace']({ open: () => Promise.resolve(broker) });
    await Promise.all(upTo(5_000).map((n) => topic.send(n)));
    slow = true;
    await it.start();
    await it.for(3_000);
    // Three appends have ended, and what could be sent meanwhile is bounded.
    expect(processed).toBeGreaterThan(64);
    expect(processed).toBeLessThan(2_000);
    slow = false;
    await it.settled();
    expect(await valuesOf(out)).toHaveLength(5_000);
  }));

async function openMemory(
  { clock }: Paced,
  plan: (call: BrokerCall) => Fault | undefined,
): Promise<Broker> {
  const random = seededRandom(1);
  return faultyBroker(await openBroker('memory:', { clock, random }), plan, { clock });
}

interface Work {
  readonly n: number;
  readonly key: string;
  readonly ms: number;
}

const life = fc.record({
  works: fc.array(
    fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), ms: fc.constantFrom(0, 0, 5, 30, 200) }),
    { maxLength: 30 },
  ),
  ms: fc.nat(300),
  turns: fc.nat(15),
  concurrency: fc.constantFrom(1, 4, 64),
  intervalMs: fc.constantFrom(5, 20, 100),
  /** Of so many appends and commits one fails, and one takes long. */
  failing: fc.integer({ min: 2, max: 8 }),
});

test('whatever fails and dies when, every event has its result, and positions follow', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 4 }), async (lives) => {
      const disk = new Disk();
      const sent: Work[] = [];
      const declare = (
        process: Process,
        concurrency: number,
      ): { hand: Hand; works: Topic<string, Work>; out: Topic<string, number> } => {
        const hand = new Hand(process);
        const works = hand.topic<Work>('works', { partitions: 1 });
        const out = hand.topic<number>('out', { partitions: 1 });
        hand.app.each(
          'each',
          works,
          async ({ n, ms }, _, { sleep }) => {
            if (ms > 0) await sleep(ms);
            return n;
          },
          { concurrency, sinks: [out] },
        );
        return { hand, works, out };
      };
      for (const { works, ms, turns: count, concurrency, intervalMs, failing } of lives) {
        const process = await disk.open();
        let calls = 0;
        const broker = faultyBroker(
          process.broker,
          ({ call, outputs }) => {
            if (call !== 'commit' && !(call === 'append' && outputs?.includes('out') === true))
              return undefined;
            calls++;
            if (calls % failing === 0) return { fail: calls % 2 === 0 ? 'before' : 'after' };
            return calls % failing === 1 ? { delayMs: 30 } : undefined;
          },
          { clock: disk.clock },
        );
        const { hand, works: topic, out } = declare({ ...process, broker }, concurrency);
        const worker = await hand.worker({ every: 10, intervalMs }, 60_000, true);
        worker.run().catch(() => undefined);
        for (const { key, ms: takes } of works) {
          const work = { n: sent.length, key, ms: takes };
          sent.push(work);
          await topic.send(work, { key });
        }
        await disk.clock.advance(ms);
        await turns(disk.clock, count);
        // Everything before the position has its result in the topic.
        const info = await process.broker.describeGroup('hand');
        const position = info?.tasks[0]?.positions[0]?.offset ?? 0;
        const there = new Set(await valuesOf(out));
        for (let n = 0; n < position; n++) expect(there).toContain(n);
        process.crash();
      }
      const process = await disk.open();
      const { hand, out } = declare(process, 4);
      const worker = await hand.worker({}, 60_000, true);
      worker.run().catch(() => undefined);
      await advancing(disk.clock, worker.settled(), 10);
      await advancing(disk.clock, worker.stop(60_000));
      const results = await valuesOf(out);
      expect(new Set(results)).toEqual(new Set(sent.map(({ n }) => n)));
      for (const key of ['a', 'b', 'c', 'd']) {
        const mine = new Set(results.filter((n) => sent[n]?.key === key));
        expect([...mine]).toEqual([...mine].toSorted((a, b) => a - b));
      }
    }),
    { numRuns: 60 },
  );
}, 60_000);

async function turnsOf(clock: { turn(): Promise<void> }): Promise<void> {
  for (let i = 0; i < 20; i++) await clock.turn();
}
