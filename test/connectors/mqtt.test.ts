import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { Aedes } from 'aedes';
import type { AedesOptions } from 'aedes';
import { describe, expect, test } from 'vitest';

import { mqttSink } from '../../src/connectors/mqtt/sink.ts';
import { mqttSource } from '../../src/connectors/mqtt/source.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into } from '../stream/helpers.ts';
import { gate, rejection, turn, until } from './support.ts';

interface Broker {
  readonly url: string;
  readonly aedes: Aedes;
  /** Open connections. */
  readonly sockets: Set<Socket>;
  readonly publish: (
    topic: string,
    payload: string,
    qos?: 0 | 1 | 2,
    retain?: boolean,
  ) => Promise<void>;
}

/** A broker for as long as `body` runs. */
async function withBroker(
  body: (broker: Broker) => Promise<void>,
  options: AedesOptions = {},
): Promise<void> {
  const aedes = await Aedes.createBroker(options);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    aedes.handle(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await body({
      url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
      aedes,
      sockets,
      publish: (topic, payload, qos = 1, retain = false) =>
        new Promise((resolve, reject) => {
          const packet = { cmd: 'publish', dup: false, topic, payload, qos, retain } as const;
          aedes.publish(packet, (error) =>
            error === undefined || error === null ? resolve() : reject(error),
          );
        }),
    });
  } finally {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => aedes.close(resolve));
    await closed;
  }
}

describe('mqttSource', () => {
  test('gives the messages of its topics, and lets go of the broker', async () => {
    await withBroker(async ({ url, publish, sockets }) => {
      await publish('kept/x', 'before', 1, true);
      const source = mqttSource(url, ['room/+', 'kept/#']);
      const messages = into(source);
      await source.start();
      await until(() => messages.length === 1);
      await publish('room/1', 'a');
      await publish('hall/1', 'none');
      await publish('room/2', 'b', 0);
      await until(() => messages.length === 3);
      expect(
        messages.map(({ topic, payload, qos, retain }) => [topic, String(payload), qos, retain]),
      ).toEqual([
        ['kept/x', 'before', 1, true],
        ['room/1', 'a', 1, false],
        ['room/2', 'b', 0, false],
      ]);
      await source.close();
      await until(() => sockets.size === 0);
    });
  });

  test.each([1, 2] as const)(
    'with QoS %i takes one at a time, and acknowledges when it was dealt with',
    async (qos) => {
      await withBroker(async ({ url, aedes, publish }) => {
        let acknowledged = 0;
        aedes.on('ack', () => acknowledged++);
        const source = mqttSource(url, 'x', { qos });
        const { fn, values, open } = gate();
        source.sink(({ payload }) => fn(String(payload)));
        await source.start();
        for (const text of ['a', 'b', 'c']) await publish('x', text, qos);
        await until(() => values.length === 1);
        for (let i = 0; i < 50; i++) await turn();
        expect(values).toEqual(['a']);
        if (qos === 1) expect(acknowledged).toBe(0);
        open();
        await until(() => values.length === 2);
        if (qos === 1) await until(() => acknowledged === 1);
        open();
        await until(() => values.length === 3);
        open();
        await source.close();
        expect(values).toEqual(['a', 'b', 'c']);
      });
    },
  );

  test('with QoS 0 takes as many as it may, and is not sent more', async () => {
    await withBroker(async ({ url, publish }) => {
      const source = mqttSource(url, 'x', { qos: 0, capacity: 3 });
      let underWay = 0;
      let most = 0;
      let seen = 0;
      const { fn, openForGood } = gate();
      source
        .map(
          async (message) => {
            most = Math.max(most, ++underWay);
            await fn(message);
            underWay--;
            seen++;
          },
          { concurrency: 100 },
        )
        .sink(() => undefined);
      await source.start();
      for (let i = 0; i < 10; i++) await publish('x', String(i), 0);
      await until(() => underWay === 3);
      for (let i = 0; i < 50; i++) await turn();
      expect(underWay).toBe(3);
      openForGood();
      await until(() => seen === 10);
      expect(most).toBe(3);
      await source.close();
    });
  });

  test('what was not acknowledged comes again to the same client', async () => {
    await withBroker(async ({ url, publish, sockets }) => {
      const options = { clientId: 'worker', clean: false };
      const first = mqttSource(url, 'jobs', options);
      const failed = first
        .map(({ payload }) => {
          if (String(payload) === 'bad') throw new RangeError('bad job');
          return String(payload);
        })
        .toArray();
      await first.start();
      await publish('jobs', 'good');
      await publish('jobs', 'bad');
      await expect(failed).rejects.toThrow('bad job');
      await until(() => sockets.size === 0);
      await publish('jobs', 'later');

      const second = mqttSource(url, 'jobs', options);
      const jobs = into(second.map(({ payload }) => String(payload)));
      await until(() => jobs.length === 2);
      expect(jobs.toSorted()).toEqual(['bad', 'later']);
      await second.close();
    });
  });

  test('connects and subscribes again when the connection is lost', async () => {
    await withBroker(async ({ url, aedes, publish, sockets }) => {
      const source = mqttSource(url, 'x', { reconnectAfter: 1 });
      const messages = into(source);
      await source.start();
      await publish('x', 'a');
      await until(() => messages.length === 1);
      const again = once(aedes, 'subscribe');
      for (const socket of sockets) socket.destroy();
      await again;
      await publish('x', 'b');
      await until(() => messages.length === 2);
      await source.close();
    });
  });

  test('while a message is under way the broker hears that the client lives', async () => {
    await withBroker(async ({ url, aedes, publish }) => {
      const clock = new VirtualClock();
      let pings = 0;
      aedes.on('ping', () => pings++);
      const source = mqttSource(url, 'x', { keepAliveSeconds: 60, clock });
      const { fn, values, open } = gate();
      source.sink(fn);
      await source.start();
      await publish('x', 'a');
      await until(() => values.length === 1);
      for (let i = 1; i <= 3; i++) {
        await clock.advance(30_000);
        await until(() => pings === i);
      }
      open();
      await source.close();
      expect(clock.timers).toBe(0);
    });
  });

  test('fails when nobody is there', async () => {
    let url = '';
    await withBroker(async (broker) => void (url = broker.url));
    const secret = url.replace('//', '//me:pass@');
    const source = mqttSource(secret, 'x', { reconnects: 1, reconnectAfter: 1 });
    const error = await rejection(source.start());
    expect(error).toMatchObject({ code: 'MR_IO', retryable: true });
    expect(String(error)).not.toContain('pass');
  });

  test('fails when the broker refuses the client, or the topic', async () => {
    const authenticate: AedesOptions['authenticate'] = (_client, user, password, done) =>
      done(null, user === 'me' && String(password) === 'p@ss');
    const authorizeSubscribe: AedesOptions['authorizeSubscribe'] = (_client, subscription, done) =>
      done(null, subscription.topic === 'secret' ? null : subscription);
    await withBroker(
      async ({ url }) => {
        const unknown = mqttSource(url, 'x', { username: 'me', password: 'wrong' });
        const error = await rejection(unknown.start());
        expect(error).toMatchObject({ code: 'MR_PERMISSION', retryable: false });
        expect(JSON.stringify(error)).not.toContain('wrong');

        const withPassword = url.replace('//', '//me:p%40ss@');
        expect(await codeOfRejection(mqttSource(withPassword, 'secret').start())).toBe(
          'MR_PERMISSION',
        );
        const known = mqttSource(withPassword, 'x');
        await known.start();
        await known.close();
      },
      { authenticate, authorizeSubscribe },
    );
  });

  test('wrong arguments are told where they are given', () => {
    expect(codeOf(() => mqttSource('http://me:pass@host', 'x'))).toBe('MR_URL_INVALID');
    expect(codeOf(() => mqttSource('mqtt://host', []))).toBe('MR_ARGUMENT_INVALID');
    expect(codeOf(() => mqttSource('mqtt://host', ''))).toBe('MR_ARGUMENT_INVALID');
    for (const options of [
      { qos: 3 as 2 },
      { clean: false },
      { capacity: 0 },
      { reconnects: -1 },
      { keepAliveSeconds: 0 },
    ])
      expect(codeOf(() => mqttSource('mqtt://host', 'x', options))).toBe('MR_OPTION_INVALID');
  });
});

describe('mqttSink', () => {
  test('a value is dealt with when the broker has acknowledged it', async () => {
    const held: (() => void)[] = [];
    const published: unknown[] = [];
    await withBroker(
      async ({ url, sockets }) => {
        const source = new Stream();
        const sink = mqttSink(url, 'out', { qos: 1 });
        source.sink(sink);
        let dealtWith = false;
        const sent = Promise.resolve(source.emit('a')).then(() => (dealtWith = true));
        await until(() => held.length === 1);
        for (let i = 0; i < 20; i++) await turn();
        expect(dealtWith).toBe(false);
        held[0]!();
        await sent;
        const second = source.emit({ n: 1 });
        await until(() => held.length === 2);
        held[1]!();
        await second;
        await sink.close();
        await until(() => sockets.size === 0);
        expect(published).toEqual([
          ['out', 'a', 1],
          ['out', '{"n":1}', 1],
        ]);
      },
      {
        authorizePublish: (_client, { topic, payload, qos }, done) => {
          published.push([topic, String(payload), qos]);
          held.push(() => done(null));
        },
      },
    );
  });

  test('the topic may come from the value', async () => {
    await withBroker(async ({ url }) => {
      const source = mqttSource(url, '#', { qos: 2 });
      const messages = into(source);
      await source.start();
      const sink = mqttSink<{ room: string; celsius: number }>(url, ({ room }) => `room/${room}`, {
        qos: 2,
        encode: ({ celsius }) => String(celsius),
      });
      await sink({ room: 'hall', celsius: 21 });
      await sink.close();
      await until(() => messages.length === 1);
      expect(messages[0]).toMatchObject({ topic: 'room/hall', qos: 2 });
      expect(String(messages[0]?.payload)).toBe('21');
      await source.close();
    });
  });

  test('one that is not acknowledged in time fails, and the next one connects anew', async () => {
    const clock = new VirtualClock();
    let asked = 0;
    await withBroker(
      async ({ url }) => {
        const sink = mqttSink<string>(url, 'out', { timeout: '5s', clock });
        const sent = sink('a');
        sent.catch(() => undefined);
        await until(() => asked === 1);
        await clock.advance(5_000);
        expect(await rejection(sent)).toMatchObject({ code: 'MR_TIMEOUT', retryable: true });
        await sink('b');
        expect(asked).toBe(2);
        await sink.close();
        expect(clock.timers).toBe(0);
      },
      {
        authorizePublish: (_client, _packet, done) => {
          if (++asked > 1) done(null);
        },
      },
    );
  });

  test('its signal ends it', async () => {
    const stop = new AbortController();
    let asked = 0;
    await withBroker(
      async ({ url, sockets }) => {
        const sink = mqttSink<string>(url, 'out', { signal: stop.signal });
        const sent = sink('a');
        sent.catch(() => undefined);
        await until(() => asked === 1);
        stop.abort();
        expect(await codeOfRejection(sent)).toBe('MR_ABORTED');
        expect(await codeOfRejection(sink('b'))).toBe('MR_ABORTED');
        await sink.close();
        await until(() => sockets.size === 0);
      },
      { authorizePublish: () => void asked++ },
    );
  });

  test('fails when nobody is there, or it may not', async () => {
    let url = '';
    await withBroker(
      async (broker) => {
        url = broker.url;
        const sink = mqttSink<string>(url, 'x', { username: 'me', password: 'wrong' });
        expect(await codeOfRejection(sink('a'))).toBe('MR_PERMISSION');
        await sink.close();
      },
      { authenticate: (_client, _user, _password, done) => done(null, false) },
    );
    const sink = mqttSink<string>(url, 'x', { reconnects: 0 });
    expect(await codeOfRejection(sink('a'))).toBe('MR_IO');
    await sink.close();
  });
});
