/** Schemas of topics: what is checked when, and what readers get. */
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

import { bytes, msgpack, unchecked } from '../../src/index.ts';
import type { Schema, Validate } from '../../src/index.ts';
import { failureOf, recordsOf, runOnce, valuesOf, withApp } from './support.ts';

const zodOrder = z.object({ id: z.string(), items: z.array(z.object({ price: z.number() })) });
const valibotOrder = v.object({
  id: v.string(),
  items: v.array(v.object({ price: v.number() })),
});
type Order = z.infer<typeof zodOrder>;

describe.each<[string, Schema<Order>]>([
  ['zod', zodOrder],
  ['valibot', valibotOrder],
])('%s', (_, value) => {
  test('a violation is refused at send, with path and excerpt, and its neighbours are sent', () =>
    withApp(async ({ app }) => {
      const orders = app.topic('orders', { value, partitions: 1 });
      const bad = { id: 'b', items: [{ price: 1 }, { price: 'two' }] } as unknown as Order;
      const [first, refused, last] = await Promise.allSettled([
        orders.send({ id: 'a', items: [] }),
        orders.send(bad),
        orders.send({ id: 'c', items: [] }),
      ]);
      expect([first.status, last.status]).toEqual(['fulfilled', 'fulfilled']);
      expect(refused).toMatchObject({
        reason: {
          code: 'MR_SCHEMA_VIOLATION',
          details: {
            where: 'a value of topic orders',
            issues: [{ path: 'items[1].price', message: expect.any(String) as unknown }],
          },
        },
      });
      expect((await valuesOf(orders)).map(({ id }) => id)).toEqual(['a', 'c']);
    }));
});

test('keys are checked too', () =>
  withApp(async ({ app }) => {
    const orders = app.topic('orders', { key: z.uuid(), value: z.number() });
    const key = '00000000-0000-4000-8000-000000000000';
    await orders.send(1, { key });
    await expect(orders.send(1, { key: 'ann' })).rejects.toMatchObject({
      code: 'MR_SCHEMA_VIOLATION',
      message: expect.stringMatching(/^a key of topic orders does not match/u) as unknown,
    });
    expect(await recordsOf(orders)).toHaveLength(1);
  }));

describe('transforms', () => {
  const value = z.object({ n: z.coerce.number<string>(), at: z.string().default('now') });
  const stored = { n: '5' };
  const read = { n: 5, at: 'now' };

  test.each<[Validate, unknown]>([
    ['both', read],
    ['out', read],
    ['in', stored],
    ['off', stored],
  ])('validate %j: the input is stored, and readers get their due', (validate, expected) =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { value, validate });
      const raw = app.topic('raw', { value, validate: 'off' });
      await topic.send(stored);
      expect(await valuesOf(topic)).toEqual([expected]);
      const seen: unknown[] = [];
      topic.stream().sink((found) => seen.push(found));
      topic.stream().sink(raw as unknown as (found: unknown) => void);
      app.each('look', topic, (found) => void seen.push(found));
      await runOnce(app);
      expect(seen).toEqual([expected, expected]);
      expect(await valuesOf(raw)).toEqual([expected]);
    }),
  );

  test.each<[Validate, boolean]>([
    ['both', true],
    ['in', true],
    ['out', false],
    ['off', false],
  ])('validate %j: a violation at send is refused: %j', (validate, refuses) =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { value, validate });
      const sent = topic.send({ n: 'five' });
      await (refuses
        ? expect(sent).rejects.toMatchObject({ code: 'MR_SCHEMA_VIOLATION' })
        : expect(sent).resolves.toMatchObject({ offset: 0n }));
    }),
  );

  test.each<[Validate, boolean]>([
    // Refused by the topic that is to take it.
    ['both', true],
    ['in', true],
    // Refused by the one who reads it.
    ['out', true],
    ['off', false],
  ])('validate %j: a violation at reading is refused: %j', (validate, refuses) =>
    withApp(async ({ app }) => {
      const source = app.topic('source', { value, validate: 'off', partitions: 1 });
      const topic = app.topic('topic', { value, validate, partitions: 1 });
      const seen: unknown[] = [];
      source.stream().sink(topic as unknown as (found: unknown) => void);
      topic.stream().sink((found) => seen.push(found));
      await source.send({ n: '1' });
      await source.send({ n: 'five' });
      const running = await app.start();
      if (!refuses) {
        await running.settled();
        expect(seen).toEqual([{ n: '1' }, { n: 'five' }]);
        return;
      }
      expect(await failureOf(running)).toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        cause: { code: 'MR_SCHEMA_VIOLATION' },
      });
      expect(seen).toEqual(validate === 'out' ? [{ n: 1, at: 'now' }] : []);
    }),
  );

  test('the timestamp function gets what readers get', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', {
        value: z.object({ at: z.iso.datetime().transform((text) => new Date(text)) }),
        timestamp: ({ at }) => at.getTime(),
      });
      await topic.send({ at: '2001-01-01T00:00:00Z' });
      expect((await recordsOf(topic))[0]).toMatchObject({
        timestamp: Date.UTC(2001, 0, 1),
        value: { at: new Date('2001-01-01T00:00:00Z') },
      });
    }));

  test('sends from inside processing are checked as those from outside', () =>
    withApp(async ({ app }) => {
      const source = app.topic('source', { value: unchecked<string>(), partitions: 1 });
      const target = app.topic('target', { key: z.string().min(2), value });
      app.each('copy', source, async (n) => {
        await target.send({ n }, { key: n });
      });
      await source.send('12');
      await runOnce(app);
      expect(await recordsOf(target)).toMatchObject([{ key: '12', value: { n: 12, at: 'now' } }]);
      await source.send('x1');
      const byValue = await failureOf(await app.start());
      expect(byValue).toMatchObject({ cause: { code: 'MR_SCHEMA_VIOLATION' } });
    }));

  test('keys that a stream passes on are checked by the topic that takes them', () =>
    withApp(async ({ app }) => {
      const source = app.topic('source', { key: z.string(), value: z.number(), partitions: 1 });
      const target = app.topic('target', { key: z.string().min(2), value: z.number() });
      source.stream().sink(target);
      await source.send(1, { key: 'ok' });
      await source.send(2, { key: 'x' });
      expect(await failureOf(await app.start())).toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        details: { topic: 'source', offset: 1, key: 'x' },
        cause: { code: 'MR_SCHEMA_VIOLATION', details: { where: 'a key of topic target' } },
      });
      expect(await recordsOf(target)).toEqual([]);
    }));
});

test('a schema that answers with a promise is refused at the first record', () =>
  withApp(async ({ app }) => {
    const topic = app.topic('topic', { value: z.string().refine(async () => true) });
    await expect(topic.send('x')).rejects.toMatchObject({ code: 'MR_OPTION_INVALID' });
  }));

test('values of binary codecs under a schema', () =>
  withApp(async ({ app }) => {
    const dates = app.topic('dates', { value: z.object({ at: z.date() }), codec: msgpack });
    const raw = app.topic('raw', { value: bytes });
    await dates.send({ at: new Date(5) });
    await raw.send(Uint8Array.of(1, 2, 3));
    expect(await valuesOf(dates)).toEqual([{ at: new Date(5) }]);
    expect(await valuesOf(raw)).toEqual([Uint8Array.of(1, 2, 3)]);
  }));
