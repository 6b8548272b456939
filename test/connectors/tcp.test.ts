import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { describe, expect, test } from 'vitest';

import { tcpClient } from '../../src/connectors/tcp/client.ts';
import { tcpServer } from '../../src/connectors/tcp/server.ts';
import type { TcpServerOptions } from '../../src/connectors/tcp/server.ts';
import { tcpSink } from '../../src/connectors/tcp/sink.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into } from '../stream/helpers.ts';
import { gate, rejection, openSockets, turn, until } from './support.ts';

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** A server of Node on a port of its own. */
async function listen(onConnection: (socket: Socket) => void, port = 0): Promise<Server> {
  const server = createServer(onConnection).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function end(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  await closed;
}

describe('tcpServer', () => {
  test('gives the frames of all connections, each as it was sent', async () => {
    const before = openSockets();
    const source = tcpServer({ port: 0, encoding: 'utf8' });
    const lines = into(source);
    expect(source.port).toBe(0);
    await source.start();
    const [a, b] = await Promise.all([open(source.port), open(source.port)]);
    a.write('one\ntw');
    await until(() => lines.length === 1);
    b.write('three\n');
    await until(() => lines.length === 2);
    a.write('o\n');
    await until(() => lines.length === 3);
    expect(lines).toEqual(['one\n', 'three\n', 'two\n']);
    const gone = Promise.all([once(a, 'close'), once(b, 'close')]);
    await source.close();
    await gone;
    await until(() => openSockets() <= before);
  });

  test('bytes, other delimiters, without them', async () => {
    const source = tcpServer({ port: 0, delimiter: Buffer.from([0, 1]), keepDelimiter: false });
    const frames = into(source);
    await source.start();
    const socket = await open(source.port);
    socket.write(Buffer.from([7, 0, 1, 8, 9, 0]));
    socket.write(Buffer.from([1]));
    await until(() => frames.length === 2);
    socket.write(Buffer.from([5, 5]));
    socket.write(Buffer.from([5, 0, 1]));
    await until(() => frames.length === 3);
    expect(frames).toEqual([Buffer.from([7]), Buffer.from([8, 9]), Buffer.from([5, 5, 5])]);
    socket.destroy();
    await source.close();
  });

  test('a client is read no faster than its frames are dealt with', async () => {
    const source = tcpServer({ port: 0 });
    const { fn, values, openForGood } = gate();
    source.sink(fn);
    await source.start();
    const socket = await open(source.port);
    const line = `${'x'.repeat(1_023)}\n`;
    // Until its own buffers, those of the system and those of the server are full.
    let sent = 0;
    let refused = false;
    while (!refused) {
      const taken = await new Promise<boolean>((resolve) => {
        if (socket.write(line)) resolve(true);
        else {
          socket.once('drain', () => resolve(true));
          // The other side reads nothing more: values stand still, and so does the socket.
          void (async () => {
            const { bytesWritten } = socket;
            for (let i = 0; i < 200; i++) await turn();
            resolve(socket.bytesWritten > bytesWritten || !socket.writableNeedDrain);
          })();
        }
      });
      sent++;
      refused = !taken;
      if (sent > 200_000) throw new Error('the server reads without end');
    }
    expect(values.length).toBe(1);
    openForGood();
    await until(() => values.length === sent);
    socket.destroy();
    await source.close();
  });

  test('a frame that is too long ends its connection alone', async () => {
    const errors: unknown[] = [];
    const options = { port: 0, maxFrameBytes: 4, encoding: 'utf8' } as const;
    const source = tcpServer({ ...options, onClientError: (error) => errors.push(error) });
    const lines = into(source);
    await source.start();
    const [bad, good] = await Promise.all([open(source.port), open(source.port)]);
    const gone = once(bad, 'close');
    bad.write('a\nfar too long\n');
    await gone;
    good.write('b\n');
    await until(() => lines.length === 2);
    expect(lines).toEqual(['a\n', 'b\n']);
    expect(errors).toMatchObject([{ code: 'MR_RECORD_TOO_LARGE' }]);
    good.destroy();
    await source.close();
  });

  test('a connection that ends in the middle of a frame is told', async () => {
    const errors: unknown[] = [];
    const source = tcpServer({ port: 0, onClientError: (error) => errors.push(error) });
    const lines = into(source);
    await source.start();
    const socket = await open(source.port);
    socket.end('whole\nhalf');
    await until(() => errors.length === 1);
    expect(lines.map(String)).toEqual(['whole\n']);
    expect(errors).toMatchObject([{ code: 'MR_IO', details: { bytes: 4 } }]);
    await source.close();
  });

  test('takes no more connections than it may', async () => {
    const source = tcpServer({ port: 0, maxConnections: 1 });
    source.sink(() => undefined);
    await source.start();
    const first = await open(source.port);
    const second = connect({ port: source.port, host: '127.0.0.1' });
    second.on('error', () => undefined);
    await once(second, 'close');
    first.destroy();
    await source.close();
  });

  test('a value that fails ends it, and the port is free again', async () => {
    const source = tcpServer({ port: 0, encoding: 'utf8' });
    const all = source
      .map((line) => {
        if (line === 'bad\n') throw new RangeError('bad line');
        return line;
      })
      .toArray();
    await source.start();
    const { port } = source;
    const socket = await open(port);
    socket.write('good\nbad\n');
    await expect(all).rejects.toThrow('bad line');
    await end(await listen(() => undefined, port));
    socket.destroy();
  });

  test('what is under way when it is closed is finished', async () => {
    const source = tcpServer({ port: 0 });
    const { fn, values, open: pass } = gate();
    source.sink(fn);
    await source.start();
    const socket = await open(source.port);
    socket.write('a\nb\n');
    await until(() => values.length === 1);
    let closed = false;
    const closing = source.close().then(() => (closed = true));
    for (let i = 0; i < 10; i++) await turn();
    expect(closed).toBe(false);
    pass();
    await closing;
    expect(values.map(String)).toEqual(['a\n']);
  });

  test('a port that is taken fails start', async () => {
    const server = await listen(() => undefined);
    const source = tcpServer({ port: portOf(server) });
    expect(await rejection(source.start())).toMatchObject({ code: 'MR_IN_USE', retryable: true });
    await end(server);
  });

  test('its signal closes it', async () => {
    const stop = new AbortController();
    const source = tcpServer({ port: 0, signal: stop.signal });
    const all = source.toArray();
    await source.start();
    stop.abort();
    expect(await all).toEqual([]);
  });

  test('wrong options are told where they are given', () => {
    const wrong: Partial<TcpServerOptions>[] = [
      { port: -1 },
      { port: 65_536 },
      { maxConnections: 0 },
      { maxFrameBytes: 1.5 },
      { delimiter: '' },
      { encoding: 'hex' as 'utf8' },
    ];
    for (const options of wrong)
      expect(codeOf(() => tcpServer({ port: 0, ...options }))).toBe('MR_OPTION_INVALID');
    expect(codeOf(() => tcpServer({ port: 0, host: '' }))).toBe('MR_ARGUMENT_INVALID');
  });
});

describe('tcpClient', () => {
  test('connects again when the connection is lost', async () => {
    let connections = 0;
    const server = await listen((socket) => {
      connections++;
      socket.end(`line ${connections}\nhalf`);
    });
    const source = tcpClient({
      port: portOf(server),
      encoding: 'utf8',
      reconnect: { times: 1, backoff: 1 },
    });
    const lines = into(source);
    await until(() => lines.length === 3);
    expect(lines).toEqual(['line 1\n', 'line 2\n', 'line 3\n']);
    await source.close();
    await end(server);
  });

  test('gives up when nobody is there', async () => {
    const server = await listen(() => undefined);
    const port = portOf(server);
    await end(server);
    const source = tcpClient({ port, reconnect: { times: 2, backoff: 1 } });
    const error = await rejection(source.toArray());
    expect(error).toMatchObject({ code: 'MR_IO', domain: 'external', retryable: true });
    expect(MillraceError.is(error) && error.details).toMatchObject({
      port,
      system: 'ECONNREFUSED',
    });
  });

  test('without reconnecting it ends with the connection', async () => {
    const server = await listen((socket) => socket.end('a\nb\n'));
    const source = tcpClient({ port: portOf(server), encoding: 'utf8', reconnect: false });
    expect(await source.toArray()).toEqual(['a\n', 'b\n']);
    await end(server);
  });

  test('a frame that is too long fails it', async () => {
    const server = await listen((socket) => socket.end('far too long\n'));
    const source = tcpClient({ port: portOf(server), maxFrameBytes: 4 });
    expect(await codeOfRejection(source.toArray())).toBe('MR_RECORD_TOO_LARGE');
    await end(server);
  });

  test('closing it ends the connection, and the wait for another one', async () => {
    const server = await listen(() => undefined);
    const source = tcpClient({ port: portOf(server) });
    source.sink(() => undefined);
    await source.start();
    await source.close();
    await end(server);

    const waiting = tcpClient({
      port: portOf(await freed()),
      reconnect: { times: 9, backoff: '1h' },
    });
    waiting.sink(() => undefined);
    await turn();
    await waiting.close();
  });
});

/** A server that has been closed: nobody listens at its port. */
async function freed(): Promise<Server> {
  const server = await listen(() => undefined);
  const address = server.address();
  await end(server);
  server.address = () => address;
  return server;
}

describe('tcpSink', () => {
  /** A server that keeps what it is sent. */
  async function receiver(): Promise<{ server: Server; text: () => string; sockets: Socket[] }> {
    const sockets: Socket[] = [];
    let text = '';
    const server = await listen((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => (text += chunk.toString()));
    });
    return { server, text: () => text, sockets };
  }

  test('sends each value with its end, and close waits for the last', async () => {
    const { server, text } = await receiver();
    const source = new Stream();
    const sink = tcpSink({ port: portOf(server) });
    source.sink(sink);
    await source.emit('text');
    await source.emit(Buffer.from('bytes'));
    await source.emit({ n: 1 });
    await sink.close();
    await until(() => text() === 'text\nbytes\n{"n":1}\n');
    await end(server);
    expect(await codeOfRejection(source.emit('more'))).toBe('MR_CLOSED');
  });

  test('connects again and goes on when the other side has hung up', async () => {
    const { server, text, sockets } = await receiver();
    const sink = tcpSink<string>({ port: portOf(server), reconnect: { times: 3, backoff: 1 } });
    await sink('one');
    await until(() => text() === 'one\n');
    const gone = once(sockets[0]!, 'close');
    sockets[0]!.destroy();
    await gone;
    // What was sent before the end is noticed may be lost; what comes behind it is not.
    while (sockets.length === 1) await sink('again');
    await sink('two');
    await until(() => text().endsWith('two\n'));
    await sink.close();
    await end(server);
  });

  test('waits while the other side does not read', async () => {
    const { promise: connected, resolve } = Promise.withResolvers<Socket>();
    const server = await listen((socket) => {
      socket.pause();
      resolve(socket);
    });
    const sink = tcpSink<Buffer>({ port: portOf(server), end: '' });
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
    // No progress in so many turns of the loop: the system takes no more.
    for (let still = 0, last = -1; still < 300; still = last === dealtWith ? still + 1 : 0) {
      last = dealtWith;
      await turn();
    }
    stuck = true;
    const socket = await connected;
    socket.resume();
    await sending;
    await sink.close();
    await end(server);
  });

  test('fails a value when nobody is there, and the next one tries again', async () => {
    const server = await freed();
    const port = portOf(server);
    const sink = tcpSink<string>({ port, reconnect: { times: 1, backoff: 1 } });
    expect(await rejection(sink('a'))).toMatchObject({
      code: 'MR_IO',
      retryable: true,
    });
    let text = '';
    const later = await listen(
      (socket) => void socket.on('data', (chunk) => (text += chunk.toString())),
      port,
    );
    await sink('b');
    await until(() => text === 'b\n');
    await sink.close();
    await end(later);
  });

  test('its signal ends waits', async () => {
    const stop = new AbortController();
    const port = portOf(await freed());
    const sink = tcpSink<string>({
      port,
      reconnect: { times: 5, backoff: '1h', maxBackoff: '1h' },
      signal: stop.signal,
    });
    const sent = sink('a');
    for (let i = 0; i < 5; i++) await turn();
    stop.abort();
    expect(await codeOfRejection(sent)).toBe('MR_ABORTED');
    await sink.close();
  });
});
