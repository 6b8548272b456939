/**
 * The package behind WebSockets, and what all of them share.
 *
 * @module
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';

import type * as ws from 'ws';
import type { WebSocket } from 'ws';

import { MillraceError } from '../../core/errors.ts';
import { optionalPackage } from '../../core/optional-package.ts';
import { redactUrl } from '../../core/redact.ts';
import { outside } from '../failure.ts';
import { urlOf } from '../options.ts';
import type { Lost } from '../reconnect.ts';
import type { Feed } from '../source.ts';
import type { WebSocketMessage } from './message.ts';

/** How long the other side may take to answer that a connection is to be closed, in milliseconds. */
export const CLOSE_MS = 5_000;
/** How long the system waits before it looks whether an idle connection is alive, in milliseconds. */
const KEEP_ALIVE_MS = 30_000;

/** The package. */
export type Ws = typeof ws;

/** @throws {@link MillraceError} `MR_DEPENDENCY_MISSING` */
export async function loadWs(): Promise<Ws> {
  return await optionalPackage('ws', 'WebSockets need', async () => await import('ws'));
}

/** How a client connects. */
export interface ConnectOptions {
  readonly protocols?: readonly string[] | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly maxPayloadBytes?: number | undefined;
}

/** A server, and its name without what may be secret. */
export interface WebSocketTarget {
  readonly url: URL;
  readonly shown: string;
}

/** @throws {@link MillraceError} `MR_URL_INVALID` */
export function targetOf(what: string, given: string | URL): WebSocketTarget {
  const url = urlOf(what, given, ['ws:', 'wss:']);
  return { url, shown: redactUrl(url.href) };
}

/** A connection on its way. */
export function newSocket(
  { WebSocket: Socket }: Ws,
  { url }: WebSocketTarget,
  { protocols = [], headers, maxPayloadBytes }: ConnectOptions,
): WebSocket {
  const socket = new Socket(url, [...protocols], {
    headers: { ...headers },
    maxPayload: maxPayloadBytes,
    // What a few bytes can grow to is not bounded by what is read ahead.
    perMessageDeflate: false,
  });
  // Told by whoever waits; without a listener it would end the process.
  socket.on('error', () => undefined);
  socket.on('upgrade', (response) => response.socket.setKeepAlive(true, KEEP_ALIVE_MS));
  return socket;
}

/** Resolves when `socket` is open. @throws {@link MillraceError} `MR_IO` (retryable), also when `signal` aborts. */
export async function opened(
  socket: WebSocket,
  { shown }: WebSocketTarget,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await once(socket, 'open', { signal });
  } catch (error) {
    socket.terminate();
    throw outside(
      `${shown} cannot be reached; is a WebSocket server there, and does it want other headers`,
      error,
      { url: shown },
    );
  }
}

/** The messages of `socket`. To be asked for in the turn in which the socket is made, or the first ones are missed. */
export function readerOf({ createWebSocketStream }: Ws, socket: WebSocket): Duplex {
  // It pauses the socket when a message waits.
  const reader = createWebSocketStream(socket, {
    readableObjectMode: true,
    readableHighWaterMark: 1,
  });
  reader.on('error', () => undefined);
  return reader;
}

/** Emits the messages of `socket` until it is closed. Returns how it ended. @throws when a value fails. */
export async function messages(
  socket: WebSocket,
  reader: Duplex,
  { emitAll, signal }: Pick<Feed<WebSocketMessage>, 'emitAll' | 'signal'>,
  received: () => void = () => undefined,
): Promise<Lost> {
  let code = 1006;
  socket.once('close', (closeCode) => void (code = closeCode));
  const stop = (): void => void reader.destroy();
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  let lost: Lost = {};
  /** What is wrong with the connection is noted: it is no failure of a value. */
  async function* incoming(): AsyncGenerator<WebSocketMessage, void> {
    try {
      for await (const message of reader as AsyncIterable<WebSocketMessage>) {
        received();
        yield message;
      }
      lost = ended(code);
    } catch (error) {
      lost = { error };
    }
  }
  try {
    await emitAll(incoming());
    return lost;
  } finally {
    signal.removeEventListener('abort', stop);
    socket.terminate();
  }
}

/** 1000 and 1001 say that the other side has finished. */
function ended(code: number): Lost {
  if (code === 1000 || code === 1001 || code === 1005) return {};
  return {
    error: new MillraceError(
      'MR_IO',
      `the other side has closed a WebSocket with code ${code}; look at what it says`,
      { domain: 'external', retryable: true, details: { closeCode: code } },
    ),
  };
}
