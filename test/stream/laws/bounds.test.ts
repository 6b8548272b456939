/** How many values are held in operators, whoever emits without waiting: never more than they say. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sleep, VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { codeOf, into, turn } from '../helpers.ts';
import { allAnswered, settle, small } from './values.ts';

interface Bounded {
  readonly name: string;
  readonly build: (stream: Stream<number>, n: number) => Stream<unknown, unknown>;
  /** Of the values whose emit was answered, how many may not have come to the sink yet. */
  readonly most: (n: number) => number;
}

const bounded: readonly Bounded[] = [
  { name: 'map', build: (s) => s.map((x) => x), most: () => 0 },
  { name: 'buffer', build: (s, n) => s.buffer(n), most: (n) => n },
  { name: 'delay', build: (s, n) => s.delay(10.5, { capacity: n }), most: (n) => n },
  { name: 'rateLimit', build: (s) => s.rateLimit(10.5), most: () => 0 },
  { name: 'two buffers', build: (s, n) => s.buffer(n).buffer(n), most: (n) => 2 * n + 1 },
  { name: 'concat', build: (s) => s.map((x) => Stream.from([x])).concat(), most: () => 0 },
];

describe.each(bounded.map((each): [string, Bounded] => [each.name, each]))(
  '%s',
  (_, { build, most }) => {
    test('holds no more than it says, and loses nothing', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.nat(12), { maxLength: 30 }),
          small,
          fc.nat(25),
          async (gaps, n, takesMs) => {
            const clock = new VirtualClock();
            const source = new Stream<number>({ clock });
            const seen: number[] = [];
            let answered = 0;
            let held = 0;
            const look = (): void => {
              held = Math.max(held, answered - seen.length);
            };
            build(source, n).sink(async (value) => {
              seen.push(value as number);
              await sleep(clock, takesMs);
            });
            const emits: Promise<void>[] = [];
            for (const [value, gapMs] of gaps.entries()) {
              if (gapMs > 6) await clock.advance(gapMs);
              const emitted = source.emit(value);
              emits.push(
                Promise.resolve(emitted).then(() => {
                  answered += 1;
                  look();
                }),
              );
            }
            await settle(clock, source.close());
            await allAnswered(emits);
            expect(seen).toEqual([...gaps.keys()]);
            expect(held).toBeLessThanOrEqual(most(n));
            expect(clock.timers).toBe(0);
          },
        ),
        { numRuns: 30 },
      );
    });
  },
);

describe('what waits for something slow', () => {
  test.each([
    ['buffer', (s: Stream<number>) => s.buffer(10), [2, 3, 4]],
    ['latest', (s: Stream<number>) => s.latest(), [4]],
  ] as const)('%s: a snapshot takes it to another graph', async (_, build, waiting) => {
    const [first, second] = [new Stream<number>(), new Stream<number>()];
    build(first).sink(() => new Promise(() => undefined));
    const out = into(build(second));
    for (const value of [1, 2, 3, 4]) void first.emit(value);
    second.restore(first.snapshot());
    await second.drain();
    // What is under way is in no snapshot.
    expect(out).toEqual(waiting);
    first.destroy();
  });
});

describe('what nobody waits for has a limit', () => {
  test('collect: its own maxsize keeps the newest', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(9), { maxLength: 20 }), small, async (values, maxsize) => {
        const source = new Stream<number>();
        const collector = source.collect({ maxsize });
        const out = into(collector);
        for (const value of values) void source.emit(value);
        await collector.flush();
        expect(out).toEqual([values.slice(-maxsize)]);
        await source.close();
        expect(out).toHaveLength(1);
      }),
      { numRuns: 30 },
    );
  });

  test('collect: a snapshot takes them to another graph', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(9), { maxLength: 20 }), fc.nat(20), async (values, at) => {
        const [first, second] = [new Stream<number>(), new Stream<number>()];
        const [one, two] = [first.collect(), second.collect()];
        const out = into(two);
        for (const value of values.slice(0, at)) void first.emit(value);
        expect(one.peek()).toEqual(values.slice(0, at));
        two.restore(one.snapshot());
        for (const value of values.slice(at)) void second.emit(value);
        await two.flush();
        expect(out).toEqual([values]);
      }),
      { numRuns: 20 },
    );
  });

  test('collect: a flush is over though values keep coming', async () => {
    const source = new Stream<number>();
    const collector = source.groupBy((x) => x % 2, { name: 'parity' }).collect();
    const seen: number[][] = [];
    collector.sink(async (values) => {
      seen.push(values);
      await turn();
      void source.emit(values[0] ?? 0);
    });
    void source.emit(1);
    void source.emit(2);
    await collector.flush();
    expect(seen).toEqual([[1], [2]]);
    source.destroy();
  });

  test('collect: without one, 1,000,000 values', () => {
    const source = new Stream<number>();
    const collector = source.collect();
    const lengths = into(collector.map(({ length }) => length));
    for (let i = 0; i < 1_000_000; i++) void source.emit(i);
    expect(codeOf(() => source.emit(0))).toBe('MR_OVERFLOW');
    void collector.flush();
    void source.emit(0);
    expect(lengths).toEqual([1_000_000]);
  });

  test('emits that wait for a place: 10,000 of them', async () => {
    const waits: [string, (s: Stream<number>) => Stream<unknown, unknown>, before: number][] = [
      ['delay', (s) => s.delay('1s', { capacity: 1 }), 1],
      ['rateLimit', (s) => s.rateLimit('1s'), 1],
      ['buffer', (s) => s.buffer(1), 2],
      ['zip', (s) => s.zip([new Stream<number>()], { maxsize: 1 }), 1],
      ['merge', (s) => s.map(() => new Stream<number>()).merge({ concurrency: 1 }), 1],
    ];
    for (const [name, build, before] of waits) {
      const clock = new VirtualClock();
      const source = new Stream<number>({ clock });
      build(source).sink(() => new Promise(() => undefined));
      const emits: (void | Promise<void>)[] = [];
      for (let i = 0; i < 10_000 + before; i++) emits.push(source.emit(i));
      expect([name, codeOf(() => source.emit(0))]).toEqual([name, 'MR_OVERFLOW']);
      source.destroy();
      await turn();
      expect([name, clock.timers]).toEqual([name, 0]);
    }
  });
});
