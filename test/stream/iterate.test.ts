import { describe, expect, test } from 'vitest';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, isSettled, turn } from './helpers.ts';

async function take<T>(iterable: AsyncIterable<T>, n: number): Promise<T[]> {
  const values: T[] = [];
  if (n === 0) return values;
  for await (const value of iterable) {
    values.push(value);
    if (values.length === n) break;
  }
  return values;
}

describe('iterators', () => {
  test('each is a branch of its own', async () => {
    const source = new Stream<number>();
    const both = [take(source, 3), take(source.iterate(), 2)];
    await source.emitAll([1, 2, 3, 4]);
    expect(await Promise.all(both)).toEqual([
      [1, 2, 3],
      [1, 2],
    ]);
  });

  test('connected at the first next, disconnected by break', async () => {
    const source = new Stream<number>();
    const iterator = source.iterate();
    void source.emit(1);
    expect(source['~node'].children).toHaveLength(0);
    const first = take(iterator, 1);
    expect(source['~node'].children).toHaveLength(1);
    void source.emit(2);
    expect(await first).toEqual([2]);
    expect(source['~node'].children).toHaveLength(0);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(source['~node'].children).toHaveLength(0);
  });

  test('left before it began', async () => {
    const source = new Stream<number>();
    const iterator = source.iterate();
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(source['~node'].children).toHaveLength(0);
  });

  test('push back when full, and let waiting emits go when they are left', async () => {
    const source = new Stream<number>();
    const iterator = source.iterate({ capacity: 2 });
    const first = iterator.next();
    expect([1, 2, 3].map((x) => source.emit(x))).toEqual([undefined, undefined, undefined]);
    const waiting = source.emit(4);
    expect(await isSettled(waiting)).toBe(false);
    expect(await first).toEqual({ done: false, value: 1 });
    expect(await iterator.next()).toEqual({ done: false, value: 2 });
    await waiting;
    const again = source.emit(5);
    expect(await isSettled(again)).toBe(false);
    await iterator.return?.();
    await again;
    expect(source.emit(6)).toBeUndefined();
  });

  test('hold 1,000 values by default', () => {
    const source = new Stream<number>();
    void source[Symbol.asyncIterator]().next();
    for (let i = 0; i <= 1_000; i++) expect(source.emit(i)).toBeUndefined();
    expect(source.emit(0)).toBeInstanceOf(Promise);
  });

  test('end when the stream is closed, after what is left', async () => {
    const source = new Stream<number>();
    const all = take(
      source.map((x) => x * 2),
      10,
    );
    await source.emitAll([1, 2]);
    await source.close();
    expect(await all).toEqual([2, 4]);
  });

  test('end when the stream is destroyed', async () => {
    const source = new Stream<number>();
    const mapped = source.map((x) => x);
    const all = take(mapped, 10);
    void source.emit(1);
    mapped.destroy();
    expect(await all).toEqual([1]);
  });

  test('a body that emits to its own stream', async () => {
    const source = new Stream<number>();
    const seen: number[] = [];
    const loop = (async () => {
      for await (const x of source) {
        seen.push(x);
        if (x === 0) break;
        await source.emit(x - 1);
      }
    })();
    await source.emit(3);
    await loop;
    expect(seen).toEqual([3, 2, 1, 0]);
  });

  test('abort rejects the pending next and disconnects', async () => {
    const source = new Stream<number>();
    const controller = new AbortController();
    const all = codeOfRejection(take(source.iterate({ signal: controller.signal }), 2));
    void source.emit(1);
    await turn();
    controller.abort();
    expect(await all).toBe('MR_ABORTED');
    expect(source['~node'].children).toHaveLength(0);
    expect(await codeOfRejection(source.iterate({ signal: AbortSignal.abort() }).next())).toBe(
      'MR_ABORTED',
    );
    expect(source['~node'].children).toHaveLength(0);
  });

  test.each([0, -1, 1.5])('refuse a capacity of %d at once', (capacity) => {
    expect(codeOf(() => new Stream().iterate({ capacity }))).toBe('MR_OPTION_INVALID');
  });
});
