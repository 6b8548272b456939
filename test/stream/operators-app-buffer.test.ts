/** `buffer`, and what becomes of work that no emit waits for. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sleep, VirtualClock } from '../../src/core/clock.ts';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into, isSettled, manual, turn } from './helpers.ts';

describe('what emit waits for', () => {
  test.each([
    [1, [0, 0, 100, 100, 100]],
    [2, [0, 0, 0, 100, 100]],
    [3, [0, 0, 0, 0, 100]],
  ])('a place: %d in the buffer and the one under way', async (capacity, waits) => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const out: [number, number][] = [];
    source.buffer(capacity).sink(async (x) => {
      out.push([clock.monotonic(), x]);
      await sleep(clock, 100);
    });
    const waited: number[] = [];
    const emitting = (async () => {
      for (let x = 0; x < waits.length; x++) {
        const before = clock.monotonic();
        await source.emit(x);
        waited.push(clock.monotonic() - before);
      }
    })();
    await clock.advance(1_000);
    await emitting;
    expect(waited).toEqual(waits);
    expect(out).toEqual(waits.map((_, x) => [x * 100, x]));
  });

  test('nothing, as long as everything behind is synchronous', () => {
    const source = new Stream<number>();
    const out = into(source.buffer(1).map((x) => x * 2));
    for (const x of [1, 2, 3]) expect(source.emit(x)).toBeUndefined();
    expect(out).toEqual([2, 4, 6]);
  });

  test('emits that were not awaited wait in order', async () => {
    const source = new Stream<number>();
    const work = manual<void>();
    source.buffer(2).sink(work.fn);
    const emits = [1, 2, 3, 4, 5].map((x) => source.emit(x));
    expect(emits.map((emit) => emit === undefined)).toEqual([true, true, true, false, false]);
    for (const x of [1, 2, 3, 4, 5]) {
      work.finish(x, undefined);
      await turn();
    }
    await Promise.all(emits.map(async (emit) => emit));
    expect(work.calls).toEqual([1, 2, 3, 4, 5]);
  });

  test('at most 10,000 of them', () => {
    const source = new Stream<number>();
    source.buffer(1).sink(() => new Promise(() => {}));
    for (let i = 0; i < 10_002; i++) void source.emit(i);
    expect(codeOf(() => source.emit(0))).toBe('MR_OVERFLOW');
    source.destroy();
  });

  test('as many are under way as a map behind it works on', async () => {
    const source = new Stream<number>();
    const work = manual();
    const out = into(source.buffer(1).map(work.fn, { concurrency: 3 }));
    const emits = [1, 2, 3, 4, 5].map((x) => source.emit(x));
    expect(emits.map((emit) => emit === undefined)).toEqual([true, true, true, true, false]);
    expect(work.calls).toEqual([1, 2, 3]);
    work.finish(2, 20);
    await turn();
    expect([work.calls, out]).toEqual([[1, 2, 3], []]);
    work.finish(1, 10);
    await turn();
    expect([work.calls, out]).toEqual([
      [1, 2, 3, 4, 5],
      [10, 20],
    ]);
    for (const x of [5, 4, 3]) work.finish(x, x * 10);
    await source.drain();
    expect(out).toEqual([10, 20, 30, 40, 50]);
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 24 + 1])('refuses a capacity of %d', (capacity) => {
    expect(codeOf(() => new Stream().buffer(capacity))).toBe('MR_OPTION_INVALID');
  });

  test('cells of keyed streams are its own: the caller may go on with its', async () => {
    const source = new Stream<{ city: string }>();
    const work = manual<void>();
    const out = into(
      source
        .groupBy('city')
        .buffer(3)
        .tap(async ({ city }) => work.fn(city.length))
        .items()
        .map(([key]) => key),
    );
    for (const city of ['Rome', 'Paris', 'London']) await source.emit({ city });
    for (const length of [4, 5, 6]) {
      work.finish(length, undefined);
      await turn();
    }
    expect(out).toEqual(['Rome', 'Paris', 'London']);
  });

  test('keeps all values, in order, whatever is awaited and however long things take', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ wait: fc.boolean(), takes: fc.integer({ min: 0, max: 4 }) }), {
          maxLength: 40,
        }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        async (steps, capacity, concurrency) => {
          const clock = new VirtualClock();
          const source = new Stream<number>({ clock });
          let most = 0;
          let underWay = 0;
          const out = into(
            source
              .buffer(capacity)
              .map(
                (i) => {
                  const { takes } = steps[i] as { takes: number };
                  if (takes === 0) return i;
                  most = Math.max(most, ++underWay);
                  return sleep(clock, takes).then(() => {
                    underWay--;
                    return i;
                  });
                },
                { concurrency },
              )
              .buffer(1),
          );
          const emits: (void | Promise<void>)[] = [];
          const emitting = (async () => {
            for (const [i, { wait }] of steps.entries()) {
              emits.push(source.emit(i));
              if (wait) await emits.at(-1);
            }
            await source.drain();
          })();
          await clock.advance(1_000);
          await emitting;
          await Promise.all(emits.map(async (emit) => emit));
          expect(out).toEqual([...steps.keys()]);
          expect(most).toBeLessThanOrEqual(concurrency);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('what fails behind a buffer', () => {
  test('at once, is thrown by its own emit', () => {
    const source = new Stream<number>();
    source.buffer(2).sink((x) => {
      if (x === 1) throw new Error('one');
    });
    expect(() => source.emit(1)).toThrow('one');
    expect(source.emit(2)).toBeUndefined();
  });

  test('later, is told by the next emit, whose own value is taken; the others go on', async () => {
    const source = new Stream<number>();
    const work = manual<void>();
    source.buffer(5).sink(work.fn);
    await source.emit(1);
    await source.emit(2);
    work.fail(1, new Error('one'));
    await turn();
    expect(work.calls).toEqual([1, 2]);
    expect(() => source.emit(3)).toThrow('one');
    expect(await isSettled(source.emit(4))).toBe(true);
    for (const x of [2, 3, 4]) {
      work.finish(x, undefined);
      await turn();
    }
    expect(work.calls).toEqual([1, 2, 3, 4]);
    await source.drain();
  });

  test('is told to an emit that has to wait itself when its own value is dealt with', async () => {
    const source = new Stream<number>();
    const work = manual<void>();
    source.buffer(1).sink(work.fn);
    const emits = [1, 2, 3].map((x) => source.emit(x));
    work.fail(1, new Error('one'));
    await expect(emits[2]).rejects.toThrow('one');
    await turn();
    work.finish(2, undefined);
    await turn();
    work.finish(3, undefined);
    await source.drain();
    expect(work.calls).toEqual([1, 2, 3]);
  });

  test('is not dealt with by a policy in front, which would skip another value', async () => {
    const source = new Stream<number>();
    const work = manual<void>();
    source.onError('skip').buffer(5).sink(work.fn);
    await source.emit(1);
    work.fail(1, new Error('one'));
    await turn();
    expect(() => source.emit(2)).toThrow('one');
    expect(work.calls).toEqual([1, 2]);
    work.finish(2, undefined);
    await source.drain();
  });

  test('is told once: by drain', async () => {
    const source = new Stream<number>();
    source.buffer(2).sink((x) => Promise.reject(new Error(`failed ${x}`)));
    await source.emit(1);
    await source.emit(2);
    await expect(source.drain()).rejects.toThrow('failed 1');
    await source.drain();
    await source.close();
  });

  test('or by close', async () => {
    const source = new Stream<number>();
    const seen: number[] = [];
    source.buffer(2).sink(async (x) => {
      seen.push(x);
      if (x === 1) throw new Error('one');
    });
    await source.emit(1);
    await source.emit(2);
    await expect(source.close()).rejects.toThrow('one');
    expect(seen).toEqual([1, 2]);
  });

  test('through any entrance of the graph, also of one that was connected later', async () => {
    const [a, b] = [new Stream<number>(), new Stream<number>()];
    const joined = new Stream<number>();
    joined.buffer(2).sink(async (x) => {
      if (x === 1) throw new Error('one');
    });
    a.connect(joined);
    b.map((x) => x).connect(joined);
    await a.emit(1);
    await turn();
    expect(() => b.emit(2)).toThrow('one');
    await b.drain();
  });

  test('ends Stream.from, and rejects whoever waits for all of it', async () => {
    const failing = (n: number) => async (x: number) => {
      if (x === n) throw new Error(`failed ${n}`);
      return x;
    };
    for (const n of [1, 3])
      await expect(Stream.from([1, 2, 3]).buffer(5).map(failing(n)).toArray()).rejects.toThrow(
        `failed ${n}`,
      );
    const stream = Stream.from([1, 2, 3]);
    stream.buffer(5).sink(failing(3));
    await expect(stream.drain()).rejects.toThrow('failed 3');
  });
});

describe('the end of a buffer', () => {
  test('drain waits for what is in it, through several, and no longer', async () => {
    const source = new Stream<number>();
    const work = manual();
    const out = into(
      source
        .buffer(3)
        .map(work.fn)
        .buffer(3)
        .map(async (x) => x),
    );
    for (const x of [1, 2]) await source.emit(x);
    const drained = source.drain();
    await turn();
    await source.emit(3);
    work.finish(1, 1);
    expect(await isSettled(drained)).toBe(false);
    work.finish(2, 2);
    await drained;
    expect(out).toEqual([1, 2]);
    work.finish(3, 3);
    await source.close();
    expect(out).toEqual([1, 2, 3]);
  });

  test('close sends what is in it, and in which emits wait for room', async () => {
    const source = new Stream<number>();
    const out: number[] = [];
    const all = source
      .buffer(1)
      .map(async (x) => {
        await turn();
        out.push(x);
        return x;
      })
      .toArray();
    const emits = [1, 2, 3, 4].map((x) => source.emit(x));
    await source.close();
    await Promise.all(emits.map(async (emit) => emit));
    expect(out).toEqual([1, 2, 3, 4]);
    expect(await all).toEqual([1, 2, 3, 4]);
    expect(codeOf(() => source.emit(5))).toBe('MR_CLOSED');
  });

  test('closing the buffer alone sends what is in it, and leaves the source', async () => {
    const source = new Stream<number>();
    const work = manual<void>();
    const buffered = source.buffer(2);
    buffered.sink(work.fn);
    const others = into(source);
    const emits = [1, 2, 3, 4].map((x) => source.emit(x));
    const closed = buffered.close();
    for (const x of [1, 2, 3, 4]) {
      await turn();
      work.finish(x, undefined);
    }
    await closed;
    await Promise.all(emits.map(async (emit) => emit));
    await source.emit(5);
    expect([work.calls, others]).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4, 5],
    ]);
  });

  test('destroy drops what is in it, and lets waiting emits go', async () => {
    const source = new Stream<number>();
    const work = manual<void>();
    source.buffer(1).sink(work.fn);
    const emits = [1, 2, 3].map((x) => source.emit(x));
    source.destroy();
    await Promise.all(emits.map(async (emit) => emit));
    work.fail(1, new Error('one'));
    await source.drain();
    expect(work.calls).toEqual([1]);
  });

  test('in a cycle, drain and close wait until nothing goes round', async () => {
    for (const end of ['drain', 'close'] as const) {
      const source = new Stream<number>();
      const out = into(source);
      source
        .buffer(2)
        .map(async (x) => {
          await turn();
          return x - 1;
        })
        .filter((x) => x > 0)
        .connect(source);
      await source.emit(5);
      await source.emit(3);
      await source[end]();
      expect(out.toSorted((a, b) => b - a)).toEqual([5, 4, 3, 3, 2, 2, 1, 1]);
    }
  });

  test('a stream declared behind a closed one is empty', async () => {
    const source = new Stream<number>();
    await source.close();
    expect(await source.buffer(1).toArray()).toEqual([]);
    expect(await codeOfRejection(source.buffer(1).drain())).toBe('nothing thrown');
  });
});
