/**
 * Servers as sources: from listening to the last connection.
 *
 * @module
 */
import { once } from 'node:events';
import type { Server } from 'node:net';

import { checkWhole } from '../core/given.ts';
import type { Stream } from '../stream/stream.ts';
import { outside } from './failure.ts';
import type { ConnectorOptions } from './options.ts';
import { portOf, textOf } from './options.ts';
import { aborted } from './source.ts';
import type { Feed } from './source.ts';
import type { Tasks } from './tasks.ts';

/** What every server takes. */
export interface ListenOptions extends ConnectorOptions {
  /** 0 to 65535. With 0 the system chooses one: read it from the stream's `port`. */
  readonly port: number;
  /** The address to listen at. Default `'127.0.0.1'`: this machine alone. `'0.0.0.0'`: everybody. */
  readonly host?: string | undefined;
  /** How many connections may be open, 1 to 10,000. More are closed at once. Default 1,000. */
  readonly maxConnections?: number | undefined;
}

/** A source that others connect to. */
export type ServerStream<T> = Stream<T> & {
  /** Where it listens, once it has begun: after `await stream.start()`. 0 before. */
  readonly port: number;
};

/** The place of a server, checked. */
export interface Place {
  readonly port: number;
  readonly host: string;
  readonly maxConnections: number;
  /** Where it listens. */
  bound: number;
}

/** How a server lets go of its connections. */
export interface Connections {
  /** They shall bring nothing more. */
  stop(): void;
  /** What they brought has been dealt with: those that are left are closed. */
  finish?(): void;
}

/** @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID` */
export function placeOf(what: string, options: ListenOptions): Place {
  const { port, host = '127.0.0.1', maxConnections = 1_000 } = options;
  checkWhole('maxConnections', maxConnections, 1, 10_000);
  return {
    port: portOf(port, 0),
    host: textOf(`host of ${what}`, host),
    maxConnections,
    bound: 0,
  };
}

/** `stream` with the port of `place`. */
export function withPort<T>(stream: Stream<T>, place: Place): ServerStream<T> {
  Object.defineProperty(stream, 'port', { get: () => place.bound });
  return stream as ServerStream<T>;
}

/**
 * Listens until the signal of `feed` aborts or a task fails; then takes no more connections, stops those that
 * are open, and waits for the tasks.
 *
 * @throws the failure; `MR_IN_USE`, `MR_PERMISSION`, `MR_IO` when it cannot listen.
 */
export async function serve(
  what: string,
  server: Server,
  place: Place,
  feed: Feed<never>,
  tasks: Tasks,
  connections: Connections,
): Promise<void> {
  server.maxConnections = place.maxConnections;
  server.on('error', (error) =>
    tasks.fail(
      outside(
        `${what} cannot listen at ${place.host}:${place.port}; use another port, or 0 for any, or end what has it`,
        error,
        { host: place.host, port: place.port },
      ),
    ),
  );
  const listening = Promise.race([once(server, 'listening'), tasks.failure]);
  server.listen({ port: place.port, host: place.host });
  await listening;
  const address = server.address();
  if (typeof address === 'object' && address !== null) place.bound = address.port;
  feed.opened();
  try {
    await Promise.race([aborted(feed.signal), tasks.failure]);
  } finally {
    const closed = once(server, 'close');
    server.close();
    connections.stop();
    await tasks.settled();
    connections.finish?.();
    await closed;
  }
}

/**
 * `feed` for one of many connections: one value of it is under way at once, whatever the `concurrency` behind. The others have values too, and all
 * together might be more than may wait in front of an operator.
 */
export function inTurn<T>(feed: Feed<T>): Feed<T> {
  return { ...feed, emitAll: (values) => feed.emitAll(values, 1) };
}
