import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { RawData } from 'ws';

import { websocketClient } from '../../src/connectors/websocket/client.ts';
import { websocketServer } from '../../src/connectors/websocket/server.ts';
import { websocketSink } from '../../src/connectors/websocket/sink.ts';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into } from '../stream/helpers.ts';
import { gate, rejection, turn, until } from './support.ts';

async function open(port: number, path = '/'): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
  socket.on('error', () => undefined);
  await once(socket, 'open');
  return socket;
}

/** What `ws` gives of a text. */
function textOf(data: RawData): string {
  return (data as Buffer).toString();
}

/** A server of `ws` for as long as `body` runs. */
async function withServer(
  onConnection: (socket: WebSocket, headers: Readonly<Record<string, unknown>>) => void,
  body: (url: string, server: WebSocketServer) => Promise<void>,
): Promise<void> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket, { headers }) => {
    socket.on('error', () => undefined);
    onConnection(socket, headers);
  });
  await once(server, 'listening');
  try {
    await body(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, server);
  } finally {
    const closed = once(server, 'close');
    server.close();
    for (const socket of server.clients) socket.terminate();
    await closed;
  }
}

describe('websocketServer', () => {
  test('gives texts and bytes of all clients', async () => {
    const source = websocketServer({ port: 0 });
    const messages = into(source);
    await source.start();
    const [a, b] = await Promise.all([open(source.port), open(source.port)]);
    a.send('text');
    await until(() => messages.length === 1);
    b.send(Buffer.from('bytes'));
    b.send('');
    await until(() => messages.length === 3);
    expect(messages).toEqual(['text', Buffer.from('bytes'), '']);
    const gone = Promise.all([once(a, 'close'), once(b, 'close')]);
    await source.close();
    await gone;
  });

  test('a client is read no faster than its messages are dealt with', async () => {
    const source = websocketServer({ port: 0 });
    const { fn, values, openForGood } = gate();
    source.sink(fn);
    await source.start();
    const socket = await open(source.port);
    const message = Buffer.alloc(1 << 16);
    let sent = 0;
    // Until nothing moves: the server has read a little, and the systems take no more.
    for (
      let still = 0, last = -1;
      still < 300;
      still = last === socket.bufferedAmount ? still + 1 : 0
    ) {
      last = socket.bufferedAmount;
      if (last < 4 << 20) {
        socket.send(message);
        sent++;
        if (sent > 10_000) throw new Error('the server reads without end');
      }
      await turn();
    }
    expect(values.length).toBe(1);
    openForGood();
    await until(() => values.length === sent);
    socket.terminate();
    await source.close();
  });

  test('many small messages in one piece are held, and dealt with one after the other', async () => {
    const source = websocketServer({ port: 0 });
    let underWay = 0;
    let most = 0;
    const seen: unknown[] = [];
    source.sink(async (value) => {
      most = Math.max(most, ++underWay);
      await turn();
      seen.push(value);
      underWay--;
    });
    await source.start();
    const socket = await open(source.port);
    for (let i = 0; i < 1_000; i++) socket.send(String(i));
    await until(() => seen.length === 1_000);
    expect(most).toBe(1);
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, i) => String(i)));
    socket.terminate();
    await source.close();
  });

  test('of each client one message is under way at once, whatever follows', async () => {
    const source = websocketServer({ port: 0 });
    const { fn, values, openForGood } = gate();
    let done = 0;
    source.map(fn, { concurrency: 100 }).sink(() => void done++);
    await source.start();
    const sockets = await Promise.all([open(source.port), open(source.port)]);
    for (const socket of sockets) for (let i = 0; i < 5; i++) socket.send(String(i));
    await until(() => values.length === 2);
    for (let i = 0; i < 20; i++) await turn();
    expect(values).toEqual(['0', '0']);
    openForGood();
    await until(() => done === 10);
    for (const socket of sockets) socket.terminate();
    await source.close();
  });

  test('a message that is too long ends its connection alone', async () => {
    const errors: unknown[] = [];
    const source = websocketServer({
      port: 0,
      maxPayloadBytes: 10,
      onClientError: (error) => errors.push(error),
    });
    const messages = into(source);
    await source.start();
    const [bad, good] = await Promise.all([open(source.port), open(source.port)]);
    bad.send('far too long');
    await once(bad, 'close');
    good.send('good');
    await until(() => messages.length === 1);
    await until(() => errors.length === 1);
    expect(errors).toMatchObject([{ code: 'MR_IO' }]);
    good.terminate();
    await source.close();
  });

  test('serves one path, and no plain requests', async () => {
    const source = websocketServer({ port: 0, path: '/in' });
    const messages = into(source);
    await source.start();
    await expect(open(source.port, '/out')).rejects.toThrow('400');
    expect((await fetch(`http://127.0.0.1:${source.port}/in`)).status).toBe(426);
    const socket = await open(source.port, '/in?x=1');
    socket.send('here');
    await until(() => messages.length === 1);
    socket.terminate();
    await source.close();
  });

  test('a value that fails ends it', async () => {
    const source = websocketServer({ port: 0 });
    const all = source
      .tap(() => {
        throw new RangeError('no value');
      })
      .toArray();
    await source.start();
    const socket = await open(source.port);
    socket.send('x');
    await expect(all).rejects.toThrow('no value');
    await once(socket, 'close');
  });

  test('a port that is taken fails start', async () => {
    await withServer(
      () => undefined,
      async (url) => {
        const source = websocketServer({ port: Number(new URL(url).port) });
        expect(await codeOfRejection(source.start())).toBe('MR_IN_USE');
      },
    );
  });
});

describe('websocketClient', () => {
  test('says hello, and misses nothing that is sent at once', async () => {
    const heard: string[] = [];
    await withServer(
      (socket, headers) => {
        socket.send(`hello ${String(headers['x-who'])}`);
        socket.on('message', (message) => {
          heard.push(textOf(message));
          socket.send(Buffer.from('subscribed'));
          socket.close(1000);
        });
      },
      async (url) => {
        const source = websocketClient(url, {
          reconnect: false,
          hello: ['subscribe'],
          headers: { 'x-who': 'me' },
        });
        expect(await source.toArray()).toEqual(['hello me', Buffer.from('subscribed')]);
      },
    );
    expect(heard).toEqual(['subscribe']);
  });

  test('connects again when the connection is lost', async () => {
    let connections = 0;
    await withServer(
      (socket) => {
        connections++;
        socket.send(`message ${connections}`, () => socket.terminate());
      },
      async (url) => {
        const source = websocketClient(url, { reconnect: { times: 1, backoff: 1 } });
        const messages = into(source);
        await until(() => messages.length === 3);
        expect(messages).toEqual(['message 1', 'message 2', 'message 3']);
        await source.close();
      },
    );
  });

  test('sends on as many messages at once as what follows works on', async () => {
    await withServer(
      (socket) => {
        for (let i = 0; i < 5; i++) socket.send(String(i));
        socket.close(1000);
      },
      async (url) => {
        const { fn, values, openForGood } = gate();
        const source = websocketClient(url, { reconnect: false });
        const all = source.map(fn, { concurrency: 3 }).toArray();
        await until(() => values.length === 3);
        for (let i = 0; i < 20; i++) await turn();
        expect(values.length).toBe(3);
        openForGood();
        expect((await all).length).toBe(5);
      },
    );
  });

  test('one that is closed for a reason fails without reconnecting', async () => {
    await withServer(
      (socket) => socket.close(4001, 'go away'),
      async (url) => {
        const source = websocketClient(url, { reconnect: false });
        expect(await rejection(source.toArray())).toMatchObject({
          code: 'MR_IO',
          details: { closeCode: 4001 },
        });
      },
    );
  });

  test('gives up when nobody is there, and does not tell secrets', async () => {
    let url = '';
    await withServer(
      () => undefined,
      async (given) => void (url = given),
    );
    const secret = `${url.replace('//', '//me:pass@')}/?token=secret`;
    const source = websocketClient(secret, { reconnect: { times: 1, backoff: 1 } });
    const error = await rejection(source.toArray());
    expect(error).toMatchObject({ code: 'MR_IO', details: { system: 'ECONNREFUSED' } });
    expect(String(error)).not.toMatch(/pass|secret/);
  });

  test('is read no faster than messages are dealt with', async () => {
    await withServer(
      (socket) => {
        for (let i = 0; i < 1_000; i++) socket.send(Buffer.alloc(1 << 14));
      },
      async (url, server) => {
        const source = websocketClient(url);
        const { fn, values, openForGood } = gate();
        source.sink(fn);
        await until(() => values.length === 1);
        const [socket] = [...server.clients];
        for (let still = 0, last = -1; still < 300; still++) {
          if (last !== socket!.bufferedAmount) still = 0;
          last = socket!.bufferedAmount;
          await turn();
        }
        expect(socket!.bufferedAmount).toBeGreaterThan(0);
        openForGood();
        await until(() => values.length === 1_000);
        await source.close();
      },
    );
  });

  test('a message that is too long fails it', async () => {
    await withServer(
      (socket) => socket.send('far too long'),
      async (url) => {
        const source = websocketClient(url, { maxPayloadBytes: 10 });
        expect(await codeOfRejection(source.toArray())).toBe('MR_RECORD_TOO_LARGE');
      },
    );
  });

  test('closing it ends the connection', async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    await withServer(
      (socket) => socket.once('close', () => resolve()),
      async (url) => {
        const source = websocketClient(url);
        source.sink(() => undefined);
        await source.start();
        await source.close();
        await gone;
      },
    );
  });

  test('wrong arguments are told where they are given', () => {
    expect(codeOf(() => websocketClient('http://me:pass@host'))).toBe('MR_URL_INVALID');
    expect(codeOf(() => websocketClient('ws://host', { maxPayloadBytes: 0 }))).toBe(
      'MR_OPTION_INVALID',
    );
  });
});

describe('websocketSink', () => {
  test('sends each value, and close waits for the last', async () => {
    const messages: unknown[] = [];
    await withServer(
      (socket) =>
        socket.on('message', (message, isBinary) =>
          messages.push(isBinary ? message : textOf(message)),
        ),
      async (url) => {
        const source = new Stream();
        const sink = websocketSink(url);
        source.sink(sink);
        await source.emit('text');
        await source.emit(Buffer.from('bytes'));
        await source.emit({ n: 1 });
        await sink.close();
        expect(messages).toEqual(['text', Buffer.from('bytes'), '{"n":1}']);
        expect(await codeOfRejection(source.emit('more'))).toBe('MR_CLOSED');
      },
    );
  });

  test('connects again when the other side has hung up', async () => {
    const messages: string[] = [];
    const sockets: WebSocket[] = [];
    await withServer(
      (socket) => {
        sockets.push(socket);
        socket.on('message', (message) => messages.push(textOf(message)));
      },
      async (url) => {
        const sink = websocketSink<string>(url, { reconnect: { times: 3, backoff: 1 } });
        await sink('one');
        await until(() => messages.length === 1);
        sockets[0]!.terminate();
        // What was sent before the end is noticed may be lost; what comes behind it is not.
        while (sockets.length === 1) await sink('again');
        await sink('two');
        await until(() => messages.at(-1) === 'two');
        await sink.close();
      },
    );
  });

  test('waits while the other side does not read', async () => {
    const sockets: WebSocket[] = [];
    await withServer(
      (socket) => {
        socket.pause();
        sockets.push(socket);
      },
      async (url) => {
        const sink = websocketSink<Buffer>(url);
        const block = Buffer.alloc(1 << 16);
        let dealtWith = 0;
        let stuck = false;
        const sending = (async () => {
          while (!stuck) {
            await sink(block);
            dealtWith++;
          }
        })();
        await until(() => dealtWith > 0);
        for (let still = 0, last = -1; still < 300; still = last === dealtWith ? still + 1 : 0) {
          last = dealtWith;
          await turn();
        }
        stuck = true;
        sockets[0]!.resume();
        await sending;
        await sink.close();
      },
    );
  });

  test('fails a value when nobody is there', async () => {
    let url = '';
    await withServer(
      () => undefined,
      async (given) => void (url = given),
    );
    const sink = websocketSink<string>(url, { reconnect: { times: 1, backoff: 1 } });
    expect(await rejection(sink('a'))).toMatchObject({
      code: 'MR_IO',
      retryable: true,
    });
    await sink.close();
  });
});
