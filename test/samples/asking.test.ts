/** Questions to agents, and channels. */
import { deadLetter, retry } from 'millrace';
import * as v from 'valibot';
import { expect, test } from 'vitest';
import { z } from 'zod';

import { memoryApp, valuesOf } from './support.ts';

test('5: what an agent yields answers who asks, beside another agent with sinks of every kind', async () => {
  const app = memoryApp('agent-example');
  const Add = v.object({ a: v.number(), b: v.number() });
  const topic = app.topic('adding', { value: Add });
  const adding = app.agent('adding', topic, async function* (stream) {
    for await (const x of stream) yield x.a + x.b;
  });
  const seen: string[] = [];
  const agentB = app.agent('b', { value: z.number() }, async (stream) => {
    for await (const e of stream) seen.push(`b ${e.toFixed()}`);
  });
  const log = app.topic('agent_log', { value: z.number() });
  const slow = async (x: number): Promise<void> => void seen.push(`slow ${x}`);
  app.agent(
    'a',
    topic,
    async function* (stream) {
      for await (const x of stream) yield x.a;
    },
    { sinks: [agentB, log, slow, (x) => seen.push(`last ${x}`)] },
  );
  try {
    const running = await app.start();
    const text = await adding.ask({ a: 1, b: 2 }, { timeout: '5s' }).then((sum) => sum.toFixed());
    expect(text).toBe('3');
    await running.settled();
    expect(seen).toEqual(['slow 1', 'last 1', 'b 1']);
    expect(await valuesOf(log)).toEqual([1]);
  } finally {
    await app.close();
  }
});

test('17: fraud rules: several at once, with a policy, asked one by one and in bulk', async () => {
  const app = memoryApp('fraud');
  const Order = z.object({ id: z.string(), account: z.string(), amount: z.number() });
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
    {
      sinks: [verdicts],
      concurrency: 8,
      onError: retry({ times: 3, backoff: '1s' }).orElse(deadLetter('orders.dlq')),
    },
  );
  try {
    await using run = await app.start();
    const answer = await check.ask(
      { id: '1', account: 'a', amount: 9_000 },
      { key: 'a', timeout: '20s' },
    );
    expect(answer.verdict).toBe('review');
    const ids: string[] = [];
    const more = [
      { id: '2', account: 'a', amount: 1 },
      { id: '3', account: 'a', amount: 2_000 },
    ];
    for await (const r of check.map(more, { key: 'a' })) ids.push(`${r.id} ${r.verdict}`);
    expect(ids.toSorted()).toEqual(['2 review', '3 reject']);
    // Its topic is keyed, and whose spending is asked for must be said.
    await expect(Array.fromAsync(check.map(more))).rejects.toMatchObject({
      code: 'MR_KEY_MISSING',
    });
    await run.stop({ deadline: '10s' });
    expect((await Array.fromAsync(verdicts.records())).length).toBe(3);
  } finally {
    await app.close();
  }
});

test('24: a channel in front of an agent, fed by a timer', async () => {
  const app = memoryApp('misc');
  const ch = app.channel<number>({ capacity: 64 });
  const seen: string[] = [];
  const heard = Promise.withResolvers<void>();
  app.agent('ch', ch, async (st) => {
    for await (const x of st) {
      seen.push(x.toFixed());
      heard.resolve();
    }
  });
  app
    .topic('source', { value: z.number() })
    .stream()
    .sink(() => undefined);
  app.timer(
    5,
    async ({ signal }) => {
      await ch.put(1, { signal });
    },
    { onLeader: true },
  );
  try {
    await app.start();
    await heard.promise;
    expect(seen[0]).toBe('1');
  } finally {
    await app.close();
  }
});
