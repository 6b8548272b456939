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

import type { Clock, Timer } from '../../core/clock.ts';
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
/** What may be held in memory of messages that are not whole yet, of all links of one broker object. */
const MAX_UNFINISHED_BYTES: number = 64 * 1024 * 1024;
/** By when whoever connects must have said something, and a message that has begun must be whole. */
const PATIENCE_MS = 10_000;
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
  readonly #unfinished: Unfinished = { bytes: 0 };
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
        const server = await listening(place, (socket) => void this.#use(socket, accept, true));
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
    return this.#use(socket, accept, false);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    // Removes the file of the socket, too.
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  #use(socket: Socket, accept: Accept, stranger: boolean): Link {
    this.#sockets.add(socket);
    socket.unref();
    const link = new SocketLink(socket, this.#options.clock, this.#unfinished);
    link.begin(accept(link), () => this.#sockets.delete(socket), stranger);
    return link;
  }
}

/** Shared by the links of one broker object. */
interface Unfinished {
  bytes: number;
}

const NOTHING: Buffer = Buffer.alloc(0);

class SocketLink implements Link {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #unfinished: Unfinished;
  /** Begins with what has come of a message that is not whole yet; behind that there is room for more of it. */
  #held: Buffer = NOTHING;
  #heldBytes = 0;
  /** How many bytes are to be there before it is worth looking again. */
  #need = 4;
  /** Ends the link if it keeps others waiting. */
  #patience: Timer | undefined;

  constructor(socket: Socket, clock: Clock, unfinished: Unfinished) {
    this.#socket = socket;
    this.#clock = clock;
    this.#unfinished = unfinished;
  }

  /** `stranger`: the other end has connected, and is to say something soon. */
  begin(end: LinkEnd, closed: () => void, stranger: boolean): void {
    if (stranger) this.#wait();
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
      this.#patience?.cancel();
      this.#release();
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
    let bytes = chunk;
    if (this.#heldBytes > 0) {
      this.#hold(chunk);
      if (this.#heldBytes < this.#need) return;
      bytes = this.#held.subarray(0, this.#heldBytes);
    }
    const rest = this.#deliver(bytes, end);
    if (this.#socket.destroyed || rest === bytes.length) this.#release();
    else if (rest > 0 || bytes === chunk) {
      // A copy: what is kept is not to hold what came with it in memory.
      const begun = Buffer.from(bytes.subarray(rest));
      this.#release();
      this.#hold(begun);
      this.#wait();
    }
  }

  /** Hands out the messages that are whole, and returns where the next one begins. */
  #deliver(bytes: Buffer, end: LinkEnd): number {
    let at = 0;
    for (;;) {
      this.#need = 4;
      if (bytes.length - at < 4) return at;
      const length = bytes.readUInt32LE(at);
      if (length > MAX_MESSAGE_BYTES) throw new Error(`a message of ${length} bytes`);
      this.#need = 4 + length;
      if (bytes.length - at < this.#need) return at;
      // The message may be kept, too.
      const message = Buffer.from(bytes.subarray(at + 4, at + this.#need));
      at += this.#need;
      this.#patience?.cancel();
      this.#patience = undefined;
      end.received(message);
      if (this.#socket.destroyed) return bytes.length;
    }
  }

  /** Keeps more of a message. Room grows with what has come, not with the length that was announced. */
  #hold(chunk: Buffer): void {
    const bytes = this.#heldBytes + chunk.length;
    if (bytes > this.#held.length) {
      const room = Math.max(bytes, Math.min(2 * this.#held.length, this.#need));
      this.#unfinished.bytes += room - this.#held.length;
      const held = Buffer.allocUnsafeSlow(room);
      this.#held.copy(held, 0, 0, this.#heldBytes);
      this.#held = held;
      if (this.#unfinished.bytes > MAX_UNFINISHED_BYTES) throw new Error('too many half messages');
    }
    chunk.copy(this.#held, this.#heldBytes);
    this.#heldBytes = bytes;
  }

  #release(): void {
    this.#unfinished.bytes -= this.#held.length;
    this.#held = NOTHING;
    this.#heldBytes = 0;
  }

  /** Begins to lose patience, if it has not begun yet. */
  #wait(): void {
    if (this.#patience !== undefined) return;
    const over = (): void => {
      // Where this process was stuck, what it waits for may be there by now and only wants to be read.
      void this.#clock.turn().then(() => {
        if (this.#patience === timer) this.close();
      });
    };
    const timer = this.#clock.setTimer(PATIENCE_MS, over, { unref: true });
    this.#patience = timer;
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
