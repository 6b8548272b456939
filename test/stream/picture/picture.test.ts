/** What is in a picture. Graphviz itself says what the texts mean. */
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { derive, Stream } from '../../../src/stream/stream.ts';
import { Declared, ignore } from '../../topology/graph.ts';
import { inAnyOrder, readDot } from './support.ts';

const inc = (n: number): number => n + 1;
const dec = (n: number): number => n - 1;
const half = (n: number): number[] => (n > 1 ? [n >> 1] : []);
const ident = (value: unknown): unknown => value;
const even = (n: number): boolean => n % 2 === 0;

const triangle = ['triangle', '270'] as const;

describe('as recorded of streamz', () => {
  test('a fork and a zip', () => {
    const s = new Stream<number>();
    const z = s.map(inc).zip(s.map(dec));
    z.sink(ident);
    expect(inAnyOrder(readDot(s.visualize()))).toEqual([
      'map dec, ellipse',
      'map dec, zip',
      'map inc, ellipse',
      'map inc, zip',
      'sink ident, trapezium',
      'source, ellipse',
      'source, map dec, 1',
      'source, map inc, 0',
      'zip, sink ident',
      'zip, triangle, 270',
    ]);
  });

  test('a cycle', () => {
    const s = new Stream<number>();
    const flat = s.unique().map(half).flatten();
    flat.connect(s);
    expect(inAnyOrder(readDot(flat.visualize()))).toEqual([
      'flatten, ellipse',
      'flatten, source',
      'map half, ellipse',
      'map half, flatten',
      'source, ellipse',
      'source, unique',
      'unique, ellipse',
      'unique, map half',
    ]);
  });

  test('nodes as text', () => {
    const s = new Stream<number>();
    const texts = [
      s,
      new Stream({ name: 'src' }),
      s.map(inc),
      s.partition(3),
      s.slidingWindow(2),
      s.map(inc, { name: 'named' }),
      s.filter(even),
      s.unique(),
      s.zip(new Stream()),
      s.rateLimit('500ms'),
      s.buffer(8),
    ];
    expect(texts.map(String)).toEqual([
      '<source>',
      '<source src>',
      '<map inc>',
      '<partition 3>',
      '<slidingWindow 2>',
      '<map named>',
      '<filter even>',
      '<unique>',
      '<zip>',
      '<rateLimit 500ms>',
      '<buffer 8>',
    ]);
    expect(inspect(texts[2])).toBe('<map inc>');
  });

  test('labels are for people: a snapshot goes by kinds and names', () => {
    const add = (a: number, b: number): number => a + b;
    const old = new Stream<number>();
    old.accumulate(add);
    void old.emit(1);
    const s = new Stream<number>();
    const sums = s.accumulate((a, b) => a + b);
    s.restore(old.snapshot());
    expect(sums.peek()).toBe(1);
  });

  test('what is destroyed is not in it, what nobody listens to is', () => {
    const s = new Stream<number>();
    const mapped = s.map(inc);
    expect(readDot(s.visualize()).nodes).toHaveLength(2);
    mapped.destroy();
    expect(readDot(s.visualize()).nodes).toEqual([['source', 'ellipse']]);
    expect(readDot(mapped.visualize()).nodes).toEqual([['map inc', 'ellipse']]);
  });
});

describe('the graph', () => {
  test('is the whole one, wherever it is asked', () => {
    const left = new Stream<number>({ name: 'left' });
    const right = new Stream<number>({ name: 'right' });
    const joined = left.map(inc).union(right.filter(even));
    const sink = joined.sink(ident);
    const whole = inAnyOrder(readDot(left.visualize()));
    for (const part of [right, joined, sink])
      expect(inAnyOrder(readDot(part.visualize()))).toEqual(whole);
    expect(whole).toHaveLength(6 + 5);
  });

  test('is drawn from the sources on, also round a cycle', () => {
    const s = new Stream<number>();
    const last = s.map(inc).filter(even).map(dec);
    last.connect(s);
    expect(last.visualize()).toBe(s.visualize());
    expect(readDot(s.visualize()).nodes.map(([label]) => label)).toEqual([
      'source',
      'map inc',
      'filter even',
      'map dec',
    ]);
  });

  test('a cycle of a stream with itself, and nothing in front of it', () => {
    const s = new Stream<number>();
    const mapped = s.map(inc);
    mapped.connect(mapped);
    s.disconnect(mapped);
    expect(readDot(mapped.visualize())).toMatchObject({
      nodes: [['map inc', 'ellipse']],
      edges: [['map inc', 'map inc']],
    });
  });

  test('has edges that are connected later, and not those that were disconnected', () => {
    const a = new Stream<number>({ name: 'a' });
    const b = new Stream<number>({ name: 'b' });
    const mapped = a.map(inc);
    b.connect(mapped);
    expect(readDot(a.visualize()).edges).toEqual([
      ['source a', 'map inc'],
      ['source b', 'map inc'],
    ]);
    a.disconnect(mapped);
    expect(readDot(mapped.visualize()).edges).toEqual([['source b', 'map inc']]);
  });

  test('keeps nodes apart that look the same', () => {
    const s = new Stream<number>();
    s.map(inc).map(inc);
    s.map(inc);
    const { nodes, edges } = readDot(s.visualize());
    expect(nodes.filter(([label]) => label === 'map inc')).toHaveLength(3);
    expect(edges).toHaveLength(3);
  });

  test('of one node', () => {
    expect(readDot(new Stream().visualize())).toMatchObject({
      nodes: [['source', 'ellipse']],
      edges: [],
    });
  });

  test('of 20,000 nodes in a row', () => {
    let stream = new Stream<number>();
    for (let i = 0; i < 20_000; i++) stream = stream.map(inc);
    expect(stream.visualize().match(/ -> /g)).toHaveLength(20_000);
  });
});

test.each([
  ['LR', '270'],
  ['TB', '180'],
] as const)('led %s, joins point there', (rankdir, degrees) => {
  const s = new Stream<number>();
  s.union(new Stream());
  const read = readDot(s.visualize({ rankdir }));
  expect(read.rankdir).toBe(rankdir);
  expect(read.nodes).toContainEqual(['union', 'triangle', degrees]);
});

describe('shapes and labels', () => {
  const s = new Stream<number>();
  const add = (a: number, b: number): number => a + b;
  const pair = (a: number, b: number): readonly [number, number] => [a, b];
  const objects = new Stream<{ city: string; country: string }>();
  class Counter {
    seen(): void {}
  }
  test.each<[Stream<unknown, unknown>, string, string, string?]>([
    [s, 'source', 'ellipse'],
    [Stream.from([1]), 'from', 'doubleoctagon'],
    [s.map((n) => n), 'map', 'ellipse'],
    [s.map(inc, { name: 'next' }), 'map inc|next', 'ellipse'],
    [s.tap(new Counter().seen.bind(null)), 'tap seen', 'ellipse'],
    [s.processors(inc, dec), 'processors inc dec', 'ellipse'],
    [s.accumulate(add), 'accumulate add', 'box'],
    [s.mapState(0, pair, { name: 'pairs' }), 'mapState pair|pairs', 'box'],
    [s.take(3), 'take 3', 'diamond'],
    [s.take(3, { name: 'groups' }), 'take 3|groups', 'diamond'],
    [s.buffer(5), 'buffer 5', 'diamond'],
    [s.union(objects), 'union', ...triangle],
    [objects.pluck('city'), 'pluck city', 'ellipse'],
    [objects.pluck(['city', 'country']), 'pluck city country', 'ellipse'],
    [objects.groupBy('city'), 'groupBy city', 'ellipse'],
    [objects.groupBy((o) => o.city, { name: 'by-city' }), 'groupBy by-city', 'ellipse'],
    [s.partition(4), 'partition 4', 'diamond'],
    [s.partitionUnique(4), 'partitionUnique 4', 'diamond'],
    [s.slidingWindow(4), 'slidingWindow 4', 'diamond'],
    [s.collect(), 'collect', 'diamond'],
    [s.timedWindow('1s'), 'timedWindow 1s', 'octagon'],
    [s.timedWindowUnique(250), 'timedWindowUnique 250', 'octagon'],
    [s.delay('1m'), 'delay 1m', 'octagon'],
    [s.rateLimit('1m'), 'rateLimit 1m', 'octagon'],
    [s.debounce('1m'), 'debounce 1m', 'octagon'],
    [s.throttle('1m'), 'throttle 1m', 'octagon'],
    [s.zip(objects), 'zip', ...triangle],
    [s.zipLatest(objects), 'zipLatest', ...triangle],
    [s.combineLatest(objects), 'combineLatest', ...triangle],
  ])('%s', (stream, label, shape, degrees) => {
    expect(readDot(stream.visualize()).nodes).toContainEqual([
      label,
      shape,
      ...(degrees === undefined ? [] : [degrees]),
    ]);
  });

  test('sinks say what they call', () => {
    const stream = new Stream<number>();
    stream.sink(ident);
    stream.sink(() => {});
    void stream.toArray().catch(() => undefined);
    expect(readDot(stream.visualize()).nodes.slice(1)).toEqual([
      ['sink ident', 'trapezium'],
      ['sink', 'trapezium'],
      ['toArray', 'trapezium'],
    ]);
    stream.destroy();
  });
});

describe('of an app', () => {
  test('topics, tables, agents and cuts', () => {
    const app = new Declared();
    const flights = app.topic('flights');
    const late = app.table('late');
    const grouped = flights.filter(({ delay }) => delay > 15).groupBy('origin');
    grouped.update(late, (n) => n + 1).sink(ignore);
    app.agent('mailer', flights);
    grouped.through(app.target('by-origin'));
    const { nodes, edges } = readDot(flights.visualize());
    expect(nodes).toEqual([
      ['topic flights', 'doubleoctagon'],
      ['filter', 'ellipse'],
      ['groupBy origin', 'ellipse'],
      ['update late', 'cylinder'],
      ['sink ignore', 'trapezium'],
      ['through by-origin', 'trapezium'],
      ['agent mailer', 'trapezium'],
    ]);
    expect(edges).toEqual([
      ['topic flights', 'filter', '0'],
      ['topic flights', 'agent mailer', '1'],
      ['filter', 'groupBy origin'],
      ['groupBy origin', 'update late', '0'],
      ['groupBy origin', 'through by-origin', '1'],
      ['update late', 'sink ignore'],
    ]);
  });

  test('closed windows and changes are sources', () => {
    const app = new Declared();
    const late = app.table('late');
    const closed = app.closed(late).map(ident);
    expect(readDot(closed.visualize()).nodes[0]).toEqual(['closed late', 'doubleoctagon']);
  });
});

test('an operator of somebody else is an ellipse', () => {
  const own = derive<number, null>([new Stream<number>()], {
    kind: 'toString',
    role: { role: 'operator', transparent: false, stateful: false },
    make: (output) => (value, event) => output.next(value, event),
  });
  expect(readDot(own.visualize()).nodes[1]).toEqual(['toString', 'ellipse']);
});
