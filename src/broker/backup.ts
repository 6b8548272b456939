/**
 * Copies of a directory, and a smaller file in its place.
 *
 * A copy is made in a directory of its own beside the target, looked at, and renamed when it is complete: a target is never half a copy. What
 * a dead process leaves is a directory `<target>.partial-…`, which may be deleted.
 *
 * @module
 */
import { mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { messageOf, MillraceError } from '../core/errors.ts';
import { placeOf, type OpenBrokerContext } from './open.ts';
import { needLog } from './verify.ts';

/** A finished backup. */
export interface BackupReport {
  /** Where it is, absolute. Open it as `file:<directory>`. */
  readonly directory: string;
  /** Size of its file. */
  readonly bytes: number;
  readonly topics: number;
}

/** A finished compaction. */
export interface CompactReport {
  readonly directory: string;
  /** Size of the file before and after. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/**
 * Copies the log of a `file:` URL into `target`, a directory that is not there yet or is empty. Workers may go on meanwhile: the copy is what
 * was committed when it began. Synced, and opened once to see that it can be.
 *
 * `compact`: without the places of the file that are free; smaller and slower. Default `false`.
 *
 * @throws `MR_ARGUMENT_INVALID` for a target that is not empty, a directory without a log, or a `memory:` URL; `MR_DISK_FULL`, `MR_PERMISSION`,
 * `MR_CORRUPT`, `MR_VERSION_UNSUPPORTED`, `MR_IN_USE`, `MR_IO`. Nothing is left of the copy then.
 */
export async function backupDirectory(
  url: string,
  target: string,
  context: OpenBrokerContext,
  options: { readonly compact?: boolean | undefined } = {},
): Promise<BackupReport> {
  const { compact = false } = options;
  const directory = directoryOf(url, 'back up');
  await needLog(directory);
  const goal = resolve(target);
  await needEmpty(goal);
  const { openLmdb } = await import('../kv/lmdb/lmdb.ts');
  const { logTables, readFormat, readTopics } = await import('./log/index.ts');
  const partial = `${goal}.partial-${context.random.name()}`;
  await makeDirectory(partial);
  try {
    const kv = await openLmdb({ path: directory, tables: logTables });
    try {
      await kv.copy?.(partial, { compact });
    } finally {
      await kv.close();
    }
    const copy = await openLmdb({ path: partial, tables: logTables });
    let topics: number;
    try {
      readFormat(copy, `file:${partial}`, (text) => {
        throw new MillraceError('MR_CORRUPT', text, { domain: 'external', details: { directory } });
      });
      topics = readTopics(copy).length;
    } finally {
      await copy.close();
    }
    await rm(join(partial, 'lock.mdb'), { force: true });
    const { size: bytes } = await stat(join(partial, 'data.mdb'));
    await moveTo(partial, goal);
    return { directory: goal, bytes, topics };
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Makes the file of a `file:` URL as small as its content. Needs room for a copy, and the directory for itself: stop all workers first.
 *
 * @throws `MR_IN_USE` when somebody has the directory open, `MR_ARGUMENT_INVALID` for a directory without a log or a `memory:` URL;
 * `MR_DISK_FULL`, `MR_PERMISSION`, `MR_CORRUPT`, `MR_VERSION_UNSUPPORTED`, `MR_IO`. Nothing has changed then.
 */
export async function compactDirectory(url: string): Promise<CompactReport> {
  const directory = directoryOf(url, 'compact');
  await needLog(directory);
  const { compactLmdb } = await import('../kv/lmdb/compact.ts');
  const { logTables } = await import('./log/index.ts');
  const sizes = await compactLmdb(directory, logTables);
  return { directory: resolve(directory), ...sizes };
}

function directoryOf(url: string, what: string): string {
  const place = placeOf(url);
  if ('directory' in place) return place.directory;
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `there is nothing to ${what} in ${url}: it is in memory; give a file: URL`,
    { details: { url } },
  );
}

async function needEmpty(target: string): Promise<void> {
  let entries: readonly string[];
  try {
    entries = await readdir(target);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw fileError(error, target);
  }
  if (entries.length > 0)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${target} is not empty, and a backup overwrites nothing; give a directory that is not there yet`,
      { details: { target } },
    );
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw fileError(error, path);
  }
}

async function moveTo(partial: string, goal: string): Promise<void> {
  const { syncDirectory } = await import('../kv/lmdb/copy.ts');
  try {
    // Empty; not all systems rename over a directory.
    await rmdir(goal).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    });
    await rename(partial, goal);
    await syncDirectory(dirname(goal));
  } catch (error) {
    throw fileError(error, goal);
  }
}

function fileError(cause: unknown, path: string): MillraceError {
  return new MillraceError('MR_PERMISSION', `${path} cannot be made: ${messageOf(cause)}`, {
    cause,
    domain: 'external',
    details: { path },
  });
}
