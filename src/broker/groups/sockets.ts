/**
 * Links between processes: Unix domain sockets, on Windows named pipes. A message is its length (u32, little-endian) and its bytes.
 *
 * The kernel accepts connections for a frozen process and closes those of a dead one, and refuses new ones. That is the difference between
 * slow and dead that a lease alone cannot see.
 *
 * @module
 */
import { readdir, stat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

import type { Clock } from '../../core/clock.ts';
import { messageOf, MillraceError } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import { MAX_MESSAGE_BYTES, type Accept, type Link, type LinkEnd, type Links } from './links.ts';
import {
  isSocketName,
  placeOf,
  placesOf,
  secureDirectory,
  type SocketPlace,
} from './socket-places.ts';

/** What may wait in memory for one peer to read. */
const MAX_QUEUED_BYTES: number = 16 * 1024 * 1024;
/** Most links that others may have made to one broker object. */
const MAX_LINKS = 1024;
const MAX_TRIES = 3;
/** Files that nobody has cleared away: how many are looked at, and how old they must be. */
const MAX_SWEPT = 1000;
const SWEPT_AFTER_MS = 60_000;

export interface SocketLinksOptions {
  /** Real path of the directory whose broker objects meet. */
  readonly directory: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** Links for one broker object. */
export function socketLinks(options: SocketLinksOptions): Links {
  return new SocketLinks(options);
}

class SocketLinks implements Links {
  readonly #options: SocketLinksOptions;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #closed = false;

  constructor(options: SocketLinksOptions) {
    this.#options = options;
  }

  async listen(accept: Accept): Promise<string> {
    const { directory, random, clock } = this.#options;
    let failure: unknown = 'every path for a socket is too long';
    for (const place of placesOf(directory, random.name(16)))
      try {
        if (place.directory !== undefined) await secureDirectory(place.directory);
        const server = await listening(place, (socket) => this.#use(socket, accept));
        if (this.#closed) {
          server.close();
          break;
        }
        this.#server?.close();
        this.#server = server;
        if (place.directory !== undefined)
          void sweep(place.directory, clock.now() - SWEPT_AFTER_MS).catch(() => undefined);
        return place.address;
      } catch (error) {
        failure = error;
      }
    if (this.#closed) throw closedError();
    throw new MillraceError(
      'MR_IO',
      `no socket can be made for ${directory}: ${messageOf(failure)}`,
      { cause: failure, domain: 'external' },
    );
  }

  async connect(address: string, accept: Accept): Promise<Link | undefined> {
    if (this.#closed) throw closedError();
    const place = placeOf(this.#options.directory, address);
    if (place === undefined)
      throw new MillraceError('MR_ARGUMENT_INVALID', `${address} is not the address of a socket`);
    const socket = await connected(place);
    if (socket === undefined) return undefined;
    if (this.#closed) {
      socket.destroy();
      throw closedError();
    }
    return this.#use(socket, accept);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    // Removes the file of the socket, too.
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  #use(socket: Socket, accept: Accept): Link {
    this.#sockets.add(socket);
    socket.unref();
    const link = new SocketLink(socket);
    link.begin(accept(link), () => this.#sockets.delete(socket));
    return link;
  }
}

class SocketLink implements Link {
  readonly #socket: Socket;
  /** What has come of a message that is not whole yet. */
  #parts: Buffer[] = [];
  #bytes = 0;
  /** How many bytes are to be there before it is worth looking again. */
  #need = 4;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  begin(end: LinkEnd, closed: () => void): void {
    this.#socket.on('data', (chunk: Buffer) => {
      try {
        this.#take(chunk, end);
      } catch {
        this.close();
      }
    });
    // What is wrong with a link does not matter: it ends.
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.#parts = [];
      closed();
      end.closed();
    });
  }

  send(message: Uint8Array): boolean {
    const socket = this.#socket;
    if (!socket.writable || message.length > MAX_MESSAGE_BYTES) return false;
    if (socket.writableLength > MAX_QUEUED_BYTES) return false;
    const bytes = Buffer.allocUnsafe(4 + message.length);
    bytes.writeUInt32LE(message.length);
    bytes.set(message, 4);
    socket.write(bytes);
    return true;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer, end: LinkEnd): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= this.#need) {
      const whole =
        this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
      const length = whole.readUInt32LE(0);
      if (length > MAX_MESSAGE_BYTES) throw new Error(`a message of ${length} bytes`);
      this.#need = 4 + length;
      const rest = whole.length >= this.#need ? whole.subarray(this.#need) : whole;
      this.#parts = rest.length === 0 ? [] : [rest];
      this.#bytes = rest.length;
      if (rest === whole) return;
      // The message may be kept, and is not to hold what came with it in memory.
      const message = Buffer.from(whole.subarray(4, this.#need));
      this.#need = 4;
      end.received(message);
      if (this.#socket.destroyed) return;
    }
  }
}

/** Resolves to a server that keeps no process alive. */
async function listening(place: SocketPlace, use: (socket: Socket) => void): Promise<Server> {
  const server = createServer(use);
  server.maxConnections = MAX_LINKS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(place.path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  // Accepting may fail when the process is out of descriptors; the peer tries again.
  server.on('error', () => {});
  return server.unref();
}

/** Resolves to a socket, or to `undefined` when it is certain that nobody listens there. */
async function connected({ address, path }: SocketPlace): Promise<Socket | undefined> {
  for (let tries = 1; ; tries++) {
    const socket = connect({ path });
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', reject);
      });
      socket.removeAllListeners('error');
      return socket;
    } catch (error) {
      const { code } = error as { code?: unknown };
      // The listener ended before it had taken the connection; the next try tells for certain.
      if (code === 'ECONNRESET' && tries < MAX_TRIES) continue;
      if (code === 'ECONNREFUSED') {
        if (!address.startsWith('pipe:')) await unlink(path).catch(() => undefined);
        return undefined;
      }
      // Another container has another directory for temporary files: that a file is not in this one proves nothing.
      if (code === 'ENOENT' && !address.startsWith('tmp:')) return undefined;
      throw new MillraceError('MR_IO', `${path} cannot be connected to: ${messageOf(error)}`, {
        cause: error,
        domain: 'external',
      });
    }
  }
}

/** Removes sockets of processes that ended without doing so. A young one may be about to be listened to. */
async function sweep(directory: string, before: number): Promise<void> {
  const names = (await readdir(directory)).filter(isSocketName).slice(0, MAX_SWEPT);
  for (const name of names) {
    const path = join(directory, name);
    const { mtimeMs } = await stat(path);
    if (mtimeMs >= before) continue;
    const socket = await connected({ address: '', path, directory }).catch(() => undefined);
    socket?.destroy();
  }
}

function closedError(): MillraceError {
  return new MillraceError('MR_CLOSED', 'the links of this broker are closed');
}
