/** What `emit` waits for, operator by operator, in front of a sink that is busy until the test says so. */
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { isSettled, turn } from '../helpers.ts';

/** A sink that is busy with each value until it is told to be done. */
class BusySink {
  readonly seen: unknown[] = [];
  /** While false it takes no time. */
  on = true;
  #busy: (() => void)[] = [];

  readonly fn = (value: unknown): void | Promise<void> => {
    this.seen.push(value);
    if (!this.on) return undefined;
    return new Promise((resolve) => this.#busy.push(resolve));
  };

  /** Done with what it has at hand. */
  finish(): void {
    for (const resolve of this.#busy.splice(0)) resolve();
  }
}

interface Stage {
  readonly source: Stream<number>;
  readonly sink: BusySink;
  readonly clock: VirtualClock;
  /** Lets values in before the one that is asked about, while the sink takes no time. */
  readonly before: (...values: number[]) => void;
}

type Emit = () => void | Promise<void>;

/** The emit that is asked about, and for a wait of another kind what ends it. */
type Asked = Emit | { readonly emit: Emit; readonly until: () => unknown };

interface Row {
  readonly operator: string;
  /** What emit waits for: nothing, whatever is behind, or something else that `until` brings about (then `and` so on). */
  readonly waits: 'nothing' | 'behind' | 'something else' | 'something else, then behind';
  readonly ask: (stage: Stage) => Asked | Promise<Asked>;
}

const rows: readonly Row[] = [];

const row = (operator: string, waits: Row['waits'], ask: Row['ask']): void => {
  (rows as Row[]).push({ operator, waits, ask });
};

/** For an operator that is declared on the source, and asked about with the value behind those that came before. */
const plain = (
  operator: string,
  waits: 'nothing' | 'behind',
  build: (source: Stream<number>) => Stream<unknown, unknown>,
  [asked = 1, ...before]: readonly number[] = [],
): void =>
  row(operator, waits, ({ source, sink, before: first }) => {
    build(source).sink(sink.fn);
    first(...before);
    return () => source.emit(asked);
  });

// One value at a time, or less.
plain('sink', 'behind', (s) => s);
plain('map', 'behind', (s) => s.map((x) => x));
plain('map with a concurrency', 'behind', (s) => s.map(async (x) => x, { concurrency: 3 }));
plain('starmap', 'behind', (s) => s.map((x): [number, number] => [x, x]).starmap((a, b) => a + b));
plain('filter: passed on', 'behind', (s) => s.filter(() => true));
plain('filter: dropped', 'nothing', (s) => s.filter(() => false));
plain('flatten: each element in turn', 'behind', (s) => s.map((x) => [x, x, x]).flatten());
plain('flatten: nothing in it', 'nothing', (s) => s.map(() => []).flatten());
plain('pluck', 'behind', (s) => s.map((x) => ({ x })).pluck('x'));
plain('tap', 'behind', (s) => s.tap(() => undefined));
plain('processors', 'behind', (s) => s.processors((x) => x));
plain('enumerate', 'behind', (s) => s.enumerate());
plain('groupBy', 'behind', (s) => s.groupBy((x) => x, { name: 'itself' }));
plain('events', 'behind', (s) => s.events());
plain('items', 'behind', (s) => s.items());
plain('union', 'behind', (s) => s.union(new Stream<number>()));
plain('branch', 'behind', (s) => s.branch({ all: () => true }).all);
plain('pipe', 'behind', (s) => s.pipe((t) => t.map((x) => x)));
plain('onError', 'behind', (s) => s.onError('skip'));
plain('slice: within', 'behind', (s) => s.slice(1), [2, 1]);
plain('slice: before its start', 'nothing', (s) => s.slice(1));
plain('slice: behind its end', 'nothing', (s) => s.slice(0, 1), [2, 1]);
plain('pairwise: a pair', 'behind', (s) => s.pairwise(), [2, 1]);
plain('pairwise: the first', 'nothing', (s) => s.pairwise());
plain('distinct: another', 'behind', (s) => s.distinct(), [2, 1]);
plain('distinct: the same', 'nothing', (s) => s.distinct(), [1, 1]);
plain('unique: new', 'behind', (s) => s.unique(), [2, 1]);
plain('unique: known', 'nothing', (s) => s.unique(), [1, 1, 2]);

// With a state.
plain('accumulate', 'behind', (s) => s.accumulate((a, b) => a + b));
plain('mapState', 'behind', (s) => s.mapState(0, (n, x) => [n + 1, x]));
plain('partition: not full', 'nothing', (s) => s.partition(2));
plain('partition: full', 'behind', (s) => s.partition(2), [2, 1]);
plain('partition by key: not full', 'nothing', (s) => s.partition(2, { key: (x) => x }), [2, 1]);
plain('partition with a timeout: full', 'behind', (s) => s.partition(2, { timeout: '1s' }), [2, 1]);
plain('partitionUnique: the same again', 'nothing', (s) => s.partitionUnique(2), [1, 1]);
plain('partitionUnique: full', 'behind', (s) => s.partitionUnique(2), [2, 1]);
plain('take: not full', 'nothing', (s) => s.take(2));
plain('take: full', 'behind', (s) => s.take(2), [2, 1]);
plain('slidingWindow', 'behind', (s) => s.slidingWindow(2));
plain('slidingWindow: not full, full ones only', 'nothing', (s) =>
  s.slidingWindow(2, { returnPartial: false }),
);
plain('collect', 'nothing', (s) => s.collect());
row('collect: flush', 'behind', ({ source, sink, before }) => {
  const collector = source.collect();
  collector.sink(sink.fn);
  before(1, 2);
  return collector.flush;
});
row('collect: a value that flushes', 'behind', ({ source, sink, before }) => {
  const flushOn = new Stream<string>();
  source.collect({ flushOn }).sink(sink.fn);
  before(1, 2);
  return () => flushOn.emit('now');
});

// Time and flow.
plain('timedWindow', 'nothing', (s) => s.timedWindow('1s'));
plain('timedWindowUnique', 'nothing', (s) => s.timedWindowUnique('1s'));
row(
  'timedWindow: while a window is under way',
  'something else',
  async ({ source, sink, clock }) => {
    source.timedWindow(10).sink(sink.fn);
    await clock.advance(0);
    return { emit: () => source.emit(1), until: () => sink.finish() };
  },
);
plain('delay', 'nothing', (s) => s.delay('1s'));
row('delay: when it is full', 'something else', ({ source, sink, before, clock }) => {
  source.delay(10, { capacity: 2 }).sink(sink.fn);
  before(1, 2);
  return { emit: () => source.emit(3), until: () => clock.advance(10) };
});
plain('rateLimit: nobody before it', 'behind', (s) => s.rateLimit('1s'));
row('rateLimit: too early', 'something else, then behind', ({ source, sink, before, clock }) => {
  source.rateLimit(10).sink(sink.fn);
  before(1);
  return { emit: () => source.emit(2), until: () => clock.advance(10) };
});
plain('debounce', 'nothing', (s) => s.debounce('1s'));
plain('throttle: nobody before it', 'behind', (s) => s.throttle('1s'));
plain('throttle: dropped', 'nothing', (s) => s.throttle('1s'), [2, 1]);
plain('throttle: kept for the end', 'nothing', (s) => s.throttle('1s', { trailing: true }), [2, 1]);
plain('buffer', 'nothing', (s) => s.buffer(1));
row('buffer: when it is full', 'something else', ({ source, sink }) => {
  source.buffer(1).sink(sink.fn);
  void source.emit(1);
  void source.emit(2);
  return { emit: () => source.emit(3), until: () => sink.finish() };
});
plain('latest', 'nothing', (s) => s.latest());
row('latest: while one is under way', 'nothing', ({ source, sink }) => {
  source.latest().sink(sink.fn);
  void source.emit(1);
  void source.emit(2);
  return () => source.emit(3);
});

// Several inputs.
plain('zip: the others are missing', 'nothing', (s) => s.zip(new Stream<number>()));
row('zip: a tuple', 'behind', ({ source, sink, before }) => {
  const other = new Stream<number>();
  source.zip(other).sink(sink.fn);
  before(1);
  return () => other.emit(2);
});
row('zip: when its side is full', 'something else', ({ source, sink, before }) => {
  const other = new Stream<number>();
  source.zip([other], { maxsize: 1 }).sink(sink.fn);
  before(1);
  sink.on = false;
  // The place that the tuple leaves is free when it has been dealt with.
  return { emit: () => source.emit(2), until: () => other.emit(1) };
});
plain('zipLatest: the others are missing', 'nothing', (s) => s.zipLatest(new Stream<number>()));
row('zipLatest: the others are there', 'behind', ({ source, sink }) => {
  const other = new Stream<number>();
  source.zipLatest(other).sink(sink.fn);
  void other.emit(1);
  return () => source.emit(2);
});
row('zipLatest: a value of another', 'nothing', ({ source, sink }) => {
  const other = new Stream<number>();
  source.zipLatest(other).sink(sink.fn);
  return () => other.emit(1);
});
row(
  'zipLatest: a value of another that lets held ones go',
  'behind',
  ({ source, sink, before }) => {
    const other = new Stream<number>();
    source.zipLatest(other).sink(sink.fn);
    before(1, 2);
    return () => other.emit(1);
  },
);
plain('combineLatest: the others are missing', 'nothing', (s) =>
  s.combineLatest(new Stream<number>()),
);
row('combineLatest: the others are there', 'behind', ({ source, sink, before }) => {
  const other = new Stream<number>();
  source.combineLatest(other).sink(sink.fn);
  before(1);
  return () => other.emit(2);
});
row('combineLatest: not the one to emit on', 'nothing', ({ source, sink, before }) => {
  const other = new Stream<number>();
  source.combineLatest([other], { emitOn: source }).sink(sink.fn);
  before(1);
  return () => other.emit(2);
});

// Streams of streams.
const outer = (
  operator: string,
  waits: Row['waits'],
  ask: (stage: Stage, streams: Stream<Stream<number>>, inner: Stream<number>) => Asked,
): void =>
  row(operator, waits, (stage) => ask(stage, new Stream<Stream<number>>(), new Stream<number>()));

outer('switch: a stream', 'nothing', ({ sink }, streams, inner) => {
  streams.switch().sink(sink.fn);
  return () => streams.emit(inner);
});
outer('switch: a value of the newest', 'behind', ({ sink }, streams, inner) => {
  streams.switch().sink(sink.fn);
  void streams.emit(inner);
  return () => inner.emit(1);
});
outer('concat: a stream', 'something else', ({ sink }, streams, inner) => {
  streams.concat().sink(sink.fn);
  return { emit: () => streams.emit(inner), until: () => inner.close() };
});
outer('concat: a value of the first', 'behind', ({ sink }, streams, inner) => {
  streams.concat().sink(sink.fn);
  void streams.emit(inner);
  return () => inner.emit(1);
});
outer('merge: a stream', 'nothing', ({ sink }, streams, inner) => {
  streams.merge().sink(sink.fn);
  return () => streams.emit(inner);
});
outer('merge: a stream too many', 'something else', ({ sink }, streams, inner) => {
  streams.merge({ concurrency: 1 }).sink(sink.fn);
  void streams.emit(inner);
  return { emit: () => streams.emit(new Stream<number>()), until: () => inner.close() };
});
outer('merge: a value', 'behind', ({ sink }, streams, inner) => {
  streams.merge().sink(sink.fn);
  void streams.emit(inner);
  return () => inner.emit(1);
});
plain('split: a new key', 'behind', (s) => s.split(String));
row('split: a value of a sub-stream', 'behind', ({ source, sink, before }) => {
  source.split(String).sink(([, stream]) => void stream.sink(sink.fn));
  before(1);
  return () => source.emit(1);
});

// Edges.
plain('connect', 'behind', (s) => s.connect(new Stream<number>()));
row('connect: a cycle', 'behind', ({ source, sink }) => {
  source.sink(sink.fn);
  source
    .map((x) => x - 1)
    .filter((x) => x > 0)
    .connect(source);
  return () => source.emit(3);
});
row('a fork: the slowest branch', 'behind', ({ source, sink }) => {
  source.map((x) => x).sink(() => undefined);
  source.sink(sink.fn);
  return () => source.emit(1);
});

describe('emit', () => {
  test.each(rows)('$operator: waits for $waits', async ({ waits, ask }) => {
    const clock = new VirtualClock();
    const sink = new BusySink();
    const source = new Stream<number>({ clock });
    const before = (...values: number[]): void => {
      sink.on = false;
      for (const value of values) expect(source.emit(value)).toBeUndefined();
      sink.on = true;
    };
    const asked = await ask({ source, sink, clock, before });
    const { emit, until } = typeof asked === 'function' ? { emit: asked, until: undefined } : asked;
    const pending = emit();
    await turn();
    if (waits === 'nothing') {
      expect(await isSettled(pending)).toBe(true);
    } else {
      expect(await isSettled(pending)).toBe(false);
      await until?.();
      if (waits !== 'something else') {
        if (until !== undefined && sink.on) expect(await isSettled(pending)).toBe(false);
        // One after the other, as they come.
        for (let i = 0; i < 10; i++) {
          sink.finish();
          await turn();
        }
      }
      expect(await isSettled(pending)).toBe(true);
    }
    source.destroy();
  });

  test('every operator has a row', () => {
    const named = new Set(rows.map(({ operator }) => operator.split(/\W/u)[0]));
    const others = [
      // They emit themselves, or nothing comes out of them.
      ...[
        'constructor',
        'emit',
        'emitAll',
        'iterate',
        'toArray',
        'start',
        'close',
        'drain',
        'destroy',
      ],
      // Nothing flows through them.
      ...['disconnect', 'toString', 'visualize', 'snapshot', 'restore', 'peek', 'name', 'errors'],
      // Only in an app, or tested there.
      ...['update', 'through', 'echo'],
    ];
    const methods = Object.getOwnPropertyNames(Stream.prototype).filter(
      (name) => !others.includes(name),
    );
    expect(methods.filter((name) => !named.has(name))).toEqual([]);
  });
});
