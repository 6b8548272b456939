/**
 * What TypeScript infers in the programs that the public surface was designed by. No lambda is annotated.
 *
 * The same programs run in test/samples.
 *
 * @module
 */
import { App, gzip, json, msgpack, pipe, unchecked } from 'millrace';
import type {
  Agent,
  AgentStream,
  Change,
  ClosedWindow,
  RecordMetadata,
  Running,
  Stream,
  StreamEvent,
  Table,
  Topic,
  TopicProducer,
  WindowedTable,
} from 'millrace';
import * as v from 'valibot';
import { describe, expectTypeOf, test } from 'vitest';
import { z } from 'zod';

describe('the app of the first page', () => {
  const Flight = z.object({ date: z.number(), origin: z.string(), delay: z.number() });
  type Flight = z.infer<typeof Flight>;
  const app = new App('flights', { broker: 'memory:' });
  const departures = app.topic('departures', {
    value: Flight,
    partitions: 8,
    timestamp: (f) => f.date,
  });
  const late = app
    .table('late', { default: () => 0 })
    .tumbling('1h', { retention: '7d', grace: '10m' });
  const alerts = app.topic('alerts', {
    value: z.object({ origin: z.string(), delay: z.number() }),
  });

  test('topics and tables', () => {
    expectTypeOf(departures).toEqualTypeOf<Topic<string | null, Flight, Flight>>();
    expectTypeOf(late).toEqualTypeOf<WindowedTable<string, number, number>>();
    expectTypeOf(departures.stream()).toEqualTypeOf<Stream<Flight, string | null>>();
  });

  test('a declared stream', () => {
    const changes = departures
      .stream()
      .filter((f) => f.delay > 15)
      .groupBy('origin')
      .update(late, (n) => n + 1);
    expectTypeOf(changes).toEqualTypeOf<Stream<Change<string, number>, string>>();
  });

  test('closed windows', () => {
    expectTypeOf(late.closed()).toEqualTypeOf<Stream<ClosedWindow<string, number>, string>>();
    const rows = late.closed().map(({ key, window, value }) => ({ key, at: window.end, value }));
    expectTypeOf(rows).toEqualTypeOf<Stream<{ key: string; at: number; value: number }, string>>();
  });

  test('an agent with sinks of every kind', () => {
    const bigDelays = app.agent(
      'big-delays',
      departures,
      async function* (stream) {
        for await (const f of stream) if (f.delay > 300) yield { origin: f.origin, delay: f.delay };
      },
      { sinks: [alerts, console.log, (a) => a.origin.length] },
    );
    expectTypeOf(bigDelays).toEqualTypeOf<
      Agent<string | null, Flight, { origin: string; delay: number }>
    >();
  });

  test('running it', () => {
    expectTypeOf(app.start()).resolves.toEqualTypeOf<Running>();
    expectTypeOf(app.main()).toEqualTypeOf<Promise<void>>();
    expectTypeOf(app.topology()).toBeString();
    expectTypeOf(late.snapshot()).toEqualTypeOf<
      AsyncIterableIterator<ClosedWindow<string, number>>
    >();
  });
});

describe('agents', () => {
  const app = new App('agents', { broker: 'memory:' });
  const Add = v.object({ a: v.number(), b: v.number() });
  const topic = app.topic('adding', { value: Add });

  test('what they read and yield', () => {
    const adding = app.agent('adding', topic, async function* (stream) {
      expectTypeOf(stream).toEqualTypeOf<AgentStream<{ a: number; b: number }, string | null>>();
      for await (const x of stream) yield x.a + x.b;
    });
    expectTypeOf(adding).toEqualTypeOf<Agent<string | null, { a: number; b: number }, number>>();
  });

  test('one that yields nothing', () => {
    const printing = app.agent('printing', { value: z.number() }, async (stream, context) => {
      expectTypeOf(context.signal).toEqualTypeOf<AbortSignal>();
      for await (const e of stream) e.toFixed();
    });
    expectTypeOf(printing).toEqualTypeOf<Agent<string | null, number, never>>();
  });

  test('one that sends to agents, topics and functions', () => {
    const next = app.agent('next', { value: z.number() }, async (stream) => {
      for await (const e of stream) e.toFixed();
    });
    const log = app.topic('log', { value: z.number() });
    const slow = async (x: number): Promise<void> => void x;
    app.agent(
      'all',
      topic,
      async function* (stream) {
        for await (const x of stream) yield x.a;
      },
      { sinks: [next, log, slow, console.log] },
    );
  });

  test('one with a topic and a key of its own', () => {
    const Point = z.object({ x: z.number(), y: z.number() });
    const points = app.agent('points', { key: z.string(), value: Point }, async (events) => {
      for await (const e of events) expectTypeOf(e).toEqualTypeOf<{ x: number; y: number }>();
    });
    expectTypeOf(points).toEqualTypeOf<Agent<string, { x: number; y: number }, never>>();
    expectTypeOf(points.cast({ x: 30, y: 10 }, { key: 'p' })).toEqualTypeOf<Promise<void>>();
  });

  test('the stream of a body', () => {
    app.agent('stages', topic, async (stream) => {
      expectTypeOf(stream.map((x) => x.a)).toEqualTypeOf<AgentStream<number, string | null>>();
      expectTypeOf(stream.filter((x) => x.a > 1)).toEqualTypeOf<typeof stream>();
      expectTypeOf(stream.enumerate()).toEqualTypeOf<
        AgentStream<[number, { a: number; b: number }], string | null>
      >();
      expectTypeOf(stream.items()).toEqualTypeOf<
        AgentStream<[string | null, { a: number; b: number }], string | null>
      >();
      expectTypeOf(stream.event).toEqualTypeOf<
        StreamEvent<{ a: number; b: number }, string | null> | undefined
      >();
    });
  });

  test('one event at a time', () => {
    const orders = app.topic('orders', {
      key: z.string(),
      value: z.object({ id: z.string(), amount: z.number() }),
    });
    const verdicts = app.topic('verdicts', {
      key: z.string(),
      value: z.object({ id: z.string(), verdict: z.enum(['ok', 'review', 'reject']) }),
    });
    const spent = app.table('spent', { default: () => ({ total: 0, count: 0 }) });
    const check = app.each(
      'fraud',
      orders,
      (order, event) => {
        expectTypeOf(event.key).toBeString();
        const { total } = spent.update(event.key, (s) => ({
          total: s.total + order.amount,
          count: s.count + 1,
        }));
        return verdicts.of({ id: order.id, verdict: total > 10_000 ? 'reject' : 'ok' });
      },
      { sinks: [verdicts] },
    );
    expectTypeOf(check).toExtend<
      Agent<string, { id: string; amount: number }, { id: string; verdict: 'ok' | 'reject' }>
    >();
    expectTypeOf(check['~out'].verdict).toExtend<'ok' | 'review' | 'reject'>();
  });
});

test('groupBy in front of agents', () => {
  const app = new App('group-by', { broker: 'memory:' });
  const Order = z.object({
    accountId: z.string(),
    productId: z.string(),
    amount: z.number(),
    price: z.number(),
  });
  const orders = app.topic('orders', { value: Order });
  app.agent('process', orders.stream().groupBy('accountId'), async (stream) => {
    for await (const [account, o] of stream.items()) {
      expectTypeOf(account).toBeString();
      expectTypeOf(o).toEqualTypeOf<z.infer<typeof Order>>();
    }
  });
  const raw = app.topic('raw', { value: unchecked<string>() });
  const byAccount = raw
    .stream()
    .groupBy((o) => (JSON.parse(o) as { account: string }).account, { name: 'account' });
  expectTypeOf(byAccount).toEqualTypeOf<Stream<string, string>>();
  const big = orders
    .stream()
    .filter((o) => o.amount > 1_000)
    .groupBy('productId');
  app.agent('filter', big, async (s) => {
    for await (const o of s.enumerate()) o[1].amount.toFixed();
  });
});

test('withdrawals by user and by country: two agents, two tables', () => {
  const app = new App('withdrawals', { broker: 'memory:' });
  const Withdrawal = z.object({
    user: z.string(),
    country: z.string(),
    amount: z.number(),
    at: z.number(),
  });
  const topic = app.topic('withdrawals', {
    key: z.string(),
    value: Withdrawal,
    timestamp: (w) => w.at,
  });
  expectTypeOf(topic).toEqualTypeOf<Topic<string, z.infer<typeof Withdrawal>>>();
  const byUser = app.table('user_to_total', { default: () => 0 });
  const byCountry = app
    .table('country_to_total', { default: () => 0 })
    .tumbling('10s', { retention: '10s' });
  expectTypeOf(byUser).toEqualTypeOf<Table<string, number, number>>();
  expectTypeOf(byUser.snapshot()).toEqualTypeOf<AsyncIterableIterator<[string, number]>>();
  app.agent('users', topic, async (s) => {
    for await (const w of s) expectTypeOf(byUser.update(w.user, (t) => t + w.amount)).toBeNumber();
  });
  app.agent('countries', topic.stream().groupBy('country'), async (s) => {
    for await (const w of s) {
      byCountry.update(w.country, (t) => t + w.amount);
      expectTypeOf(byCountry.current(w.country)).toBeNumber();
      expectTypeOf(byCountry.at(w.country, w.at)).toBeNumber();
    }
  });
});

test('page views by URL', () => {
  const app = new App('page-views', { broker: 'memory:' });
  const views = app.topic('views', { value: z.object({ url: z.string(), user: z.number() }) });
  const counts = app.table('counts', { default: () => 0 });
  views
    .stream()
    .groupBy('url')
    .update(counts, (n) => n + 1);
  expectTypeOf(views.send({ url: '/', user: 1 })).resolves.toEqualTypeOf<RecordMetadata>();
});

test('a schema that transforms: senders give its input, readers get its output', () => {
  const app = new App('raw', { broker: 'memory:' });
  const Raw = z.object({
    at: z.iso.datetime().transform((t) => new Date(t)),
    n: z.coerce.number<string>(),
  });
  const raw = app.topic('raw', {
    value: Raw,
    codec: pipe(json, gzip),
    timestamp: (r) => r.at.getTime(),
  });
  expectTypeOf(raw).toEqualTypeOf<
    Topic<string | null, { at: Date; n: number }, { at: string; n: string }>
  >();
  expectTypeOf(raw.stream()).toEqualTypeOf<Stream<{ at: Date; n: number }, string | null>>();
  expectTypeOf(raw.records()).toEqualTypeOf<
    AsyncIterableIterator<StreamEvent<{ at: Date; n: number }, string | null>>
  >();
  void raw.send({ at: '2026-01-01T00:00:00Z', n: '3' });
  app.agent('reading', raw, async (s) => {
    for await (const { at } of s) expectTypeOf(at).toEqualTypeOf<Date>();
  });
  const seconds = app.topic('seconds', { value: z.number() });
  raw
    .stream()
    .map((r) => r.at.getTime())
    .sink(seconds);
});

test('msgpack, numeric keys, an optional field as a key, a table without a default', () => {
  const app = new App('opt', { broker: 'memory:' });
  const t = app.topic('t', {
    key: z.number(),
    value: z.object({ country: z.string().optional(), n: z.number() }),
    codec: msgpack,
  });
  expectTypeOf(t).toEqualTypeOf<Topic<number, { country?: string | undefined; n: number }>>();
  void t.send({ n: 1 }, { key: 3 });
  const last = app.table('last', { value: z.object({ n: z.number() }) });
  expectTypeOf(last).toEqualTypeOf<Table<string, { n: number }, { n: number } | undefined>>();
  t.stream()
    .groupBy((x) => x.country ?? 'none', { name: 'country' })
    .update(last, (current, x) => ({ n: (current?.n ?? 0) + x.n }));
  const byNumber = app.table('by-number', { key: z.number(), default: () => '' });
  expectTypeOf(byNumber).toEqualTypeOf<Table<number, string, string>>();
  t.stream().update(byNumber, (text, x) => text + String(x.n));
  const plain = app.table('plain', { key: unchecked<number>(), default: () => 0 });
  expectTypeOf(plain).toEqualTypeOf<Table<number, number, number>>();
});

test('producers', () => {
  const app = new App('loader', { broker: 'memory:' });
  const lines = app.topic('lines', { key: z.string(), value: z.string() });
  const producer = lines.producer<{ file: string; line: number }>({ id: 'loader' });
  expectTypeOf(producer).resolves.toEqualTypeOf<
    TopicProducer<string, string, { file: string; line: number }>
  >();
  void producer.then((p) => {
    expectTypeOf(p.position).toEqualTypeOf<{ file: string; line: number } | undefined>();
    expectTypeOf(p.acknowledged).toBeNumber();
    return p.send('text', { key: 'k', position: { file: 'a', line: 1 } });
  });
});

test('without a schema values are unknown', () => {
  const app = new App('untyped', { broker: 'memory:' });
  expectTypeOf(app.topic('anything')).toEqualTypeOf<Topic<string | null, unknown, unknown>>();
  expectTypeOf(app.topic<{ amount: number }>('typed')).toEqualTypeOf<
    Topic<string | null, { amount: number }>
  >();
});

test('nothing is any', () => {
  expectTypeOf<AgentStream<number, string>>().not.toBeAny();
  expectTypeOf<Agent<string, number, number>>().not.toBeAny();
  expectTypeOf<Topic<string, number>>().not.toBeAny();
});
