/**
 * What TypeScript infers from streams and their operators, and what it refuses. No lambda is annotated.
 *
 * @module
 */
import { describe, expectTypeOf, test } from 'vitest';
import type { Change, SinkTarget, TableKeyedBy } from '../../src/stream/operator.ts';
import { deadLetter } from '../../src/stream/policy.ts';
import type { Failure } from '../../src/stream/policy.ts';
import { Stream } from '../../src/stream/stream.ts';
import type { Sink } from '../../src/stream/stream.ts';

interface Flight {
  date: number;
  origin: string;
  delay: number;
  tags: string[];
  opt?: string | undefined;
}
declare const departures: Stream<Flight, string | null>;
declare const s: Stream<number>;
declare const other: Stream<string>;
declare const lists: Stream<number[]>;
declare const counts: TableKeyedBy<string, number, number>;

describe('what is inferred', () => {
  test('a pipeline', () => {
    const source = new Stream<number>();
    const sum = source.map((x) => x * x + 1).accumulate((total, x) => total + x);
    expectTypeOf(sum).toEqualTypeOf<Stream<number>>();
    expectTypeOf(sum.sink((x) => x.toFixed())).toEqualTypeOf<Sink<number>>();
    expectTypeOf(source.emit(1)).toEqualTypeOf<void | Promise<void>>();
    expectTypeOf(source.toArray()).resolves.toEqualTypeOf<number[]>();
    expectTypeOf(source.iterate({ capacity: 1 })).toEqualTypeOf<AsyncIterableIterator<number>>();
  });

  test('sources', () => {
    expectTypeOf(new Stream()).toEqualTypeOf<Stream>();
    expectTypeOf(Stream.from([1, 2])).toEqualTypeOf<Stream<number>>();
    expectTypeOf(Stream.from(lists)).toEqualTypeOf<Stream<number[]>>();
    expectTypeOf(Stream.merge(s, other)).toEqualTypeOf<Stream<number | string>>();
  });

  test('element by element', () => {
    const mixed = s.map((x) => (x > 1 ? ('a' as const) : Promise.resolve(2)));
    expectTypeOf(mixed).toEqualTypeOf<Stream<'a' | number>>();
    const present = new Stream<number | null>().filter((x) => x !== null);
    expectTypeOf(present).toEqualTypeOf<Stream<number>>();
    expectTypeOf(s.filter((x) => x > 1)).toEqualTypeOf<Stream<number>>();
    expectTypeOf(s.filter(async (x) => x > 1)).toEqualTypeOf<Stream<number>>();
    expectTypeOf(lists.flatten()).toEqualTypeOf<Stream<number>>();
    expectTypeOf(other.flatten()).toEqualTypeOf<Stream<string>>();
    expectTypeOf(new Stream<AsyncIterable<number>>().flatten()).toEqualTypeOf<Stream<number>>();
    const fields = new Stream<{ a: number; b: string }>();
    expectTypeOf(fields.pluck(['b', 'a'])).toEqualTypeOf<Stream<[string, number]>>();
    expectTypeOf(fields.pluck('a')).toEqualTypeOf<Stream<number>>();
    const pairs = new Stream<[number, string]>();
    expectTypeOf(pairs.starmap((n, text) => text.repeat(n))).toEqualTypeOf<Stream<string>>();
    expectTypeOf(s.tap((x) => x.toFixed())).toEqualTypeOf<Stream<number>>();
    expectTypeOf(other.enumerate()).toEqualTypeOf<Stream<[number, string]>>();
    expectTypeOf(departures.items()).toEqualTypeOf<
      Stream<[string | null, Flight], string | null>
    >();
    const view = s.union(other).map((x) => (typeof x === 'string' ? x.length : x));
    expectTypeOf(view).toEqualTypeOf<Stream<number>>();
    expectTypeOf(s.pipe((stream) => stream.map(String))).toEqualTypeOf<Stream<string>>();
  });

  test('state', () => {
    const rising = s.accumulate((n, x) => [n + 1, x > n], { start: 0, returnsState: true });
    expectTypeOf(rising).toEqualTypeOf<Stream<boolean>>();
    const pairs = s.accumulate((n, x) => n + x, { start: 0, withState: true });
    expectTypeOf(pairs).toEqualTypeOf<Stream<[number, number]>>();
    expectTypeOf(s.accumulate((n, x) => n + x, { start: 0 })).toEqualTypeOf<Stream<number>>();
    const sizes = s.mapState(new Map<number, number>(), (m, x) => [m.set(x, 1), m.size]);
    expectTypeOf(sizes).toEqualTypeOf<Stream<number>>();
  });

  test('state, as samples have it', () => {
    const both = s.accumulate((n, x) => [n + x, String(x)], {
      start: 0,
      returnsState: true,
      withState: true,
    });
    expectTypeOf(both).toEqualTypeOf<Stream<[number, string]>>();
    expectTypeOf(s.accumulate((n, x) => n + x, { start: 0, resetOn: other })).toEqualTypeOf<
      Stream<number>
    >();
    expectTypeOf(s.pairwise()).toEqualTypeOf<Stream<[number, number]>>();
    expectTypeOf(s.unique({ maxsize: 4, key: (x) => x % 2 })).toEqualTypeOf<Stream<number>>();
    expectTypeOf(departures.distinct({ key: (f) => f.delay })).toEqualTypeOf<typeof departures>();
    expectTypeOf(s.slice(1, 10, 2)).toEqualTypeOf<Stream<number>>();
  });

  test('groups and time', () => {
    expectTypeOf(s.partition(3, { key: (x) => x % 2, timeout: '1s' })).toEqualTypeOf<
      Stream<number[]>
    >();
    expectTypeOf(departures.partitionUnique(3, { key: (f) => f.origin })).toEqualTypeOf<
      Stream<Flight[], string | null>
    >();
    const sums = s.slidingWindow(3, { returnPartial: false }).map((w) => w.reduce((p, q) => p + q));
    expectTypeOf(sums).toEqualTypeOf<Stream<number>>();
    expectTypeOf(s.timedWindow('3s')).toEqualTypeOf<Stream<number[]>>();
    expectTypeOf(s.timedWindowUnique(3_000, { key: (x) => x })).toEqualTypeOf<Stream<number[]>>();
    const timed = s.delay('1s').rateLimit('1s').debounce('1s').throttle('1s').latest();
    expectTypeOf(timed).toEqualTypeOf<Stream<number>>();
    const cache: number[] = [];
    const collector = s.collect({ cache, flushOn: other });
    expectTypeOf(collector).toExtend<Stream<number[]>>();
    other.sink(collector.flush);
  });

  test('several streams', () => {
    expectTypeOf(s.combineLatest(other)).toEqualTypeOf<Stream<[number, string]>>();
    expectTypeOf(s.combineLatest([other, lists], { emitOn: other })).toEqualTypeOf<
      Stream<[number, string, number[]]>
    >();
    expectTypeOf(s.zip(other)).toEqualTypeOf<Stream<[number, string]>>();
    expectTypeOf(s.zip([other, lists], { maxsize: 5 })).toEqualTypeOf<
      Stream<[number, string, number[]]>
    >();
    const repeated = s.zipLatest(other).starmap((n, text) => text.repeat(n));
    expectTypeOf(repeated).toEqualTypeOf<Stream<string>>();
    const inner = new Stream<Stream<number> | Stream<string>>();
    expectTypeOf(inner.merge({ concurrency: 2 })).toEqualTypeOf<Stream<number | string>>();
    expectTypeOf(inner.concat()).toEqualTypeOf<Stream<number | string>>();
    expectTypeOf(inner.switch()).toEqualTypeOf<Stream<number | string>>();
    expectTypeOf(departures.split((f) => f.origin)).toEqualTypeOf<
      Stream<readonly [string, Stream<Flight, string | null>], string | null>
    >();
    const { late, rest } = departures.branch({ late: (f) => f.delay > 15 });
    expectTypeOf(late).toEqualTypeOf<typeof departures>();
    expectTypeOf(rest).toEqualTypeOf<typeof departures>();
  });

  test('operators as values, failures, states', () => {
    const even = (from: Stream<number>): Stream<number> => from.filter((x) => x % 2 === 0);
    const shown = (from: Stream<number>): Stream<string> => from.map((x) => x.toFixed());
    expectTypeOf(s.pipe(even, shown)).toEqualTypeOf<Stream<string>>();
    expectTypeOf(s.pipe(even, shown, (texts) => texts.toArray())).toEqualTypeOf<
      Promise<string[]>
    >();
    s.errors.sink(({ value, node }) => [value.toFixed(), node.length]);
    s.onError(deadLetter(new Stream<Failure<unknown>>()));
    expectTypeOf(s.snapshot()).toEqualTypeOf<Uint8Array>();
    expectTypeOf(s.peek('key')).toBeUnknown();
    expectTypeOf(Stream.source<number>(({ emit }) => emit(1))).toEqualTypeOf<Stream<number>>();
    expectTypeOf(s.visualize()).toEqualTypeOf<string>();
    expectTypeOf(s.visualize({ format: 'svg' })).toEqualTypeOf<Promise<string>>();
  });

  test('keys', () => {
    expectTypeOf(departures.groupBy('origin')).toEqualTypeOf<Stream<Flight, string>>();
    expectTypeOf(departures.groupBy('delay')).toEqualTypeOf<Stream<Flight, number>>();
    const byLength = departures.groupBy((f) => f.origin.length, { name: 'length' });
    expectTypeOf(byLength).toEqualTypeOf<Stream<Flight, number>>();
    const late = departures.filter((f) => f.delay > 15).groupBy('origin');
    expectTypeOf(late.update(counts, (n) => n + 1)).toEqualTypeOf<
      Stream<Change<string, number>, string>
    >();
    late.update(counts, (n, f) => n + f.delay, { at: (f) => f.date });
    const event = new Stream<{ t: 'a'; x: string } | { t: 'b'; y: string }>();
    expectTypeOf(event.groupBy('t').map((e) => e.t)).toEqualTypeOf<Stream<'a' | 'b', 'a' | 'b'>>();
  });

  test('streams are covariant, sinks contravariant', () => {
    expectTypeOf<Stream<'a', string>>().toExtend<Stream<string, string | null>>();
    expectTypeOf<Stream<string>>().not.toExtend<Stream<'a'>>();
    expectTypeOf<SinkTarget<string>>().toExtend<SinkTarget<'a'>>();
    expectTypeOf<{ '~accepts': (value: 'a') => void }>().not.toExtend<SinkTarget<string>>();
    const narrow = new Stream<'a'>();
    expectTypeOf(narrow.connect(other)).toEqualTypeOf<Stream<string, unknown>>();
  });
});

// The numbers are those of the list of typical mistakes that the API was judged by. Never called: what counts is that it does not compile.
export function mistakes(): void {
  // @ts-expect-error M01: no such field
  departures.groupBy('orgin');
  // @ts-expect-error M02: a list is no key
  departures.groupBy('tags');
  // @ts-expect-error M02: nor is a field that may be missing
  departures.groupBy('opt');
  // @ts-expect-error M03: a function does not name its repartition topic
  departures.groupBy((f) => f.origin);
  // @ts-expect-error M05: numeric keys for a table keyed by strings
  departures.groupBy('delay').update(counts, (n) => n + 1);
  // @ts-expect-error M07: the update returns another type than the table's
  departures.groupBy('origin').update(counts, (n) => `${n}`);
  // @ts-expect-error M07: nothing returned would be a deleted row
  departures.groupBy('origin').update(counts, (n) => void (n + 1));
  // @ts-expect-error M10: not a number
  void s.emit('x');
  // @ts-expect-error M25: the state is a number
  s.accumulate((a, x) => `${a}${x}`, { start: 0 });
  // @ts-expect-error M25: an asynchronous state
  s.accumulate(async (a, x) => a + x, { start: 0 });
  // @ts-expect-error M26: the state is a number
  s.mapState(0, (a, x) => [`${a}`, x]);
  // @ts-expect-error M27: numbers cannot be spread over arguments
  s.starmap((x) => x);
  // @ts-expect-error M29: numbers have no elements
  s.flatten();
  // @ts-expect-error M28: options stand behind a list of streams
  s.combineLatest(s, { emitOn: s });
  // @ts-expect-error M28
  s.zip(s, { maxsize: 5 });
  // @ts-expect-error M21: durations are '1s'
  s.delay('1 second');
  // @ts-expect-error numbers are no streams
  s.merge();
  const ofStrings = (from: Stream<string>): Stream<string> => from;
  // @ts-expect-error it takes strings
  s.pipe((from) => from, ofStrings);
  // @ts-expect-error no such branch
  void s.branch({ small: (x) => x < 10 }).large;
  // @ts-expect-error values of another type
  s.collect({ cache: [] as string[] });
  // @ts-expect-error M35: nothing is known of the values of an untyped stream
  new Stream().map((x) => x.foo);
  // @ts-expect-error M37: not a field of every event
  new Stream<{ t: 'a'; x: string } | { t: 'b' }>().groupBy('x');
  // @ts-expect-error a sink for other values
  s.sink((x: string) => x);
  // @ts-expect-error strings must not get into a stream of two of them
  other.connect(new Stream<'a' | 'b'>());
}
