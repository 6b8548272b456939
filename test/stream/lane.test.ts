import { describe, expect, test } from 'vitest';
import { MAX_WAITING } from '../../src/stream/lane.ts';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into, isSettled, manual, turn } from './helpers.ts';

describe('one value at a time', () => {
  test('values that were not awaited wait in order of arrival', async () => {
    const source = new Stream<number>();
    const work = manual();
    const out = into(source.map(work.fn));
    const emits = [1, 2, 3].map(async (x) => source.emit(x));
    expect(work.calls).toEqual([1]);
    work.finish(1, 10);
    await turn();
    expect(work.calls).toEqual([1, 2]);
    work.finish(2, 20);
    await turn();
    work.finish(3, 30);
    await Promise.all(emits);
    expect(out).toEqual([10, 20, 30]);
  });

  test.each(['map', 'filter', 'tap', 'starmap', 'sink', 'flatten'] as const)(
    '%s keeps order when later values would be synchronous',
    async (kind) => {
      const source = new Stream<number>();
      const out: number[] = [];
      const first = Promise.withResolvers<void>();
      const later = <R>(x: number, result: R): R | Promise<R> =>
        x === 1 ? first.promise.then(() => result) : result;
      const push = (x: number): void => void out.push(x);
      if (kind === 'map') source.map((x) => later(x, x)).sink(push);
      if (kind === 'filter') source.filter((x) => later(x, true)).sink(push);
      if (kind === 'tap') source.tap((x) => later(x, x)).sink(push);
      if (kind === 'starmap')
        source
          .map((x): [number] => [x])
          .starmap((x) => later(x, x))
          .sink(push);
      if (kind === 'sink') source.sink((x) => later(x, undefined), push);
      if (kind === 'flatten') {
        const parts = source.map((x) => [x, x]).flatten();
        parts.sink((x) => later(x, undefined));
        parts.sink(push);
      }
      const emits = [1, 2, 3].map(async (x) => source.emit(x));
      first.resolve();
      await Promise.all(emits);
      expect(out).toEqual(kind === 'flatten' ? [1, 1, 2, 2, 3, 3] : [1, 2, 3]);
    },
  );

  test('nodes work side by side, each on a value of its own', async () => {
    const source = new Stream<number>();
    const [first, second] = [manual(), manual<void>()];
    source.map(first.fn).sink(second.fn);
    const emits = [1, 2].map(async (x) => source.emit(x));
    first.finish(1, 1);
    await turn();
    expect([first.calls, second.calls]).toEqual([[1, 2], [1]]);
    expect(await isSettled(emits[0])).toBe(false);
    second.finish(1, undefined);
    first.finish(2, 2);
    await turn();
    second.finish(2, undefined);
    await Promise.all(emits);
  });

  test('a failure reaches the emit of its value only, and the lane goes on', async () => {
    const source = new Stream<number>();
    const work = manual();
    const out = into(source.map(work.fn));
    const settled = Promise.allSettled([1, 2, 3].map(async (x) => source.emit(x)));
    work.fail(1, new Error('one'));
    await turn();
    work.finish(2, 2);
    await turn();
    work.finish(3, 3);
    const outcomes = await settled;
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    expect(out).toEqual([2, 3]);
  });

  test('a failure further down of a value that had waited reaches its emit', async () => {
    const source = new Stream<number>();
    const first = Promise.withResolvers<void>();
    source
      .map(async (x) => {
        if (x === 1) await first.promise;
        return x;
      })
      .sink((x) => {
        if (x > 1) throw new Error(`sink ${x}`);
      });
    const emits = [1, 2].map(async (x) => source.emit(x));
    first.resolve();
    await expect(emits[0]).resolves.toBeUndefined();
    await expect(emits[1]).rejects.toThrow('sink 2');
  });

  test('a function that throws while others wait does not stop them', async () => {
    const source = new Stream<number>();
    const out = into(
      source.map((x) => {
        if (x === 2) throw new Error('two');
        return x === 1 ? Promise.resolve(1) : x;
      }),
    );
    const outcomes = await Promise.allSettled([1, 2, 3].map(async (x) => source.emit(x)));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(out).toEqual([1, 3]);
  });

  test('synchronous again after the lane has emptied', async () => {
    const source = new Stream<number>();
    into(source.map((x) => (x === 1 ? Promise.resolve(x) : x)));
    const pending = source.emit(1);
    expect(pending).toBeInstanceOf(Promise);
    await pending;
    expect(source.emit(2)).toBeUndefined();
  });

  test('refuses more than 10,000 waiting values, and takes more once there is room', async () => {
    const source = new Stream<number>();
    const gate = Promise.withResolvers<void>();
    let handled = 0;
    source.sink(async () => {
      await gate.promise;
      handled += 1;
    });
    const emits = Array.from({ length: MAX_WAITING + 1 }, async (_, i) => source.emit(i));
    expect(codeOf(() => source.emit(0))).toBe('MR_OVERFLOW');
    expect(() => source.emit(0)).toThrow(/sink: emit was called 10000 times without awaiting/);
    gate.resolve();
    await Promise.all(emits);
    await source.emit(0);
    expect(handled).toBe(MAX_WAITING + 2);
  });
});

describe('map with concurrency', () => {
  test('ordered: runs as many as it says, results in order, and a slow head keeps places taken', async () => {
    const source = new Stream<number>();
    const work = manual();
    const out = into(source.map(work.fn, { concurrency: 3 }));
    const emits = [1, 2, 3, 4, 5].map(async (x) => source.emit(x));
    expect(work.calls).toEqual([1, 2, 3]);
    work.finish(2, 20);
    work.finish(3, 30);
    await turn();
    expect([work.calls, out]).toEqual([[1, 2, 3], []]);
    work.finish(1, 10);
    await turn();
    expect([work.calls, out]).toEqual([
      [1, 2, 3, 4, 5],
      [10, 20, 30],
    ]);
    expect(await isSettled(emits[2])).toBe(true);
    work.finish(5, 50);
    work.finish(4, 40);
    await Promise.all(emits);
    expect(out).toEqual([10, 20, 30, 40, 50]);
  });

  test('unordered: results go on as they come', async () => {
    const source = new Stream<number>();
    const work = manual();
    const out = into(source.map(work.fn, { concurrency: 2, ordered: false }));
    const emits = [1, 2, 3].map(async (x) => source.emit(x));
    work.finish(2, 2);
    await turn();
    expect([work.calls, out]).toEqual([[1, 2, 3], [2]]);
    work.finish(3, 3);
    await turn();
    work.finish(1, 1);
    await Promise.all(emits);
    expect(out).toEqual([2, 3, 1]);
  });

  test('synchronous results take no promise unless earlier ones are under way', async () => {
    const source = new Stream<number>();
    const gate = Promise.withResolvers<number>();
    const out = into(source.map((x) => (x === 2 ? gate.promise : x), { concurrency: 3 }));
    expect(source.emit(1)).toBeUndefined();
    const second = source.emit(2);
    const third = source.emit(3);
    expect(third).toBeInstanceOf(Promise);
    expect(out).toEqual([1]);
    gate.resolve(2);
    await Promise.all([second, third]);
    expect(out).toEqual([1, 2, 3]);

    const free = new Stream<number>();
    const freely = into(
      free.map((x) => (x === 2 ? gate.promise : x), { concurrency: 3, ordered: false }),
    );
    const pending = free.emit(2);
    expect(free.emit(3)).toBeUndefined();
    await pending;
    expect(freely).toEqual([3, 2]);
  });

  test.each([true, false])('failures keep to their value (ordered: %s)', async (ordered) => {
    const source = new Stream<number>();
    const work = manual();
    const out: number[] = [];
    source.map(work.fn, { concurrency: 2, ordered }).sink((x) => {
      if (x === 30) throw new Error('sink');
      out.push(x);
    });
    const settled = Promise.allSettled([1, 2, 3, 4].map(async (x) => source.emit(x)));
    work.fail(1, new Error('one'));
    await turn();
    work.finish(2, 20);
    await turn();
    work.finish(3, 30);
    work.finish(4, 40);
    const outcomes = await settled;
    expect(outcomes.map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    expect(out).toEqual([20, 40]);
  });

  test('a function that throws at once takes no place', async () => {
    const source = new Stream<number>();
    const out = into(
      source.map(
        (x) => {
          if (x < 0) throw new Error('negative');
          return Promise.resolve(x);
        },
        { concurrency: 2 },
      ),
    );
    for (let i = 0; i < 5; i++) expect(() => source.emit(-1)).toThrow('negative');
    await Promise.all([1, 2, 3].map(async (x) => source.emit(x)));
    expect(out).toEqual([1, 2, 3]);
  });

  test('destroy drops what waits and lets its emits go', async () => {
    const source = new Stream<number>();
    const work = manual();
    const mapped = source.map(work.fn, { concurrency: 2 });
    const out = into(mapped);
    const emits = [1, 2, 3].map(async (x) => source.emit(x));
    mapped.destroy();
    await emits[2];
    work.finish(1, 1);
    work.finish(2, 2);
    await Promise.all(emits);
    expect([work.calls, out]).toEqual([[1, 2], []]);
  });
});

describe('emitAll', () => {
  test('waits for each value', async () => {
    const source = new Stream<number>();
    const work = manual<void>();
    source.sink(work.fn);
    const all = source.emitAll([1, 2]);
    await turn();
    expect(work.calls).toEqual([1]);
    work.finish(1, undefined);
    await turn();
    expect(work.calls).toEqual([1, 2]);
    work.finish(2, undefined);
    await all;
  });

  test('keeps as many under way as a map below allows', async () => {
    const source = new Stream<number>();
    const work = manual();
    const out = into(source.filter(Boolean).map(work.fn, { concurrency: 2 }));
    const all = source.emitAll([1, 2, 3]);
    await turn();
    expect(work.calls).toEqual([1, 2]);
    work.finish(1, 1);
    await turn();
    work.finish(2, 2);
    work.finish(3, 3);
    await all;
    expect(out).toEqual([1, 2, 3]);
  });

  test('stops at the first failure, after what is under way, and closes the iterator', async () => {
    for (const concurrency of [1, 2]) {
      const source = new Stream<number>();
      const work = manual();
      into(source.map(work.fn, { concurrency }));
      let closed = false;
      function* values(): Generator<number> {
        try {
          yield 1;
          yield 2;
          yield 3;
          yield 4;
        } finally {
          closed = true;
        }
      }
      const all = source.emitAll(values());
      const message = all.then(String, String);
      await turn();
      work.fail(1, new Error('one'));
      await turn();
      expect(closed).toBe(true);
      expect(await isSettled(all)).toBe(concurrency === 1);
      if (concurrency === 2) work.finish(2, 2);
      expect(await message).toBe('Error: one');
      expect(work.calls).toHaveLength(concurrency);
    }
  });

  test('takes async iterables, and what they throw', async () => {
    const source = new Stream<number>();
    const out = into(source);
    async function* values(): AsyncGenerator<number> {
      yield 1;
      yield 2;
      throw new Error('no more');
    }
    await expect(source.emitAll(values())).rejects.toThrow('no more');
    expect(out).toEqual([1, 2]);
  });

  test('a synchronous throw rejects', async () => {
    const source = new Stream<number>();
    source.sink(() => {
      throw new Error('now');
    });
    await expect(source.emitAll([1])).rejects.toThrow('now');
  });

  test('is refused when the stream was closed', async () => {
    const source = new Stream<number>();
    await source.close();
    expect(await codeOfRejection(source.emitAll([1]))).toBe('MR_CLOSED');
  });
});

describe('values that a function emits into its own graph before it waits', () => {
  const cases: Record<
    string,
    (s: Stream<number>, fn: (x: number) => Promise<unknown>) => Stream<number>
  > = {
    map: (s, fn) => s.map(async (x) => (await fn(x)) as number),
    tap: (s, fn) => s.tap(fn),
    filter: (s, fn) => s.filter(async (x) => (await fn(x)) !== undefined),
    processors: (s, fn) => s.processors(async (x) => (await fn(x)) as number),
  };

  test.each(Object.entries(cases))('%s: each stays what it is', async (_, operator) => {
    const source = new Stream<number>();
    const work = manual();
    const out = into(
      operator(source, (x) => {
        const done = work.fn(x);
        if (x < 2) void source.emit(x + 1);
        return done;
      }),
    );
    const emitted = source.emit(0);
    expect(work.calls).toEqual([0, 1, 2]);
    // One that comes later waits until all of them are through.
    const later = source.emit(7);
    for (const x of [1, 2]) work.finish(x, x);
    await turn();
    expect(out).toEqual([1, 2]);
    expect(work.calls).toEqual([0, 1, 2]);
    work.finish(0, 0);
    await emitted;
    expect(out).toEqual([1, 2, 0]);
    expect(work.calls).toEqual([0, 1, 2, 7]);
    work.finish(7, 7);
    await later;
    expect(out).toEqual([1, 2, 0, 7]);
  });

  test('each keeps its key', async () => {
    const source = new Stream<string>();
    const work: (() => void)[] = [];
    const out = into(
      source
        .groupBy((text) => text, { name: 'text' })
        .tap((text) => {
          if (text === 'a') void source.emit('b');
          return new Promise<void>((resolve) => work.push(resolve));
        })
        .items(),
    );
    const emitted = source.emit('a');
    for (const finish of work) finish();
    await emitted;
    expect(out).toEqual([
      ['b', 'b'],
      ['a', 'a'],
    ]);
  });
});
