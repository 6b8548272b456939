/** Laws of operators one behind the other: whatever is chained, what comes out in the end is what the models make of one another. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sleep, VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { laws, rest, steps } from './laws.ts';
import { after, allAnswered, settle, small } from './values.ts';

/** An operator that makes numbers of numbers, and all it sends until it is closed. */
interface Link {
  readonly name: string;
  readonly build: (stream: Stream<number>, n: number, clock: VirtualClock) => Stream<number>;
  readonly model: (values: readonly number[], n: number) => readonly number[];
}

const isNumbers = (output: unknown): output is number | number[] =>
  typeof output === 'number' ||
  (Array.isArray(output) && output.every((x) => typeof x === 'number'));

/** The laws whose outputs are numbers or arrays of them, which are passed on one by one. */
const fromLaws: readonly Link[] = laws
  .filter((law) =>
    [...steps(law, [1, 2, 3, 4, 5], 2).flat(), ...rest(law, [1], 2)].every(isNumbers),
  )
  .map((law) => ({
    name: law.name,
    build: (stream, n) =>
      law
        .build(stream, n)
        .map((output) => [output].flat() as number[])
        .flatten(),
    model: (values, n) =>
      [...steps(law, values, n).flat(), ...rest(law, values, n)].flat() as number[],
  }));

const same = (values: readonly number[]): readonly number[] => values;

/** What takes time, and changes nothing. */
const transparent: readonly Link[] = [
  { name: 'buffer', build: (s, n) => s.buffer(n), model: same },
  { name: 'delay', build: (s, n) => s.delay(n, { capacity: 3 }), model: same },
  { name: 'rateLimit', build: (s, n) => s.rateLimit(n / 2), model: same },
  {
    name: 'a slow map',
    build: (s, n, clock) =>
      s.map((x) => after(clock, (Math.abs(x) % 4) - 1, x), { concurrency: n }),
    model: same,
  },
  { name: 'a slow tap', build: (s, n, clock) => s.tap(() => sleep(clock, n / 4)), model: same },
  { name: 'take within', build: (s, n) => s.take(n, { within: 3 }).flatten(), model: same },
  { name: 'timedWindow', build: (s, n) => s.timedWindow(n).flatten(), model: same },
  {
    name: 'partition with a timeout',
    build: (s, n) => s.partition(n, { timeout: 3 }).flatten(),
    model: same,
  },
  { name: 'collect', build: (s) => s.collect().flatten(), model: same },
  { name: 'concat', build: (s) => s.map((x) => Stream.from([x])).concat(), model: same },
  {
    name: 'branch and union',
    build: (s) => {
      const { even, rest: others } = s.branch({ even: (x) => x % 2 === 0 });
      return even.union(others);
    },
    model: same,
  },
  { name: 'onError', build: (s) => s.onError('skip'), model: same },
];

const links = [...fromLaws, ...transparent];

interface Chained {
  readonly link: Link;
  readonly n: number;
}

function chainsOf(some: readonly Link[]): fc.Arbitrary<Chained[]> {
  return fc.array(
    fc.tuple(fc.constantFrom(...some), small).map(([link, n]) => ({
      link,
      n,
      toString: () => `${link.name} of ${n}`,
    })),
    { minLength: 1, maxLength: 5 },
  );
}

const chains = chainsOf(links);
/** Ends by itself, and is behind its source no more. */
const endless = fromLaws.filter(({ name }) => !/slice\(.*,/u.test(name));
const arrays = laws.filter((law) =>
  steps(law, [1, 2, 3, 4, 5], 2).some((outputs) => outputs.length > 1 || Array.isArray(outputs[0])),
);
/** One value of one value: where an array is flattened, an element that fails keeps the rest of it back. */
const single = links.filter(
  ({ name }) =>
    !arrays.some((law) => law.name === name) &&
    !/flatten|take|timedWindow|timeout|collect|onError/u.test(name),
);

function declare(
  chain: readonly Chained[],
  clock: VirtualClock,
): { source: Stream<number>; last: Stream<number> } {
  const source = new Stream<number>({ clock });
  let last: Stream<number> = source;
  for (const { link, n } of chain) last = link.build(last, n, clock);
  return { source, last };
}

function modelOf(chain: readonly Chained[], given: readonly number[]): readonly number[] {
  let expected = given;
  for (const { link, n } of chain) expected = link.model(expected, n);
  return expected;
}

const values = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 20 });

describe('chains of operators', () => {
  test.each(['one after the other', 'without waiting', 'a few at a time'] as const)(
    'of values %s',
    async (how) => {
      await fc.assert(
        fc.asyncProperty(chains, values, fc.nat(3), async (chain, given, takesMs) => {
          const clock = new VirtualClock();
          const { source, last } = declare(chain, clock);
          const expected = modelOf(chain, given);
          const seen: number[] = [];
          last.sink((value) => {
            seen.push(value);
            return takesMs === 0 ? undefined : sleep(clock, takesMs);
          });
          const emits: (void | Promise<void>)[] = [];
          if (how === 'one after the other') await settle(clock, source.emitAll(given));
          else
            for (const [i, value] of given.entries()) {
              emits.push(source.emit(value));
              if (how === 'a few at a time' && i % 3 === 2) await clock.advance(2);
            }
          await settle(clock, source.close());
          await allAnswered(emits);
          expect(seen).toEqual(expected);
          expect(clock.timers).toBe(0);
        }),
        { numRuns: 200 },
      );
    },
  );

  test('destroyed at any moment', async () => {
    await fc.assert(
      fc.asyncProperty(chains, values, fc.nat(20), async (chain, given, atMs) => {
        const clock = new VirtualClock();
        const { source, last } = declare(chain, clock);
        const seen: number[] = [];
        last.sink((value) => void seen.push(value));
        const emits = given.map((value) => source.emit(value));
        await clock.advance(atMs);
        source.destroy();
        const count = seen.length;
        // Sleeps of the functions themselves are theirs.
        await clock.advance(50);
        expect([seen.length, clock.timers]).toEqual([count, 0]);
        await allAnswered(emits);
      }),
      { numRuns: 100 },
    );
  });

  test('a snapshot takes all of it to another graph at any point', async () => {
    await fc.assert(
      fc.asyncProperty(chainsOf(endless), values, fc.nat(20), async (chain, given, at) => {
        const clock = new VirtualClock();
        const [first, second] = [declare(chain, clock), declare(chain, clock)];
        const [seen, out]: [number[], number[]] = [[], []];
        first.last.sink((value) => void seen.push(value));
        second.last.sink((value) => void out.push(value));
        for (const value of given.slice(0, at)) void first.source.emit(value);
        second.source.restore(first.source.snapshot());
        for (const value of given.slice(at)) void second.source.emit(value);
        await second.source.close();
        expect([...seen, ...out]).toEqual(modelOf(chain, given));
      }),
      { numRuns: 100 },
    );
  });

  test('a value that fails at the end of it is told, and keeps no other back', async () => {
    await fc.assert(
      fc.asyncProperty(chainsOf(single), values, fc.boolean(), async (chain, given, later) => {
        const clock = new VirtualClock();
        const { source, last } = declare(chain, clock);
        const bad = (value: number): boolean => value % 4 === 1;
        const seen: number[] = [];
        last.sink((value) => {
          seen.push(value);
          if (!bad(value)) return undefined;
          if (later) return Promise.reject(new Error('bad'));
          throw new Error('bad');
        });
        let told = 0;
        const tell = (): void => void (told += 1);
        for (const value of given)
          await settle(clock, (async () => source.emit(value))().catch(tell));
        await settle(clock, source.close().catch(tell));
        const expected = modelOf(chain, given);
        expect(seen).toEqual(expected);
        expect(told > 0).toBe(expected.some(bad));
        expect(told).toBeLessThanOrEqual(expected.filter(bad).length);
      }),
      { numRuns: 150 },
    );
  });
});
