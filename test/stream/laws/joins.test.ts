/** Laws of operators with several inputs: against models over random interleavings. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sleep, VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { into } from '../helpers.ts';
import { allAnswered, settle } from './values.ts';

/** A value that comes in at an input. */
interface Arrival {
  readonly input: number;
  readonly value: number;
}

const arrivals: fc.Arbitrary<Arrival[]> = fc
  .array(fc.nat(2), { maxLength: 30 })
  .map((inputs) => inputs.map((input, value) => ({ input, value })));

interface Join {
  readonly name: string;
  readonly build: <K>(inputs: readonly Stream<number, K>[]) => Stream<unknown, unknown>;
  /** All that has come out when all of these have come in. */
  readonly model: (seen: readonly Arrival[]) => unknown[];
  /** What is still sent when all inputs have ended. */
  readonly rest?: (seen: readonly Arrival[]) => unknown[];
}

/** All that has come out in the end. */
function whole({ model, rest }: Join, seen: readonly Arrival[]): unknown[] {
  return [...model(seen), ...(rest?.(seen) ?? [])];
}

/** What came in at the first input since something came in at another one. */
function since(seen: readonly Arrival[]): number[] {
  return of(seen.slice(seen.findLastIndex(({ input }) => input !== 0) + 1), 0);
}

const of = (seen: readonly Arrival[], input: number): number[] =>
  seen.filter((arrival) => arrival.input === input).map(({ value }) => value);

/** The newest value of each input, if all have one. */
function newest(seen: readonly Arrival[]): number[] | undefined {
  const values = [0, 1, 2].map((input) => of(seen, input).at(-1));
  return values.every((value) => value !== undefined) ? values : undefined;
}

/** The newest of each, for each arrival at one of `on`. */
function latest(seen: readonly Arrival[], on: readonly number[]): unknown[] {
  return seen.flatMap(({ input }, i) => {
    const values = newest(seen.slice(0, i + 1));
    return on.includes(input) && values !== undefined ? [values] : [];
  });
}

const three = <T>(inputs: readonly T[]): [T, T, T] => inputs as [T, T, T];

const joins: readonly Join[] = [
  {
    name: 'zip',
    build: (inputs) => {
      const [a, b, c] = three(inputs);
      return a.zip([b, c], { maxsize: 100 });
    },
    model: (seen) => {
      const sides = [0, 1, 2].map((input) => of(seen, input));
      const tuples = Math.min(...sides.map(({ length }) => length));
      return Array.from({ length: tuples }, (_, i) => sides.map((side) => side[i]));
    },
  },
  {
    name: 'zipLatest',
    build: (inputs) => {
      const [a, b, c] = three(inputs);
      return a.zipLatest(b, c);
    },
    model: (seen) => {
      const out: unknown[] = [];
      let held: number[] = [];
      const others: (number | undefined)[] = [undefined, undefined];
      for (const { input, value } of seen) {
        if (input === 0) held.push(value);
        else others[input - 1] = value;
        if (others.includes(undefined)) continue;
        for (const each of held) out.push([each, ...others]);
        held = [];
      }
      return out;
    },
  },
  {
    name: 'combineLatest',
    build: (inputs) => {
      const [a, b, c] = three(inputs);
      return a.combineLatest(b, c);
    },
    model: (seen) => latest(seen, [0, 1, 2]),
  },
  {
    name: 'combineLatest on one',
    build: (inputs) => {
      const [a, b, c] = three(inputs);
      return a.combineLatest([b, c], { emitOn: b });
    },
    model: (seen) => latest(seen, [1]),
  },
  {
    name: 'combineLatest on two',
    build: (inputs) => {
      const [a, b, c] = three(inputs);
      return a.combineLatest([b, c], { emitOn: [a, c] });
    },
    model: (seen) => latest(seen, [0, 2]),
  },
  {
    name: 'union',
    build: (inputs) => {
      const [a, b, c] = three(inputs);
      return a.union(b, c);
    },
    model: (seen) => seen.map(({ value }) => value),
  },
  {
    name: 'accumulate with a reset',
    build: (inputs) => {
      const [a, b, c] = three(inputs);
      return a.accumulate((sum, x) => sum + x, { start: 1, resetOn: b.union(c) });
    },
    model: (seen) =>
      seen.flatMap(({ input }, i) =>
        input === 0 ? [since(seen.slice(0, i + 1)).reduce((sum, x) => sum + x, 1)] : [],
      ),
  },
  {
    name: 'collect with a flush',
    build: (inputs) => {
      const [a, b, c] = three(inputs);
      return a.collect({ flushOn: b.union(c) });
    },
    model: (seen) => seen.flatMap(({ input }, i) => (input === 0 ? [] : [since(seen.slice(0, i))])),
    rest: (seen) => [since(seen)].filter(({ length }) => length > 0),
  },
  {
    name: 'Stream.merge',
    build: (inputs) => Stream.merge(...inputs),
    model: (seen) => seen.map(({ value }) => value),
  },
];

function sources(clock = new VirtualClock()): Stream<number>[] {
  return [0, 1, 2].map(() => new Stream<number>({ clock }));
}

describe.each(joins.map((join): [string, Join] => [join.name, join]))('%s', (_, join) => {
  test('gives what its model gives, value by value', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, async (arrived) => {
        const inputs = sources();
        const out = into(join.build(inputs));
        for (const [i, { input, value }] of arrived.entries()) {
          expect(inputs[input]?.emit(value)).toBeUndefined();
          expect(out).toEqual(join.model(arrived.slice(0, i + 1)));
        }
        await Promise.all(inputs.map((input) => input.close()));
        expect(out).toEqual(whole(join, arrived));
      }),
      { numRuns: 60 },
    );
  });

  test('gives the same to a slow sink, when nobody waits', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, fc.nat(5), async (arrived, takesMs) => {
        const clock = new VirtualClock();
        const inputs = sources(clock);
        const seen: unknown[] = [];
        join.build(inputs).sink((value) => {
          seen.push(value);
          return sleep(clock, takesMs);
        });
        const emits = arrived.map(({ input, value }) => inputs[input]?.emit(value));
        await settle(clock, Promise.all(inputs.map((input) => input.drain())));
        expect(seen).toEqual(join.model(arrived));
        await settle(clock, Promise.all(inputs.map((input) => input.close())));
        await allAnswered(emits);
        expect(seen).toEqual(whole(join, arrived));
        expect(clock.timers).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  test('a tuple that fails, fails the value that completed it, and the others go on', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, async (arrived) => {
        const inputs = sources();
        const seen: unknown[] = [];
        const bad = (value: unknown): boolean => JSON.stringify(value).includes('3');
        join.build(inputs).sink((value) => {
          seen.push(value);
          if (bad(value)) throw new Error('three');
        });
        for (const [i, { input, value }] of arrived.entries()) {
          const before = join.model(arrived.slice(0, i)).length;
          const sent = join.model(arrived.slice(0, i + 1)).slice(before);
          let failed = false;
          try {
            void inputs[input]?.emit(value);
          } catch {
            failed = true;
          }
          expect(failed).toBe(sent.some(bad));
        }
        expect(seen).toEqual(join.model(arrived));
      }),
      { numRuns: 30 },
    );
  });

  test('a snapshot takes what is held to another graph', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, fc.nat(30), async (arrived, at) => {
        const [first, second] = [sources(), sources()];
        const [one, two] = [join.build(first), join.build(second)];
        const sent = into(one);
        const out = into(two);
        for (const { input, value } of arrived.slice(0, at)) void first[input]?.emit(value);
        const count = sent.length;
        two.restore(one.snapshot());
        for (const { input, value } of arrived.slice(at)) void second[input]?.emit(value);
        expect(out).toEqual(join.model(arrived).slice(count));
      }),
      { numRuns: 30 },
    );
  });

  test('on keyed streams it is for each key what it is for streams of their own', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, fc.nat(30), async (arrived, at) => {
        const keyOf = (value: number): number => value % 2;
        const declare = (): {
          inputs: Stream<number>[];
          joined: Stream<unknown, unknown>;
          out: [unknown, unknown][];
        } => {
          const inputs = sources();
          const joined = join.build(
            inputs.map((input) => input.groupBy(keyOf, { name: 'parity' })),
          );
          return { inputs, joined, out: into(joined.items()) };
        };
        const [first, second] = [declare(), declare()];
        const ofKey = (key: number): Arrival[] =>
          arrived.filter(({ value }) => keyOf(value) === key);
        for (const { input, value } of arrived.slice(0, at)) void first.inputs[input]?.emit(value);
        const sent = [...first.out];
        second.joined.restore(first.joined.snapshot());
        for (const { input, value } of arrived.slice(at)) {
          void first.inputs[input]?.emit(value);
          void second.inputs[input]?.emit(value);
        }
        for (const out of [first.out, [...sent, ...second.out]])
          for (const key of [0, 1])
            expect(out.filter(([other]) => other === key).map(([, value]) => value)).toEqual(
              join.model(ofKey(key)),
            );
      }),
      { numRuns: 40 },
    );
  });

  test('ends when its inputs have', async () => {
    await fc.assert(
      fc.asyncProperty(
        arrivals,
        fc.shuffledSubarray([0, 1, 2], { minLength: 3 }),
        async (arrived, order) => {
          const inputs = sources();
          const all = join.build(inputs).toArray();
          for (const { input, value } of arrived) void inputs[input]?.emit(value);
          for (const input of order) await inputs[input]?.close();
          expect(await all).toEqual(whole(join, arrived));
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe('inputs that come and go', () => {
  type Step = { readonly input: number; readonly what: 'emit' | 'switch' };
  const steps: fc.Arbitrary<Step[]> = fc.array(
    fc.record({
      input: fc.nat(2),
      what: fc.oneof(
        { weight: 5, arbitrary: fc.constant('emit' as const) },
        { weight: 1, arbitrary: fc.constant('switch' as const) },
      ),
    }),
    { maxLength: 30 },
  );

  test.each(['zip', 'combineLatest'] as const)(
    '%s: tuples are of those that are there',
    async (kind) => {
      await fc.assert(
        fc.asyncProperty(steps, async (drawn) => {
          const inputs = three(sources());
          const [a, b, c] = inputs;
          const joined: Stream<unknown, unknown> =
            kind === 'zip' ? a.zip([b, c], { maxsize: 100 }) : a.combineLatest(b, c);
          const out = into(joined);
          const expected: unknown[] = [];
          // The inputs that are there, in the order of the tuples, with what is held of each.
          let places = [0, 1, 2].map((input) => ({ input, held: [] as number[] }));
          const tuple = (): void => {
            while (places.length > 0 && places.every(({ held }) => held.length > 0)) {
              expected.push(places.map(({ held }) => held[0]));
              if (kind === 'combineLatest') return;
              for (const place of places) place.held.shift();
            }
          };
          for (const [value, { input, what }] of drawn.entries()) {
            const stream = inputs[input] as Stream<number>;
            const place = places.find((each) => each.input === input);
            if (what === 'emit') {
              void stream.emit(value);
              if (place === undefined) continue;
              place.held = kind === 'zip' ? [...place.held, value] : [value];
              tuple();
            } else if (place === undefined) {
              stream.connect(joined);
              places.push({ input, held: [] });
            } else if (places.length > 1) {
              (stream as Stream).disconnect(joined);
              places = places.filter((each) => each !== place);
              if (kind === 'zip') tuple();
            }
            expect(out).toEqual(expected);
          }
        }),
        { numRuns: 100 },
      );
    },
  );
});

describe('zip holds so many, and no more', () => {
  test('of each side, whoever emits without waiting', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, fc.integer({ min: 1, max: 4 }), async (arrived, maxsize) => {
        const inputs = sources();
        const [a, b, c] = three(inputs);
        const out = into(a.zip([b, c], { maxsize }));
        const answered = [0, 0, 0];
        const emits: Promise<void>[] = [];
        for (const { input, value } of arrived) {
          const emitted = inputs[input]?.emit(value);
          if (emitted === undefined) answered[input] = (answered[input] ?? 0) + 1;
          else emits.push(emitted.then(() => void (answered[input] = (answered[input] ?? 0) + 1)));
          await Promise.resolve();
          await Promise.resolve();
          await Promise.resolve();
          const sent = of(arrived, input).length;
          for (const [side, count] of answered.entries())
            expect(count - out.length, `side ${side} of ${sent}`).toBeLessThanOrEqual(maxsize);
        }
        const sides = [0, 1, 2].map((input) => of(arrived, input));
        const tuples = Math.min(...sides.map(({ length }) => length));
        expect(out).toEqual(Array.from({ length: tuples }, (_, i) => sides.map((side) => side[i])));
        for (const input of inputs) input.destroy();
        await allAnswered(emits);
      }),
      { numRuns: 60 },
    );
  });
});
