/**
 * What lmdb and the operating system report, as errors of millrace. lmdb-js throws errors whose `code` is a number: an errno of
 * the system, or one of lmdb's own, which are negative.
 *
 * @module
 */
import { statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { constants } from 'node:os';
import { messageOf, MillraceError } from '../../core/errors.ts';

const { errno } = constants;

const MDB_MAP_FULL = -30_792;
const MDB_INVALID = -30_793;
const MDB_VERSION_MISMATCH = -30_794;
const MDB_PANIC = -30_795;
const MDB_CORRUPTED = -30_796;
const MDB_PAGE_NOTFOUND = -30_797;

const full: readonly number[] = [errno.ENOSPC, errno.EDQUOT, MDB_MAP_FULL];
const denied: readonly number[] = [errno.EACCES, errno.EPERM, errno.EROFS];
const misplaced: readonly number[] = [errno.EEXIST, errno.ENOTDIR, errno.EISDIR];
const corrupt: readonly number[] = [MDB_INVALID, MDB_CORRUPTED, MDB_PAGE_NOTFOUND];

/** The number in an error of lmdb-js or of Node's file system; undefined if it has none. */
function codeOf(cause: unknown): number | undefined {
  if (!(cause instanceof Error)) return undefined;
  if ('errno' in cause && typeof cause.errno === 'number') return Math.abs(cause.errno);
  return 'code' in cause && typeof cause.code === 'number' ? cause.code : undefined;
}

/**
 * True when a read failed because lmdb has given up on the open file: its head could not be written, and nothing works any more. The first
 * read of an opening is told so; a later one, for which lmdb-js keeps a transaction, is told that this is not valid.
 */
export function isPanic(cause: unknown): boolean {
  const code = codeOf(cause);
  return code === MDB_PANIC || code === errno.EINVAL;
}

/** An error of opening or reading the store in `directory`. */
export function storeError(cause: unknown, directory: string): MillraceError {
  if (MillraceError.is(cause)) return cause;
  const code = codeOf(cause);
  const options = { cause, domain: 'external' as const, details: { directory, code } };
  if (code !== undefined && full.includes(code)) return diskFullError(cause, directory);
  if (code !== undefined && denied.includes(code))
    return new MillraceError(
      'MR_PERMISSION',
      `the store in ${directory} may not be opened for reading and writing (its mode is ${modeOf(directory)}); ` +
        'give this user write access to the directory and its files, or choose another one',
      options,
    );
  if (code !== undefined && misplaced.includes(code))
    return new MillraceError(
      'MR_PERMISSION',
      `${directory} cannot be the directory of a store: something else stands there or above it; choose another directory`,
      options,
    );
  if (code === MDB_VERSION_MISMATCH) return versionError(directory, cause);
  if (code !== undefined && corrupt.includes(code))
    return corruptError(directory, messageOf(cause), cause);
  return new MillraceError(
    'MR_IO',
    `the store in ${directory} could not be used: ${messageOf(cause)}`,
    options,
  );
}

/**
 * An error of a commit of about `bytes` bytes. lmdb reports a write that the disk took only in part as EIO, so that the
 * free space has to say whether the disk is full.
 */
export async function commitError(
  cause: unknown,
  directory: string,
  bytes: number,
): Promise<MillraceError> {
  if (codeOf(cause) === errno.EIO && (await freeBytes(directory)) < bytes + SPARE_BYTES)
    return diskFullError(cause, directory);
  return storeError(cause, directory);
}

/** A commit writes more than its entries: pages around them, the list of free pages. */
export const SPARE_BYTES: number = 1024 * 1024;

/** The error of a file that cannot be trusted. */
export function corruptError(directory: string, what: string, cause?: unknown): MillraceError {
  return new MillraceError(
    'MR_CORRUPT',
    `the file data.mdb in ${directory} is damaged: ${what}; restore the directory from a backup`,
    { cause, domain: 'external', details: { directory } },
  );
}

/** The error of a file in a format that this lmdb does not know. */
export function versionError(directory: string, cause?: unknown): MillraceError {
  return new MillraceError(
    'MR_VERSION_UNSUPPORTED',
    `the file data.mdb in ${directory} was written by another version of lmdb; copy its content with that version`,
    { cause, domain: 'external', details: { directory } },
  );
}

/** The error of every call after lmdb has given up. */
export function brokenError(directory: string, cause: unknown): MillraceError {
  return new MillraceError(
    'MR_IO',
    `the last commit to the store in ${directory} failed half-way and may or may not be there; ` +
      'check the disk, then close the store and open it again',
    { cause, domain: 'external', details: { directory } },
  );
}

/** The error of a directory that others use. `why` says who, and what to do. */
export function inUseError(directory: string, why: string): MillraceError {
  return new MillraceError('MR_IN_USE', `the store in ${directory} is in use: ${why}`, {
    domain: 'external',
    retryable: true,
    details: { directory },
  });
}

/** An error of a copy into `directory`. lmdb-js gives it without a number, so that the free space has to say whether the disk is full. */
export async function copyError(cause: unknown, directory: string): Promise<MillraceError> {
  return (await freeBytes(directory)) < SPARE_BYTES
    ? diskFullError(cause, directory)
    : storeError(cause, directory);
}

/** The error of a full disk. */
export function diskFullError(cause: unknown, directory: string): MillraceError {
  return new MillraceError(
    'MR_DISK_FULL',
    `the disk of ${directory} is full: nothing was written; free some space and try again`,
    { cause, domain: 'external', retryable: true, details: { directory } },
  );
}

async function freeBytes(directory: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function modeOf(path: string): string {
  try {
    return `0${(statSync(path).mode & 0o7777).toString(8)}`;
  } catch {
    return 'unknown';
  }
}
