import { describe, expect, test } from 'vitest';
import { fanOut, nothing, settleAll } from '../../src/stream/output.ts';
import type { Receive } from '../../src/stream/operator.ts';
import { Stream } from '../../src/stream/stream.ts';
import { isSettled } from './helpers.ts';

const sync =
  (log: string[], name: string): Receive =>
  (value) =>
    void log.push(`${name}${String(value)}`);

describe('fanOut', () => {
  test('is nothing for no target, and the target itself for one', () => {
    const only: Receive = () => undefined;
    expect(fanOut([])).toBe(nothing);
    expect(fanOut([])(1, null)).toBeUndefined();
    expect(fanOut([only])).toBe(only);
  });

  test.each([2, 3, 5])('calls %d targets in order, without a promise', (n) => {
    const log: string[] = [];
    const targets = Array.from({ length: n }, (_, i) => sync(log, `${i}:`));
    expect(fanOut(targets)('x', null)).toBeUndefined();
    expect(log).toEqual(Array.from({ length: n }, (_, i) => `${i}:x`));
  });

  test('gives the one promise there is', () => {
    const promise = Promise.resolve();
    for (const targets of [
      [nothing, () => promise],
      [() => promise, nothing],
      [nothing, () => promise, nothing],
    ])
      expect(fanOut(targets)(1, null)).toBe(promise);
  });

  test.each([2, 3])('with %d targets waits for all, also when one rejects early', async (n) => {
    const slow = Promise.withResolvers<void>();
    const failing = Promise.reject(new Error('early'));
    const targets: Receive[] = [() => failing, () => slow.promise, nothing].slice(0, n);
    const result = fanOut(targets)(1, null);
    expect(await isSettled(result)).toBe(false);
    slow.resolve();
    await expect(result).rejects.toThrow('early');
  });

  test.each([2, 3])('with %d targets a throw keeps the value from later ones', (n) => {
    const log: string[] = [];
    const throwing: Receive = () => {
      throw new Error('first');
    };
    const targets = [throwing, sync(log, 'a'), sync(log, 'b')].slice(0, n);
    expect(() => fanOut(targets)(1, null)).toThrow('first');
    expect(log).toEqual([]);
  });

  test.each([2, 3])(
    'with %d targets a throw waits for what was started and swallows its outcome',
    async (n) => {
      const started = Promise.withResolvers<void>();
      const throwing: Receive = () => {
        throw new Error('later branch');
      };
      const targets: Receive[] =
        n === 2 ? [() => started.promise, throwing] : [nothing, () => started.promise, throwing];
      const result = fanOut(targets)(1, null);
      expect(await isSettled(result)).toBe(false);
      // If this were left without a handler, vitest would report it.
      started.reject(new Error('earlier branch'));
      await expect(result).rejects.toThrow('later branch');
    },
  );

  test('settleAll rejects with the first in order of the list', async () => {
    const late = Promise.withResolvers<void>();
    const all = settleAll([late.promise, Promise.reject(new Error('second'))]);
    late.reject(new Error('first'));
    await expect(all).rejects.toThrow('first');
  });
});

test('children get a value in the order of declaration, and one that comes later is last', () => {
  const source = new Stream<number>();
  const log: string[] = [];
  const add = (name: string): void => void source.sink((x) => log.push(`${name}${x}`));
  for (const name of ['a', 'b', 'c']) add(name);
  void source.emit(1);
  add('d');
  void source.emit(2);
  expect(log).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2', 'd2']);
});

test('a value reaches those who were connected when it set out', () => {
  const source = new Stream<number>();
  const log: string[] = [];
  source.sink((x) => {
    log.push(`a${x}`);
    if (x === 1) source.sink((y) => log.push(`c${y}`));
  });
  source.sink((x) => log.push(`b${x}`));
  void source.emit(1);
  void source.emit(2);
  expect(log).toEqual(['a1', 'b1', 'a2', 'b2', 'c2']);
});

test('nobody listens: values go nowhere, at once', () => {
  expect(new Stream<number>().emit(1)).toBeUndefined();
  const source = new Stream<number>();
  source.map((x) => x).filter(Boolean);
  expect(source.emit(1)).toBeUndefined();
});
