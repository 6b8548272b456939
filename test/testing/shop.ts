/** An app with everything in it that a crash could spoil, scripts for it, and what is left in the end. */
import fc from 'fast-check';

import { App, unchecked } from '../../src/index.ts';
import type { ClosedWindow, Table, Topic, WindowedTable } from '../../src/index.ts';
import { TestApp } from '../../src/testing/index.ts';
import type { TestAppOptions } from '../../src/testing/index.ts';

interface Order {
  readonly id: number;
  readonly city: string;
  readonly amount: number;
}

interface Seen {
  readonly ids: number[];
}

/** Orders by customer, summed by customer and by city and hour; an agent that keeps lists in place and passes the large ones on. */
interface Shop {
  readonly app: App;
  readonly orders: Topic<string, Order>;
  readonly large: Topic<string, number>;
  readonly hours: Topic<string, ClosedWindow<string, number>>;
  readonly spent: Table<string, number, number>;
  readonly seen: Table<string, Seen, Seen>;
  readonly cities: WindowedTable<string, number, number>;
}

function shop(): Shop {
  const app = new App('shop', { broker: 'file:./never-opened', commit: { interval: '50ms' } });
  const key = unchecked<string>();
  const orders = app.topic('orders', { key, value: unchecked<Order>() });
  const large = app.topic('large', { key, value: unchecked<number>() });
  const hours = app.topic('hours', { key, value: unchecked<ClosedWindow<string, number>>() });
  const spent = app.table('spent', { default: () => 0 });
  const seen = app.table<Seen>('seen', { default: () => ({ ids: [] }) });
  const cities = app.table('cities', { default: () => 0 }).tumbling('1h', { grace: '10m' });
  const byCustomer = orders.stream();
  byCustomer.update(spent, (sum, { amount }) => sum + amount);
  byCustomer.groupBy('city').update(cities, (sum, { amount }) => sum + amount);
  cities.closed().sink(hours);
  app.agent(
    'large',
    orders,
    async function* (stream) {
      for await (const [customer, { id, amount }] of stream.items()) {
        seen.update(customer, (row) => {
          row.ids.push(id);
          return row;
        });
        await Promise.resolve();
        if (amount > 5) yield id;
      }
    },
    { sinks: [large], concurrency: 2 },
  );
  return { app, orders, large, hours, spent, seen, cities };
}

/** A step of a script. */
export type Step =
  | { readonly send: readonly (readonly [customer: string, city: string, amount: number])[] }
  | { readonly advanceMs: number };

export const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        send: fc.array(
          fc.tuple(
            fc.constantFrom('ann', 'bob', 'cid', 'dot', 'eve'),
            fc.constantFrom('Rome', 'Oslo'),
            fc.integer({ min: 1, max: 9 }),
          ),
          { minLength: 1, maxLength: 12 },
        ),
      }),
    },
    { weight: 1, arbitrary: fc.record({ advanceMs: fc.constantFrom(30, 1_000, 3_600_000) }) },
  ),
  { minLength: 2, maxLength: 6 },
);

/** Behind all windows of a script. */
const END_MS = 1_000 * 3_600_000;

/** What is left in the end: independent of who has done it and how often. */
export interface Left {
  readonly spent: unknown;
  readonly seen: unknown;
  readonly cities: unknown;
  readonly large: unknown;
  readonly hours: unknown;
}

/** Runs a script, with `between` after each step. Behind the last one every window has closed. */
export async function runShop(
  script: readonly Step[],
  options: TestAppOptions = {},
  between: (t: TestApp, step: number) => Promise<void> = () => Promise.resolve(),
): Promise<Left> {
  const parts = shop();
  await using t = await TestApp.start(parts.app, options);
  let id = 0;
  for (const [i, step] of script.entries()) {
    if ('advanceMs' in step) await t.advance(step.advanceMs);
    else
      await t.sendAll(
        parts.orders,
        step.send.map(([key, city, amount]) => {
          // The time of the event is the script's: faults move that of the clock.
          const timestamp = i * 600_000 + id;
          return [
            { id: id++, city, amount },
            { key, timestamp },
          ] as const;
        }),
      );
    await between(t, i);
  }
  for (const partition of [0, 1, 2, 3])
    await t.sendAll(parts.orders, [
      [
        { id: -1, city: 'Rome', amount: 0 },
        { key: 'end', timestamp: END_MS, partition },
      ],
      [
        { id: -1, city: 'Oslo', amount: 0 },
        { key: 'end', timestamp: END_MS, partition },
      ],
    ]);
  await t.advance('5s');
  const { spent, seen, cities, large, hours } = parts;
  const closed = await t.output(hours);
  return {
    spent: [...t.table(spent).entries()],
    seen: [...t.table(seen).entries()],
    cities: ['Rome', 'Oslo'].map((city) => Array.from(t.table(cities).windows(city))),
    large: Object.groupBy(
      (await t.output(large)).map(({ key, value }) => ({ key, value })),
      ({ key }) => key,
    ),
    hours: closed
      .map(({ value }) => `${value.key} ${value.window.start} ${value.value}`)
      .toSorted(),
  };
}
