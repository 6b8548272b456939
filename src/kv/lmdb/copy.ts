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
