/** Laws of streams of streams: `switch`, `concat`, `merge`, `split`. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sleep, VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { codeOf, into } from '../helpers.ts';
import { allAnswered, settle, small } from './values.ts';

const lists = fc.array(fc.array(fc.nat(9), { maxLength: 6 }), { maxLength: 8 });

/** Values one after the other, some time apart. */
async function* slowly(
  clock: VirtualClock,
  values: readonly number[],
  gapMs: number,
): AsyncGenerator<number> {
  for (const value of values) {
    await sleep(clock, gapMs);
    yield value;
  }
}

/** Something happens to one of the inner streams: it comes, a value comes into it, it is closed. */
interface Step {
  readonly inner: number;
  readonly what: 'begin' | 'value' | 'end';
}

const script: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    inner: fc.nat(3),
    what: fc.constantFrom('begin', 'value', 'value', 'value', 'end'),
  }),
  { maxLength: 40 },
);

describe('switch', () => {
  test('sends what comes into the newest stream', async () => {
    await fc.assert(
      fc.asyncProperty(script, async (steps) => {
        const outer = new Stream<Stream<number>>();
        const inners = Array.from({ length: 4 }, () => new Stream<number>());
        const out = into(outer.switch());
        const closed = new Set<number>();
        let newest = -1;
        const expected: number[] = [];
        for (const [value, { inner, what }] of steps.entries()) {
          const stream = inners[inner] as Stream<number>;
          if (closed.has(inner)) continue;
          if (what === 'begin') {
            newest = inner;
            await outer.emit(stream);
          } else if (what === 'end') {
            closed.add(inner);
            await stream.close();
          } else {
            void stream.emit(value);
            if (inner === newest) expected.push(value);
          }
          expect(out).toEqual(expected);
        }
        for (const stream of inners) await stream.close();
        await outer.close();
      }),
      { numRuns: 60 },
    );
  });

  test('close waits for the stream that is on, destroy lets go of it', async () => {
    const outer = new Stream<Stream<number>>();
    const inner = new Stream<number>();
    const all = outer.switch().toArray();
    await outer.emit(inner);
    const closing = outer.close();
    void inner.emit(1);
    await inner.close();
    await closing;
    expect(await all).toEqual([1]);

    const again = new Stream<Stream<number>>();
    const other = new Stream<number>();
    const switched = again.switch();
    const out = into(switched);
    await again.emit(other);
    again.destroy();
    void other.emit(2);
    expect([out, other['~node'].children]).toEqual([[], []]);
  });
});

describe('concat', () => {
  test('sends one stream after the other, each from its beginning', async () => {
    await fc.assert(
      fc.asyncProperty(lists, fc.nat(3), fc.nat(3), async (drawn, gapMs, takesMs) => {
        const clock = new VirtualClock();
        const outer = new Stream<Stream<number>>({ clock });
        const seen: number[] = [];
        outer.concat().sink((value) => {
          seen.push(value);
          return takesMs === 0 ? undefined : sleep(clock, takesMs);
        });
        const emits = drawn.map((values) =>
          outer.emit(Stream.from(gapMs === 0 ? values : slowly(clock, values, gapMs))),
        );
        await settle(clock, allAnswered(emits));
        expect(seen).toEqual(drawn.flat());
        await settle(clock, outer.close());
        expect([seen, clock.timers]).toEqual([drawn.flat(), 0]);
      }),
      { numRuns: 40 },
    );
  });

  test('an emit is answered when its stream has ended', async () => {
    const clock = new VirtualClock();
    const outer = new Stream<Stream<number>>({ clock });
    const ended: string[] = [];
    const seen = into(outer.concat());
    const [first, second] = [new Stream<number>(), new Stream<number>()];
    const emits = [
      Promise.resolve(outer.emit(first)).then(() => ended.push('first')),
      Promise.resolve(outer.emit(second)).then(() => ended.push('second')),
    ];
    void first.emit(1);
    // Nobody listens to it before its turn.
    void second.emit(2);
    await clock.advance(1);
    expect(ended).toEqual([]);
    await first.close();
    await clock.advance(1);
    expect(ended).toEqual(['first']);
    void second.emit(3);
    await second.close();
    await allAnswered(emits);
    expect(seen).toEqual([1, 3]);
  });
});

describe('merge', () => {
  test('sends all, each stream in its order, so many at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        lists,
        fc.nat(3),
        fc.nat(3),
        small,
        async (drawn, gapMs, takesMs, concurrency) => {
          const clock = new VirtualClock();
          const outer = new Stream<Stream<[number, number]>>({ clock });
          const seen: [number, number][] = [];
          let live = 0;
          let most = 0;
          outer.merge({ concurrency }).sink((value) => {
            seen.push(value);
            return takesMs === 0 ? undefined : sleep(clock, takesMs);
          });
          const tagged = async function* (
            inner: number,
            values: number[],
          ): AsyncGenerator<[number, number]> {
            live += 1;
            most = Math.max(most, live);
            for (const value of values) {
              await sleep(clock, gapMs);
              yield [inner, value];
            }
            live -= 1;
          };
          const emits = drawn.map((values, inner) =>
            outer.emit(Stream.from(tagged(inner, values))),
          );
          await settle(clock, allAnswered(emits));
          await settle(clock, outer.close());
          expect(most).toBeLessThanOrEqual(concurrency);
          expect(
            drawn.map((_, inner) => seen.filter(([from]) => from === inner).map(([, x]) => x)),
          ).toEqual(drawn);
          expect(clock.timers).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('sends what comes into any stream that has come', async () => {
    await fc.assert(
      fc.asyncProperty(script, async (steps) => {
        const outer = new Stream<Stream<number>>();
        const inners = Array.from({ length: 4 }, () => new Stream<number>());
        const out = into(outer.merge());
        const begun = new Set<number>();
        const closed = new Set<number>();
        const expected: number[] = [];
        for (const [value, { inner, what }] of steps.entries()) {
          const stream = inners[inner] as Stream<number>;
          if (closed.has(inner)) continue;
          if (what === 'begin') {
            if (begun.has(inner)) continue;
            begun.add(inner);
            await outer.emit(stream);
          } else if (what === 'end') {
            closed.add(inner);
            await stream.close();
          } else {
            void stream.emit(value);
            if (begun.has(inner)) expected.push(value);
          }
          expect(out).toEqual(expected);
        }
        for (const stream of inners) await stream.close();
        await outer.close();
      }),
      { numRuns: 60 },
    );
  });
});

describe('split', () => {
  const keyOf = (x: number): string => `key ${x % 4}`;

  test('makes a stream of each key, with all its values in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 40 }), async (values) => {
        const source = new Stream<number>();
        const keys: string[] = [];
        const all: Promise<number[]>[] = [];
        source.split(keyOf).sink(([key, stream]) => {
          keys.push(key);
          all.push(stream.toArray());
        });
        for (const value of values) expect(source.emit(value)).toBeUndefined();
        await source.close();
        expect(keys).toEqual([...new Set(values.map(keyOf))]);
        expect(await Promise.all(all)).toEqual(
          keys.map((key) => values.filter((value) => keyOf(value) === key)),
        );
      }),
      { numRuns: 40 },
    );
  });

  test('with merge it is the stream as it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 40 }), async (values) => {
        const source = new Stream<number>();
        const out = into(
          source
            .split(keyOf)
            .map(([, stream]) => stream)
            .merge(),
        );
        for (const value of values) await source.emit(value);
        expect(out).toEqual(values);
        await source.close();
        expect(out).toEqual(values);
      }),
      { numRuns: 30 },
    );
  });

  test('has no room for more keys than it was told', () => {
    const source = new Stream<number>();
    const out = into(source.split(String, { maxKeys: 2 }));
    void source.emit(1);
    void source.emit(2);
    expect(codeOf(() => source.emit(3))).toBe('MR_OVERFLOW');
    void source.emit(1);
    expect(out.map(([key]) => key)).toEqual(['1', '2']);
  });
});
