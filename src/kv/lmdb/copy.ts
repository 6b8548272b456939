/**
 * Copies of an open file, made by lmdb itself in a thread: each is what was committed when it began.
 *
 * @see http://www.lmdb.tech/doc/group__mdb.html, mdb_env_copy2
 * @module
 */
import type { RootDatabase } from 'lmdb';
import { chmod, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { copyError } from './errors.ts';

/** Writes `data.mdb` into `target`, a directory that is there and empty, and syncs both. */
export async function copyFiles(
  root: RootDatabase,
  target: string,
  compact: boolean,
): Promise<void> {
  try {
    await root.backup(target, compact);
    const file = join(target, 'data.mdb');
    await chmod(file, 0o600);
    await syncFile(file);
    await syncDirectory(target);
    await syncDirectory(dirname(target));
  } catch (error) {
    throw await copyError(error, target);
  }
}

/** Makes what was written to a file durable. */
async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Makes the names of a store durable: of its files, of its directory, and of those above it from `made` on, the first one that had to be made.
 * Always the first two, since whoever makes them may not have come to it yet when another process acknowledges something.
 */
export async function syncNames(directory: string, made: string | undefined): Promise<void> {
  if (process.platform === 'win32') return;
  await syncDirectory(directory);
  const last = dirname(made ?? directory);
  for (let path = directory; path !== last && path !== dirname(path);) {
    path = dirname(path);
    try {
      await syncDirectory(path);
    } catch (error) {
      // One may be allowed to go through a directory and not to read it.
      if (!isDenied(error)) throw error;
    }
  }
}

function isDenied(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EACCES';
}

/** Makes names in a directory durable. Windows has no such thing. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
