/** Branches that end by themselves, behind `slice` and `zip`: what they have taken is waited for, and what goes wrong in them is told. */
import { describe, expect, test } from 'vitest';
import { sleep, VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { isSettled } from '../helpers.ts';

type Build = (source: Stream<number>) => Stream<unknown, unknown>;

const branches: [string, Build][] = [
  ['slice', (s) => s.slice(0, 1).delay(10)],
  ['slice behind slice', (s) => s.slice(0, 3).slice(0, 1).delay(10)],
  [
    'zip',
    (s) => {
      const one = Stream.from(['a']);
      return s.zip(one).delay(10);
    },
  ],
];

describe.each(branches)('a branch that has ended behind %s', (_, build) => {
  test.each(['drain', 'close'] as const)('is waited for by %s', async (end) => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const seen: unknown[] = [];
    build(source).sink((value) => void seen.push(value));
    await clock.advance(1);
    void source.emit(1);
    await clock.advance(1);
    const waiting = source[end]();
    expect(await isSettled(waiting)).toBe(false);
    await clock.advance(10);
    await waiting;
    expect(seen).toHaveLength(1);
  });

  test('is let go of by destroy', async () => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const seen: unknown[] = [];
    build(source).sink((value) => void seen.push(value));
    await clock.advance(1);
    void source.emit(1);
    await clock.advance(1);
    source.destroy();
    expect(clock.timers).toBe(0);
    await clock.advance(20);
    expect(seen).toEqual([]);
  });

  test('tells the next one who asks what goes wrong in it', async () => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    build(source).sink(() => {
      throw new Error('sink');
    });
    await clock.advance(1);
    void source.emit(1);
    await clock.advance(20);
    expect(() => source.emit(2)).toThrow('sink');
    expect(source.emit(3)).toBeUndefined();
    await source.drain();
    await source.close();
  });

  test('tells close what goes wrong in the end', async () => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    build(source)
      .partition(5)
      .sink(() => {
        throw new Error('the rest');
      });
    await clock.advance(1);
    void source.emit(1);
    const closed = Promise.allSettled([source.close()]);
    await clock.advance(20);
    expect(await closed).toEqual([{ status: 'rejected', reason: new Error('the rest') }]);
  });
});

describe('a stream that is closed behind an operator that runs ahead', () => {
  const ahead: [string, Build][] = [
    ['buffer', (s) => s.buffer(2)],
    ['delay', (s) => s.delay(1)],
    ['take within', (s) => s.take(2, { within: 1 })],
    ['timedWindow', (s) => s.timedWindow(1)],
    ['latest', (s) => s.latest()],
    ['debounce', (s) => s.debounce(1)],
  ];

  test.each(ahead)('%s: finishes what has come to it', async (_, build) => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const seen: unknown[] = [];
    let came = false;
    const slow = build(source).map(async (value) => {
      came ||= [value].flat().length > 0;
      await sleep(clock, 10);
      return value;
    });
    slow.sink((value) => void seen.push(value));
    await clock.advance(2);
    void source.emit(1);
    for (let i = 0; i < 20 && !came; i++) await clock.advance(1);
    const closing = slow.close();
    expect(await isSettled(closing)).toBe(false);
    await clock.advance(20);
    await closing;
    expect(seen.flat()).toEqual([1]);
    source.destroy();
  });

  test.each(ahead)('%s: also when a slice ends there', async (_, build) => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const seen: unknown[] = [];
    build(source)
      .map((value) => [value].flat() as number[])
      .flatten()
      .slice(0, 1)
      .tap(() => sleep(clock, 10))
      .sink((value) => void seen.push(value));
    await clock.advance(2);
    void source.emit(1);
    await clock.advance(30);
    expect(seen).toEqual([1]);
    source.destroy();
  });
});

test('a branch that ends within a cycle does not wait for itself', async () => {
  const source = new Stream<number>();
  const seen: number[] = [];
  const down = source
    .slice(0, 3)
    .map(async (x) => x - 1)
    .tap((x) => seen.push(x));
  down.connect(source);
  await source.emit(10);
  await source.drain();
  await source.close();
  expect(seen).toEqual([9, 8, 7]);
});
