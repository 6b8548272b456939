/** The pipelines of one process: all operators of the document of streamz, the crawl, a feedback loop, branches and sub-streams. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Stream, VirtualClock } from 'millrace';
import { expect, test } from 'vitest';

function into<T>(stream: Stream<T>): T[] {
  const values: T[] = [];
  stream.sink((value) => values.push(value));
  return values;
}

test('11: all operators of the document', async () => {
  const clock = new VirtualClock();
  const s = new Stream<number>({ clock });
  const other = new Stream<string>({ clock });
  const inc = (x: number): number => x ** 2 + 1;
  const buffered = into(s.buffer(100).map(inc));
  const unique = into(s.unique({ maxsize: 4 }));
  const slow = into(
    s
      .filter((x) => x % 2 === 0)
      .delay('1s')
      .rateLimit('1s'),
  );
  const partitions = into(s.partition(3));
  const windows = into(s.timedWindow('3s'));
  const sums = into(
    s.slidingWindow(3, { returnPartial: false }).map((w) => w.reduce((p, q) => p + q, 0)),
  );
  const collector = s.collect();
  const collected = into(collector);
  other.sink(collector.flush);
  const cache: number[] = [];
  const cached = into(s.collect({ cache, flushOn: other }));
  const view = s.union(other).map((x) => (typeof x === 'string' ? x.length : x));
  const lengths = into(view);
  const latest = into(s.combineLatest(other));
  const repeated = into(s.zipLatest(other).starmap((n, text) => text.repeat(n)));
  const rising = into(s.accumulate((n, x) => [n + 1, x > n], { start: 0, returnsState: true }));
  const pairs = into(s.accumulate((n, x) => n + x, { start: 0, withState: true }));
  const sizes = into(s.mapState(new Map<number, number>(), (m, x) => [m.set(x, 1), m.size]));
  const mixed = into(s.map((x) => (x > 1 ? ('a' as const) : Promise.resolve(2))));

  await s.emitAll([1, 2, 3, 2]);
  await other.emit('ab');
  await clock.advance(6_000);
  expect(buffered).toEqual([2, 5, 10, 5]);
  expect(unique).toEqual([1, 2, 3]);
  expect(slow).toEqual([2, 2]);
  expect(partitions).toEqual([[1, 2, 3]]);
  expect(windows).toEqual([[1, 2, 3, 2], [], []]);
  expect(sums).toEqual([6, 7]);
  expect(collected).toEqual([[1, 2, 3, 2]]);
  expect(cached).toEqual([[1, 2, 3, 2]]);
  expect(cache).toEqual([]);
  expect(lengths).toEqual([1, 2, 3, 2, 2]);
  expect(latest).toEqual([[2, 'ab']]);
  expect(repeated).toEqual(['ab', 'abab', 'ababab', 'abab']);
  expect(rising).toEqual([true, true, true, false]);
  expect(pairs).toEqual([
    [1, 1],
    [3, 3],
    [6, 6],
    [8, 8],
  ]);
  expect(sizes).toEqual([1, 2, 3, 3]);
  expect(mixed).toEqual([2, 'a', 'a', 'a']);
  expect(view.visualize()).toContain('digraph');
  await Promise.all([s.close(), other.close()]);
  expect(partitions.at(-1)).toEqual([2]);
  expect(clock.timers).toBe(0);
});

test('12: the crawl of a directory, by a stream that feeds itself', async () => {
  const root = mkdtempSync(join(tmpdir(), 'millrace-crawl-'));
  mkdirSync(join(root, 'a', 'b'), { recursive: true });
  writeFileSync(join(root, 'a', 'b', 'leaf'), '');
  writeFileSync(join(root, 'file'), '');
  const source = new Stream<string>();
  const paths = source.unique();
  const seen = into(paths);
  paths
    .filter((path) => statSync(path).isDirectory())
    .map((path) => readdirSync(path).map((name) => join(path, name)))
    .flatten()
    .connect(source);
  await source.emit(root);
  await source.drain();
  const expected = ['', 'a', 'a/b', 'a/b/leaf', 'file'].map((path) => join(root, path));
  expect(seen.toSorted()).toEqual(expected.toSorted());
  rmSync(root, { recursive: true });
});

test('21: two sources and a feedback loop', async () => {
  const targets = new Stream<number>();
  const readings = new Stream<number>();
  const correction = new Stream<number>();
  const error = targets
    .combineLatest([readings, correction], { emitOn: readings })
    .starmap((t, r, c) => t - (r + c));
  const corrections = into(correction);
  error
    .filter((e) => Math.abs(e) > 0.1)
    .map((e) => e / 2)
    .connect(correction);
  const errors = into(error);
  await correction.emit(0);
  await targets.emit(20);
  await readings.emit(18);
  await readings.emit(18);
  expect(errors).toEqual([2, 1]);
  expect(corrections).toEqual([0, 1, 0.5]);
});

test('24: branches and sub-streams', async () => {
  const s = new Stream<{ kind: string; n: number }>();
  const { big, rest } = s.branch({ big: (x) => x.n > 10 });
  const bigs = into(big.map((x) => x.n));
  const others = into(rest.map((x) => x.kind));
  const seen: unknown[] = [];
  s.split((x) => x.kind).sink(([kind, sub]) => {
    sub.map((x) => x.n).sink((n) => seen.push([kind, n]));
  });
  await s.emitAll([
    { kind: 'a', n: 1 },
    { kind: 'b', n: 20 },
    { kind: 'a', n: 3 },
  ]);
  expect(bigs).toEqual([20]);
  expect(others).toEqual(['a', 'a']);
  expect(seen).toEqual([
    ['a', 1],
    ['b', 20],
    ['a', 3],
  ]);
});
