/** Pictures that say how many values went where. */
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { Declared } from '../../topology/graph.ts';
import { codeOf } from '../helpers.ts';
import { readDot } from './support.ts';

const even = (n: number): boolean => n % 2 === 0;

function edges(stream: Stream<unknown, unknown>): readonly (readonly string[])[] {
  return readDot(stream.visualize({ rates: true })).edges;
}

test('edges say how many values they have carried since the first picture, and per second', async () => {
  const clock = new VirtualClock();
  const source = new Stream<number>({ clock });
  const evens = source.filter(even);
  const seen: number[] = [];
  const keep = (n: number): void => void seen.push(n);
  evens.sink(keep);
  await source.emit(2);
  expect(edges(evens)).toEqual([
    ['source', 'filter even', '0 (0/s)'],
    ['filter even', 'sink keep', '0 (0/s)'],
  ]);
  for (let n = 0; n < 1_500; n++) await source.emit(n);
  await clock.advance(4_000);
  expect(edges(source)).toEqual([
    ['source', 'filter even', '1,500 (375/s)'],
    ['filter even', 'sink keep', '750 (188/s)'],
  ]);
  await clock.advance(1_500_000 - 4_000);
  expect(edges(source)[0]).toEqual(['source', 'filter even', '1,500 (1/s)']);
  expect(seen).toHaveLength(751);
  expect(readDot(source.visualize()).edges[0]).toEqual(['source', 'filter even']);
});

test('beside the place of the edge, and also on those that come later', async () => {
  const clock = new VirtualClock();
  const source = new Stream<number>({ clock });
  const evens = source.filter(even);
  edges(source);
  await clock.advance(1_000);
  await source.emit(1);
  const ignore = (): void => {};
  evens.sink(ignore);
  source.sink(ignore);
  for (const n of [2, 3, 4]) await source.emit(n);
  await clock.advance(1_000);
  expect(edges(source)).toEqual([
    ['source', 'filter even', '0|4 (2/s)'],
    ['source', 'sink ignore', '1|3 (3/s)'],
    ['filter even', 'sink ignore', '2 (2/s)'],
  ]);
});

test('round a cycle', async () => {
  const clock = new VirtualClock();
  const source = new Stream<number>({ clock });
  const positive = (n: number): boolean => n > 0;
  const down = (n: number): number => n - 1;
  const less = source.filter(positive).map(down);
  less.connect(source);
  edges(source);
  await source.emit(3);
  await clock.advance(1_000);
  expect(edges(source)).toEqual([
    ['source', 'filter positive', '4 (4/s)'],
    ['filter positive', 'map down', '3 (3/s)'],
    ['map down', 'source', '3 (3/s)'],
  ]);
});

test('not in an app, whose streams carry nothing themselves', () => {
  const stream = new Declared().topic('flights');
  expect(codeOf(() => stream.visualize({ rates: true }))).toBe('MR_TEMPLATE');
  expect(stream.visualize({ rates: false })).toContain('topic flights');
});
