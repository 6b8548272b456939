import { describe, expect, test } from 'vitest';
import { retry } from '../../src/stream/policy.ts';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, turn } from './helpers.ts';

/** Operators as plain JavaScript sees them. */
type Untyped = Record<string, (...given: unknown[]) => unknown>;
const untyped = (): Untyped => new Stream() as unknown as Untyped;
const f = (x: unknown): unknown => x;

describe('options', () => {
  const taking: readonly (readonly [string, ...unknown[]])[] = [
    ['accumulate', f],
    ['collect'],
    ['combineLatest', [new Stream()]],
    ['delay', 1],
    ['distinct'],
    ['groupBy', f],
    ['iterate'],
    ['map', f],
    ['mapState', 0, f],
    ['merge'],
    ['partition', 2],
    ['partitionUnique', 2],
    ['slidingWindow', 2],
    ['split', f],
    ['take', 2],
    ['throttle', 1],
    ['timedWindowUnique', '1h'],
    ['unique'],
    ['update', {}, f],
    ['visualize'],
    ['zip', [new Stream()]],
  ];

  test.each(taking.map((each) => [each[0], each] as const))(
    '%s refuses those that it does not have',
    (operator, [, ...given]) => {
      for (const options of [{ nmae: 1 }, 5, 'x', [1]])
        expect(codeOf(() => untyped()[operator]?.(...given, options))).toBe('MR_OPTION_INVALID');
    },
  );

  test('of streams that are made', () => {
    const wrong = { nmae: 'x' } as object;
    for (const make of [
      () => new Stream(wrong),
      () => Stream.from([], wrong),
      () => Stream.source(f, wrong),
      () => retry({ times: 1, ...wrong }),
    ])
      expect(codeOf(make)).toBe('MR_OPTION_INVALID');
  });

  test('the one that is probably meant is named', () => {
    expect(() => untyped()['unique']?.({ maxSize: 3 })).toThrow('did you mean maxsize?');
  });
});

describe('values to iterate over', () => {
  test.each([5, null, undefined, {}, Promise.resolve([1])])('%s has none', async (values) => {
    expect(codeOf(() => Stream.from(values as never))).toBe('MR_ARGUMENT_INVALID');
    expect(await codeOfRejection(new Stream().emitAll(values as never))).toBe(
      'MR_ARGUMENT_INVALID',
    );
  });

  test('a text has its characters', async () => {
    expect(await Stream.from('abc').toArray()).toEqual(['a', 'b', 'c']);
    const source = new Stream<string>();
    const all = source.toArray();
    await source.emitAll('ab');
    await source.close();
    expect(await all).toEqual(['a', 'b']);
  });
});

describe('streams', () => {
  test.each(['union', 'zip', 'zipLatest', 'combineLatest', 'connect', 'disconnect'])(
    '%s takes nothing else',
    (operator) => {
      for (const other of [null, 5, 'x', {}])
        expect(codeOf(() => untyped()[operator]?.(other))).toBe('MR_ARGUMENT_INVALID');
    },
  );

  test('nor do merge, resetOn and flushOn', () => {
    const five = 5 as unknown as Stream;
    for (const make of [
      () => Stream.merge(five),
      () => new Stream<number>().accumulate((n) => n, { start: 0, resetOn: five }),
      () => new Stream<number>().collect({ flushOn: five }),
    ])
      expect(codeOf(make)).toBe('MR_ARGUMENT_INVALID');
  });
});

test('windows of no time would follow each other without an end', () => {
  for (const interval of [0, '0ms'] as const)
    expect(codeOf(() => new Stream().timedWindow(interval))).toBe('MR_OPTION_INVALID');
});

describe('keys and predicates are synchronous', () => {
  type Of = (key: (x: unknown) => unknown) => Stream<unknown, unknown>;
  const cases: Record<string, (source: Stream) => Of> = {
    unique: (s) => (key) => s.unique({ key }),
    distinct: (s) => (key) => s.distinct({ key }),
    partition: (s) => (key) => s.partition(2, { key }),
    partitionUnique: (s) => (key) => s.partitionUnique(2, { key }),
    timedWindowUnique: (s) => (key) => s.timedWindowUnique('1h', { key }),
    split: (s) => (key) => s.split(key),
    branch: (s) => (key) => s.branch({ a: key }).rest,
    groupBy: (s) => (key) => s.groupBy(key as () => string, { name: 'key' }),
  };

  test.each(Object.entries(cases))('%s refuses a promise', async (_, operator) => {
    const source = new Stream();
    operator(source)(async (x) => x).sink(() => {});
    expect(codeOf(() => source.emit(1))).toMatch(/^MR_(ARGUMENT|KEY)_INVALID$/);
    source.destroy();
  });

  test('and its failure is not told a second time', async () => {
    const source = new Stream();
    source.unique({ key: () => Promise.reject(new Error('in the key')) }).sink(() => {});
    expect(codeOf(() => source.emit(1))).toBe('MR_ARGUMENT_INVALID');
    // An unhandled rejection would fail this file.
    await turn();
  });
});
