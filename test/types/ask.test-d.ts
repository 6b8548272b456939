/**
 * What TypeScript infers for questions to agents and for channels. No lambda is annotated.
 *
 * @module
 */
import { App, retry } from 'millrace';
import type { Agent, AskOptions, Channel, Stream } from 'millrace';
import * as v from 'valibot';
import { describe, expectTypeOf, test } from 'vitest';
import { z } from 'zod';

const app = new App('types', { broker: 'memory:' });

// Type tests are compiled, never run.

describe('asking', () => {
  const Add = v.object({ a: v.number(), b: v.number() });
  const adding = app.agent('adding', app.topic('adding', { value: Add }), async function* (stream) {
    for await (const x of stream) yield x.a + x.b;
  });
  const silent = app.agent('b', { value: z.number() }, async (stream) => {
    for await (const e of stream) e.toFixed();
  });

  test('an agent that yields', () => {
    expectTypeOf(adding).toEqualTypeOf<Agent<string | null, { a: number; b: number }, number>>();
    expectTypeOf(adding.ask({ a: 1, b: 2 }, { timeout: '5s' })).resolves.toBeNumber();
    expectTypeOf(adding.map([{ a: 1, b: 2 }])).toEqualTypeOf<AsyncIterableIterator<number>>();
    expectTypeOf(adding.join([{ a: 1, b: 2 }], { key: 'k' })).resolves.toEqualTypeOf<number[]>();
    expectTypeOf(adding.info()).toEqualTypeOf<{
      readonly name: string;
      readonly instances: number;
    }>();
    // @ts-expect-error a question of another type
    void adding.ask({ a: 1 });
    // @ts-expect-error a key of another type
    void adding.ask({ a: 1, b: 2 }, { key: 1 });
  });

  test('one that does not', () => {
    expectTypeOf(silent).toEqualTypeOf<Agent<string | null, number, never>>();
    expectTypeOf(silent.ask).toBeNever();
    expectTypeOf(silent.map).toBeNever();
    expectTypeOf(silent.join).toBeNever();
    const each = app.each('void', { value: z.number() }, (n) => {
      n.toFixed();
    });
    expectTypeOf(each.ask).toBeNever();
  });

  test('either is a sink', () => {
    const topic = app.topic('t', { value: z.number() });
    app.each('c', topic, (n) => n, { sinks: [silent] });
    app.each('d', topic, (n) => ({ a: n, b: n }), { sinks: [adding] });
    // @ts-expect-error for other values
    app.each('e', topic, (n) => `${n}`, { sinks: [silent] });
  });

  test('a function of one event: what it returns, but for undefined', () => {
    const Order = z.object({ id: z.string(), amount: z.number() });
    const Verdict = z.object({ id: z.string(), verdict: z.enum(['ok', 'review', 'reject']) });
    const orders = app.topic('orders', { key: z.string(), value: Order });
    const verdicts = app.topic('verdicts', { key: z.string(), value: Verdict });
    const check = app.each(
      'fraud',
      orders,
      (order) => {
        if (order.amount < 0) return undefined;
        return verdicts.of({ id: order.id, verdict: order.amount > 1 ? 'reject' : 'ok' });
      },
      { sinks: [verdicts], concurrency: 8, onError: retry({ times: 3 }).orElse('skip') },
    );
    expectTypeOf(check.ask).parameter(1).toEqualTypeOf<AskOptions<string> | undefined>();
    const ask = async () => (await check.ask({ id: '1', amount: 9 }, { key: 'a' })).verdict;
    expectTypeOf(ask()).resolves.toEqualTypeOf<'ok' | 'reject'>();
  });
});

describe('channels', () => {
  const ch = app.channel<number>({ capacity: 64 });

  test('are read, and are sinks', () => {
    expectTypeOf(ch).toEqualTypeOf<Channel<number>>();
    expectTypeOf(ch.stream()).toEqualTypeOf<Stream<number>>();
    expectTypeOf(ch[Symbol.asyncIterator]()).toEqualTypeOf<AsyncIterableIterator<number>>();
    app.each('numbers', app.topic('n', { value: z.number() }), (n) => n, { sinks: [ch] });
    // @ts-expect-error a value of another type
    void ch.put('1');
  });

  test('as the source of an agent', () => {
    const agent = app.agent('ch', ch, async (st) => {
      for await (const x of st) expectTypeOf(x).toBeNumber();
    });
    expectTypeOf(agent).toEqualTypeOf<Agent<string | null, number, never>>();
    app.each('each', ch, (x, event) => {
      expectTypeOf(x).toBeNumber();
      expectTypeOf(event.value).toBeNumber();
    });
  });
});
