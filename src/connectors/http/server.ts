/**
 * @module
 */
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';

import { MillraceError } from '../../core/errors.ts';
import { checkFunction, checkOptions } from '../../core/given.ts';
import { placeOf, serve, withPort } from '../listen.ts';
import type { ListenOptions, ServerStream } from '../listen.ts';
import { byteLimit, connectorOptions, textOf } from '../options.ts';
import { sourceOf } from '../source.ts';
import type { Feed } from '../source.ts';
import { Tasks } from '../tasks.ts';

/** What is known of a request besides its body. */
export interface RequestHead {
  readonly method: string;
  /** Path and query, as they were sent. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** What {@link httpServer} takes. */
export interface HttpServerOptions<T> extends ListenOptions {
  /** The one path that is served, without query; others get 404. Default: each is. */
  readonly path?: string | undefined;
  /** The one method that is served; others get 405. Default `'POST'`. */
  readonly method?: string | undefined;
  /** The longest body, 1 byte to 1 GiB; longer ones get 413. Default 1 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Makes a value of a request; what it throws answers 400. Default: the body as it is. */
  readonly decode?: ((body: Buffer, head: RequestHead) => T) | undefined;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How long, in seconds, a client should wait when too many wait before it. */
const RETRY_AFTER_S = 1;

const answers = {
  ok: { status: 200, text: 'OK' },
  bad: { status: 400, text: 'the body cannot be decoded' },
  notFound: { status: 404, text: 'there is nothing here' },
  tooLarge: { status: 413, text: 'the body is too large' },
  failed: { status: 500, text: 'the value could not be processed' },
  busy: {
    status: 503,
    text: 'too many values wait, try again later',
    headers: { 'retry-after': String(RETRY_AFTER_S) },
  },
  stopping: {
    status: 503,
    text: 'the server is stopping',
    headers: { 'retry-after': String(RETRY_AFTER_S), connection: 'close' },
  },
} as const satisfies Record<string, Answer>;

/**
 * The bodies of requests to an HTTP server. A request is answered when its value has been dealt with: 200 `OK`, or 500 when that failed. The text
 * of an answer says nothing of the error; `stream.errors` does.
 *
 * - *Order*: as bodies are complete.
 * - *Back-pressure*: a client waits for its answer; `maxConnections` bounds how many do. When 10,000 values wait in front of an operator the answer
 *   is 503 with `Retry-After`.
 * - *State*: the bodies under way, each up to `maxBodyBytes`.
 * - *Delivery*: 200 says that everything behind has dealt with the value. A client that gets no answer does not know, and may send it again.
 *
 * A failed value does not end the stream. When it stops, it takes no more connections, answers what it has taken, and the rest with 503.
 *
 * ```ts
 * import { httpServer } from 'millrace/http';
 *
 * const orders = httpServer({ port: 0, path: '/orders', decode: (body) => JSON.parse(String(body)) });
 * orders.sink((order) => console.log('order', order));
 * await orders.start();
 *
 * const answer = await fetch(`http://127.0.0.1:${orders.port}/orders`, { method: 'POST', body: '{"n":1}' });
 * console.log(answer.status, await answer.text());
 * await orders.close();
 * ```
 *
 * <!-- output -->
 *
 * ```text
 * order { n: 1 }
 * 200 OK
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`. The stream fails with `MR_IN_USE`, `MR_PERMISSION` or `MR_IO` when it
 * cannot listen.
 */
export function httpServer<T = Buffer>(options: HttpServerOptions<T>): ServerStream<Awaited<T>> {
  checkOptions<HttpServerOptions<T>>('httpServer', options, {
    ...connectorOptions,
    port: true,
    host: true,
    maxConnections: true,
    path: true,
    method: true,
    maxBodyBytes: true,
    decode: true,
  });
  const { path, method = 'POST', decode } = options;
  const place = placeOf('httpServer', options);
  if (path !== undefined && !path.startsWith('/'))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `path is ${JSON.stringify(path.slice(0, 40))}; give one that starts with a slash, or leave it out`,
      { details: { option: 'path', value: path } },
    );
  textOf('method of httpServer', method);
  if (decode !== undefined) checkFunction('decode of httpServer', decode);
  const rules = {
    path,
    method: method.toUpperCase(),
    maxBytes: byteLimit('maxBodyBytes', options.maxBodyBytes),
    decode: (decode ?? ((body: Buffer) => body)) as (body: Buffer, head: RequestHead) => unknown,
  };
  const stream = sourceOf<Awaited<T>>('httpServer', options, async (feed) => {
    const tasks = new Tasks();
    const server = createServer((request, response) => {
      tasks.start(async () => {
        const answer = await handle(request, rules, feed as Feed<unknown>);
        await respond(request, response, answer);
        // Those that are kept alive would keep a server that stops waiting.
        if (feed.signal.aborted) server.closeIdleConnections();
      });
    });
    await serve('httpServer', server, place, feed, tasks, {
      stop: () => server.closeIdleConnections(),
      finish: () => server.closeAllConnections(),
    });
  });
  return withPort(stream, place);
}

interface Rules {
  readonly path: string | undefined;
  readonly method: string;
  readonly maxBytes: number;
  readonly decode: (body: Buffer, head: RequestHead) => unknown;
}

/** Never throws: what goes wrong with a request concerns its client. */
async function handle(
  request: IncomingMessage,
  rules: Rules,
  feed: Feed<unknown>,
): Promise<Answer> {
  const { method = '', url = '', headers } = request;
  if (rules.path !== undefined && url.replace(/\?.*$/s, '') !== rules.path) return answers.notFound;
  if (method !== rules.method)
    return {
      status: 405,
      text: `send a ${rules.method} request`,
      headers: { allow: rules.method },
    };
  if (feed.signal.aborted) return answers.stopping;
  const body = await bodyOf(request, rules.maxBytes, feed.signal);
  if (!Buffer.isBuffer(body)) return body;
  let value: unknown;
  try {
    value = await rules.decode(body, { method, url, headers });
  } catch {
    return answers.bad;
  }
  // Behind the end of the stream `emit` takes nothing, and says nothing.
  if (feed.signal.aborted) return answers.stopping;
  try {
    await feed.emit(value);
    return answers.ok;
  } catch (error) {
    return MillraceError.is(error) && error.code === 'MR_OVERFLOW' ? answers.busy : answers.failed;
  }
}

/** The body; or why it was not read to its end. */
async function bodyOf(
  request: IncomingMessage,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Buffer | Answer> {
  if (Number(request.headers['content-length']) > maxBytes) return answers.tooLarge;
  const { promise: stopped, resolve } = Promise.withResolvers<Answer>();
  const stop = (): void => resolve(answers.stopping);
  signal.addEventListener('abort', stop);
  const read = async (): Promise<Buffer | Answer> => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const body = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > maxBytes) return answers.tooLarge;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, bytes);
  };
  try {
    return await Promise.race([read(), stopped]);
  } catch {
    // The client has left: nobody waits for an answer.
    return answers.stopping;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Resolves when the answer is out, or the client has left. */
function respond(
  request: IncomingMessage,
  response: ServerResponse,
  { status, text, headers }: Answer,
): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed || request.socket.destroyed) {
      resolve();
      return;
    }
    response.once('close', resolve);
    response.writeHead(status, { 'content-type': 'text/plain', ...headers });
    response.end(text);
    // Of a body that is too large the rest is read and forgotten: a client that is cut off while it sends would not see the answer.
    request.resume();
  });
}
