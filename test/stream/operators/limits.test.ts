import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../src/core/clock.ts';
import { MAX_WAITING } from '../../../src/stream/lane.ts';
import { retry } from '../../../src/stream/policy.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { codeOf, turn } from '../helpers.ts';

test('onError: values that wait to be tried again are bounded', () => {
  const clock = new VirtualClock();
  const source = new Stream<number>({ clock });
  let calls = 0;
  source.onError(retry({ times: 1, backoff: '1s' })).sink(() => {
    calls += 1;
    throw new Error('not yet');
  });
  for (let i = 0; i < MAX_WAITING; i++) (source.emit(i) as Promise<void>).catch(() => {});
  expect(codeOf(() => source.emit(0))).toBe('MR_OVERFLOW');
  expect(calls).toBe(MAX_WAITING);
});

test('onError: there is room again when they have been', async () => {
  const clock = new VirtualClock();
  const source = new Stream<number>({ clock });
  const tried = new Set<number>();
  const emits: Promise<void>[] = [];
  source.onError(retry({ times: 1, backoff: '1s' })).sink((x) => {
    if (tried.has(x)) return;
    tried.add(x);
    throw new Error('not yet');
  });
  for (let i = 0; i < MAX_WAITING; i++) emits.push(source.emit(i) as Promise<void>);
  await clock.advance(1_000);
  await Promise.all(emits);
  expect(source.emit(0)).toBeUndefined();
});

test('timedWindowUnique: what it leaves out takes no room', async () => {
  const clock = new VirtualClock();
  const source = new Stream<number>({ clock });
  const windows = source.timedWindowUnique('1h').toArray();
  await clock.advance(0);
  for (let i = 0; i <= 1_000_000; i++) void source.emit(i % 3);
  await source.close();
  expect(await windows).toEqual([[], [0, 1, 2]]);
});

test('timedWindowUnique, keep last: also where one replaces another', async () => {
  const clock = new VirtualClock();
  const source = new Stream<number>({ clock });
  const windows = source.timedWindowUnique('1h', { key: (x) => x % 2, keep: 'last' }).toArray();
  await clock.advance(0);
  for (let i = 0; i <= 1_000_000; i++) void source.emit(i);
  await source.close();
  expect(await windows).toEqual([[], [999_999, 1_000_000]]);
});

describe('flatten stops in elements without an end when nothing is behind it any more', () => {
  let closed = 0;
  function* naturals(): Generator<number> {
    try {
      for (let n = 0; ; n++) yield n;
    } finally {
      closed += 1;
    }
  }
  async function* later(): AsyncGenerator<number> {
    yield* naturals();
  }

  test.each([
    ['iterable', naturals],
    ['async iterable', later],
  ] as [string, () => Iterable<number> | AsyncIterable<number>][])('%s', async (_, elements) => {
    closed = 0;
    const three = await Stream.from([0]).map(elements).flatten().slice(0, 3).toArray();
    expect(three).toEqual([0, 1, 2]);
    for await (const n of Stream.from([0]).map(elements).flatten()) if (n === 3) break;
    const source = new Stream<number>();
    const flat = source.map(elements).flatten();
    flat.sink(async (n) => {
      if (n === 3) flat.destroy();
    });
    await source.emit(0);
    await turn();
    expect(closed).toBe(3);
  });
});
