/**
 * @module
 */
import { createServer } from 'node:http';

import { checkOptions } from '../../core/given.ts';
import { outside } from '../failure.ts';
import { inTurn, placeOf, serve, withPort } from '../listen.ts';
import type { ListenOptions, ServerStream } from '../listen.ts';
import { byteLimit, connectorOptions } from '../options.ts';
import { sourceOf } from '../source.ts';
import { Tasks } from '../tasks.ts';
import { loadWs, messages, readerOf } from './library.ts';
import type { WebSocketMessage } from './message.ts';

/** What {@link websocketServer} takes. */
export interface WebSocketServerOptions extends ListenOptions {
  /** The one path that is served, without query; others are refused with 400. Default: each is. */
  readonly path?: string | undefined;
  /** The longest message, 1 byte to 1 GiB. A longer one ends its connection, with code 1009. Default 1 MiB. */
  readonly maxPayloadBytes?: number | undefined;
  /** Told of a client whose connection failed; the others go on. Default: nobody is. */
  readonly onClientError?: ((error: unknown) => void) | undefined;
}

/**
 * What clients send over WebSockets: texts as strings, bytes as `Buffer`s. Needs the package `ws`.
 *
 * - *Order*: kept within a connection; between connections, as messages arrive.
 * - *Back-pressure*: a connection is read no faster than its messages are dealt with: while one is under way its socket is paused.
 * - *State*: the messages of one chunk (64 KiB) per connection, or one message of up to `maxPayloadBytes`.
 * - *Delivery*: at most once: there is no answer to a message, and what is in buffers when the stream stops is lost.
 *
 * When a value fails, the stream fails and the port is closed.
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`. The stream fails with `MR_DEPENDENCY_MISSING`, and with `MR_IN_USE`,
 * `MR_PERMISSION` or `MR_IO` when it cannot listen.
 */
export function websocketServer(options: WebSocketServerOptions): ServerStream<WebSocketMessage> {
  checkOptions<WebSocketServerOptions>('websocketServer', options, {
    ...connectorOptions,
    port: true,
    host: true,
    maxConnections: true,
    path: true,
    maxPayloadBytes: true,
    onClientError: true,
  });
  const { path, onClientError = () => undefined } = options;
  const place = placeOf('websocketServer', options);
  const maxPayload = byteLimit('maxPayloadBytes', options.maxPayloadBytes);
  const stream = sourceOf<WebSocketMessage>('websocketServer', options, async (feed) => {
    const ws = await loadWs();
    const tasks = new Tasks();
    const server = createServer((_request, response) => {
      response.writeHead(426, { 'content-type': 'text/plain', upgrade: 'websocket' });
      response.end('this is a WebSocket server');
    });
    const sockets = new ws.WebSocketServer({
      server,
      path,
      maxPayload,
      // What a few bytes can grow to is not bounded by what is read ahead.
      perMessageDeflate: false,
    });
    // That of the server, which `serve` tells.
    sockets.on('error', () => undefined);
    sockets.on('connection', (socket) => {
      socket.on('error', () => undefined);
      const reader = readerOf(ws, socket);
      tasks.start(async () => {
        const { error } = await messages(socket, reader, inTurn(feed));
        if (error !== undefined && !feed.signal.aborted)
          onClientError(outside('a connection to websocketServer has failed', error));
      });
    });
    await serve('websocketServer', server, place, feed, tasks, {
      stop: () => {
        sockets.close();
        for (const socket of sockets.clients) socket.terminate();
      },
      finish: () => server.closeAllConnections(),
    });
  });
  return withPort(stream, place);
}
