import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import type { EventCell } from '../../src/core/event.ts';
import { derive, Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into } from './helpers.ts';

describe('map', () => {
  test('replaces values, null and undefined among them', async () => {
    const source = new Stream<number>();
    const out = into(source.map((x) => (x === 1 ? null : x === 2 ? undefined : x * 2)));
    for (const x of [0, 1, 2, 3]) expect(source.emit(x)).toBeUndefined();
    expect(out).toEqual([0, null, undefined, 6]);
  });

  test('awaits promises and thenables of other libraries', async () => {
    const source = new Stream<number>();
    const out = into(
      source.map((x) =>
        x % 2 === 0
          ? Promise.resolve(x)
          : // oxlint-disable-next-line unicorn/no-thenable -- what this test is about
            { then: (resolve: (value: number) => void) => resolve(x * 10) },
      ),
    );
    await source.emitAll([1, 2, 3]);
    expect(out).toEqual([10, 2, 30]);
  });

  test.each([0, -1, 1.5, Number.NaN])('refuses a concurrency of %d', (concurrency) => {
    expect(codeOf(() => new Stream().map(String, { concurrency }))).toBe('MR_OPTION_INVALID');
  });
});

describe('filter', () => {
  test('passes on what is truthy, with a synchronous or asynchronous predicate', async () => {
    const source = new Stream<number>();
    const even = into(source.filter((x) => x % 2 === 0));
    const odd = into(source.filter(async (x) => x % 2));
    await source.emitAll([1, 2, 3, 4]);
    expect(even).toEqual([2, 4]);
    expect(odd).toEqual([1, 3]);
  });

  test('deals at once with what it does not pass on', () => {
    const source = new Stream<number>();
    source.filter((x) => x > 10).sink(async () => {});
    expect(source.emit(1)).toBeUndefined();
    expect(source.emit(11)).toBeInstanceOf(Promise);
  });
});

describe('flatten', () => {
  test('passes on elements of arrays, sets, generators and strings, one level deep', () => {
    const source = new Stream<Iterable<unknown>>();
    const out = into(source.flatten());
    void source.emit([1, [2]]);
    void source.emit(new Set([3]));
    void source.emit('ab');
    void source.emit([]);
    void source.emit(
      (function* numbers() {
        yield 4;
        yield 5;
      })(),
    );
    expect(out).toEqual([1, [2], 3, 'a', 'b', 4, 5]);
  });

  test('passes on elements of async iterables, before those of later values', async () => {
    const source = new Stream<AsyncIterable<number> | number[]>();
    const out = into(source.flatten());
    const first = source.emit(
      (async function* numbers() {
        yield 1;
        yield 2;
      })(),
    );
    const second = source.emit([3]);
    await Promise.all([first, second]);
    expect(out).toEqual([1, 2, 3]);
  });

  test('sends one element at a time to an asynchronous sink', async () => {
    const source = new Stream<Iterable<number>>();
    const log: string[] = [];
    source.flatten().sink(async (x) => {
      log.push(`begin ${x}`);
      await Promise.resolve();
      log.push(`end ${x}`);
    });
    await Promise.all([source.emit([1, 2]), source.emit(new Set([3, 4]))]);
    expect(log).toEqual([1, 2, 3, 4].flatMap((x) => [`begin ${x}`, `end ${x}`]));
  });

  test('closes the iterator when an element fails, now or later', async () => {
    const closed: string[] = [];
    function* numbers(name: string): Generator<number> {
      try {
        yield 1;
        yield 2;
      } finally {
        closed.push(name);
      }
    }
    const now = new Stream<Iterable<number>>();
    now.flatten().sink(() => {
      throw new Error('now');
    });
    expect(() => now.emit(numbers('now'))).toThrow('now');
    const later = new Stream<Iterable<number>>();
    later.flatten().sink(() => Promise.reject(new Error('later')));
    await expect(later.emit(numbers('later'))).rejects.toThrow('later');
    expect(closed).toEqual(['now', 'later']);
  });

  test.each([[1], [null], [undefined], [{}], [() => 1]])('refuses %s', (value) => {
    const source = new Stream<Iterable<number>>();
    into(source.flatten());
    expect(codeOf(() => source.emit(value as number[]))).toBe('MR_ARGUMENT_INVALID');
  });
});

describe('accumulate', () => {
  test('without a start passes on the first value as it is', () => {
    const source = new Stream<number>();
    const out = into(source.accumulate((sum, x) => sum + x));
    for (const x of [5, 1, 2]) void source.emit(x);
    expect(out).toEqual([5, 6, 8]);
  });

  test('with a start, which may be undefined', () => {
    const source = new Stream<number>();
    const sums = into(source.accumulate((sum, x) => sum + x, { start: 10 }));
    const before = into(
      source.accumulate((state: string | undefined, x) => `${state}${x}`, { start: undefined }),
    );
    for (const x of [1, 2]) void source.emit(x);
    expect(sums).toEqual([11, 13]);
    expect(before).toEqual(['undefined1', 'undefined12']);
  });

  test('returnsState and withState', () => {
    const source = new Stream<number>();
    const rising = into(
      source.accumulate((last, x) => [x, x > last], { start: 0, returnsState: true }),
    );
    const pairs = into(source.accumulate((sum, x) => sum + x, { start: 0, withState: true }));
    for (const x of [2, 1]) void source.emit(x);
    expect(rising).toEqual([true, false]);
    expect(pairs).toEqual([
      [2, 2],
      [3, 3],
    ]);
  });

  test('keeps the state when the function throws, and the new one when a sink does', () => {
    const source = new Stream<number>();
    const seen: number[] = [];
    source
      .accumulate(
        (sum, x) => {
          if (x < 0) throw new Error('negative');
          return sum + x;
        },
        { start: 0 },
      )
      .sink((sum) => {
        if (sum === 3) throw new Error('three');
        seen.push(sum);
      });
    void source.emit(1);
    expect(() => source.emit(-1)).toThrow('negative');
    expect(() => source.emit(2)).toThrow('three');
    void source.emit(4);
    expect(seen).toEqual([1, 7]);
  });

  test('refuses promises as state, and pairs that are none', () => {
    const source = new Stream<number>();
    const state = source.accumulate((async () => 1) as unknown as () => number, { start: 0 });
    into(state);
    expect(codeOf(() => source.emit(1))).toBe('MR_ARGUMENT_INVALID');
    state.destroy();
    for (const wrong of [async () => [1, 1], () => null, () => 1]) {
      const pairs = source.mapState(0, wrong as unknown as () => [number, number]);
      into(pairs);
      expect(codeOf(() => source.emit(1))).toBe('MR_ARGUMENT_INVALID');
      pairs.destroy();
    }
  });

  test('accumulate can pass on the state beside the output', async () => {
    const pairs = Stream.from([1, 2, 3]).accumulate((sum, x) => [sum + x, `${x}`], {
      start: 0,
      returnsState: true,
      withState: true,
    });
    expect(await pairs.toArray()).toEqual([
      [1, '1'],
      [3, '2'],
      [6, '3'],
    ]);
  });

  test('two operators never share the start value that they were given', () => {
    const start: number[] = [];
    const source = new Stream<number>();
    const first = source.mapState(start, (all, x) => [(all.push(x), all), all.length]);
    const second = source.mapState(start, (all, x) => [(all.push(x), all), all.length]);
    start.push(99);
    const [a, b] = [into(first), into(second)];
    for (const x of [1, 2]) void source.emit(x);
    expect([a, b]).toEqual([
      [1, 2],
      [1, 2],
    ]);
    expect(start).toEqual([99]);
  });

  test('uses an instance of a class as it is, and refuses what cannot be copied', () => {
    class Money {
      readonly cents: number;
      constructor(cents: number) {
        this.cents = cents;
      }
      plus(cents: number): Money {
        return new Money(this.cents + cents);
      }
    }
    const source = new Stream<number>();
    const out = into(source.accumulate((sum, x) => sum.plus(x), { start: new Money(1) }));
    void source.emit(2);
    expect(out.map(({ cents }) => cents)).toEqual([3]);
    const start = { now: () => 1 };
    expect(codeOf(() => source.accumulate((state) => state, { start }))).toBe('MR_OPTION_INVALID');
    expect(codeOf(() => source.accumulate((state) => state, { start: start.now }))).toBe(
      'MR_OPTION_INVALID',
    );
  });
});

describe('groupBy', () => {
  test('state behind it is per key, and 1 and "1" are two keys', () => {
    const source = new Stream<{ id: number | string; n: number }>();
    const out = into(source.groupBy('id').accumulate((sum, { n }) => sum + n, { start: 0 }));
    for (const [id, n] of [
      [1, 1],
      ['1', 10],
      [1, 2],
      ['1', 20],
      ['__proto__', 5],
      ['constructor', 6],
      ['__proto__', 5],
    ] as const)
      void source.emit({ id, n });
    expect(out).toEqual([1, 10, 3, 30, 5, 6, 10]);
  });

  test('state starts afresh for each key, and unkeyed state is apart', () => {
    const source = new Stream<string>();
    const lists = source
      .groupBy((word) => word[0] ?? '', { name: 'letter' })
      .accumulate((all: string[], word) => (all.push(word), all), { start: [] })
      .map((all) => all.join());
    const out = into(lists);
    for (const word of ['ant', 'bee', 'ape']) void source.emit(word);
    expect(out).toEqual(['ant', 'bee', 'ant,ape']);
  });

  test('gives events their key and the time of the clock', () => {
    const clock = new VirtualClock(5_000);
    const source = new Stream<{ id: string }>({ clock });
    const cells: (EventCell | null)[] = [];
    const keyed = source.groupBy('id');
    derive([keyed], {
      kind: 'spy',
      role: { role: 'sink', target: cells },
      make: () => (_value, event) => void cells.push(event),
    });
    void source.emit({ id: 'a' });
    expect(cells).toMatchObject([{ timestamp: 5_000, topic: '', key: { key: 'a' } }]);
    const twice = into(
      keyed
        .groupBy(({ id }) => id.length, { name: 'length' })
        .items()
        .map(([key]) => key),
    );
    void source.emit({ id: 'abc' });
    expect(twice).toEqual([3]);
  });

  test.each([
    [undefined, 'MR_KEY_MISSING'],
    [null, 'MR_KEY_MISSING'],
    [Number.NaN, 'MR_KEY_INVALID'],
    [{}, 'MR_KEY_INVALID'],
    [Symbol('key'), 'MR_KEY_INVALID'],
    [Promise.resolve(1), 'MR_KEY_INVALID'],
  ])('refuses %s as a key', (key, code) => {
    const source = new Stream<{ id: string }>();
    const out = into(source.groupBy('id'));
    expect(codeOf(() => source.emit({ id: key as string }))).toBe(code);
    void source.emit({ id: 'fine' });
    expect(out).toHaveLength(1);
  });

  test('refuses values without fields, and partitions that are no count', () => {
    const source = new Stream<{ id: string }>();
    into(source.groupBy('id'));
    expect(codeOf(() => source.emit(null as unknown as { id: string }))).toBe('MR_KEY_MISSING');
    expect(codeOf(() => source.groupBy('id', { partitions: 0 }))).toBe('MR_OPTION_INVALID');
  });
});

test('pluck takes a field or several, and fails on what has none', () => {
  const source = new Stream<{ a: number; b: string }>();
  const one = into(source.pluck('a'));
  const two = into(source.pluck(['b', 'a']));
  void source.emit({ a: 1, b: 'x' });
  expect(one).toEqual([1]);
  expect(two).toEqual([['x', 1]]);
  expect(codeOf(() => source.emit(null as never))).toBe('MR_ARGUMENT_INVALID');
});

test('starmap spreads values over arguments and awaits', async () => {
  const source = new Stream<[number, string]>();
  const out = into(source.starmap(async (n, text) => text.repeat(n)));
  await source.emit([3, 'a']);
  expect(out).toEqual(['aaa']);
});

test('tap waits, passes values on as they came, and holds back those it fails for', async () => {
  const source = new Stream<number>();
  const seen: number[] = [];
  const out = into(
    source.tap(async (x) => {
      await Promise.resolve();
      if (x === 2) throw new Error('two');
      seen.push(x);
    }),
  );
  const outcomes = await Promise.allSettled([1, 2, 3].map(async (x) => source.emit(x)));
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(out).toEqual([1, 3]);
  expect(seen).toEqual([1, 3]);
});

test('enumerate counts from a start, per key on a keyed stream', () => {
  const source = new Stream<{ id: string }>();
  const all = into(source.enumerate(5).map(([n]) => n));
  const perKey = into(
    source
      .groupBy('id')
      .enumerate()
      .map(([n, { id }]) => `${id}${n}`),
  );
  for (const id of ['a', 'b', 'a']) void source.emit({ id });
  expect(all).toEqual([5, 6, 7]);
  expect(perKey).toEqual(['a0', 'b0', 'a1']);
  expect(codeOf(() => source.enumerate(1.5))).toBe('MR_OPTION_INVALID');
});

test('items gives key and value, null without a key', () => {
  const source = new Stream<{ id: number }>();
  const unkeyed = into(source.items());
  const keyed = into(source.groupBy('id').items());
  void source.emit({ id: 7 });
  expect(unkeyed).toEqual([[null, { id: 7 }]]);
  expect(keyed).toEqual([[7, { id: 7 }]]);
});

describe('union and merge', () => {
  test('pass on values as they come; a stream that is given twice counts once', () => {
    const [a, b] = [new Stream<number>(), new Stream<string>()];
    const out = into(a.union(b, a));
    const merged = into(Stream.merge(a, b));
    void a.emit(1);
    void b.emit('x');
    void a.emit(2);
    expect(out).toEqual([1, 'x', 2]);
    expect(merged).toEqual([1, 'x', 2]);
  });

  test('a diamond keeps the order of its branches', () => {
    const source = new Stream<number>();
    const out = into(source.map((x) => x + 1).union(source.map((x) => -x)));
    for (const x of [1, 2, 3]) void source.emit(x);
    expect(out).toEqual([2, -1, 3, -2, 4, -3]);
  });

  test('merge of nothing is empty and ends', async () => {
    expect(await Stream.merge().toArray()).toEqual([]);
  });
});

describe('sink', () => {
  test('calls several targets in order, with the value alone', () => {
    const source = new Stream<number>();
    const calls: unknown[][] = [];
    source.sink(
      (...args) => calls.push(['a', ...args]),
      (...args) => calls.push(['b', ...args]),
    );
    void source.emit(1);
    expect(calls).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
  });

  test('takes a port and gives it value, event and scope', () => {
    const received: unknown[] = [];
    const port = {
      name: 'port',
      '~accepts': (_value: number): void => {},
      '~sink': (scope: { kind: string }) => (value: unknown) =>
        void received.push(scope.kind, value),
    };
    const source = new Stream<number>();
    source.sink(port);
    void source.emit(1);
    expect(received).toEqual(['process', 1]);
  });

  test('destroy and dispose take all targets off, twice too', () => {
    const source = new Stream<number>();
    const seen: number[] = [];
    const sink = source.sink(
      (x) => seen.push(x),
      (x) => seen.push(-x),
    );
    expect(sink.upstream).toBe(source);
    void source.emit(1);
    sink.destroy();
    sink[Symbol.dispose]();
    void source.emit(2);
    expect(seen).toEqual([1, -1]);
  });

  test('refuses to be without a target, and what is none', () => {
    const source = new Stream<number>();
    expect(codeOf(() => source.sink())).toBe('MR_ARGUMENT_INVALID');
    expect(codeOf(() => source.sink(null as never))).toBe('MR_ARGUMENT_INVALID');
    expect(codeOf(() => source.sink((() => {}) as never, {} as never))).toBe('MR_ARGUMENT_INVALID');
    expect(source['~node'].children).toEqual([]);
  });
});

describe('update in a process', () => {
  const table = {
    name: 'counts',
    '~keyedBy': (_key: null) => ({ value: 0, read: 0 }),
    '~update': () => () => () => undefined,
  };

  test('throws MR_NOT_IN_AN_APP and leaves no node behind', () => {
    const source = new Stream<number>();
    expect(codeOf(() => source.update(table, (n) => n + 1))).toBe('MR_NOT_IN_AN_APP');
    expect(source['~node'].children).toEqual([]);
  });

  test('refuses what is no table', () => {
    expect(codeOf(() => new Stream().update({} as never, (n) => n))).toBe('MR_ARGUMENT_INVALID');
  });
});

test('pipe applies an operator value', () => {
  const source = new Stream<number>();
  const out = into(source.pipe((stream) => stream.map((x) => x + 1)));
  void source.emit(1);
  expect(out).toEqual([2]);
});

test('names and printed forms', async () => {
  const { inspect } = await import('node:util');
  expect(String(new Stream())).toBe('<source>');
  expect(String(new Stream({ name: 'prices' }))).toBe('<source prices>');
  const doubled = new Stream<number>().map((x) => x * 2, { name: 'double' });
  expect(inspect(doubled)).toBe('<map double>');
  expect(doubled.name).toBe('double');
  expect(doubled.filter(Boolean).name).toBe('filter');
});

test('an error leaves the graph usable, whether it comes at once or later', async () => {
  const source = new Stream<number>();
  const out: number[] = [];
  source
    .map((x) => {
      if (x === 1) throw new MillraceError('MR_ABORTED', 'one');
      return x === 2 ? Promise.reject(new MillraceError('MR_IO', 'two')) : x;
    })
    .sink((x) => out.push(x));
  expect(codeOf(() => source.emit(1))).toBe('MR_ABORTED');
  expect(await codeOfRejection(source.emit(2))).toBe('MR_IO');
  void source.emit(3);
  expect(out).toEqual([3]);
});
