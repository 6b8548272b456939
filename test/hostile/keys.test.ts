/** Keys, members and headers that have a meaning in JavaScript are data: each is counted exactly. */
import { App, msgpack, unchecked } from 'millrace';
import { TestApp } from 'millrace/testing';
import { expect, test } from 'vitest';

import { SLOW } from '../cli/support.ts';
import { prototypes } from './attack.ts';

const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '__defineGetter__',
  '__lookupSetter__',
  'then',
  'toJSON',
  'length',
  'undefined',
  'null',
  '0',
  '',
  '\0',
  '\u{feff}mark',
  'plain',
];
/** Each comes a different number of times. */
const EVENTS = NAMES.flatMap((name, i) => Array.from({ length: i + 1 }, () => name));
const EXPECTED: ReadonlyMap<unknown, number> = new Map(NAMES.map((name, i) => [name, i + 1]));
const HOUR = 3_600_000;

interface Named {
  readonly name: string;
  readonly data: Record<string, unknown>;
}

/** An object with a member of its own, whatever that is called. */
function member<T>(name: string, value: T): Record<string, T> {
  return Object.fromEntries([[name, value]]);
}

/** An object of counts, with one more for `name`. */
function counted(counts: Readonly<Record<string, number>>, name: string): Record<string, number> {
  const before = Object.hasOwn(counts, name) ? (counts[name] as number) : 0;
  return Object.fromEntries([...Object.entries(counts), [name, before + 1]]);
}

test.each([
  ['json', undefined],
  ['msgpack', msgpack],
])('%s: tables, groupBy, windows, values, headers', { timeout: SLOW }, async (_, codec) => {
  const before = prototypes();
  const app = new App('shop', { codec });
  const events = app.topic('events', { key: unchecked<string>(), value: unchecked<Named>() });
  const out = app.topic('out', {
    key: unchecked<string>(),
    value: unchecked<Record<string, unknown>>(),
  });
  const byKey = app.table('by-key', { default: () => 0 });
  const byName = app.table('by-name', { default: () => 0 });
  const fromAgent = app.table('from-agent', { default: () => 0 });
  const byHour = app.table('by-hour', { default: () => 0 }).tumbling('1h', { retention: '1d' });
  const inOneRow = app.table('in-one-row', { default: (): Record<string, number> => ({}) });
  events.stream().update(byKey, (n) => n + 1);
  const named = events.stream().groupBy('name');
  named.update(byName, (n) => n + 1);
  named.update(byHour, (n) => n + 1);
  events
    .stream()
    .groupBy(() => 'all', { name: 'all' })
    .update(inOneRow, (counts, { name }) => counted(counts, name));
  app.agent('copies', events, async (stream) => {
    for await (const event of stream.events()) {
      fromAgent.update(event.key, (n) => n + 1);
      await out.send(event.value.data, { key: event.key, headers: event.headers ?? {} });
    }
  });

  await using t = await TestApp.start(app);
  await t.sendAll(
    events,
    EVENTS.map((name) => [
      { name, data: member(name, member(name, 1)) },
      { key: name, timestamp: 1_000, headers: member(name, name) },
    ]),
  );

  expect(new Map(t.table(byKey).entries())).toEqual(EXPECTED);
  expect(new Map(t.table(byName).entries())).toEqual(EXPECTED);
  expect(new Map(t.table(fromAgent).entries())).toEqual(EXPECTED);
  for (const [name, times] of EXPECTED) {
    expect(t.table(byHour).at(name as string, HOUR / 2)).toBe(times);
    expect(t.table(byKey).get(name as string)).toBe(times);
  }
  expect(t.table(byKey).has('isPrototypeOf')).toBe(false);
  expect(new Map(Object.entries(t.table(inOneRow).get('all') ?? {}))).toEqual(EXPECTED);
  const copies = await t.output(out);
  expect(copies).toHaveLength(EVENTS.length);
  for (const { key, value, headers } of copies) {
    expect(Object.keys(value)).toEqual([key]);
    expect(Object.keys(value[key] as object)).toEqual([key]);
    expect(Object.entries(headers ?? {})).toEqual([[key, key]]);
  }
  expect(prototypes()).toBe(before);
});
