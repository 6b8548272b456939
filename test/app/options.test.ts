/** Declarations that are refused, each with a text that says what to write instead. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

import { App, bytes, float64, int32, json, msgpack, unchecked, utf8 } from '../../src/index.ts';
import type { AppOptions, Stream, TopicOptions, WindowOptions } from '../../src/index.ts';
import { bench, close, keyed, withApp, withDirectory } from './support.ts';

type Loose = Record<string, unknown>;

function refused(options: Loose, message: RegExp): void {
  expect(() => new App('shop', options as AppOptions)).toThrow(
    expect.objectContaining({
      code: 'MR_OPTION_INVALID',
      message: expect.stringMatching(message) as unknown,
    }),
  );
}

describe('options of an app', () => {
  test.each<[Loose, RegExp]>([
    [{ version: 0 }, /^version is 0; give a whole number from 1 to 1000000$/u],
    [{ version: 1.5 }, /^version is 1\.5; /u],
    [{ version: '2' }, /^version is 2; /u],
    [{ commit: { every: 0 } }, /^commit\.every is 0; give a whole number from 1 to 1000000$/u],
    [{ commit: { every: 1_000_001 } }, /^commit\.every is 1000001; /u],
    [{ commit: { interval: -1 } }, /^commit\.interval is -1, which is not a duration/u],
    [{ commit: { interval: 'soon' } }, /^commit\.interval is "soon", which is not a duration/u],
    [{ commit: { interval: Number.NaN } }, /^commit\.interval is NaN/u],
    [{ commit: { maxBufferedBytes: 1 } }, /^commit\.maxBufferedBytes is 1; .* from 65536 to /u],
    [{ commit: { maxBufferedBytes: 2 ** 30 } }, /^commit\.maxBufferedBytes is 1073741824; /u],
    [{ commit: { retryFor: Infinity } }, /^commit\.retryFor is Infinity/u],
    [{ maxRecordBytes: 1_023 }, /^maxRecordBytes is 1023; give a whole number from 1024 to /u],
    [{ maxRecordBytes: 2 ** 27 }, /^maxRecordBytes is 134217728; /u],
    [{ idleAfter: '1 s' }, /^idleAfter is "1 s"/u],
  ])('%o', (options, message) => refused(options, message));

  test('bounds themselves are taken', () => {
    for (const options of [
      { version: 1_000_000, idleAfter: 0, maxRecordBytes: 1_024 },
      { commit: { every: 1, interval: 0, maxBufferedBytes: 65_536, retryFor: 0 } },
      { commit: { every: 1_000_000, interval: '30d', maxBufferedBytes: 64 * 1024 * 1024 } },
      { maxRecordBytes: 64 * 1024 * 1024, version: 1 },
      { commit: undefined, version: undefined, idleAfter: undefined, logger: undefined },
    ] satisfies AppOptions[])
      expect(new App('shop', options).id).toBe('shop');
  });
});

describe('names', () => {
  const invalid = ['', '-a', '.a', 'a b', 'a/b', 'a..b', 'a.', 'con', 'x'.repeat(129), 'é', '__x'];

  test.each(invalid)('%j is refused everywhere', (name) => {
    const code = { code: 'MR_NAME_INVALID' };
    const { app } = bench();
    const topic = app.topic('topic');
    expect(() => new App(name)).toThrow(expect.objectContaining(code));
    expect(() => app.topic(name)).toThrow(expect.objectContaining(code));
    expect(() => app.table(name, { default: () => 0 })).toThrow(expect.objectContaining(code));
    expect(() => app.each(name, topic, () => undefined)).toThrow(expect.objectContaining(code));
    expect(() =>
      app.agent(name, topic, async (stream) => {
        for await (const _ of stream);
      }),
    ).toThrow(expect.objectContaining(code));
  });

  test('the text says what it names and what is allowed', () => {
    expect(() => bench().app.topic('a b')).toThrow(
      /^"a b" is not a valid topic name; use 1 to 128 letters, digits/u,
    );
  });

  test('an app id that ends like a version could be taken for another app', () => {
    expect(() => new App('shop-v2')).toThrow(/ends like a version/u);
    expect(new App('shop-v2b').id).toBe('shop-v2b');
  });

  test('a producer id is a name too', () =>
    withApp(async ({ app }) => {
      await expect(app.topic('topic').producer({ id: 'a b' })).rejects.toMatchObject({
        code: 'MR_NAME_INVALID',
      });
    }));

  test('twice is refused, but a topic, a table and an agent may share a name', () => {
    const { app } = bench();
    const orders = app.topic('orders');
    app.table('orders', { default: () => 0 });
    app.each('orders', orders, () => undefined);
    const taken = expect.objectContaining({ code: 'MR_NAME_TAKEN' }) as unknown;
    expect(() => app.topic('orders')).toThrow(taken);
    expect(() => app.topic('orders')).toThrow(
      'app shop declares topic orders twice; keep the first in a variable',
    );
    expect(() => app.table('orders', { default: () => 0 })).toThrow(taken);
    expect(() => app.each('orders', orders, () => undefined)).toThrow(taken);
  });

  test('a table has one window', () => {
    const table = bench().app.table('counts', { default: () => 0 });
    table.tumbling('1h');
    expect(() => table.tumbling('1h')).toThrow(/^table counts has windows already; keep what/u);
  });

  test('an agent whose own topic is taken is refused', () => {
    const { app } = bench();
    app.topic('shop-mail');
    expect(() => app.each('mail', { value: unchecked<string>() }, () => undefined)).toThrow(
      /declares topic shop-mail twice/u,
    );
  });
});

describe('options of topics, tables and operators', () => {
  test.each<[Loose, RegExp]>([
    [{ partitions: 0 }, /^partitions of topic orders is 0; give a whole number from 1 to 1024$/u],
    [{ partitions: 1_025 }, /^partitions of topic orders is 1025; /u],
    [{ partitions: 2.5 }, /^partitions of topic orders is 2\.5; /u],
    [
      { validate: 'never' },
      /^validate of topic orders is "never"; give 'both', 'in', 'out' or 'off'$/u,
    ],
    [{ value: 5 }, /^value of topic orders is neither a schema nor a codec; /u],
    [{ value: {} }, /^value of topic orders is neither a schema nor a codec; /u],
    [{ key: 'text' }, /^key of topic orders is neither a schema nor a codec; /u],
    [{ codec: 'json' }, /^codec of topic orders is no codec; /u],
    [{ keyCodec: unchecked<string>() }, /^keyCodec of topic orders is no codec; /u],
    [{ timestamp: 'at' }, /^timestamp of topic orders is no function; /u],
  ])('topic %o', (options, message) => {
    const { app } = bench();
    expect(() => app.topic('orders', options as TopicOptions<never, never, never>)).toThrow(
      expect.objectContaining({
        code: 'MR_OPTION_INVALID',
        message: expect.stringMatching(message) as unknown,
      }),
    );
    // A declaration that was refused takes no name.
    app.topic('orders');
  });

  test('a codec in place of a schema, for values and keys', () => {
    const { app } = bench();
    app.topic('a', { value: msgpack });
    app.topic('b', { value: bytes, key: float64 });
    app.topic('c', { value: z.string(), codec: json, keyCodec: bytes });
  });

  test.each<[unknown, WindowOptions | undefined, RegExp]>([
    [0, undefined, /^size is 0/u],
    ['1.0005s', undefined, /^size is 1000\.5 ms, which is not a whole number/u],
    ['1h', { grace: -1 }, /^grace is -1/u],
    ['1h', { grace: '2h', retention: '1h' }, /^retention \(3600000 ms\) is shorter than grace/u],
  ])('windows of %o with %o', (size, options, message) => {
    const table = bench().app.table('counts', { default: () => 0 });
    expect(() => table.tumbling(size as number, options)).toThrow(message);
    table.tumbling('1h');
  });

  test.each([0, 1.5, -1, 100_001])('producers with batch %d', (batch) =>
    withApp(async ({ app }) => {
      await expect(app.topic('orders').producer({ id: 'loader', batch })).rejects.toMatchObject({
        code: 'MR_OPTION_INVALID',
      });
    }),
  );

  test.each([0, 65, 0.5])('producers with maxInFlight %d', (maxInFlight) =>
    withApp(async ({ app }) => {
      await expect(
        app.topic('orders').producer({ id: 'loader', maxInFlight }),
      ).rejects.toMatchObject({ code: 'MR_OPTION_INVALID' });
    }),
  );

  test('producer options that are refused do not fence the one before', () =>
    withApp(async ({ app }) => {
      const orders = app.topic<number>('orders');
      const producer = await orders.producer({ id: 'loader' });
      await expect(orders.producer({ id: 'loader', linger: -1 })).rejects.toMatchObject({
        code: 'MR_OPTION_INVALID',
      });
      await producer.send(1);
      await producer.close();
    }));

  test('sinks on a body that cannot yield', () => {
    const { app } = bench();
    const topic = app.topic<number>('numbers');
    const silent = (async (stream) => {
      for await (const _ of stream);
    }) as Parameters<typeof app.agent<string | null, number, number>>[2];
    expect(() => app.agent('silent', topic, silent, { sinks: [() => undefined] })).toThrow(
      /^agent silent has sinks, but its body is an async function and never yields; write async function\*/u,
    );
    app.agent('silent', topic, silent);
  });

  test('a sink that is none', () => {
    const { app } = bench();
    const numbers: Stream<unknown, unknown> = app.topic('numbers').stream();
    expect(() => numbers.sink('console' as unknown as () => void)).toThrow(
      expect.objectContaining({ code: 'MR_ARGUMENT_INVALID' }),
    );
    expect(() => numbers.sink()).toThrow(/^sink was called without a target/u);
  });
});

describe('while the app runs', () => {
  test('declarations that the worker would not see are refused', () =>
    withApp(async ({ app }) => {
      const orders = app.topic('orders', keyed<number>());
      const running = await app.start();
      const code = expect.objectContaining({ code: 'MR_ARGUMENT_INVALID' }) as unknown;
      expect(() => app.table('late', { default: () => 0 })).toThrow(code);
      expect(() => app.each('late', orders, () => undefined)).toThrow(code);
      expect(() => orders.stream().sink(() => undefined)).toThrow(
        /^a stream of topic orders was declared while app shop runs/u,
      );
      await running.stop();
      orders.stream().update(app.table('late', { default: () => 0 }), (n) => n + 1);
      await (await app.start()).stop();
    }));

  test('a topic may be declared, to send to it from outside and inside', () =>
    withApp(async ({ app }) => {
      const orders = app.topic<number>('orders');
      const later: { send?: (n: number) => Promise<unknown> } = {};
      app.each('copy', orders, async (n) => {
        await later.send?.(n);
      });
      const running = await app.start();
      const copies = app.topic<number>('copies');
      later.send = (n) => copies.send(n);
      await copies.send(0);
      await orders.send(1);
      await running.settled();
      expect(
        (await Array.fromAsync(copies.records()))
          .map(({ value }) => value)
          .toSorted((a, b) => a - b),
      ).toEqual([0, 1]);
    }));

  test('the worker alone cannot send to it', () =>
    withApp(async ({ app }) => {
      const orders = app.topic<number>('orders');
      const later: { send?: (n: number) => Promise<unknown> } = {};
      app.each('copy', orders, async (n) => {
        await later.send?.(n);
      });
      const running = await app.start();
      const copies = app.topic<number>('copies');
      later.send = (n) => copies.send(n);
      await orders.send(1);
      await expect(running.settled()).rejects.toMatchObject({ code: 'MR_UNKNOWN_TOPIC' });
    }));
});

describe('topics that are there already', () => {
  test.each<
    [string, TopicOptions<string, never, never>, TopicOptions<string, never, never>, RegExp]
  >([
    [
      'partitions',
      { partitions: 2 },
      { partitions: 3 },
      /^topic orders is there with partitions 2 and cannot be declared with 3; declare it as it is, or use another name$/u,
    ],
    [
      'codec',
      {},
      { codec: msgpack },
      /there with codec "json" and cannot be declared with "msgpack"/u,
    ],
    [
      'keyCodec',
      { keyCodec: int32 },
      { key: unchecked<string>() },
      /there with keyCodec "int32" and cannot be declared with none; declare it as it is/u,
    ],
  ])('with other %s are refused, naming what differs', (field, first, second, message) =>
    withDirectory(async (directory) => {
      const broker = `file:${directory}` as const;
      const one = new App('one', { broker });
      const two = new App('two', { broker });
      try {
        await one.topic('orders', first as object).send({ n: 1 }, { key: 1 as never });
        const topic = two.topic('orders', second as object);
        const conflict = { code: 'MR_TOPIC_CONFLICT', details: { topic: 'orders', field } };
        await expect(topic.send({ n: 1 })).rejects.toMatchObject(conflict);
        await expect(topic.send({ n: 1 })).rejects.toThrow(message);
        await expect(Array.fromAsync(topic.records())).rejects.toMatchObject(conflict);
        await expect(two.start()).rejects.toMatchObject(conflict);
        topic.stream().sink(() => undefined);
        await expect(two.start()).rejects.toMatchObject(conflict);
      } finally {
        await close(one);
        await close(two);
      }
    }),
  );

  test('text keys by codec and by schema are the same', () =>
    withDirectory(async (directory) => {
      const broker = `file:${directory}` as const;
      const one = new App('one', { broker });
      const two = new App('two', { broker });
      try {
        await one.topic('orders', { key: utf8 }).send(1, { key: 'ä' });
        const orders = two.topic('orders', { key: unchecked<string>() });
        expect((await Array.fromAsync(orders.records()))[0]?.key).toBe('ä');
      } finally {
        await close(one);
        await close(two);
      }
    }));

  test('the app codec counts', () =>
    withDirectory(async (directory) => {
      const broker = `file:${directory}` as const;
      const one = new App('one', { broker });
      const two = new App('two', { broker, codec: msgpack });
      try {
        await one.topic('orders').send(1);
        await expect(two.topic('orders').send(1)).rejects.toMatchObject({
          code: 'MR_TOPIC_CONFLICT',
        });
      } finally {
        await close(one);
        await close(two);
      }
    }));

  test("another app's changelog is refused as a topic", () =>
    withDirectory(async (directory) => {
      const broker = `file:${directory}` as const;
      const one = new App('one', { broker });
      const two = new App('two', { broker });
      try {
        one
          .topic('orders')
          .stream()
          .sink(() => undefined);
        await (await one.start()).stop();
        await expect(two.topic('one-orders-changelog').send(1)).rejects.toMatchObject({
          code: 'MR_TOPIC_CONFLICT',
        });
      } finally {
        await close(one);
        await close(two);
      }
    }));
});
