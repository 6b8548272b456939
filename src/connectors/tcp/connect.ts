/**
 * @module
 */
import { once } from 'node:events';
import { connect as connectTo } from 'node:net';
import type { Socket } from 'node:net';

import { outside } from '../failure.ts';
import { portOf, textOf } from '../options.ts';

/** Where to connect to. */
export interface Peer {
  readonly host: string;
  readonly port: number;
}

/** How long the system waits before it looks whether an idle connection is alive, in milliseconds. */
const KEEP_ALIVE_MS = 30_000;

/** @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID` */
export function peerOf(
  what: string,
  options: { readonly host?: string | undefined; readonly port: number },
): Peer {
  const { host = '127.0.0.1', port } = options;
  return { host: textOf(`host of ${what}`, host), port: portOf(port, 1) };
}

/** An open socket. @throws {@link MillraceError} `MR_IO` (retryable), also when `signal` aborts. */
export async function connect(
  { host, port }: Peer,
  signal: AbortSignal | undefined,
): Promise<Socket> {
  const socket = connectTo({ host, port, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw outside(
      `tcp ${host}:${port} cannot be reached; is somebody listening there, and may this machine connect`,
      error,
      { host, port },
    );
  }
}
