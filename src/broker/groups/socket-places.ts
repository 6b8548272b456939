/**
 * Where the sockets of a directory are, and how an address names one.
 *
 * | address | socket |
 * |---|---|
 * | `dir:<name>` | `<directory>/sockets/<name>`, as each process sees the directory: containers that share it may mount it anywhere |
 * | `tmp:<path>` | a path in the user's directory for temporary files, when the former is too long or on a file system without sockets |
 * | `pipe:<name>` | a named pipe of Windows |
 *
 * Directories of sockets are this user's alone, so nobody else can connect.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** What `sun_path` holds, less its final zero: 108 bytes on Linux, 104 on macOS and the BSDs. */
const MAX_PATH_BYTES: number = process.platform === 'linux' ? 107 : 103;

const socketName = /^[0-9a-f]{8,32}$/;
const temporary = /^millrace-\d+-[0-9a-f]{16}$/;

/** A place in which to listen. */
export interface SocketPlace {
  readonly address: string;
  readonly path: string;
  /** The directory that the socket is in; `undefined` for a pipe. */
  readonly directory: string | undefined;
}

/** The places for a socket of this name, the best one first. `directory` is a real path. */
export function placesOf(directory: string, name: string): SocketPlace[] {
  if (process.platform === 'win32')
    return [{ address: `pipe:${name}`, path: pipePath(directory, name), directory: undefined }];
  const inside = join(directory, 'sockets');
  const hash = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  const outside = join(tmpdir(), `millrace-${process.getuid?.() ?? 0}-${hash}`);
  return [
    { address: `dir:${name}`, path: join(inside, name), directory: inside },
    { address: `tmp:${join(outside, name)}`, path: join(outside, name), directory: outside },
  ].filter(({ path }) => Buffer.byteLength(path) <= MAX_PATH_BYTES);
}

/** The place of an address, or `undefined` if it is none. */
export function placeOf(directory: string, address: string): SocketPlace | undefined {
  const colon = address.indexOf(':');
  const [kind, rest] = [address.slice(0, colon), address.slice(colon + 1)];
  if (!socketName.test(kind === 'tmp' ? basename(rest) : rest)) return undefined;
  if (kind === 'pipe') return { address, path: pipePath(directory, rest), directory: undefined };
  if (kind === 'tmp')
    return temporary.test(basename(dirname(rest)))
      ? { address, path: rest, directory: dirname(rest) }
      : undefined;
  const inside = join(directory, 'sockets');
  return kind === 'dir' ? { address, path: join(inside, rest), directory: inside } : undefined;
}

/** True for what this module would call a socket. */
export function isSocketName(name: string): boolean {
  return socketName.test(name);
}

/** Makes the directory of a place. @throws when it cannot be made, or others could reach into it. */
export async function secureDirectory(directory: string): Promise<void> {
  await mkdir(directory, { mode: 0o700 }).catch((error: unknown) => {
    if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
  });
  const { uid, mode } = await lstat(directory);
  const own = process.getuid?.() === uid && (mode & 0o077) === 0;
  if (!own) throw new Error(`${directory} is not a directory of this user alone`);
}

function pipePath(directory: string, name: string): string {
  const hash = createHash('sha256').update(directory.toLowerCase()).digest('hex').slice(0, 16);
  return `\\\\.\\pipe\\millrace-${hash}-${name}`;
}
