/** Commits of tasks whose agents are slow: what a commit waits for, what it takes back, and what comes again. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { describe, expect, test } from 'vitest';

import { unchecked } from '../../src/index.ts';
import type { AppOptions, Table, Topic } from '../../src/index.ts';
import { paced, sendAll, upTo } from '../app/paced.ts';
import { keyed, rowsOf, valuesOf } from '../app/support.ts';
import type { CommitMessage } from '../../src/runtime/metrics.ts';
import { seededRandom } from '../../src/core/random.ts';
import { faultyBroker } from '../../src/testing/index.ts';
import type { BrokerCall, Fault } from '../../src/testing/index.ts';
import { advancing, Disk, Hand } from './hand.ts';

/** A commit that waited for more than user code has would take longer than `drainTimeout`, and the worker would fail. */
const slow: AppOptions = { commit: { interval: 100, drainTimeout: '3s' }, idleAfter: '1s' };

describe('a commit waits for what user code has, and not for what waits in front of it', () => {
  test('in a row of events', () =>
    paced(slow, async (it) => {
      const topic = it.numbers();
      it.app.each('slow', topic, async (_, _event, { sleep }) => await sleep('1s'));
      await sendAll(topic, upTo(100));
      await it.start();
      await it.for(40_000);
      expect(it.running.stats.committed).toBeGreaterThan(20);
    }));

  test('with events among them that a filter has dropped', () =>
    paced(slow, async (it) => {
      const topic = it.numbers();
      const even = topic.stream().filter((n) => n % 2 === 0);
      it.app.each('slow', even, async (_, _event, { sleep }) => await sleep('1s'));
      await sendAll(topic, upTo(100));
      await it.start();
      await it.for(40_000);
      expect(it.running.stats.committed).toBeGreaterThan(40);
    }));

  test('behind a groupBy, whose writers tell of their time', () =>
    paced(slow, async (it) => {
      const topic = it.numbers();
      const one = topic.stream().groupBy(() => 'one', { name: 'one' });
      it.app.each('slow', one, async (_, _event, { sleep }) => await sleep('1s'));
      await sendAll(topic, upTo(100));
      await it.start();
      await it.for(40_000);
      expect(it.running.stats.committed).toBeGreaterThan(100 + 20);
    }));

  test.each(['each', 'agent'] as const)(
    'with several at once in an %s, one of whose keys is busy',
    (kind) =>
      paced(slow, async (it) => {
        const topic = it.numbers();
        const out = it.app.topic('out', { ...keyed<number>(), partitions: 1 });
        const options = { concurrency: 4, sinks: [out] };
        if (kind === 'each')
          it.app.each(
            'slow',
            topic,
            async (n, _event, { sleep }) => {
              await sleep('1s');
              return n;
            },
            options,
          );
        else
          it.app.agent(
            'slow',
            topic,
            async function* (stream, { sleep }) {
              for await (const n of stream) {
                await sleep('1s');
                yield n;
              }
            },
            options,
          );
        await sendAll(topic, upTo(60), (n) => (n % 2 === 0 ? 'hot' : `k${n}`));
        await it.start();
        await it.for(20_000);
        expect(it.running.stats.committed).toBeGreaterThan(30);
        await it.settled();
        const values = await valuesOf(out);
        expect(values.toSorted((a, b) => a - b)).toEqual(upTo(60));
        const hot = values.filter((n) => n % 2 === 0);
        expect(hot).toEqual(hot.toSorted((a, b) => a - b));
      }),
  );

  test('with a map on the way that takes long', () =>
    paced(slow, async (it) => {
      const topic = it.numbers();
      const seen: number[] = [];
      const looked = topic.stream().map(async (n) => {
        await new Promise<void>((resolve) => void it.clock.setTimer(500, resolve));
        return n;
      });
      it.app.each('slow', looked, (n) => void seen.push(n));
      await sendAll(topic, upTo(40));
      await it.start();
      await it.settled();
      expect(seen).toEqual(upTo(40));
    }));
});

describe('an event that is taken back', () => {
  test('waits for what else is done for it', () =>
    paced(slow, async (it) => {
      const topic = it.numbers();
      const sums = it.app.table('sums', { default: () => 0 });
      const both = topic.stream();
      let calls = 0;
      both
        .map(async (n) => {
          calls++;
          await new Promise<void>((resolve) => void it.clock.setTimer(250, resolve));
          return n;
        })
        .update(sums, (sum) => sum + 1);
      it.app.each('slow', both, async (_, _event, { sleep }) => await sleep(150));
      await sendAll(topic, upTo(20));
      await it.start();
      await it.settled();
      await it.stop();
      expect(await rowsOf(sums)).toEqual(new Map([['k', 20]]));
      expect(calls).toBeGreaterThanOrEqual(20);
    }));

  test('changes what operators in front keep once', () =>
    paced(slow, async (it) => {
      const topic = it.numbers();
      const counts = it.app.table('counts', { default: () => 0 });
      const out = it.app.topic('out', { ...keyed<[number, number]>(), partitions: 1 });
      const sums = topic
        .stream()
        .update(counts, (count) => count + 1)
        .map(({ value }) => value ?? 0)
        .accumulate((sum, n) => sum + n, { start: 0 })
        .enumerate();
      it.app.each(
        'slow',
        sums,
        async (pair, _event, { sleep }) => {
          await sleep(70);
          return pair;
        },
        { sinks: [out], concurrency: 4 },
      );
      await sendAll(topic, upTo(60), (n) => `k${n % 3}`);
      await it.start();
      await it.settled();
      await it.stop();
      expect(await rowsOf(counts)).toEqual(new Map([0, 1, 2].map((k) => [`k${k}`, 20])));
      const values = await valuesOf(out);
      const expected = upTo(20).map((i) => [i, ((i + 1) * (i + 2)) / 2]);
      expect(values.toSorted((a, b) => a[0] - b[0])).toEqual(
        expected.flatMap((pair) => [pair, pair, pair]),
      );
    }));
});

describe('take', () => {
  test('of one body does not keep what others have finished from being committed', () =>
    paced(slow, async (it) => {
      const topic = it.numbers();
      const out = it.app.topic('out', { value: unchecked<number[]>(), partitions: 1 });
      it.app.agent(
        'pairs',
        topic,
        async function* (stream) {
          for await (const pair of stream.take(2)) yield pair;
        },
        { concurrency: 2, sinks: [out] },
      );
      // Whichever body it is of, the first event is alone.
      await topic.send(0, { key: 'a' });
      await sendAll(
        topic,
        upTo(16).map((n) => n + 1),
        (n) => `k${n >> 1}`,
      );
      await it.start();
      await it.for(1_000);
      const committed = (await valuesOf(out)).length;
      expect(committed).toBeGreaterThan(2);
    }));
});

describe('waiting for a commit', () => {
  /** Calls of 0.1 to 30 s, 16 at once, and what commits have to say. */
  async function calls(
    options: AppOptions,
    ms: number,
  ): Promise<{
    readonly share: number;
    readonly gapsMs: readonly number[];
    readonly events: number;
  }> {
    const commits: { readonly atMs: number; readonly drainMs: number }[] = [];
    return await paced(options, async (it) => {
      const note = (message: unknown): void => {
        const { group, drainMs } = message as CommitMessage;
        if (group === 'paced') commits.push({ atMs: it.clock.monotonic(), drainMs });
      };
      subscribe('millrace:commit', note);
      try {
        const topic = it.app.topic('numbers', { value: unchecked<number>(), partitions: 1 });
        const random = seededRandom(7);
        it.app.each(
          'caller',
          topic,
          async (_n, _event, { sleep }) => await sleep(100 + random.below(29_900)),
          { concurrency: 16 },
        );
        await Promise.all(upTo(5_000).map((n) => topic.send(n)));
        await it.start();
        for (let at = 0; at < ms; at += 500) await it.clock.advance(500);
        it.throwFailure();
        const waited = commits.reduce((sum, { drainMs }) => sum + drainMs, 0);
        const gapsMs = commits.slice(1).map(({ atMs }, i) => atMs - (commits[i]?.atMs ?? 0));
        return { share: waited / ms, gapsMs, events: it.running.stats.committed };
      } finally {
        unsubscribe('millrace:commit', note);
      }
    });
  }

  test('takes no more than about a tenth of the time', async () => {
    const { share, events } = await calls(
      { commit: { interval: 100, maxInterval: '1h' } },
      600_000,
    );
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(0.12);
    // 16 at once, 15 s each.
    expect(events).toBeGreaterThan(300);
  });

  test('unless a commit has to come within maxInterval', async () => {
    const { gapsMs, events } = await calls(
      { commit: { interval: 100, maxInterval: '20s' } },
      600_000,
    );
    expect(Math.max(...gapsMs)).toBeLessThanOrEqual(51_000);
    expect(events).toBeGreaterThan(200);
  });

  test('has an end: an event that does not finish is named', () =>
    paced({ commit: { interval: 100, drainTimeout: '5s' } }, async (it) => {
      const topic = it.numbers();
      it.app.each('hangs', topic, async (n, _, { sleep }) => await sleep(n === 2 ? '1h' : 10), {
        concurrency: 4,
      });
      await sendAll(topic, upTo(10), (n) => `k${n}`);
      await it.start();
      const failure = await it.failure();
      expect(failure).toMatchObject({
        code: 'MR_STALLED',
        details: { topic: 'numbers', partition: 0, offset: 2 },
      });
      expect(it.clock.monotonic()).toBeLessThan(6_000);
    }));
});

test('at-least-once, no commit comes because of what waits to be sent', () =>
  paced(
    { processing: 'at-least-once', commit: { interval: '1h', maxBufferedBytes: 65_536 } },
    async (it) => {
      const topic = it.numbers();
      const out = it.app.topic('out', { ...keyed<string>(), partitions: 1 });
      it.app.each(
        'each',
        topic,
        async (n, _, { sleep }) => {
          await sleep(n === 0 ? 900 : 100);
          return 'x'.repeat(100_000);
        },
        { sinks: [out], concurrency: 4 },
      );
      await it.start();
      await sendAll(topic, upTo(10), (n) => `k${n}`);
      await it.for(1_000);
      expect(await valuesOf(out)).toHaveLength(10);
      expect(it.running.stats.commits).toBe(0);
    },
  ));

describe('a task that is to move', () => {
  test('at-least-once, sends what is finished, however much, and does not commit over and over', async () => {
    const disk = new Disk();
    const process = await disk.open();
    let commits = 0;
    const plan = ({ call }: BrokerCall): Fault | undefined => {
      if (call !== 'commit') return undefined;
      commits++;
      return { delayMs: 10 };
    };
    const hand = new Hand({ ...process, broker: faultyBroker(process.broker, plan, disk) });
    const topic = hand.topic<number>('numbers', { partitions: 1 });
    const out = hand.topic<string>('out', { partitions: 1 });
    hand.app.each(
      'each',
      topic,
      async (n, _, { sleep }) => {
        await sleep(n === 0 ? 5_000 : 100);
        return String(n).repeat(40_000);
      },
      { sinks: [out], concurrency: 3 },
    );
    const commit = { intervalMs: 100_000, maxBufferedBytes: 65_536 };
    const worker = await hand.worker(commit, 60_000, true);
    worker.run().catch(() => undefined);
    for (const n of [0, 1, 2]) await topic.send(n, { key: `k${n}` });
    await disk.clock.advance(50);
    const stopped = worker.stop(60_000);
    for (let i = 0; i < 100; i++) await disk.clock.advance(10);
    expect((await valuesOf(out)).map((text) => text.charAt(0))).toEqual(['1', '2']);
    expect(commits).toBeLessThan(5);
    await advancing(disk.clock, stopped);
    expect(await valuesOf(out)).toHaveLength(3);
  });

  test('is given up when its events do not finish, and what they do then has no effect', async () => {
    const disk = new Disk();
    const hang = Promise.withResolvers<void>();
    /** What the events of the first worker find when they go on at last. */
    const after: { readonly n: number; readonly aborted: boolean; readonly errors: unknown[] }[] =
      [];
    const declare = async (stuck: boolean): Promise<Moving> => {
      const process = await disk.open();
      const hand = new Hand(process);
      const topic = hand.topic<number>('numbers', { partitions: 4 });
      const out = hand.topic<number>('out', { partitions: 4 });
      const sums = hand.table<number>('sums', () => 0);
      hand.app.each(
        'each',
        topic,
        async (n, { key }, { signal }) => {
          sums.update(key, (sum) => sum + 1);
          if (!stuck) return n;
          await hang.promise;
          const errors: unknown[] = [];
          after.push({ n, aborted: signal.aborted, errors });
          if (!signal.aborted) return n;
          try {
            sums.update(key, (sum) => sum + 1_000);
          } catch (error) {
            errors.push(error);
          }
          await out.send(n, { key }).catch((error: unknown) => errors.push(error));
          return n;
        },
        { sinks: [out], concurrency: 2 },
      );
      return { hand, topic, out, sums };
    };
    const commit = { drainTimeoutMs: 2_000, intervalMs: 100_000 };
    const first = await declare(true);
    const one = await first.hand.worker(commit);
    one.run().catch(() => undefined);
    for (const n of upTo(40)) await first.topic.send(n, { key: `k${n}`, partition: n % 4 });
    await disk.clock.advance(500);
    const second = await declare(false);
    const two = await second.hand.worker(commit);
    two.run().catch(() => undefined);
    for (let i = 0; i < 200; i++) await disk.clock.advance(50);
    expect(one.stats.tasks).toHaveLength(2);
    expect(two.stats.tasks).toHaveLength(2);
    expect(two.stats.events).toBe(20);
    expect(first.hand.warnings.join()).toContain('given back before its events were finished');
    hang.resolve();
    await advancing(disk.clock, two.settled());
    await advancing(disk.clock, Promise.all([one.stop(60_000), two.stop(60_000)]));
    const gone = after.filter(({ aborted }) => aborted);
    expect(gone).toHaveLength(4);
    for (const { errors } of gone)
      expect(errors).toMatchObject([{ code: 'MR_TABLE_OUTSIDE' }, { code: 'MR_ABORTED' }]);
    expect((await valuesOf(second.out)).toSorted((a, b) => a - b)).toEqual(upTo(40));
    expect([...(await rowsOf(second.sums)).values()]).toEqual(upTo(40).map(() => 1));
  });
});

interface Moving {
  readonly hand: Hand;
  readonly topic: Topic<string, number>;
  readonly out: Topic<string, number>;
  readonly sums: Table<string, number, number>;
}
