/** What the orders app kept and sent, against DuckDB's answers over the same orders. */
import { DuckDBInstance } from '@duckdb/node-api';
import type { DuckDBConnection } from '@duckdb/node-api';
import { expect } from 'vitest';

import { GRACE_MS, LARGE_CENTS, MINUTE_MS, PARTITIONS, ordersApp } from './orders-app.ts';
import type { OrdersApp, Total } from './orders-app.ts';
import { orderAt } from './orders.ts';

const MOST = 5;

const text = ({ orders, cents }: Total): string => `${orders} orders, ${cents} cents`;

/**
 * Has one worker finish what there is, and compares everything. Orders 0 to `count` - 1 were sent.
 * Gives the number of rows that were compared.
 */
export async function expectExact(directory: string, seed: number, count: number): Promise<number> {
  const orders = ordersApp(directory);
  try {
    const running = await orders.app.start();
    await running.settled();
    const { events, late, skipped, lost, tasks } = running.stats;
    await running.stop();
    // Counters are committed with what they count: each order went through three tasks.
    expect({ events, late, skipped, lost, tasks: tasks.length }).toEqual({
      events: count * 3,
      late: {},
      skipped: 0,
      lost: 0,
      tasks: PARTITIONS * 3,
    });
    await expectSent(orders, count);
    const connection = await ordersIn(seed, count);
    try {
      return await expectRows(orders, connection);
    } finally {
      connection.closeSync();
    }
  } finally {
    await orders.app.close();
  }
}

/** Every order is in the topic once, and those of a partition are in order. */
async function expectSent({ orders }: OrdersApp, count: number): Promise<void> {
  const seen = new Uint8Array(count);
  const wrong: string[] = [];
  let before = { partition: -1, n: -1 };
  for await (const { partition, value } of orders.records()) {
    if (value.n >= count || seen[value.n] === 1) wrong.push(`order ${value.n} once too often`);
    if (before.partition === partition && before.n >= value.n)
      wrong.push(`order ${value.n} behind ${before.n}`);
    seen[value.n] = 1;
    before = { partition, n: value.n };
  }
  for (let n = seen.indexOf(0); n >= 0 && wrong.length < MOST; n = seen.indexOf(0, n + 1))
    wrong.push(`order ${n} is missing`);
  expect(wrong.slice(0, MOST)).toEqual([]);
}

async function ordersIn(seed: number, count: number): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run(
    'create table orders (n integer, time_ double, user_ varchar, shop varchar, cents integer)',
  );
  const appender = await connection.createAppender('orders');
  for (let n = 0; n < count; n++) {
    const order = orderAt(seed, n);
    appender.appendInteger(n);
    appender.appendDouble(order.at);
    appender.appendVarchar(order.user);
    appender.appendVarchar(order.shop);
    appender.appendInteger(order.cents);
    appender.endRow();
  }
  appender.closeSync();
  return connection;
}

async function expectRows(orders: OrdersApp, connection: DuckDBConnection): Promise<number> {
  let rows = 0;
  const compare = async (
    what: string,
    sql: string,
    found: ReadonlyMap<string, string>,
    also: readonly string[] = [],
  ): Promise<void> => {
    const wanted = await answers(connection, sql);
    rows += wanted.size;
    expect([...also.slice(0, MOST), ...differences(found, wanted)], what).toEqual([]);
  };
  const total = `count(*) || ' orders, ' || sum(cents) || ' cents'`;

  for (const [table, column] of [
    [orders.users, 'user_'],
    [orders.shops, 'shop'],
  ] as const) {
    const found = new Map<string, string>();
    for await (const [key, value] of table.snapshot()) found.set(key, text(value));
    await compare(column, `select ${column}, ${total} from orders group by ${column}`, found);
  }

  const { found, wrong } = await minutesOf(orders, await lastTimes(connection));
  await compare(
    'shops and minutes',
    `select shop || ' ' || (floor(time_ / ${MINUTE_MS}) * ${MINUTE_MS})::bigint, ${total} from orders group by all`,
    found,
    wrong,
  );

  const large = new Map<string, string>();
  const doubled: string[] = [];
  for await (const { value } of orders.large.records()) {
    const key = String(value.n);
    if (large.has(key)) doubled.push(`large order ${key} was sent twice`);
    large.set(key, `${value.user} ${value.cents}`);
  }
  const isLarge = `from orders where cents > ${LARGE_CENTS}`;
  await compare('large', `select n::varchar, user_ || ' ' || cents ${isLarge}`, large, doubled);

  const larges = new Map<string, string>();
  for await (const [user, n] of orders.larges.snapshot()) larges.set(user, String(n));
  await compare('larges', `select user_, count(*)::varchar ${isLarge} group by user_`, larges);
  return rows;
}

/** Windows that are closed are in the topic, each once; the others, and perhaps some of those, are in the table. */
async function minutesOf(
  orders: OrdersApp,
  surelyPast: number,
): Promise<{ found: Map<string, string>; wrong: string[] }> {
  const found = new Map<string, string>();
  const wrong: string[] = [];
  for await (const { value } of orders.shopMinutes.records()) {
    const key = `${value.shop} ${value.minute}`;
    if (found.has(key)) wrong.push(`${key} was sent twice`);
    found.set(key, text(value));
  }
  for await (const { key: shop, window, value } of orders.minutes.snapshot()) {
    const key = `${shop} ${window.start}`;
    const sent = found.get(key);
    if (sent !== undefined && sent !== text(value))
      wrong.push(`${key}: sent ${sent}, kept ${text(value)}`);
    if (sent === undefined && window.end + GRACE_MS <= surelyPast)
      wrong.push(`${key} was never closed`);
    found.set(key, text(value));
  }
  return { found, wrong };
}

/** Stream time is the least of what the partitions have reached; no user's partition is behind the user who was quiet for longest. */
async function lastTimes(connection: DuckDBConnection): Promise<number> {
  const result = await connection.runAndReadAll(
    'select min(last)::double as past from (select max(time_) as last from orders group by user_)',
  );
  return Number(result.getRowObjects()[0]?.['past']);
}

async function answers(connection: DuckDBConnection, sql: string): Promise<Map<string, string>> {
  const result = await connection.runAndReadAll(sql);
  return new Map(result.getRows().map(([key, value]) => [String(key), String(value)]));
}

function differences(
  found: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
): string[] {
  const wrong: string[] = [];
  for (const [key, value] of wanted)
    if (found.get(key) !== value)
      wrong.push(`${key}: ${found.get(key) ?? 'missing'}, DuckDB says ${value}`);
  for (const key of found.keys())
    if (!wanted.has(key)) wrong.push(`${key}: not in DuckDB's answer`);
  return wrong.slice(0, MOST);
}
