/** Sending from outside processing: where a record goes, what it carries, what is refused. */
import { describe, expect, test } from 'vitest';

import { App, bytes, json, msgpack, unchecked, utf8 } from '../../src/index.ts';
import type { Key, Topic } from '../../src/index.ts';
import {
  bench,
  close,
  keyed,
  recordsOf,
  rowsOf,
  runOnce,
  valuesOf,
  withApp,
  withBroker,
  withDirectory,
} from './support.ts';

/** A topic without any types. */
function loose(app: App, name = 'topic', options: object = {}): Topic<never, unknown, unknown> {
  return app.topic<unknown, unknown, never>(name, options);
}

interface LooseOptions {
  readonly key?: unknown;
  readonly timestamp?: unknown;
  readonly partition?: unknown;
  readonly headers?: unknown;
}

async function send(
  topic: Topic<never, unknown, unknown>,
  value: unknown,
  options: LooseOptions = {},
): Promise<{ partition: number; offset: bigint; timestamp: number }> {
  return await topic.send(value, options as { key: never });
}

describe('what a send resolves to', () => {
  test('topic, partition, offset and receipt time', () =>
    withApp(async ({ app, clock }) => {
      const topic = app.topic<string>('topic', { partitions: 2 });
      expect(await topic.send('a', { partition: 1 })).toEqual({
        topic: 'topic',
        partition: 1,
        offset: 0n,
        timestamp: 1_000_000,
      });
      clock.jump(5_000);
      expect(await topic.send('b', { partition: 1 })).toMatchObject({
        offset: 1n,
        timestamp: 1_005_000,
      });
      expect(await topic.send('c', { partition: 0 })).toMatchObject({ partition: 0, offset: 0n });
    }));

  test('offsets of sends that travel together', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<number>('topic', { partitions: 3 });
      const placed = await Promise.all(
        Array.from({ length: 9 }, (_, n) => topic.send(n, { partition: n % 3 })),
      );
      expect(placed.map(({ partition, offset }) => [partition, offset])).toEqual(
        Array.from({ length: 9 }, (_, n) => [n % 3, BigInt(Math.floor(n / 3))]),
      );
    }));

  test('many sends in one turn are one append', () =>
    withDirectory(async (directory) => {
      const app = new App('shop', { broker: `file:${directory}` });
      try {
        const topic = app.topic<number>('topic', { partitions: 1 });
        await topic.send(0);
        await Promise.all(Array.from({ length: 100 }, (_, n) => topic.send(n + 1)));
        await withBroker(directory, async (broker) => {
          const reader = broker.reader('topic', 0, 0);
          expect((await reader.next())?.count).toBe(1);
          expect((await reader.next())?.count).toBe(100);
          expect(await reader.next()).toBeUndefined();
        });
        expect(await valuesOf(topic)).toEqual(Array.from({ length: 101 }, (_, n) => n));
      } finally {
        await close(app);
      }
    }));

  test('records of one caller keep their order over several appends', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<{ n: number; filling: string }>('topic', { partitions: 1 });
      const filling = 'x'.repeat(100_000);
      await Promise.all(Array.from({ length: 60 }, (_, n) => topic.send({ n, filling })));
      expect((await valuesOf(topic)).map(({ n }) => n)).toEqual(
        Array.from({ length: 60 }, (_, n) => n),
      );
    }));
});

describe('keys', () => {
  const keys: Key[] = [
    'ann',
    '',
    ' ',
    '__proto__',
    'constructor',
    'toString',
    'ключ 🔑',
    '\0zero',
    '1',
    1,
    0,
    -1.5,
    Infinity,
    12n,
    -(2n ** 70n),
    true,
    false,
    new Uint8Array(),
    Uint8Array.of(0, 255),
    'k'.repeat(8_192),
    'ü'.repeat(4_096),
    'k'.repeat(65_000),
  ];

  test('of every kind come back as they were sent', () =>
    withApp(async ({ app }) => {
      const topic = loose(app);
      await Promise.all(keys.map((key, n) => send(topic, n, { key })));
      const found = await recordsOf(topic);
      expect(
        found.toSorted((a, b) => Number(a.value) - Number(b.value)).map(({ key }) => key),
      ).toEqual(keys);
    }));

  test('each has a row of its own in tables, also after a restart', () =>
    withDirectory(async (directory) => {
      for (let life = 1; life <= 2; life++) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const topic = app.topic<number, number, Key>('topic', { key: unchecked<Key>() });
          const counts = app.table<number, Key>('counts', { default: () => 0 });
          topic.stream().update(counts, (n) => n + 1);
          await Promise.all(keys.map((key) => topic.send(1, { key })));
          await runOnce(app);
          const rows = await Array.fromAsync(counts.snapshot());
          expect(rows).toHaveLength(keys.length);
          expect(rows.every(([, count]) => count === life)).toBe(true);
          for (const key of keys) expect(rows.map(([of]) => of)).toContainEqual(key);
        } finally {
          await close(app);
        }
      }
    }));

  test('equal keys meet in one partition, whichever app sends', () =>
    withDirectory(async (directory) => {
      const apps = ['one', 'two'].map((id) => new App(id, { broker: `file:${directory}` }));
      try {
        const partitions = [];
        for (const app of apps) {
          const topic = app.topic('topic', { ...keyed<number>(), partitions: 16 });
          partitions.push((await topic.send(1, { key: '__proto__' })).partition);
        }
        expect(new Set(partitions).size).toBe(1);
      } finally {
        for (const app of apps) await close(app);
      }
    }));

  test('null and undefined are no key', () =>
    withApp(async ({ app }) => {
      const topic = loose(app);
      await send(topic, 1, { key: null });
      await send(topic, 2, { key: undefined });
      expect((await recordsOf(topic)).map(({ key }) => key)).toEqual([null, null]);
    }));

  test.each<[unknown, RegExp]>([
    [Number.NaN, /^NaN cannot be a key: NaN is not equal to itself$/u],
    [() => 1, /cannot be a key/u],
    [Symbol('s'), /cannot be a key/u],
    [new Date(0), /cannot be a key/u],
    ['\ud800', /half of a surrogate pair/u],
    ['k'.repeat(65_001), /a key of at least 65001 encoded bytes is longer than 65000/u],
    ['ü'.repeat(40_000), /a key of 80000 encoded bytes is longer than 65000/u],
  ])('%o is refused', (key, message) =>
    withApp(async ({ app }) => {
      const topic = loose(app);
      const error = await send(topic, 1, { key }).catch((refusal: unknown) => refusal as Error);
      expect(error).toMatchObject({ code: 'MR_KEY_INVALID' });
      expect((error as Error).message).toMatch(message);
      expect(await recordsOf(topic)).toEqual([]);
    }),
  );

  test('a key codec', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { key: utf8, value: unchecked<number>() });
      const binary = app.topic('binary', { key: bytes, value: unchecked<number>() });
      await topic.send(1, { key: '1' });
      await binary.send(1, { key: Uint8Array.of(1, 2) });
      expect((await recordsOf(topic))[0]?.key).toBe('1');
      expect((await recordsOf(binary))[0]?.key).toEqual(Uint8Array.of(1, 2));
    }));
});

describe('headers', () => {
  test('travel with the record; text comes back as bytes', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<number>('topic', { partitions: 1 });
      const headers = Object.fromEntries([
        ['trace', 'ü'],
        ['', ''],
        ['__proto__', 'p'],
        ['bytes', Uint8Array.of(1)],
      ]) as Record<string, string | Uint8Array>;
      await topic.send(1, { headers });
      await topic.send(2);
      const [first, second] = await recordsOf(topic);
      const found = Object.entries(first?.headers ?? {}).map(([name, value]) => [
        name,
        Buffer.from(value).toString(),
      ]);
      expect(found).toEqual([
        ['trace', 'ü'],
        ['', ''],
        ['__proto__', 'p'],
        ['bytes', '\u0001'],
      ]);
      expect(Object.keys(second?.headers ?? {})).toEqual([]);
    }));

  test.each<[string, object]>([
    ['a name that is too long', { ['n'.repeat(256)]: '' }],
    ['a value that is neither text nor bytes', { n: 5 }],
    ['a value that is missing', { n: undefined }],
  ])('%s is refused', (_, headers) =>
    withApp(async ({ app }) => {
      const topic = loose(app);
      await expect(send(topic, 1, { headers })).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
      });
      expect(await recordsOf(topic)).toEqual([]);
    }),
  );
});

describe('partitions', () => {
  test('an explicit one wins over the key', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', keyed<number>());
      for (let partition = 0; partition < 4; partition++)
        expect(await topic.send(1, { key: 'k', partition })).toMatchObject({ partition });
    }));

  test.each([-1, 4, 0.5, Number.NaN, '1'])('%o is refused', (partition) =>
    withApp(async ({ app }) => {
      const topic = loose(app);
      await expect(send(topic, 1, { partition })).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
        message: `topic topic has partitions 0 to 3, not ${partition}`,
      });
    }),
  );

  test('without a key the partitions take turns', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<number>('topic');
      const partitions = [];
      for (let n = 0; n < 8; n++) partitions.push((await topic.send(n)).partition);
      expect(new Set(partitions).size).toBe(4);
      expect(partitions.slice(0, 4)).toEqual(partitions.slice(4));
    }));
});

describe('event time', () => {
  test('is the clock, a function of the value, or what the sender says', () =>
    withApp(async ({ app, clock }) => {
      const plain = app.topic<number>('plain', { partitions: 1 });
      const timed = app.topic('timed', {
        value: unchecked<number>(),
        partitions: 1,
        timestamp: (n) => n * 10,
      });
      clock.jump(7);
      for (const topic of [plain, timed]) {
        await topic.send(5);
        await topic.send(6, { timestamp: -3 });
        await topic.send(7, { timestamp: 0 });
      }
      expect((await recordsOf(plain)).map((r) => r.timestamp)).toEqual([1_000_007, -3, 0]);
      expect((await recordsOf(timed)).map((r) => r.timestamp)).toEqual([50, -3, 0]);
    }));

  test.each([1.5, Number.NaN, Infinity, -Infinity, 2 ** 51 + 1, '5', new Date(5), 5n])(
    '%o is refused',
    (timestamp) =>
      withApp(async ({ app }) => {
        const refusal = {
          code: 'MR_TIMESTAMP_INVALID',
          message: expect.stringMatching(/is not an event time for topic/u) as unknown,
        };
        const plain = loose(app, 'plain');
        await expect(send(plain, 1, { timestamp })).rejects.toMatchObject(refusal);
        const timed = loose(app, 'timed', { timestamp: () => timestamp });
        await expect(send(timed, 1)).rejects.toMatchObject(refusal);
        expect(await recordsOf(plain)).toEqual([]);
        expect(await recordsOf(timed)).toEqual([]);
      }),
  );

  test('a function that gives nothing is refused', () =>
    withApp(async ({ app }) => {
      for (const nothing of [undefined, null]) {
        const timed = loose(app, `timed-${nothing}`, { timestamp: () => nothing });
        await expect(send(timed, 1)).rejects.toMatchObject({ code: 'MR_TIMESTAMP_INVALID' });
      }
    }));

  test('as far away as it may be', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<number>('topic', { partitions: 1 });
      await Promise.all([2 ** 51, -(2 ** 51), 0].map((timestamp) => topic.send(1, { timestamp })));
      expect((await recordsOf(topic)).map((r) => r.timestamp)).toEqual([2 ** 51, -(2 ** 51), 0]);
    }));

  test('a function that throws fails the send alone', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', {
        value: unchecked<{ at?: Date }>(),
        timestamp: (value) => (value.at as Date).getTime(),
        codec: msgpack,
      });
      const [failed, sent] = await Promise.allSettled([
        topic.send({}),
        topic.send({ at: new Date(5) }),
      ]);
      expect(failed.status).toBe('rejected');
      expect(sent.status).toBe('fulfilled');
      expect(await valuesOf(topic)).toEqual([{ at: new Date(5) }]);
    }));
});

describe('values that cannot be sent', () => {
  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a bigint', 1n],
    [
      'a cycle',
      (() => {
        const cycle: Record<string, unknown> = {};
        cycle['self'] = cycle;
        return cycle;
      })(),
    ],
  ])('%s', (_, value) =>
    withApp(async ({ app }) => {
      const topic = loose(app);
      await expect(send(topic, value)).rejects.toMatchObject({ code: 'MR_ENCODE_FAILED' });
      expect(await recordsOf(topic)).toEqual([]);
    }),
  );

  test('null is a value', () =>
    withApp(async ({ app }) => {
      const topic = loose(app);
      await send(topic, null);
      expect(await valuesOf(topic)).toEqual([null]);
    }));

  test.each([
    ['json', json],
    ['msgpack', msgpack],
  ])('one over the limit leaves nothing behind, and its neighbours are sent (%s)', (_, codec) =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { value: unchecked<string>(), codec, partitions: 1 });
      const tooLarge = { code: 'MR_RECORD_TOO_LARGE' };
      const outcomes = await Promise.allSettled([
        topic.send('before'),
        topic.send('x'.repeat(1024 * 1024)),
        topic.send('x'.repeat(1024 * 1024 - 10), { headers: { trace: 'a long one' } }),
        topic.send('after'),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        'rejected',
        'fulfilled',
      ]);
      expect(outcomes[1]).toMatchObject({ reason: tooLarge });
      expect(outcomes[2]).toMatchObject({ reason: tooLarge });
      expect(String((outcomes[1] as PromiseRejectedResult).reason)).toMatch(
        /a record of \d+ bytes \(key 0, value \d+\) exceeds maxRecordBytes, 1048576; send less, or raise maxRecordBytes/u,
      );
      expect(await valuesOf(topic)).toEqual(['before', 'after']);
    }),
  );

  test('the limit can be raised and lowered', async () => {
    const small = bench('small', { maxRecordBytes: 1_024 });
    const large = bench('large', { maxRecordBytes: 3 * 1024 * 1024 });
    try {
      await expect(small.app.topic('topic').send('x'.repeat(1_023))).rejects.toMatchObject({
        code: 'MR_RECORD_TOO_LARGE',
      });
      await small.app.topic('other').send('x'.repeat(1_022));
      await large.app.topic('topic').send('x'.repeat(3 * 1024 * 1024 - 2));
    } finally {
      await close(small.app);
      await close(large.app);
    }
  });
});

test('sends that nobody waits for are limited', () =>
  withApp(async ({ app }) => {
    const topic = app.topic<number>('topic', { partitions: 1 });
    let refused = 0;
    const sends: Promise<unknown>[] = [];
    for (let n = 0; n < 100_010; n++)
      sends.push(
        topic.send(n).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'MR_OVERFLOW', retryable: true });
          refused++;
        }),
      );
    await Promise.all(sends);
    expect(refused).toBe(10);
    // Room again.
    expect(await topic.send(1)).toMatchObject({ offset: 100_000n });
  }));

test('records() gives what is stored when it begins, partition by partition', () =>
  withApp(async ({ app }) => {
    const topic = app.topic('topic', { ...keyed<number>(), partitions: 3 });
    for (let n = 0; n < 30; n++) await topic.send(n, { key: `k${n}` });
    const found = [];
    for await (const record of topic.records()) {
      if (found.length === 0) await topic.send(99, { key: 'k0', partition: record.partition });
      found.push(record);
    }
    expect(found).toHaveLength(30);
    expect(found.map(({ partition }) => partition)).toEqual(
      found.map(({ partition }) => partition).toSorted((a, b) => a - b),
    );
    expect(found[0]).toMatchObject({ topic: 'topic', offset: 0n, timestamp: 1_000_000 });
    for (const { key, value } of found) expect(key).toBe(`k${value}`);
  }));

test('what is sent from a stream in this process lands in the topic', () =>
  withApp(async ({ app }) => {
    const { Stream } = await import('../../src/index.ts');
    const topic = app.topic('topic', { ...keyed<string>(), partitions: 1 });
    const source = new Stream<string>();
    source.groupBy((text) => text.slice(0, 1), { name: 'first' }).sink(topic);
    await source.emit('ant');
    await source.emit('bee');
    expect((await recordsOf(topic)).map(({ key, value }) => [key, value])).toEqual([
      ['a', 'ant'],
      ['b', 'bee'],
    ]);
    const counts = app.table('counts', { default: () => 0 });
    topic.stream().update(counts, (n) => n + 1);
    await runOnce(app);
    expect(await rowsOf(counts)).toEqual(
      new Map([
        ['a', 1],
        ['b', 1],
      ]),
    );
  }));
