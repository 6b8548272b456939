/**
 * The standard app: a declared stream that counts and sends on, a repartition with windows behind it that send when they close, and an agent
 * that takes its time.
 *
 * @module
 */
import { App, unchecked } from '../../src/index.ts';
import { sleep } from '../../src/core/clock.ts';
import { equal, sorted, sumBy } from '../lib/expect.ts';
import { small } from '../lib/scenario.ts';
import type { Declared, Ending, Input, Scenario, Setting } from '../lib/scenario.ts';

const WINDOW_MS = 500;

interface Closed {
  readonly item: string;
  readonly start: number;
  readonly count: number;
}

function declare({ sizes, clock, random, options }: Setting): Declared {
  const { partitions, graceMs, concurrency } = sizes;
  const app = new App('shop', options);
  const source = app.topic('orders', {
    key: unchecked<string>(),
    value: unchecked<Input>(),
    partitions,
    timestamp: (order: Input) => order.at,
  });
  const seen = app.topic('seen', {
    key: unchecked<string>(),
    value: unchecked<number>(),
    partitions: 1,
  });
  const sums = app.topic('sums', {
    key: unchecked<string>(),
    value: unchecked<Closed>(),
    partitions: 1,
  });
  const noted = app.topic('noted', {
    key: unchecked<string>(),
    value: unchecked<number>(),
    partitions: 1,
  });
  const spent = app.table('spent', { default: () => 0 });
  const orders = source.stream();
  orders.update(spent, (sum, order) => sum + order.amount);
  orders.map((order) => order.id).sink(seen);
  const perItem = app
    .table('per-item', { default: () => 0 })
    .tumbling(WINDOW_MS, { grace: graceMs, retention: '1h' });
  orders.groupBy('item').update(perItem, (count) => count + 1);
  perItem
    .closed()
    .map(({ key, window, value }) => ({ item: key, start: window.start, count: value }))
    .sink(sums);
  const notes = app.table('notes', { default: () => 0 });
  app.agent(
    'note',
    source,
    async function* (stream) {
      for await (const order of stream) {
        if (random.below(3) === 0) await sleep(clock, random.below(30));
        notes.update(order.user, (count) => count + 1);
        yield order.id;
      }
    },
    { sinks: [noted], concurrency },
  );
  return { app, source };
}

export const standard: Scenario = {
  name: 'standard',
  scale: small,
  group: 'shop',
  declare,
  once: {
    orders: ({ id }: Input) => String(id),
    seen: (id: number) => String(id),
    noted: (id: number) => String(id),
    sums: ({ item, start }: Closed) => `${item}@${start}`,
  },
  complete: ({ values, inputs, sizes }) =>
    values('seen').length === inputs.length &&
    values('noted').length === inputs.length &&
    (!sizes.exact || values('sums').length === windowsOf(inputs).size),
  check(ending) {
    const { inputs, values, rows, late, sizes } = ending;
    const ids = inputs.map(({ id }) => id);
    equal('seen', sorted(values('seen') as number[]), ids);
    equal('noted', sorted(values('noted') as number[]), ids);
    equal(
      'spent',
      rows('spent'),
      sumBy(
        inputs,
        ({ user }) => user,
        ({ amount }) => amount,
      ),
    );
    equal(
      'notes',
      rows('notes'),
      sumBy(
        inputs,
        ({ user }) => user,
        () => 1,
      ),
    );
    checkWindows(ending);
    if (sizes.exact) equal('late', late('per-item'), 0);
  },
};

function checkWindows({ inputs, rows, values, late, sizes }: Ending): void {
  const windows = rows('per-item');
  const closed = new Map(
    (values('sums') as Closed[]).map(({ item, start, count }) => [`${item}@${start}`, count]),
  );
  for (const [name, count] of closed) equal(`closed window ${name}`, windows.get(name), count);
  if (sizes.exact) {
    equal('per-item', windows, windowsOf(inputs, Infinity));
    equal('sums', closed, windowsOf(inputs));
    return;
  }
  // Which events are late depends on who came first; that each is either counted or late does not.
  let counted = late('per-item');
  for (const count of windows.values()) counted += count as number;
  equal('per-item and the late', counted, inputs.length);
}

/** Sums by item and window, of those windows that close. */
function windowsOf(inputs: readonly Input[], before = lastTime(inputs)): Map<string, number> {
  return sumBy(
    inputs.filter(({ at }) => at < before),
    ({ item, at }) => `${item}@${at - (at % WINDOW_MS)}`,
    () => 1,
  );
}

/** That of the records that push time on behind everything. */
function lastTime(inputs: readonly Input[]): number {
  return Math.max(...inputs.map(({ at }) => at));
}
