/** Agents: sinks of every kind, topics of their own, sources with operators. */
import { unchecked } from 'millrace';
import { TestApp } from 'millrace/testing';
import * as v from 'valibot';
import { expect, test } from 'vitest';
import { z } from 'zod';

import { memoryApp, rowsOf, runApp, valuesOf } from './support.ts';

test('5: an agent that sends to another one, to a topic and to functions', async () => {
  const app = memoryApp('agent-example');
  const Add = v.object({ a: v.number(), b: v.number() });
  const topic = app.topic('adding', { value: Add });
  const heard: string[] = [];
  app.agent(
    'adding',
    topic,
    async function* (stream) {
      for await (const x of stream) yield x.a + x.b;
    },
    { sinks: [(sum) => heard.push(`sum ${sum}`)] },
  );
  const agentB = app.agent('b', { value: z.number() }, async (stream) => {
    for await (const e of stream) heard.push(`b ${e.toFixed(1)}`);
  });
  const log = app.topic('agent_log', { value: z.number() });
  const slow = async (x: number): Promise<void> => {
    await Promise.resolve();
    heard.push(`slow ${x}`);
  };
  app.agent(
    'a',
    topic,
    async function* (stream) {
      for await (const x of stream) yield x.a;
    },
    { sinks: [agentB, log, slow] },
  );
  await runApp(
    app,
    async () => {
      await topic.send({ a: 1, b: 2 }, { partition: 0 });
      await topic.send({ a: 3, b: 4 }, { partition: 0 });
      await agentB.cast(5);
    },
    async () => {
      expect(heard.toSorted()).toEqual([
        'b 1.0',
        'b 3.0',
        'b 5.0',
        'slow 1',
        'slow 3',
        'sum 3',
        'sum 7',
      ]);
      expect(heard.filter((line) => line.startsWith('sum'))).toEqual(['sum 3', 'sum 7']);
      expect(await valuesOf(log)).toEqual([1, 3]);
    },
  );
});

test('6: an agent with a topic of its own, keyed', async () => {
  const app = memoryApp('anon');
  const Point = z.object({ x: z.number(), y: z.number() });
  const sums: string[] = [];
  const my = app.agent('my-agent', { key: z.string(), value: Point }, async (events) => {
    for await (const [key, e] of events.items()) sums.push(`${key} ${e.x + e.y}`);
  });
  await runApp(
    app,
    async () => {
      await my.cast({ x: 30, y: 10 }, { key: 'p' });
      await my.cast({ x: 1, y: 2 }, { key: 'p' });
      // The schemas are the topic's, so they are checked.
      await expect(my.cast({ x: 1 } as never, { key: 'p' })).rejects.toMatchObject({
        code: 'MR_SCHEMA_VIOLATION',
      });
    },
    async () => {
      expect(sums).toEqual(['p 40', 'p 3']);
    },
  );
});

test('8: groupBy by field and by function, take, through, filter, enumerate', async () => {
  const app = memoryApp('group-by-example');
  const Order = z.object({
    accountId: z.string(),
    productId: z.string(),
    amount: z.number(),
    price: z.number(),
  });
  const orders = app.topic('orders', { value: Order });
  const seen: string[] = [];
  app.agent('process', orders.stream().groupBy('accountId'), async (stream) => {
    for await (const [account, o] of stream.items()) seen.push(`${account} ${o.amount}`);
  });
  const raw = app.topic('order', { value: unchecked<string>() });
  const byAccount = raw
    .stream()
    .groupBy((o) => (JSON.parse(o) as { account: string }).account, { name: 'account' });
  app.agent('raw', byAccount, async (s) => {
    for await (const o of s) seen.push(`raw ${s.event?.key} ${o.length}`);
  });
  app.agent('hundred', orders, async (s) => {
    for await (const values of s.take(100, { within: '5s' }))
      seen.push(`taken ${values.length} at ${values[0]?.price}`);
  });
  const destination = app.topic('destination', { value: Order, key: z.string() });
  app.agent('through', orders.stream().through(destination), async (s) => {
    for await (const o of s) seen.push(`through ${s.event?.key} ${o.amount}`);
  });
  const big = orders
    .stream()
    .filter((o) => o.amount > 1_000)
    .groupBy('productId');
  app.agent('filter', big, async (s) => {
    for await (const [i, o] of s.enumerate(1)) seen.push(`big ${i} ${s.event?.key} ${o.amount}`);
  });
  const order = { accountId: 'ann', productId: 'tea', price: 1 };
  // What is taken waits for five seconds, of the test's time.
  await using t = await TestApp.start(app);
  await t.sendAll(orders, [
    [{ ...order, amount: 5 }, { key: 'till' }],
    [{ ...order, amount: 2_000 }, { key: 'till' }],
  ]);
  await t.send(raw, '{"account":"bob"}');
  expect(seen.toSorted()).toEqual([
    'ann 2000',
    'ann 5',
    'big 1 tea 2000',
    'raw bob 17',
    'taken 2 at 1',
    'through till 2000',
    'through till 5',
  ]);
  expect((await t.output(destination)).map(({ value }) => value.amount)).toEqual([5, 2_000]);
});

test('17: a verdict per order, from a table with the order’s own key', async () => {
  const app = memoryApp('fraud');
  const Order = z.object({ id: z.string(), amount: z.number() });
  const Verdict = z.object({ id: z.string(), verdict: z.enum(['ok', 'review', 'reject']) });
  const orders = app.topic('orders', { key: z.string(), value: Order });
  const verdicts = app.topic('verdicts', { key: z.string(), value: Verdict });
  const spent = app.table('spent', { default: () => ({ total: 0, count: 0 }) });
  const check = app.each(
    'fraud',
    orders,
    (order, event) => {
      const { total } = spent.update(event.key, (s) => ({
        total: s.total + order.amount,
        count: s.count + 1,
      }));
      return verdicts.of({
        id: order.id,
        verdict: total > 10_000 ? 'reject' : total > 5_000 ? 'review' : 'ok',
      });
    },
    { sinks: [verdicts] },
  );
  await runApp(
    app,
    async () => {
      await check.cast({ id: '1', amount: 4_000 }, { key: 'ann' });
      await orders.send({ id: '2', amount: 4_000 }, { key: 'ann' });
      await orders.send({ id: '3', amount: 4_000 }, { key: 'ann' });
      await orders.send({ id: '4', amount: 4_000 }, { key: 'bob' });
    },
    async () => {
      const found = await Array.fromAsync(
        verdicts.records(),
        ({ key, value }) => `${key} ${value.id} ${value.verdict}`,
      );
      expect(found.toSorted()).toEqual(['ann 1 ok', 'ann 2 review', 'ann 3 reject', 'bob 4 ok']);
      expect(await rowsOf(spent)).toEqual({
        ann: { total: 12_000, count: 3 },
        bob: { total: 4_000, count: 1 },
      });
    },
  );
});
