/** What a worker does with records that it cannot read, operators that throw, damage, and another worker of its app. */
import { describe, expect, test, vi } from 'vitest';
import { z } from 'zod';

import { App, unchecked } from '../../src/index.ts';
import type { Table, Topic } from '../../src/index.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import {
  bench,
  close,
  failureOf,
  keyed,
  moment,
  rowsOf,
  runOnce,
  turns,
  valuesOf,
  withApp,
  withBroker,
  withDirectory,
  logTo,
} from './support.ts';

/** Appends records of any bytes, all keyed `k`. */
async function appendRaw(broker: Broker, topic: string, ...texts: string[]): Promise<void> {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: 1 << 24 });
  for (const text of texts) builder.add(0, Buffer.from('k'), Buffer.from(text));
  await broker.append([{ topic, partition: 0, frame: builder.build() }]);
}

interface Summing {
  readonly app: App;
  readonly topic: Topic<string, { n: number }, { n: string }>;
  readonly sums: Table<string, number, number>;
  readonly copies: Topic<string, unknown>;
}

const schema = z.object({ n: z.coerce.number<string>() });

/** Sums numbers, which are stored as text. */
function summing(directory: string, every = 10_000): Summing {
  const app = new App('shop', { broker: `file:${directory}`, commit: { every } });
  const topic = app.topic('topic', { key: unchecked<string>(), value: schema, partitions: 1 });
  const sums = app.table('sums', { default: () => 0 });
  const copies = app.topic('copies', { ...keyed<unknown>(), partitions: 1 });
  topic.stream().update(sums, (sum, { n }) => sum + n);
  topic.stream().sink(copies);
  return { app, topic, sums, copies };
}

describe('records that cannot be read', () => {
  test.each<[string, string, string, RegExp]>([
    ['malformed JSON', '{"n":', 'MR_DECODE_FAILED', /are not JSON/u],
    ['no UTF-8', '\ud800', 'MR_DECODE_FAILED', /are not JSON/u],
    ['nothing', '', 'MR_DECODE_FAILED', /are not JSON/u],
    ['two values', '1,2', 'MR_DECODE_FAILED', /are not JSON/u],
    ['a violation of the schema', '{"n":"x"}', 'MR_SCHEMA_VIOLATION', /does not match its schema/u],
  ])('%s: those before it are good, nothing behind it is touched', (_, bad, code, message) =>
    withDirectory(async (directory) => {
      // One commit per record, so that what was done before the bad one is seen.
      const { app, topic, sums, copies } = summing(directory, 1);
      try {
        await topic.send({ n: '1' }, { key: 'k' });
        await withBroker(directory, async (broker) => {
          await appendRaw(broker, 'topic', '{"n":"10"}', '{"n":"100"}', bad, '{"n":"1000"}');
        });
        const failure = await failureOf(await app.start());
        expect(failure).toMatchObject({
          code: 'MR_PROCESSING_FAILED',
          details: { topic: 'topic', partition: 0, offset: 3, key: 'k', task: 'topic/0' },
          cause: { code },
        });
        expect(failure.message).toMatch(/^processing failed at topic\[0\] offset 3, key "k": /u);
        expect((failure.cause as Error).message).toMatch(message);
        // Validated and transformed like all others, although a neighbour in their frame is bad.
        const done = await valuesOf(copies);
        expect(done).toEqual([{ n: 1 }, { n: 10 }, { n: 100 }].slice(0, done.length));
        expect((await rowsOf(sums)).get('k') ?? 0).toBe([0, 1, 11, 111][done.length]);
        // It fails in the same way until somebody does something about it.
        expect(await failureOf(await app.start())).toMatchObject({ details: { offset: 3 } });
      } finally {
        await close(app);
      }
    }),
  );

  test('by the time the worker has failed those before it are committed or not, but never half', () =>
    withDirectory(async (directory) => {
      const { app, topic, sums, copies } = summing(directory);
      try {
        await topic.send({ n: '1' }, { key: 'k' });
        await withBroker(directory, (broker) => appendRaw(broker, 'topic', '{"n":"10"}', 'bad'));
        await failureOf(await app.start());
        expect(await valuesOf(copies)).toEqual([]);
        expect((await rowsOf(sums)).size).toBe(0);
      } finally {
        await close(app);
      }
    }));

  test('a program that takes them goes on where the other one stopped', () =>
    withDirectory(async (directory) => {
      const first = summing(directory, 1);
      try {
        await first.topic.send({ n: '1' }, { key: 'k' });
        await withBroker(directory, (broker) =>
          appendRaw(broker, 'topic', '{"n":"ten"}', '{"n":"100"}'),
        );
        await failureOf(await first.app.start());
      } finally {
        await close(first.app);
      }
      const app = new App('shop', { broker: `file:${directory}` });
      try {
        const topic = app.topic('topic', {
          key: unchecked<string>(),
          value: z.object({
            n: z.string().transform((text) => (text === 'ten' ? 10 : Number(text))),
          }),
          partitions: 1,
        });
        const sums = app.table('sums', { default: () => 0 });
        const copies = app.topic('copies', { ...keyed<unknown>(), partitions: 1 });
        topic.stream().update(sums, (sum, { n }) => sum + n);
        topic.stream().sink(copies);
        await runOnce(app);
        expect(await rowsOf(sums)).toEqual(new Map([['k', 111]]));
        expect(await valuesOf(copies)).toEqual([{ n: 1 }, { n: 10 }, { n: 100 }]);
      } finally {
        await close(app);
      }
    }));

  test('records() gives those before it, then throws', () =>
    withDirectory(async (directory) => {
      const { app, topic } = summing(directory);
      try {
        await topic.send({ n: '1' }, { key: 'k' });
        await withBroker(directory, (broker) =>
          appendRaw(broker, 'topic', '{"n":"10"}', 'bad', '{"n":"100"}'),
        );
        const found: unknown[] = [];
        await expect(
          (async () => {
            for await (const { value } of topic.records()) found.push(value);
          })(),
        ).rejects.toMatchObject({
          code: 'MR_DECODE_FAILED',
          message: expect.stringMatching(
            /^the record at offset 2 of topic\[0\] cannot be read: /u,
          ) as unknown,
          details: { topic: 'topic', partition: 0, offset: 2 },
        });
        expect(found).toEqual([{ n: 1 }, { n: 10 }]);
      } finally {
        await close(app);
      }
    }));

  test('a key that is none', () =>
    withDirectory(async (directory) => {
      const { app, topic } = summing(directory);
      try {
        await topic.send({ n: '1' }, { key: 'k' });
        await withBroker(directory, async (broker) => {
          const builder = new FrameBuilder({ text: false, maxRecordBytes: 1_000 });
          builder.add(0, Uint8Array.of(0, 99), Buffer.from('{"n":"1"}'));
          await broker.append([{ topic: 'topic', partition: 0, frame: builder.build() }]);
        });
        expect(await failureOf(await app.start())).toMatchObject({
          details: { offset: 1, key: null },
          cause: { code: 'MR_DECODE_FAILED' },
        });
      } finally {
        await close(app);
      }
    }));
});

describe('damage', () => {
  /** Flips one bit in a frame of `topic`, wherever it lies. */
  async function flip(directory: string, topic: string): Promise<void> {
    await withBroker(directory, async (broker) => {
      const reader = broker.reader(topic, 0, 0);
      const frame = await reader.next();
      const bytes = Buffer.from(frame?.bytes ?? []);
      for (const { key, value } of [...broker.state.range('frames', {})]) {
        if (!Buffer.from(value).equals(bytes)) continue;
        const flipped = Buffer.from(value);
        const at = flipped.length - 1;
        flipped[at] = (flipped[at] as number) ^ 4;
        await broker.state.transact((txn) => txn.put('frames', key, flipped));
        return;
      }
      throw new Error('the frame was not found');
    });
  }

  test('of a frame of a topic: the worker fails, naming the place, and has committed nothing past it', () =>
    withDirectory(async (directory) => {
      const { app, topic, sums } = summing(directory);
      try {
        await topic.send({ n: '1' }, { key: 'k' });
        await flip(directory, 'topic');
        expect(await failureOf(await app.start())).toMatchObject({
          code: 'MR_CORRUPT',
          details: { topic: 'topic', partition: 0, offset: 0 },
        });
        expect((await rowsOf(sums)).size).toBe(0);
      } finally {
        await close(app);
      }
    }));

  test('of a frame of a changelog: the app does not start', () =>
    withDirectory(async (directory) => {
      const { app, topic, sums } = summing(directory);
      try {
        await topic.send({ n: '1' }, { key: 'k' });
        await runOnce(app);
        await flip(directory, 'shop-topic-changelog');
        await expect(app.start()).rejects.toMatchObject({
          code: 'MR_CORRUPT',
          details: { topic: 'shop-topic-changelog' },
        });
        await expect(rowsOf(sums)).rejects.toMatchObject({ code: 'MR_CORRUPT' });
      } finally {
        await close(app);
      }
    }));
});

describe('a throwing operator', () => {
  const operators: [
    string,
    (topic: Topic<string, number>, table: Table<string, number, number>) => void,
  ][] = [
    ['map', (topic) => void topic.stream().map(fail).sink(ignore)],
    ['filter', (topic) => void topic.stream().filter(fail).sink(ignore)],
    [
      'asynchronous map',
      (topic) =>
        void topic
          .stream()
          .map(async (n) => fail(n))
          .sink(ignore),
    ],
    ['sink', (topic) => void topic.stream().sink(fail)],
    ['asynchronous sink', (topic) => void topic.stream().sink(async (n) => fail(n))],
    ['update', (topic, table) => void topic.stream().update(table, (_, n) => fail(n))],
    [
      'accumulate',
      (topic) =>
        void topic
          .stream()
          .accumulate((_, n) => fail(n), { start: 0 })
          .sink(ignore),
    ],
    [
      'flatten',
      (topic) =>
        void (topic.stream() as never as ReturnType<Topic<string, number[]>['stream']>)
          .flatten()
          .sink(ignore),
    ],
    [
      'groupBy',
      (topic) =>
        void topic
          .stream()
          .groupBy((n) => fail(n), { name: 'g' })
          .sink(ignore),
    ],
    [
      'behind a groupBy',
      (topic) => void topic.stream().groupBy(String, { name: 'g' }).map(fail).sink(ignore),
    ],
  ];

  function fail(n: number): number {
    if (n === 3) throw new RangeError('three');
    return n;
  }

  function ignore(): void {
    // nothing
  }

  test.each(operators)('%s: the worker fails with the place and the cause', (name, declare) =>
    withApp(async ({ app, warnings }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const table = app.table('table', { default: () => 0 });
      declare(topic, table);
      await Promise.all([1, 2, 3, 4].map((n) => topic.send(n, { key: `k${n}` })));
      const running = await app.start();
      const failure = await failureOf(running);
      if (name === 'flatten') {
        expect(failure).toMatchObject({ details: { offset: 0 } });
        return;
      }
      expect(failure).toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        details: { partition: 0, key: name === 'behind a groupBy' ? '3' : 'k3' },
        cause: { name: 'RangeError', message: 'three' },
      });
      expect((await rowsOf(table)).size).toBe(0);
      // Somebody was told, so nothing is said on standard error.
      expect(warnings).toEqual([]);
      await expect(running.done).rejects.toBe(failure);
    }),
  );

  test('a failure that nobody asks for is warned of', () =>
    withApp(async ({ app, clock, warnings }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      topic.stream().sink(fail);
      await topic.send(3, { key: 'k' });
      await app.start();
      await turns(clock);
      expect(warnings).toEqual([
        'the worker failed: processing failed at topic[0] offset 0, key "k": three; mend it and start again, or say with onError what becomes of such events',
      ]);
    }));

  test('other tasks keep what they have committed', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 2 });
      const table = app.table('table', { default: () => 0 });
      topic.stream().update(table, (_, n) => fail(n));
      await topic.send(1, { key: 'a', partition: 0 });
      await runOnce(app);
      await topic.send(3, { key: 'b', partition: 1 });
      await failureOf(await app.start());
      expect(await rowsOf(table)).toEqual(new Map([['a', 1]]));
    }));
});

describe('another worker of the same app', () => {
  test('takes its share of the tasks; nothing is lost or doubled', () =>
    withDirectory(async (directory) => {
      const make = () => {
        const app = new App('shop', {
          broker: `file:${directory}`,
          commit: { every: 10 },
          logger: logTo([]),
        });
        const topic = app.topic('topic', { ...keyed<number>(), partitions: 4 });
        const table = app.table('table', { default: () => 0 });
        const copies = app.topic('copies', keyed<number>());
        topic.stream().update(table, (sum, n) => sum + n);
        topic.stream().sink(copies);
        return { app, topic, table, copies };
      };
      const [first, second] = [make(), make()];
      try {
        const one = await first.app.start();
        expect(one.stats.tasks).toHaveLength(4);
        for (let n = 0; n < 50; n++) await first.topic.send(1, { key: `k${n % 5}` });
        const two = await second.app.start();
        await vi.waitFor(() => expect(two.stats.tasks).toHaveLength(2), { timeout: 20_000 });
        expect(one.stats.tasks).toHaveLength(2);
        for (let n = 0; n < 50; n++) await first.topic.send(1, { key: `k${n % 5}` });
        await Promise.all([one.settled(), two.settled()]);
        await one.stop();
        for (let n = 0; n < 50; n++) await second.topic.send(1, { key: `k${n % 5}` });
        await vi.waitFor(() => expect(two.stats.tasks).toHaveLength(4), { timeout: 20_000 });
        await two.settled();
        await two.stop();
        expect(await rowsOf(second.table)).toEqual(
          new Map(['k0', 'k1', 'k2', 'k3', 'k4'].map((key) => [key, 30])),
        );
        expect(await valuesOf(second.copies)).toHaveLength(150);
      } finally {
        await close(first.app);
        await close(second.app);
      }
    }));

  test('taking turns over and over', () =>
    withDirectory(async (directory) => {
      const apps: App[] = [];
      try {
        let table: Table<string, number, number> | undefined;
        for (let life = 0; life < 6; life++) {
          const app = new App('shop', { broker: `file:${directory}`, commit: { every: 3 } });
          apps.push(app);
          const topic = app.topic('topic', keyed<number>());
          table = app.table('table', { default: () => 0 });
          topic
            .stream()
            .groupBy((n) => `four ${n % 4}`, { name: 'four' })
            .update(table, (sum) => sum + 1);
          await Promise.all(Array.from({ length: 25 }, (_, n) => topic.send(n, { key: `k${n}` })));
          // Nobody stops anything: each is a zombie for the next one.
          const running = await app.start();
          running.done.catch(() => undefined);
          if (life % 2 === 0)
            await turns({ turn: () => new Promise((go) => setImmediate(go)) }, life * 3);
          else await running.settled();
        }
        const last = apps.at(-1) as App;
        await last.close();
        const rows = [...(await rowsOf(table as Table<string, number, number>)).values()];
        expect(rows.reduce((sum, n) => sum + n, 0)).toBe(150);
      } finally {
        for (const app of apps) await close(app);
      }
    }));
});

test('a worker that fails while it is stopped tells so', () =>
  withApp(async ({ app }) => {
    const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
    const begun = moment();
    const goOn = moment();
    app.each('agent', topic, async () => {
      begun.come();
      await goOn.reached;
      throw new Error('too bad');
    });
    await topic.send(1, { key: 'k' });
    const running = await app.start();
    await begun.reached;
    const stopped = running.stop();
    stopped.catch(() => undefined);
    goOn.come();
    await expect(stopped).rejects.toMatchObject({ cause: { message: 'too bad' } });
    await expect(running.done).rejects.toMatchObject({ cause: { message: 'too bad' } });
  }));

test('an app that is closed while an agent is stuck can be used again', async () => {
  const { app, clock } = bench();
  const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
  const begun = moment();
  app.each('agent', topic, async () => {
    begun.come();
    await new Promise(() => undefined);
  });
  await topic.send(1, { key: 'k' });
  const running = await app.start();
  await begun.reached;
  const closing = app.close();
  closing.catch(() => undefined);
  await clock.advance(30_000);
  await expect(closing).rejects.toMatchObject({ code: 'MR_STOP_TIMEOUT' });
  await expect(running.done).rejects.toMatchObject({ code: 'MR_STOP_TIMEOUT' });
  await (await app.start()).stop();
  await close(app);
});
