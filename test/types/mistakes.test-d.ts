/**
 * Mistakes that people make in apps, and that do not compile. The numbers are those of the list of typical mistakes that the API
 * was judged by; those that only concern streams are in `stream.test-d.ts`. M15, M33 and M38 do compile: they are errors when they are
 * declared or run, see `test/samples/refusals.test.ts`.
 *
 * @module
 */
import { App } from 'millrace';
import { test } from 'vitest';
import { z } from 'zod';

const app: App = new App('x');
const Flight = z.object({
  date: z.number(),
  origin: z.string(),
  delay: z.number(),
  tags: z.array(z.string()),
  opt: z.string().optional(),
});
const departures = app.topic('departures', { value: Flight });
const alerts = app.topic('alerts', { value: z.object({ origin: z.string(), delay: z.number() }) });
const kinds = app.topic('kinds', { value: z.object({ kind: z.enum(['late', 'early']) }) });
const keyed = app.topic('keyed', { key: z.string(), value: z.string() });
const counts = app.table('counts', { default: () => 0 });
const byNumber = app.table('by-number', { key: z.number(), default: () => 0 });
const noDefault = app.table('no-default', { value: z.number() });

const byOrigin = departures.stream().groupBy('origin');
const byDelay = departures.stream().groupBy('delay');

// Type tests are compiled, never run.

test('keys', () => {
  // @ts-expect-error M01: no such field
  departures.stream().groupBy('orgin');
  // @ts-expect-error M02: a list is no key
  departures.stream().groupBy('tags');
  // @ts-expect-error M03: a function does not name its repartition topic
  departures.stream().groupBy((f) => f.origin);
  // @ts-expect-error M04: a field that may be missing is no key
  departures.stream().groupBy('opt');
});

test('tables', () => {
  // @ts-expect-error M05: numeric keys for a table keyed by strings
  byDelay.update(counts, (n) => n + 1);
  // @ts-expect-error M05: and the other way round
  byOrigin.update(byNumber, (n) => n + 1);
  // @ts-expect-error M06: the topic may have records without a key
  departures.stream().update(counts, (n) => n + 1);
  // @ts-expect-error M07: the update returns another type than the table's
  byOrigin.update(counts, (n) => `${n}`);
  // @ts-expect-error M07: a forgotten return
  byOrigin.update(counts, (n) => void (n + 1));
  // @ts-expect-error M08: without a default there may be no row
  byOrigin.update(noDefault, (n) => n + 1);
  // @ts-expect-error M09: neither a default nor a type
  app.table('nothing', {});
  // @ts-expect-error M21: durations are '10m'
  counts.tumbling('10 min');
  // @ts-expect-error M34: default and type disagree
  app.table('dv', { value: z.string(), default: () => 0 });
  const lists = app.table('lists', { default: () => [] });
  // @ts-expect-error M39: an empty list is a list of nothing; default: (): number[] => []
  byOrigin.update(lists, (list, f) => [...list, f.delay]);
  // @ts-expect-error a table for other keys
  byNumber.get('1');
  // @ts-expect-error a row of another type
  counts.set('a', 'b');
});

test('agents', () => {
  app.agent(
    'a',
    departures,
    async function* (st) {
      for await (const f of st) yield { orgin: f.origin };
    },
    // @ts-expect-error M11: not what the topic holds
    { sinks: [alerts] },
  );
  app.agent(
    'b',
    departures,
    async function* (st) {
      for await (const f of st) yield { kind: f.delay > 0 ? 'late' : 'early' };
    },
    // @ts-expect-error M12: a literal in a generator widens to string; yield kinds.of({ … })
    { sinks: [kinds] },
  );
  app.agent(
    'b',
    departures,
    async function* (st) {
      // @ts-expect-error M14: not one of the two
      for await (const f of st) yield kinds.of({ kind: f.delay > 0 ? 'late' : 'latte' });
    },
    { sinks: [kinds] },
  );
  const silent = app.agent('d', departures, async (st) => {
    for await (const f of st) void f;
  });
  // @ts-expect-error M16: it never yields, so it has no answer
  void silent.ask({ date: 0, origin: 'a', delay: 1, tags: [] });
  app.agent('e', departures, async (st) => {
    // @ts-expect-error M17: what cuts the topology belongs in the agent's source
    for await (const f of st.groupBy('origin')) void f;
  });
  app.agent(
    'f',
    departures,
    async function* (st) {
      for await (const f of st) yield f.delay;
    },
    // @ts-expect-error M18: a sink for other values
    { sinks: [(x: string) => x] },
  );
  app.each(
    'g',
    departures,
    (f) => ({ kind: f.delay > 1 ? 'late' : 'early' }),
    // @ts-expect-error M30: a literal widens to string; return kinds.of({ … })
    { sinks: [kinds] },
  );
});

test('topics', () => {
  const origins = departures.stream().map((f) => ({ origin: f.origin }));
  // @ts-expect-error M19: not what the topic holds
  origins.sink(alerts);
  // @ts-expect-error M20: a keyed topic demands a key
  void keyed.send('v');
  // @ts-expect-error M20: of its type
  void keyed.send('v', { key: 3 });
  // @ts-expect-error M20: nor a value of another type
  void keyed.send(3, { key: 'k' });
  const ev = app.topic('ev', {
    value: z.discriminatedUnion('t', [
      z.object({ t: z.literal('a'), x: z.string() }),
      z.object({ t: z.literal('b'), y: z.string() }),
    ]),
  });
  // @ts-expect-error M37: not a field of every event
  ev.stream().groupBy('x');
  // @ts-expect-error event time is a number
  app.topic('t', { value: Flight, timestamp: (f) => f.origin });
});

test('what looks like a mistake and is none', () => {
  app.agent(
    'b',
    departures,
    async function* (st) {
      // M13
      for await (const f of st) yield kinds.of({ kind: f.delay > 0 ? 'late' : 'early' });
    },
    { sinks: [kinds] },
  );
  // M36: options pass on what may be undefined
  const maybe: AbortSignal | undefined = undefined;
  void app.start({ signal: maybe });
  // M37: a field of every event
  app
    .topic('ev', {
      value: z.discriminatedUnion('t', [
        z.object({ t: z.literal('a'), x: z.string() }),
        z.object({ t: z.literal('b'), y: z.string() }),
      ]),
    })
    .stream()
    .groupBy('t')
    .sink((e) => e.t);
});
