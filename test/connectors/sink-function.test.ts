import { expect, test } from 'vitest';

import { sinkFunction } from '../../src/connectors/sink-function.ts';
import { codeOfRejection, isSettled } from '../stream/helpers.ts';
import { gate, turn, until } from './support.ts';

test('works on one value at a time, in the order of the calls', async () => {
  const { fn, values, open } = gate();
  const sink = sinkFunction<number>({ what: 'a sink', send: fn, end: () => Promise.resolve() });
  const first = sink(1);
  const second = sink(2);
  await until(() => values.length === 1);
  await turn();
  expect(values).toEqual([1]);
  open();
  await first;
  await until(() => values.length === 2);
  expect(await isSettled(second)).toBe(false);
  open();
  await second;
});

test('one that fails does not hold up the next', async () => {
  const sink = sinkFunction<number>({
    what: 'a sink',
    send: (n) => (n === 1 ? Promise.reject(new RangeError('no one')) : Promise.resolve()),
    end: () => Promise.resolve(),
  });
  const first = sink(1);
  const second = sink(2);
  await expect(first).rejects.toThrow('no one');
  await second;
});

test('closing waits for what it was called with, ends once, and refuses what comes later', async () => {
  const { fn, values, open } = gate();
  let ends = 0;
  const sink = sinkFunction<number>({
    what: 'a sink',
    send: fn,
    end: async () => void ends++,
  });
  void sink(1);
  const closing = sink.close();
  expect(sink.close()).toBe(closing);
  expect(await codeOfRejection(sink(2))).toBe('MR_CLOSED');
  expect(await isSettled(closing)).toBe(false);
  expect(ends).toBe(0);
  open();
  await closing;
  await sink[Symbol.asyncDispose]();
  expect([values, ends]).toEqual([[1], 1]);
});

test('10,000 calls may wait', async () => {
  const { fn, openForGood } = gate();
  const sink = sinkFunction<number>({ what: 'a sink', send: fn, end: () => Promise.resolve() });
  const calls = Array.from({ length: 10_001 }, (_, i) => sink(i));
  expect(await codeOfRejection(sink(-1))).toBe('MR_OVERFLOW');
  openForGood();
  await Promise.all(calls);
});
