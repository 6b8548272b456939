import { once } from 'node:events';
import { createServer, request as requestOf } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';

import { httpPost } from '../../src/connectors/http/post.ts';
import { httpServer } from '../../src/connectors/http/server.ts';
import type { HttpServerOptions } from '../../src/connectors/http/server.ts';
import { serverSentEvents } from '../../src/connectors/http/server-sent-events.ts';
import type { ServerSentEvent } from '../../src/connectors/http/server-sent-events.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import type { Timer } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into, isSettled } from '../stream/helpers.ts';
import { gate, rejection, openSockets, turn, until } from './support.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A server of Node for as long as `body` runs. */
async function withServer(handler: Handler, body: (url: string) => Promise<void>): Promise<void> {
  const server: Server = createServer(
    (request, response) => void handler(request, response),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }
}

describe('httpServer', () => {
  const post = (port: number, body: string, path = '/', method = 'POST') =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(method === 'POST' ? { body } : {}),
    });

  test('answers when the value has been dealt with', async () => {
    const before = openSockets();
    const source = httpServer({ port: 0 });
    const { fn, values, open } = gate();
    source.sink(fn);
    await source.start();
    const answer = post(source.port, 'a body');
    await until(() => values.length === 1);
    expect(await isSettled(answer)).toBe(false);
    open();
    const response = await answer;
    expect([response.status, await response.text()]).toEqual([200, 'OK']);
    expect(values).toEqual([Buffer.from('a body')]);
    await source.close();
    await until(() => openSockets() <= before);
  });

  test('answers 500 when it failed, without telling why, and goes on', async () => {
    const source = httpServer({ port: 0, decode: String });
    source.sink((text) => {
      if (text === 'bad') throw new Error('the password is 1234');
    });
    await source.start();
    const bad = await post(source.port, 'bad');
    expect(bad.status).toBe(500);
    expect(await bad.text()).toBe('the value could not be processed');
    expect((await post(source.port, 'good')).status).toBe(200);
    await source.close();
  });

  test('answers what has no place here', async () => {
    const source = httpServer({
      port: 0,
      path: '/in',
      maxBodyBytes: 10,
      decode: (body, { headers }) => [headers['x-from'], JSON.parse(String(body))] as const,
    });
    const values = into(source);
    await source.start();
    const { port } = source;
    expect((await post(port, '1', '/out')).status).toBe(404);
    const get = await post(port, '', '/in', 'GET');
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST']);
    expect((await post(port, '{', '/in')).status).toBe(400);
    expect((await post(port, '1'.repeat(11), '/in')).status).toBe(413);
    // Of a length that is not said before.
    const chunks = new Blob(['1'.repeat(200_000)]).stream();
    const long = { method: 'POST', body: chunks, duplex: 'half' } as RequestInit;
    expect((await fetch(`http://127.0.0.1:${port}/in`, long)).status).toBe(413);
    const headers = { 'x-from': 'me' };
    const good = await fetch(`http://127.0.0.1:${port}/in?a=b`, {
      method: 'POST',
      body: '[1]',
      headers,
    });
    expect(good.status).toBe(200);
    expect(values).toEqual([['me', [1]]]);
    await source.close();
  });

  test('answers 503 when too many wait', async () => {
    const source = httpServer({ port: 0 });
    source.sink(() => {
      throw new MillraceError('MR_OVERFLOW', 'too many', { retryable: true });
    });
    await source.start();
    const answer = await post(source.port, 'a');
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    await source.close();
  });

  test('when it is closed it answers what it has taken, and the rest with 503', async () => {
    const source = httpServer({ port: 0 });
    const { fn, values, open } = gate();
    source.sink(fn);
    await source.start();
    const { port } = source;
    const taken = post(port, 'taken');
    await until(() => values.length === 1);
    const half = requestOf({
      port,
      host: '127.0.0.1',
      method: 'POST',
      headers: { 'content-length': '8', expect: '100-continue' },
    });
    half.flushHeaders();
    // The server has begun with it.
    await once(half, 'continue');
    half.write('half');
    const answered = once(half, 'response') as Promise<[IncomingMessage]>;
    const closing = source.close();
    const [{ statusCode }] = await answered;
    expect(statusCode).toBe(503);
    half.destroy();
    open();
    expect((await taken).status).toBe(200);
    await closing;
    expect(values.length).toBe(1);
    await expect(post(port, 'late')).rejects.toThrow();
  });

  test('a body that is still decoded when it is closed is answered with 503', async () => {
    const { fn, values: decoding, open } = gate();
    const source = httpServer({ port: 0, decode: (body) => fn(body) });
    const values = into(source);
    await source.start();
    const answer = post(source.port, 'a');
    await until(() => decoding.length === 1);
    const closing = source.close();
    open();
    expect((await answer).status).toBe(503);
    await closing;
    expect(values).toEqual([]);
  });

  test('a client that leaves in the middle of its body does no harm', async () => {
    const source = httpServer({ port: 0, decode: String });
    const values = into(source);
    await source.start();
    const socket = connect(source.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc');
    expect((await post(source.port, 'one')).status).toBe(200);
    socket.destroy();
    expect((await post(source.port, 'two')).status).toBe(200);
    expect(values).toEqual(['one', 'two']);
    await source.close();
  });

  test('wrong options are told where they are given', () => {
    const wrong: Partial<HttpServerOptions<Buffer>>[] = [
      { port: -1 },
      { path: 'in' },
      { maxBodyBytes: 0 },
      { maxConnections: 0 },
    ];
    for (const options of wrong)
      expect(codeOf(() => httpServer({ port: 0, ...options }))).toBe('MR_OPTION_INVALID');
    expect(codeOf(() => httpServer({ port: 0, decode: 1 as never }))).toBe('MR_ARGUMENT_INVALID');
  });
});

describe('serverSentEvents', () => {
  const type = { 'content-type': 'text/event-stream; charset=utf-8' };

  test('gives events, and goes on behind the last one when the connection ends', async () => {
    const asked: (string | undefined)[] = [];
    const answers = [
      ': hello\n\ndata: one\n\nevent: add\nid: 7\ndata: two\ndata: lines\n\nda',
      'id: 8ö\ndata: three\n\n',
      'data: four\n\n',
    ];
    await withServer(
      (request, response) => {
        asked.push(request.headers['last-event-id'] as string | undefined);
        const answer = answers[asked.length - 1];
        response.writeHead(answer === undefined ? 204 : 200, type).end(answer);
      },
      async (url) => {
        const source = serverSentEvents(url, { reconnect: { times: 1, backoff: 1 } });
        expect(await source.toArray()).toEqual([
          { event: 'message', data: 'one', id: undefined },
          { event: 'add', data: 'two\nlines', id: '7' },
          { event: 'message', data: 'three', id: '8ö' },
          { event: 'message', data: 'four', id: undefined },
        ] satisfies ServerSentEvent[]);
      },
    );
    const bytes = Buffer.from('8ö').toString('latin1');
    expect(asked).toEqual([undefined, '7', bytes, bytes]);
  });

  test('begins behind the id that it is given, and sends headers and the password of the URL', async () => {
    const seen: IncomingMessage['headers'][] = [];
    await withServer(
      ({ headers }, response) => {
        seen.push(headers);
        response.writeHead(204).end();
      },
      async (url) => {
        const withPassword = url.replace('//', '//me:p%40ss@');
        const options = { lastEventId: '41', headers: { 'x-topic': 'orders' } };
        expect(await serverSentEvents(withPassword, options).toArray()).toEqual([]);
      },
    );
    expect(seen).toMatchObject([
      {
        'last-event-id': '41',
        'x-topic': 'orders',
        accept: 'text/event-stream',
        authorization: `Basic ${Buffer.from('me:p@ss').toString('base64')}`,
      },
    ]);
  });

  test('waits for as long as the server says', async () => {
    const clock = new VirtualClock();
    let requests = 0;
    await withServer(
      (_request, response) => {
        requests++;
        if (requests === 1) response.writeHead(200, type).end('retry: 60000\ndata: x\n\n');
        else if (requests === 2) response.writeHead(503, { 'retry-after': '120' }).end();
        else response.writeHead(204).end();
      },
      async (url) => {
        const source = serverSentEvents(url, { clock });
        const all = source.toArray();
        for (const waitMs of [60_000, 120_000]) {
          const before = requests;
          await until(() => clock.timers === 1);
          await clock.advance(waitMs - 1);
          expect(clock.timers).toBe(1);
          await clock.advance(1);
          await until(() => requests > before);
        }
        expect(await all).toMatchObject([{ data: 'x' }]);
      },
    );
  });

  test('is read no faster than events are dealt with', async () => {
    let sent = 0;
    const event = `data: ${'x'.repeat(1_000)}\n\n`;
    await withServer(
      (_request, response) => {
        response.writeHead(200, type);
        const more = (): void => {
          while (sent < 50_000 && !response.destroyed) {
            sent++;
            if (!response.write(event)) {
              response.once('drain', more);
              return;
            }
          }
          response.end();
        };
        more();
      },
      async (url) => {
        const source = serverSentEvents(url, { reconnect: false });
        const { fn, values, openForGood } = gate();
        source.sink(fn);
        await until(() => values.length === 1);
        // Until it stands still: the system takes no more.
        for (let still = 0, last = -1; still < 300; still = last === sent ? still + 1 : 0) {
          last = sent;
          await turn();
        }
        expect(sent).toBeLessThan(50_000);
        openForGood();
        await until(() => values.length === 50_000);
        await source.drain();
      },
    );
  });

  test.each<[string, number, Record<string, string>, string, boolean]>([
    ['another type of content', 200, { 'content-type': 'text/html' }, 'MR_IO', false],
    ['that it may not', 403, {}, 'MR_IO', false],
    ['trouble of its own', 500, {}, 'MR_IO', true],
  ])('an answer with %s fails it', async (_name, status, headers, code, retryable) => {
    await withServer(
      (_request, response) => response.writeHead(status, headers).end('<html>'),
      async (url) => {
        const source = serverSentEvents(`${url}?token=secret`, { reconnect: false });
        const error = await rejection(source.start());
        expect(error).toMatchObject({ code, retryable, details: { status } });
        expect(String(error)).not.toContain('secret');
      },
    );
  });

  test('an event that is too long fails it, and ends the connection', async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    await withServer(
      (_request, response) => {
        response.once('close', resolve);
        response.writeHead(200, type).write(`data: a\n\ndata: ${'x'.repeat(1_000)}`);
      },
      async (url) => {
        const seen: string[] = [];
        const source = serverSentEvents(url, { maxEventLength: 100 });
        const all = source.tap(({ data }) => void seen.push(data)).toArray();
        expect(await codeOfRejection(all)).toBe('MR_RECORD_TOO_LARGE');
        expect(seen).toEqual(['a']);
        await gone;
      },
    );
  });

  test('closing it ends the connection', async () => {
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    await withServer(
      (_request, response) => {
        response.once('close', resolve);
        response.writeHead(200, type).flushHeaders();
      },
      async (url) => {
        const source = serverSentEvents(url);
        source.sink(() => undefined);
        await source.start();
        await source.close();
        await gone;
      },
    );
  });

  test('wrong arguments are told where they are given', () => {
    const error = codeOf(() => serverSentEvents('ftp://me:pass@host/'));
    expect(error).toBe('MR_URL_INVALID');
    for (const options of [
      { headers: { 'x-a': 'b\nc' } },
      { lastEventId: 'a\nb' },
      { reconnect: { times: 0 } },
      { maxEventLength: 0 },
    ])
      expect(codeOf(() => serverSentEvents('http://host', options))).toBe('MR_OPTION_INVALID');
  });
});

describe('httpPost', () => {
  interface Received {
    readonly body: string;
    readonly headers: IncomingMessage['headers'];
  }

  /** Answers with the given statuses, the last one for ever. */
  async function answering(
    statuses: readonly (number | [number, Record<string, string>])[],
    body: (url: string, received: Received[]) => Promise<void>,
  ): Promise<void> {
    const received: Received[] = [];
    await withServer(
      async (request, response) => {
        const chunks = await request.toArray();
        const answer = statuses[Math.min(received.length, statuses.length - 1)] as
          | number
          | [number];
        received.push({ body: Buffer.concat(chunks).toString(), headers: request.headers });
        const [status, headers] = Array.isArray(answer) ? answer : [answer, {}];
        response.writeHead(status, headers).end('the answer');
      },
      (url) => body(url, received),
    );
  }

  test('posts each value as JSON', async () => {
    await answering([200], async (url, received) => {
      const source = new Stream();
      source.sink(httpPost(url.replace('//', '//me:pass@'), { headers: { 'x-a': 'b' } }));
      await source.emit({ n: 1 });
      await source.emit('text');
      expect(received.map(({ body }) => body)).toEqual(['{"n":1}', '"text"']);
      expect(received[0]?.headers).toMatchObject({
        'content-type': 'application/json',
        'x-a': 'b',
        authorization: `Basic ${Buffer.from('me:pass').toString('base64')}`,
      });
      expect(await codeOfRejection(source.emit(1n))).toBe('MR_ENCODE_FAILED');
    });
  });

  test('posts what encode makes', async () => {
    await answering([200], async (url, received) => {
      const post = httpPost<number>(url, {
        encode: (n) => new Uint8Array([n]),
        headers: { 'Content-Type': 'application/octet-stream' },
      });
      await post(65);
      expect(received).toMatchObject([
        { body: 'A', headers: { 'content-type': 'application/octet-stream' } },
      ]);
    });
  });

  test('tries again what may pass, and waits for as long as the server says', async () => {
    const waitsMs: number[] = [];
    class Watched extends VirtualClock {
      override setTimer(delayMs: number, fn: () => void): Timer {
        waitsMs.push(delayMs);
        return super.setTimer(delayMs, fn);
      }
    }
    const clock = new Watched();
    await answering(
      [
        500,
        [429, { 'retry-after': '7' }],
        [503, { 'retry-after': 'Thu, 01 Jan 1970 00:00:20 GMT' }],
        200,
      ],
      async (url, received) => {
        const sent = httpPost(url, { clock, retry: { times: 9, backoff: '1s' } })(1);
        // The limit of each request, and what it waits behind it.
        for (const waitMs of [1_000, 7_000, 12_000]) {
          await until(() => waitsMs.at(-1) === waitMs);
          await clock.advance(waitMs);
        }
        await sent;
        expect(waitsMs).toEqual([30_000, 1_000, 30_000, 7_000, 30_000, 12_000, 30_000]);
        expect(received.length).toBe(4);
        expect(clock.timers).toBe(0);
      },
    );
  });

  test('a wait that is too long is not waited for', async () => {
    await answering([[503, { 'retry-after': '3600' }]], async (url, received) => {
      expect(await rejection(httpPost(url)(1))).toMatchObject({
        code: 'MR_IO',
        retryable: true,
        details: { status: 503 },
      });
      expect(received.length).toBe(1);
    });
  });

  test('gives up after so many times, and at once what will not pass', async () => {
    await answering([500], async (url, received) => {
      const post = httpPost(url, { retry: { times: 2, backoff: 1 } });
      expect(await rejection(post(1))).toMatchObject({ retryable: true, details: { status: 500 } });
      expect(received.length).toBe(3);
    });
    await answering([422], async (url, received) => {
      const error = await rejection(httpPost(`${url}?key=secret`)(1));
      expect(error).toMatchObject({ code: 'MR_IO', retryable: false, details: { status: 422 } });
      expect(String(error)).not.toMatch(/secret|the answer/);
      expect(received.length).toBe(1);
    });
  });

  test('an answer that does not come in time', async () => {
    const clock = new VirtualClock();
    let asked = false;
    await withServer(
      () => void (asked = true),
      async (url) => {
        const sent = httpPost(url, { clock, timeout: '5s', retry: false })(1);
        sent.catch(() => undefined);
        await until(() => asked);
        await clock.advance(5_000);
        expect(await rejection(sent)).toMatchObject({ code: 'MR_TIMEOUT', retryable: true });
      },
    );
  });

  test('nobody there', async () => {
    let url = '';
    await withServer(
      () => undefined,
      async (given) => void (url = given),
    );
    const post = httpPost(url, { retry: { times: 1, backoff: 1 } });
    expect(await rejection(post(1))).toMatchObject({
      code: 'MR_IO',
      retryable: true,
      details: { system: 'ECONNREFUSED' },
    });
  });

  test('its signal ends requests and waits', async () => {
    const stop = new AbortController();
    let asked = false;
    await withServer(
      () => void (asked = true),
      async (url) => {
        const sent = httpPost(url, { signal: stop.signal })(1);
        sent.catch(() => undefined);
        await until(() => asked);
        stop.abort();
        expect(await codeOfRejection(sent)).toBe('MR_ABORTED');
        expect(await codeOfRejection(httpPost(url, { signal: stop.signal })(1))).toBe('MR_ABORTED');
      },
    );
  });
});
