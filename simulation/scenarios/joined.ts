/**
 * One part of the app reads two topics at once, one of which another part writes: its windows overlap, and close by the slower of the two.
 * Beside it a timer sends, and the changes of a table go to a topic.
 *
 * @module
 */
import { App, unchecked } from '../../src/index.ts';
import { equal, sorted, sumBy } from '../lib/expect.ts';
import { large } from '../lib/scenario.ts';
import type { Declared, Ending, Input, Scenario, Setting } from '../lib/scenario.ts';

const SIZE_MS = 600;
const STEP_MS = 200;

interface Copy {
  readonly id: number;
  readonly user: string;
  readonly at: number;
  readonly copy: boolean;
}

interface Total {
  readonly user: string;
  readonly total: number;
}

function declare({ sizes, options }: Setting): Declared {
  const { partitions, graceMs } = sizes;
  const app = new App('pairs', options);
  const timed = { key: unchecked<string>(), partitions };
  const source = app.topic('firsts', {
    ...timed,
    value: unchecked<Input>(),
    timestamp: ({ at }: Input) => at,
  });
  const copies = app.topic('copies', {
    ...timed,
    value: unchecked<Copy>(),
    timestamp: ({ at }: Copy) => at,
  });
  const totals = app.topic('totals', { ...timed, partitions: 1, value: unchecked<Total>() });
  const closed = app.topic('closed', { ...timed, partitions: 1, value: unchecked<string>() });
  const ticks = app.topic('ticks', { ...timed, partitions: 1, value: unchecked<number>() });
  source
    .stream()
    .map(({ id, user, at }): Copy => ({ id, user, at, copy: true }))
    .sink(copies);
  const total = app.table('total', { default: () => 0 });
  const perUser = app
    .table('per-user', { default: () => 0 })
    .hopping(SIZE_MS, STEP_MS, { grace: graceMs, retention: '1h' });
  const both = source
    .stream()
    .map(({ id, user, at }): Copy => ({ id, user, at, copy: false }))
    .union(copies.stream());
  both.update(total, (count) => count + 1);
  both.update(perUser, (count) => count + 1);
  total
    .changes()
    .map(({ key, value }): Total => ({ user: key, total: value ?? 0 }))
    .sink(totals);
  perUser
    .closed()
    .map(({ key, window }) => `${key}@${window.start}`)
    .sink(closed);
  let tick = 0;
  app.timer(70, async () => {
    await ticks.send(++tick, { key: 'tick' });
  });
  return { app, source };
}

export const joined: Scenario = {
  name: 'joined',
  scale: large,
  group: 'pairs',
  declare,
  once: {
    firsts: ({ id }: Input) => String(id),
    copies: ({ id }: Copy) => String(id),
    totals: ({ user, total }: Total) => `${user} ${total}`,
    closed: (window: string) => window,
  },
  complete: ({ values, inputs, sizes }) =>
    values('copies').length === inputs.length &&
    values('totals').length === 2 * inputs.length &&
    (!sizes.exact || values('closed').length === windowsOf(inputs, true).size),
  check({ inputs, values, rows, late, sizes }: Ending) {
    const ids = inputs.map(({ id }) => id);
    equal('copies', sorted((values('copies') as Copy[]).map(({ id }) => id)), ids);
    equal(
      'total',
      rows('total'),
      sumBy(
        inputs,
        ({ user }) => user,
        () => 2,
      ),
    );
    const windows = rows('per-user');
    if (sizes.exact) {
      equal('late', late('per-user'), 0);
      equal('per-user', windows, windowsOf(inputs, false));
      equal('closed', new Set(values('closed')), new Set(windowsOf(inputs, true).keys()));
      return;
    }
    let counted = late('per-user');
    for (const count of windows.values()) counted += count as number;
    equal('per-user and the late', counted, inputs.length * 2 * (SIZE_MS / STEP_MS));
  },
};

/** Counts by user and window: of all windows, or of those that close. */
function windowsOf(inputs: readonly Input[], closed: boolean): Map<string, number> {
  const last = Math.max(...inputs.map(({ at }) => at));
  const counts = new Map<string, number>();
  for (const { user, at } of inputs) {
    if (closed && at >= last) continue;
    const latest = at - (at % STEP_MS);
    for (let start = latest; start > at - SIZE_MS; start -= STEP_MS) {
      const window = `${user}@${start}`;
      counts.set(window, (counts.get(window) ?? 0) + 2);
    }
  }
  return counts;
}
