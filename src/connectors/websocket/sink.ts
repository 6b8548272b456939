/**
 * @module
 */
import { once } from 'node:events';

import type { WebSocket } from 'ws';

import { systemClock } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import { checkOptions } from '../../core/given.ts';
import { plain } from '../encode.ts';
import type { Encode } from '../encode.ts';
import { outside } from '../failure.ts';
import type { ReconnectOptions } from '../reconnect.ts';
import { Retries } from '../retries.ts';
import { sinkFunction } from '../sink-function.ts';
import type { SinkFunction } from '../sink-function.ts';
import { CLOSE_MS, loadWs, newSocket, opened, targetOf } from './library.ts';

/** What {@link websocketSink} takes. */
export interface WebSocketSinkOptions<T> extends Pick<ReconnectOptions, 'reconnect'> {
  /** Sub-protocols to offer, the preferred one first. Default none. */
  readonly protocols?: readonly string[] | undefined;
  /** Sent with the request that opens the connection. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Makes of a value what is sent. Default: texts and bytes as they are, everything else as JSON. */
  readonly encode?: Encode<T> | undefined;
  /** Ends the connection and all waits when it aborts; values fail with `MR_ABORTED` then. */
  readonly signal?: AbortSignal | undefined;
  /** @internal Default: the platform's clock. */
  readonly clock?: Clock | undefined;
}

/**
 * Sends each value to a WebSocket server: strings as texts, bytes as bytes. For `stream.sink`. Needs the package `ws`.
 *
 * It connects with the first value. When the connection is lost it connects again, as often as `reconnect` says, and sends the value that was under
 * way once more. What the server sends is not looked at.
 *
 * - *Order*: kept.
 * - *Back-pressure*: a value is dealt with when the system has taken it, so at most one is in the buffer of the socket.
 * - *State*: the value under way.
 * - *Delivery*: the other side does not acknowledge anything: what the system had taken when the connection broke may be lost, and the value under
 *   way may come twice.
 *
 * What it throws: `MR_IO` (retryable) when there is no connection, `MR_DEPENDENCY_MISSING`, `MR_ENCODE_FAILED`, `MR_CLOSED`.
 *
 * @throws {@link MillraceError} `MR_URL_INVALID`, `MR_OPTION_INVALID`
 */
export function websocketSink<T = unknown>(
  url: string | URL,
  options: WebSocketSinkOptions<T> = {},
): SinkFunction<T> {
  checkOptions<WebSocketSinkOptions<T>>('websocketSink', options, {
    reconnect: true,
    protocols: true,
    headers: true,
    encode: true,
    signal: true,
    clock: true,
  });
  const { reconnect, encode = plain, protocols, headers, signal, clock = systemClock() } = options;
  const target = targetOf('websocketSink', url);
  const retries = new Retries('reconnect of websocketSink', reconnect, clock);
  let socket: WebSocket | undefined;
  signal?.addEventListener('abort', () => socket?.terminate(), { once: true });

  const open = async (): Promise<WebSocket> => {
    if (socket !== undefined && socket.readyState === socket.OPEN) return socket;
    const connecting = newSocket(await loadWs(), target, { protocols, headers });
    socket = connecting;
    await opened(connecting, target, signal);
    return connecting;
  };
  return sinkFunction<T>({
    what: 'websocketSink',
    send: async (value) => {
      const message = encode(value);
      retries.reset();
      for (;;)
        try {
          await sent(await open(), message);
          return;
        } catch (error) {
          if (MillraceError.is(error) && error.code === 'MR_DEPENDENCY_MISSING') throw error;
          socket?.terminate();
          socket = undefined;
          const what = `a value cannot be sent to ${target.shown}`;
          await retries.again(outside(what, error), signal);
        }
    },
    end: async () => {
      if (socket === undefined || socket.readyState === socket.CLOSED) return;
      const last = socket;
      const timer = clock.setTimer(CLOSE_MS, () => last.terminate(), { unref: true });
      const closed = once(last, 'close');
      last.close(1000);
      await closed.finally(() => timer.cancel());
    },
  });
}

/** Resolves when the system has taken the message; rejects when the connection is lost before. */
function sent(socket: WebSocket, message: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(message, (error) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    });
  });
}
