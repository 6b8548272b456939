/**
 * @module
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';

import { systemClock } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { checkOptions } from '../../core/given.ts';
import { plain } from '../encode.ts';
import type { Encode } from '../encode.ts';
import { outside } from '../failure.ts';
import type { ReconnectOptions } from '../reconnect.ts';
import { Retries } from '../retries.ts';
import { sinkFunction } from '../sink-function.ts';
import type { SinkFunction } from '../sink-function.ts';
import { connect, peerOf } from './connect.ts';

/** What {@link tcpSink} takes. */
export interface TcpSinkOptions<T> extends Pick<ReconnectOptions, 'reconnect'> {
  /** 1 to 65535. */
  readonly port: number;
  /** Name or address. Default `'127.0.0.1'`. */
  readonly host?: string | undefined;
  /** What is sent behind each value. Default a line feed; `''` for nothing. */
  readonly end?: string | undefined;
  /** Makes of a value what is sent. Default: texts and bytes as they are, everything else as JSON. */
  readonly encode?: Encode<T> | undefined;
  /** Ends the connection and all waits when it aborts; values fail with `MR_ABORTED` then. */
  readonly signal?: AbortSignal | undefined;
  /** @internal Default: the platform's clock. */
  readonly clock?: Clock | undefined;
}

/** How long the other side may take to close the connection when the sink is closed, in milliseconds. */
const CLOSE_MS = 5_000;

/**
 * Sends each value to a TCP server. For `stream.sink`.
 *
 * It connects with the first value. When the connection is lost it connects again, as often as `reconnect` says, and sends the value that was under
 * way once more.
 *
 * - *Order*: kept.
 * - *Back-pressure*: a value is dealt with when the system has taken its bytes; while the other side does not read, that waits.
 * - *State*: the value under way.
 * - *Delivery*: the other side does not acknowledge anything: what the system had taken when the connection broke may be lost, and the
 *   value under way may come twice.
 *
 * What it throws: `MR_IO` (retryable) when there is no connection, `MR_ENCODE_FAILED`, `MR_CLOSED`.
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`
 */
export function tcpSink<T = unknown>(options: TcpSinkOptions<T>): SinkFunction<T> {
  checkOptions<TcpSinkOptions<T>>('tcpSink', options, {
    port: true,
    host: true,
    end: true,
    encode: true,
    reconnect: true,
    signal: true,
    clock: true,
  });
  const { end = '\n', encode = plain, reconnect, signal, clock = systemClock() } = options;
  const peer = peerOf('tcpSink', options);
  const behind = Buffer.from(end);
  const retries = new Retries('reconnect of tcpSink', reconnect, clock);
  let socket: Socket | undefined;
  signal?.addEventListener('abort', () => socket?.destroy(), { once: true });

  const open = async (): Promise<Socket> => {
    if (socket?.writable === true) return socket;
    const opened = await connect(peer, signal);
    // Told by the next write; and an end is seen only by those who read.
    opened.on('error', () => undefined);
    opened.resume();
    socket = opened;
    return opened;
  };
  const send = async (value: T): Promise<void> => {
    const bytes = Buffer.concat([Buffer.from(encode(value)), behind]);
    retries.reset();
    for (;;)
      try {
        await written(await open(), bytes);
        return;
      } catch (error) {
        socket?.destroy();
        const what = `a value cannot be sent to tcp ${peer.host}:${peer.port}`;
        await retries.again(outside(what, error), signal);
      }
  };
  return sinkFunction<T>({
    what: 'tcpSink',
    send,
    end: async () => {
      if (socket === undefined || socket.destroyed) return;
      const last = socket;
      const timer = clock.setTimer(CLOSE_MS, () => last.destroy(), { unref: true });
      const closed = once(last, 'close');
      last.end();
      try {
        await closed;
      } catch (error) {
        throw outside(`the connection to tcp ${peer.host}:${peer.port} broke at its end`, error);
      } finally {
        timer.cancel();
      }
    },
  });
}

/** Resolves when the system has taken the bytes; rejects when the connection is lost before. */
function written(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => {
      if (error === undefined || error === null) resolve();
      else reject(error);
    });
  });
}
