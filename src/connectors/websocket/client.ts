/**
 * @module
 */
import { checkOptions } from '../../core/given.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Stream } from '../../stream/stream.ts';
import { outside, systemCode } from '../failure.ts';
import { byteLimit, connectorOptions } from '../options.ts';
import type { ConnectorOptions } from '../options.ts';
import { reconnecting } from '../reconnect.ts';
import type { Lost, ReconnectOptions } from '../reconnect.ts';
import { sourceOf } from '../source.ts';
import { loadWs, messages, newSocket, opened, readerOf, targetOf } from './library.ts';
import type { WebSocketMessage } from './message.ts';

/** What {@link websocketClient} takes. */
export interface WebSocketClientOptions extends ConnectorOptions, ReconnectOptions {
  /** Sub-protocols to offer, the preferred one first. Default none. */
  readonly protocols?: readonly string[] | undefined;
  /** Sent with the request that opens the connection. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** What to send when a connection is open, each time: what to subscribe to, for example. Default nothing. */
  readonly hello?: readonly (string | Uint8Array)[] | undefined;
  /** The longest message, 1 byte to 1 GiB. A longer one fails the stream. Default 1 MiB. */
  readonly maxPayloadBytes?: number | undefined;
}

/**
 * What a WebSocket server sends: texts as strings, bytes as `Buffer`s. Needs the package `ws`.
 *
 * - *Order*: kept.
 * - *Back-pressure*: read no faster than messages are dealt with: while one is under way the socket is paused.
 * - *State*: the messages of one chunk (64 KiB), or one message of up to `maxPayloadBytes`.
 * - *Delivery*: at most once. What the server sends while there is no connection is not seen.
 *
 * It fails with `MR_IO` when it has connected in vain for as often as `reconnect` says, with `MR_RECORD_TOO_LARGE` on a message that is too long, and
 * with `MR_DEPENDENCY_MISSING`.
 *
 * @throws {@link MillraceError} `MR_URL_INVALID`, `MR_OPTION_INVALID`
 */
export function websocketClient(
  url: string | URL,
  options: WebSocketClientOptions = {},
): Stream<WebSocketMessage> {
  checkOptions<WebSocketClientOptions>('websocketClient', options, {
    ...connectorOptions,
    reconnect: true,
    protocols: true,
    headers: true,
    hello: true,
    maxPayloadBytes: true,
  });
  const { protocols, headers, hello = [] } = options;
  const target = targetOf('websocketClient', url);
  const maxPayloadBytes = byteLimit('maxPayloadBytes', options.maxPayloadBytes);
  const run = reconnecting<WebSocketMessage>(
    'websocketClient',
    options,
    async (feed, received): Promise<Lost> => {
      const ws = await loadWs();
      const socket = newSocket(ws, target, { protocols, headers, maxPayloadBytes });
      const reader = readerOf(ws, socket);
      try {
        await opened(socket, target, feed.signal);
      } catch (error) {
        return { error };
      }
      for (const message of hello) socket.send(message);
      feed.opened();
      const lost = await messages(socket, reader, feed, received);
      if (lost.error === undefined) return lost;
      // The same would come again.
      if (systemCode(lost.error) === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
        throw new MillraceError(
          'MR_RECORD_TOO_LARGE',
          `a message of ${target.shown} is longer than ${maxPayloadBytes} bytes; look at what it sends, or raise maxPayloadBytes`,
          {
            domain: 'external',
            cause: lost.error,
            details: { url: target.shown, maxPayloadBytes },
          },
        );
      return { error: outside(`the connection to ${target.shown} broke`, lost.error) };
    },
  );
  return sourceOf<WebSocketMessage>('websocketClient', options, run);
}
