/**
 * @module
 */
import type { Socket } from 'node:net';

import { MillraceError } from '../../core/errors.ts';
import { checkOptions } from '../../core/given.ts';
import type { Stream } from '../../stream/stream.ts';
import { outside } from '../failure.ts';
import { connectorOptions } from '../options.ts';
import type { ConnectorOptions } from '../options.ts';
import { reconnecting } from '../reconnect.ts';
import type { Lost, ReconnectOptions } from '../reconnect.ts';
import { sourceOf } from '../source.ts';
import { connect, peerOf } from './connect.ts';
import { framing, framingOptions, frames } from './frames.ts';
import type { FrameOptions, TextFrameOptions } from './frames.ts';

/** What {@link tcpClient} takes. */
export interface TcpClientOptions extends ConnectorOptions, FrameOptions, ReconnectOptions {
  /** 1 to 65535. */
  readonly port: number;
  /** Name or address. Default `'127.0.0.1'`. */
  readonly host?: string | undefined;
}

/**
 * What a TCP server sends, cut behind each delimiter.
 *
 * - *Order*: kept.
 * - *Back-pressure*: read no faster than frames are dealt with: while one is under way the socket is paused.
 * - *State*: the beginning of one frame, up to `maxFrameBytes`, and a chunk of 64 KiB.
 * - *Delivery*: at most once. What the server sends while there is no connection is not seen, and a frame without its delimiter is lost.
 *
 * It fails with what went wrong last when it has connected in vain for as often as `reconnect` says, and with `MR_RECORD_TOO_LARGE`.
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`
 */
export function tcpClient(options: TcpClientOptions & TextFrameOptions): Stream<string>;
export function tcpClient(options: TcpClientOptions): Stream<Buffer>;
export function tcpClient(options: TcpClientOptions): Stream<Buffer | string> {
  checkOptions<TcpClientOptions>('tcpClient', options, {
    ...connectorOptions,
    ...framingOptions,
    port: true,
    host: true,
    reconnect: true,
  });
  const peer = peerOf('tcpClient', options);
  const cut = framing('tcpClient', options);
  const run = reconnecting<Buffer | string>(
    'tcpClient',
    options,
    async (feed, received): Promise<Lost> => {
      let socket: Socket;
      try {
        socket = await connect(peer, feed.signal);
      } catch (error) {
        return { error };
      }
      const stop = (): void => void socket.destroy();
      feed.signal.addEventListener('abort', stop);
      feed.opened();
      try {
        const wrong = await frames(socket, cut(), feed, received);
        // The same would come again.
        if (MillraceError.is(wrong?.error) && wrong.error.code === 'MR_RECORD_TOO_LARGE')
          throw wrong.error;
        return wrong === undefined
          ? {}
          : {
              error: outside(`the connection to tcp ${peer.host}:${peer.port} broke`, wrong.error),
            };
      } finally {
        feed.signal.removeEventListener('abort', stop);
        socket.destroy();
      }
    },
  );
  return sourceOf<Buffer | string>('tcpClient', options, run);
}
