/** Who has read what an event has written and may still take back. */
import { expect, test } from 'vitest';

import { keyRef } from '../../src/codec/key.ts';
import { Effects } from '../../src/core/effects.ts';
import { KeyedStore } from '../../src/state/store.ts';
import { codec, keyedRows } from './support.ts';

const a = keyRef('a');
const b = keyRef('b');

/** A store with a row, and events that are under way beside each other. */
function made() {
  const store = new KeyedStore('t');
  store.use(codec);
  store.write(store.cell(a), 1);
  const write = (effects: Effects, value: unknown, ref = a): void =>
    store.write(store.cell(ref), value, effects);
  const read = (effects: Effects, ref = a): unknown => store.read(store.cell(ref), effects);
  const [first, second, third] = [new Effects(true), new Effects(true), new Effects(true)];
  return { store, write, read, first, second, third };
}

test('a write that another event has read cannot be taken back alone', () => {
  const { write, read, first, second } = made();
  write(first, 2);
  expect(read(second)).toBe(2);
  expect(first.rollback()).toBe(false);
});

test('nor can one that is no row any more', () => {
  const { write, read, first, second } = made();
  write(first, undefined);
  expect(read(second)).toBe(undefined);
  second.settle();
  expect(first.rollback()).toBe(false);
});

test('whoever goes through all rows has missed one that another event has deleted', () => {
  const { store, write, first, second } = made();
  write(first, undefined);
  expect([...store.rows(second)]).toEqual([]);
  expect(first.rollback()).toBe(false);
});

test('whoever was taken back has read nothing', () => {
  const { store, write, read, first, second } = made();
  write(first, 2);
  const mark = second.mark();
  read(second);
  read(second);
  second.rollback(mark);
  expect(first.rollback()).toBe(true);
  expect(keyedRows(store)).toEqual(new Map([['a', 1]]));
});

test('its own event may read it, and others what was there before it and after its end', () => {
  const { write, read, first, second, third } = made();
  read(second);
  write(first, 2);
  read(first);
  read(second, b);
  expect(first.rollback()).toBe(true);
  read(second);
  write(third, 3);
  third.settle();
  read(second);
  expect(third.rollback()).toBe(true);
});

test('of several writes the last is what is read', () => {
  const { store, write, read, first, second, third } = made();
  write(first, 2);
  write(second, 3);
  read(third);
  expect(second.rollback()).toBe(false);
  third.rollback();
  expect(first.rollback()).toBe(true);
  expect(keyedRows(store)).toEqual(new Map([['a', 1]]));
});

test('an older write that others have ended behind is found again', () => {
  const { write, read, first, second, third } = made();
  write(first, 2);
  write(second, 3);
  write(third, 4);
  third.rollback();
  second.rollback();
  read(second);
  expect(first.rollback()).toBe(false);
});

test('parts of one event that is alone may build on each other', () => {
  const { store, write, read } = made();
  const alone = new Effects();
  const part = alone.fork();
  write(part, 2);
  expect(read(alone)).toBe(2);
  expect(part.rollback()).toBe(true);
  expect(keyedRows(store)).toEqual(new Map([['a', 1]]));
});
