/** `take`: groups by number and time. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sleep, VirtualClock } from '../../src/core/clock.ts';
import type { Duration } from '../../src/core/duration.ts';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, into, isSettled, manual, turn } from './helpers.ts';

/** Emits values at times, in ms, and writes down when groups come out. */
async function grouped(
  arrivals: readonly (readonly [atMs: number, value: string])[],
  count: number,
  within: Duration,
  takesMs = 0,
): Promise<[number, string][]> {
  const clock = new VirtualClock();
  const source = new Stream<string>({ clock });
  const out: [number, string][] = [];
  source.take(count, { within }).sink((group) => {
    out.push([clock.monotonic(), group.join('')]);
    return takesMs === 0 ? undefined : sleep(clock, takesMs);
  });
  for (const [atMs, value] of arrivals) clock.setTimer(atMs, () => void source.emit(value));
  await clock.advance(10_000);
  expect(clock.timers).toBe(0);
  return out;
}

describe('by number', () => {
  test('groups go on when they are full; close sends the rest', async () => {
    const source = new Stream<number>();
    const out = into(source.take(3));
    for (let x = 1; x <= 7; x++) expect(source.emit(x)).toBeUndefined();
    expect(out).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    await source.drain();
    expect(out).toHaveLength(2);
    await source.close();
    expect(out).toEqual([[1, 2, 3], [4, 5, 6], [7]]);
  });

  test('groups of one', async () => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const out = into(source.take(1, { within: '1s' }));
    void source.emit(1);
    expect([out, clock.timers]).toEqual([[[1]], 0]);
    await source.close();
    expect(out).toEqual([[1]]);
  });

  test('the emit that completes a group waits for it, and has its error', async () => {
    const source = new Stream<number>();
    const work = manual<void>();
    source.take(2).sink(([first = 0]) => work.fn(first));
    expect(source.emit(1)).toBeUndefined();
    const second = source.emit(2);
    expect(await isSettled(second)).toBe(false);
    work.fail(1, new Error('group'));
    await expect(second).rejects.toThrow('group');
    void source.emit(3);
    const fourth = source.emit(4);
    work.finish(3, undefined);
    await fourth;
  });

  test('groups are per key, and go on with the key', async () => {
    const source = new Stream<{ city: string; n: number }>();
    const out = into(
      source
        .groupBy('city')
        .take(2)
        .items()
        .map(([city, group]) => [city, group.map(({ n }) => n)]),
    );
    for (const [n, city] of ['Rome', 'Oslo', 'Rome', 'Rome', 'Oslo', 'Bern'].entries())
      void source.emit({ city, n });
    expect(out).toEqual([
      ['Rome', [0, 2]],
      ['Oslo', [1, 4]],
    ]);
    await source.close();
    expect(out.slice(2)).toEqual([
      ['Rome', [3]],
      ['Bern', [5]],
    ]);
  });

  test.each([0, -1, 1.5, Number.NaN, 1_000_001])('refuses groups of %d', (count) => {
    expect(codeOf(() => new Stream().take(count))).toBe('MR_OPTION_INVALID');
  });

  test.each(['10 min', -1, Number.NaN])('refuses within %s', (within) => {
    expect(codeOf(() => new Stream().take(2, { within: within as Duration }))).toBe(
      'MR_OPTION_INVALID',
    );
  });
});

describe('by time', () => {
  test('the time of a group begins with its first value', async () => {
    expect(
      await grouped(
        [
          [0, 'a'],
          [800, 'b'],
          [1_200, 'c'],
          [1_600, 'd'],
          [1_700, 'e'],
          [3_000, 'f'],
        ],
        3,
        '1s',
      ),
    ).toEqual([
      [1_000, 'ab'],
      [1_700, 'cde'],
      [4_000, 'f'],
    ]);
  });

  test('a full group takes its timer with it', async () => {
    expect(
      await grouped(
        [
          [0, 'a'],
          [10, 'b'],
          [20, 'c'],
        ],
        2,
        100,
      ),
    ).toEqual([
      [10, 'ab'],
      [120, 'c'],
    ]);
  });

  test('while a group is under way the next one fills up, to its size', async () => {
    expect(
      await grouped(
        [
          [0, 'a'],
          [500, 'b'],
          [600, 'c'],
          [700, 'd'],
        ],
        10,
        300,
        1_000,
      ),
    ).toEqual([
      [300, 'a'],
      [1_300, 'bcd'],
    ]);
    expect(
      await grouped(
        ['a', 'b', 'c', 'd', 'e', 'f'].map((value, i) => [i * 100, value] as const),
        2,
        50,
        1_000,
      ),
      // a is under way until 1,050; b waits for it, and c completes b's group.
    ).toEqual([
      [50, 'a'],
      [1_050, 'bc'],
      [2_050, 'de'],
      [3_050, 'f'],
    ]);
  });

  test('groups of several keys go on one at a time', async () => {
    const clock = new VirtualClock();
    const source = new Stream<string>({ clock });
    const log: string[] = [];
    source
      .groupBy((value) => value, { name: 'value' })
      .take(2, { within: 10 })
      .tap(async (group) => {
        log.push(`begin ${group.join('')}`);
        await sleep(clock, 5);
        log.push(`end ${group.join('')}`);
      })
      .sink(() => undefined);
    for (const value of 'abc') void source.emit(value);
    await clock.advance(100);
    expect(log).toEqual(['a', 'b', 'c'].flatMap((value) => [`begin ${value}`, `end ${value}`]));
  });

  test('what a timer sends and fails is told by the next emit, drain or close', async () => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const seen: number[][] = [];
    source.take(2, { within: 10 }).sink((group) => {
      seen.push(group);
      if (group.length === 1) throw new Error(`alone ${group[0]}`);
    });
    void source.emit(1);
    await clock.advance(10);
    expect(() => source.emit(2)).toThrow('alone 1');
    await clock.advance(10);
    await expect(source.drain()).rejects.toThrow('alone 2');
    void source.emit(3);
    await clock.advance(10);
    await expect(source.close()).rejects.toThrow('alone 3');
    expect(seen).toEqual([[1], [2], [3]]);
  });

  test('drain waits for the group under way, not for open ones', async () => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const work = manual<void>();
    source.take(2, { within: 10 }).sink(([first = 0]) => work.fn(first));
    void source.emit(1);
    await source.drain();
    await clock.advance(10);
    void source.emit(2);
    const drained = source.drain();
    expect(await isSettled(drained)).toBe(false);
    work.finish(1, undefined);
    await drained;
    source.destroy();
  });

  test('close sends open groups in the order in which they began, and stops their timers', async () => {
    const clock = new VirtualClock();
    const source = new Stream<string>({ clock });
    const all = source
      .groupBy((value) => value[0] as string, { name: 'letter' })
      .take(3, { within: '1h' })
      .toArray();
    for (const value of ['b1', 'a1', 'b2']) void source.emit(value);
    expect(clock.timers).toBe(2);
    await source.close();
    expect(await all).toEqual([['b1', 'b2'], ['a1']]);
    expect(clock.timers).toBe(0);
  });

  test('close behind a group under way', async () => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const work = manual<void>();
    source.take(2, { within: 10 }).sink(([first = 0]) => work.fn(first));
    void source.emit(1);
    await clock.advance(10);
    void source.emit(2);
    const closed = source.close();
    expect(await isSettled(closed)).toBe(false);
    work.finish(1, undefined);
    await turn();
    work.finish(2, undefined);
    await closed;
    expect(work.calls).toEqual([1, 2]);
  });

  test('destroy drops open groups', async () => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const out = into(source.take(2, { within: 10 }));
    void source.emit(1);
    source.destroy();
    expect(clock.timers).toBe(0);
    await clock.advance(100);
    expect(out).toEqual([]);
  });

  test('a rest that fails rejects whoever waits for all of it', async () => {
    const failing = Stream.from([1, 2, 3])
      .take(2)
      .map((group) => {
        if (group.length === 1) throw new Error('rest');
        return group;
      });
    await expect(failing.toArray()).rejects.toThrow('rest');
  });
});

test('every value is in one group, in order; no group is too large or too late', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ after: fc.integer({ min: 0, max: 30 }), key: fc.constantFrom('a', 'b') }),
        { maxLength: 40 },
      ),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 30 }),
      fc.constantFrom(0, 7),
      async (arrivals, count, within, takesMs) => {
        const clock = new VirtualClock();
        const source = new Stream<{ key: string; n: number; at: number }>({ clock });
        const out: { at: number; n: number; key: string }[][] = [];
        source
          .groupBy('key')
          .take(count, { within })
          .sink((group) => {
            if (takesMs === 0)
              expect(clock.monotonic() - (group[0]?.at as number)).toBeLessThanOrEqual(within);
            out.push(group);
            return takesMs === 0 ? undefined : sleep(clock, takesMs);
          });
        for (const [n, { after, key }] of arrivals.entries()) {
          await clock.advance(after);
          void source.emit({ key, n, at: clock.monotonic() });
        }
        await clock.advance(10_000);
        for (const key of ['a', 'b'])
          expect(
            out
              .flat()
              .filter((each) => each.key === key)
              .map(({ n }) => n),
          ).toEqual([...arrivals.entries()].flatMap(([n, each]) => (each.key === key ? [n] : [])));
        for (const group of out) {
          expect(group.length).toBeLessThanOrEqual(count);
          expect(new Set(group.map(({ key }) => key)).size).toBe(1);
        }
        expect(clock.timers).toBe(0);
      },
    ),
    { numRuns: 100 },
  );
});
