/**
 * @module
 */
import { createServer } from 'node:net';
import type { Socket } from 'node:net';

import { checkOptions } from '../../core/given.ts';
import { outside } from '../failure.ts';
import { inTurn, placeOf, serve, withPort } from '../listen.ts';
import type { ListenOptions, ServerStream } from '../listen.ts';
import { connectorOptions } from '../options.ts';
import { sourceOf } from '../source.ts';
import { Tasks } from '../tasks.ts';
import { framing, framingOptions, frames } from './frames.ts';
import type { FrameOptions, TextFrameOptions } from './frames.ts';

/** What {@link tcpServer} takes. */
export interface TcpServerOptions extends ListenOptions, FrameOptions {
  /**
   * Told of a client whose connection failed, was closed in the middle of a frame, or sent one that was too long; the connection is closed, and
   * the others go on. Default: nobody is.
   */
  readonly onClientError?: ((error: unknown) => void) | undefined;
}

/**
 * What clients send to a TCP port, cut behind each delimiter.
 *
 * - *Order*: kept within a connection; between connections, as frames arrive.
 * - *Back-pressure*: a connection is read no faster than its frames are dealt with: while one is under way its socket is paused, and the client
 *   has to wait once the buffers of the system are full.
 * - *State*: the beginning of one frame per connection, up to `maxFrameBytes`, and a chunk of 64 KiB.
 * - *Delivery*: at most once. What is in buffers when the stream stops is lost, and so is a frame without its delimiter.
 *
 * It listens when somebody listens to the stream, or from `start()` on, which waits until it does. When a value fails, the stream fails and
 * the port is closed.
 *
 * ```ts
 * import { tcpServer } from 'millrace/tcp';
 *
 * const lines = tcpServer({ port: 0, encoding: 'utf8' });
 * lines.sink((line) => console.log('got', line.trimEnd()));
 * await lines.start();
 * console.log(lines.port > 0); // => true
 * await lines.close();
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`. The stream fails with `MR_IN_USE`, `MR_PERMISSION` or `MR_IO` when it
 * cannot listen.
 */
export function tcpServer(options: TcpServerOptions & TextFrameOptions): ServerStream<string>;
export function tcpServer(options: TcpServerOptions): ServerStream<Buffer>;
export function tcpServer(options: TcpServerOptions): ServerStream<Buffer | string> {
  checkOptions<TcpServerOptions>('tcpServer', options, {
    ...connectorOptions,
    ...framingOptions,
    port: true,
    host: true,
    maxConnections: true,
    onClientError: true,
  });
  const { onClientError = () => undefined } = options;
  const place = placeOf('tcpServer', options);
  const cut = framing('tcpServer', options);
  const stream = sourceOf<Buffer | string>('tcpServer', options, async (feed) => {
    const tasks = new Tasks();
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      tasks.start(async () => {
        const end = await frames(socket, cut(), inTurn(feed));
        sockets.delete(socket);
        socket.destroy();
        if (end !== undefined && !feed.signal.aborted)
          onClientError(outside('a connection to tcpServer has failed', end.error));
      });
    });
    await serve('tcpServer', server, place, feed, tasks, {
      stop: () => {
        for (const socket of sockets) socket.destroy();
      },
    });
  });
  return withPort(stream, place);
}
