import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtualClock, sleep } from '../../src/core/clock.ts';
import { Stream } from '../../src/stream/stream.ts';
import { into } from './helpers.ts';

const numbers = fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 40 });

describe('operators and the methods of arrays', () => {
  const laws: [
    string,
    (stream: Stream<number>) => Stream<unknown, unknown>,
    (values: number[]) => unknown[],
  ][] = [
    ['map', (s) => s.map((x) => x * 2), (v) => v.map((x) => x * 2)],
    ['filter', (s) => s.filter((x) => x > 0), (v) => v.filter((x) => x > 0)],
    [
      'map and flatten',
      (s) => s.map((x) => Array.from({ length: Math.abs(x % 4) }, () => x)).flatten(),
      (v) => v.flatMap((x) => Array.from({ length: Math.abs(x % 4) }, () => x)),
    ],
    [
      'accumulate with start',
      (s) => s.accumulate((sum, x) => sum + x, { start: 0 }),
      (v) => v.map((_, i) => v.slice(0, i + 1).reduce((sum, x) => sum + x, 0)),
    ],
    [
      'accumulate without start',
      (s) => s.accumulate((a, b) => Math.max(a, b)),
      (v) => v.map((_, i) => Math.max(...v.slice(0, i + 1))),
    ],
    ['enumerate', (s) => s.enumerate(3), (v) => v.map((x, i) => [i + 3, x])],
    [
      'groupBy and accumulate',
      (s) => s.groupBy((x) => x % 3, { name: 'rest' }).accumulate((n) => n + 1, { start: 0 }),
      (v) => v.map((x, i) => v.slice(0, i + 1).filter((y) => y % 3 === x % 3).length),
    ],
    ['union of halves', (s) => s.filter((x) => x > 0).union(s.filter((x) => x <= 0)), (v) => v],
    ['a diamond', (s) => s.map((x) => x + 1).union(s), (v) => v.flatMap((x) => [x + 1, x])],
  ];

  test.each(laws)('%s', async (_name, operator, model) => {
    await fc.assert(
      fc.asyncProperty(numbers, async (values) => {
        const source = new Stream<number>();
        const out = into(operator(source));
        for (const value of values) expect(source.emit(value)).toBeUndefined();
        const expected = model(values);
        expect(out).toEqual(expected);
        expect(await operator(Stream.from(values)).toArray()).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });
});

describe('with random delays', () => {
  const delayed = fc.array(
    fc.record({ value: fc.integer(), delayMs: fc.integer({ min: -2, max: 5 }) }),
    { maxLength: 25 },
  );
  type Delayed = { readonly value: number; readonly delayMs: number };

  /** Now for a delay below 0, else later. */
  const after =
    (clock: VirtualClock) =>
    <R>({ delayMs }: Delayed, result: R): R | Promise<R> =>
      delayMs < 0 ? result : sleep(clock, delayMs).then(() => result);

  async function finish(clock: VirtualClock, work: Promise<unknown>): Promise<void> {
    let done = false;
    const settle = (): void => void (done = true);
    work.then(settle, settle);
    for (let i = 0; i < 10_000 && !done; i++) await clock.advance(1);
    await work;
  }

  test('asynchronous operators keep order and lose nothing, awaited or not', async () => {
    await fc.assert(
      fc.asyncProperty(
        delayed,
        fc.boolean(),
        fc.integer({ min: 1, max: 4 }),
        async (events, awaited, concurrency) => {
          const clock = new VirtualClock();
          const later = after(clock);
          const source = new Stream<Delayed>({ clock });
          const seen: number[] = [];
          source
            .map((event) => later(event, event), { concurrency })
            .filter((event) => later(event, event.value % 3 !== 0))
            .map((event) => [event, event])
            .flatten()
            .sink((event) => later(event, void seen.push(event.value)));
          const other = into(source.tap((event) => later(event, undefined)));
          const work = awaited
            ? source.emitAll(events)
            : Promise.all(events.map(async (event) => source.emit(event)));
          await finish(clock, work);
          expect(seen).toEqual(
            events.flatMap(({ value }) => (value % 3 === 0 ? [] : [value, value])),
          );
          expect(other).toEqual(events);
          expect(await source.drain()).toBeUndefined();
        },
      ),
      { numRuns: 40 },
    );
  });

  test('unordered: the same values, and never more calls at once than allowed', async () => {
    await fc.assert(
      fc.asyncProperty(delayed, fc.integer({ min: 2, max: 4 }), async (events, concurrency) => {
        const clock = new VirtualClock();
        const source = new Stream<Delayed>({ clock });
        let calls = 0;
        let most = 0;
        const out = into(
          source.map(
            async (event) => {
              calls += 1;
              most = Math.max(most, calls);
              await sleep(clock, Math.max(0, event.delayMs));
              calls -= 1;
              return event.value;
            },
            { concurrency, ordered: false },
          ),
        );
        await finish(clock, source.emitAll(events));
        const byValue = (a: number, b: number): number => a - b;
        expect(out.toSorted(byValue)).toEqual(events.map(({ value }) => value).toSorted(byValue));
        expect(most).toBe(Math.min(concurrency, events.length));
      }),
      { numRuns: 30 },
    );
  });

  test('a failing event fails alone', async () => {
    await fc.assert(
      fc.asyncProperty(delayed, fc.boolean(), async (events, ordered) => {
        const clock = new VirtualClock();
        const later = after(clock);
        const source = new Stream<Delayed>({ clock });
        const out = into(
          source.map(
            (event) => {
              if (event.value % 2 === 0) throw new Error('even, at once');
              const result = later(event, event.value);
              return event.value % 3 === 0
                ? Promise.resolve(result).then(() => Promise.reject(new Error('later')))
                : result;
            },
            { concurrency: 3, ordered },
          ),
        );
        const work = Promise.allSettled(events.map(async (event) => source.emit(event)));
        await finish(clock, work);
        const failed = ({ value }: Delayed): boolean => value % 2 === 0 || value % 3 === 0;
        expect((await work).map(({ status }) => status === 'rejected')).toEqual(events.map(failed));
        const expected = events.filter((event) => !failed(event)).map(({ value }) => value);
        const byValue = (a: number, b: number): number => a - b;
        if (ordered) expect(out).toEqual(expected);
        else expect(out.toSorted(byValue)).toEqual(expected.toSorted(byValue));
      }),
      { numRuns: 30 },
    );
  });

  test('iterators of any capacity see everything in order', async () => {
    await fc.assert(
      fc.asyncProperty(numbers, fc.integer({ min: 1, max: 5 }), async (values, capacity) => {
        const source = new Stream<number>();
        const iterators = [
          source.iterate({ capacity }),
          source.map((x) => -x).iterate({ capacity: 1 }),
        ];
        const all = iterators.map(async (iterator) => {
          const seen: number[] = [];
          for await (const value of iterator) seen.push(value);
          return seen;
        });
        await source.emitAll(values);
        await source.close();
        expect(await Promise.all(all)).toEqual([values, values.map((x) => -x)]);
      }),
      { numRuns: 30 },
    );
  });
});
