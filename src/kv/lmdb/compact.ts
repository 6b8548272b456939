/**
 * Makes the file of a store smaller: lmdb uses free places again but never gives them back, so a copy without them takes its place.
 *
 * The directory is taken for this process alone. The copy is made beside the file, compared with it, synced, and renamed over it in one
 * step: whenever this process or the machine dies, the directory has either file whole. What is left lying about then, `compacting` and
 * `compacted/`, is in nobody's way and goes with the next compaction.
 *
 * @module
 */
import type { RootDatabase } from 'lmdb';
import { mkdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { copyFiles, syncDirectory } from './copy.ts';
import { corruptError, inUseError, storeError } from './errors.ts';
import { behindGate } from './gate.ts';
import { loadLmdb, rootOptions, type LmdbModule } from './lmdb.ts';
import { exclusively } from './open-once.ts';
import { checkFiles } from './precheck.ts';

/** What a compaction did. */
export interface LmdbCompacted {
  /** Size of the file before and after. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/**
 * Compacts the store in a directory, which must be there.
 *
 * @throws `MR_IN_USE` when this or another process has it open, `MR_DISK_FULL` when there is no room for the copy, `MR_PERMISSION`,
 * `MR_CORRUPT`, `MR_VERSION_UNSUPPORTED`, `MR_IO`. Nothing has changed then.
 */
export async function compactLmdb(path: string, tables: readonly string[]): Promise<LmdbCompacted> {
  const { open } = await loadLmdb();
  const directory = resolve(path);
  try {
    await checkFiles(directory);
    const name = await realpath(directory);
    return await exclusively(
      name,
      () => behindGate(directory, () => replaceFile(open, directory, tables)),
      () => inUseError(directory, 'this process has it open; close it first'),
    );
  } catch (error) {
    throw storeError(error, directory);
  }
}

async function replaceFile(
  open: LmdbModule['open'],
  directory: string,
  tables: readonly string[],
): Promise<LmdbCompacted> {
  const file = join(directory, 'data.mdb');
  const aside = join(directory, 'compacted');
  const bytesBefore = (await stat(file)).size;
  try {
    await rm(aside, { recursive: true, force: true });
    await mkdir(aside, { mode: 0o700 });
    const before = await withRoot(open, directory, async (root) => {
      checkAlone(root, directory);
      await copyFiles(root, aside, true);
      return countEntries(root, tables);
    });
    const after = await withRoot(open, aside, async (root) => countEntries(root, tables));
    if (before !== after)
      throw corruptError(directory, `a copy has ${after} entries in its tables, not ${before}`);
    // It is about the old file: lmdb makes another one.
    await rm(join(directory, 'lock.mdb'), { force: true });
    await rename(join(aside, 'data.mdb'), file);
    await syncDirectory(directory);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return { bytesBefore, bytesAfter: (await stat(file)).size };
}

async function withRoot<T>(
  open: LmdbModule['open'],
  directory: string,
  body: (root: RootDatabase) => Promise<T>,
): Promise<T> {
  const root = open(rootOptions(directory));
  try {
    return await body(root);
  } finally {
    await root.close();
  }
}

/** Looks at lmdb's list of readers, in which every process is that has opened the directory. */
function checkAlone(root: RootDatabase, directory: string): void {
  root.readerCheck();
  const pids = root
    .readerList()
    .split('\n')
    .map((line) => Number.parseInt(line, 10))
    .filter((pid) => Number.isSafeInteger(pid) && pid !== process.pid);
  if (pids.length > 0)
    throw inUseError(
      directory,
      `process ${[...new Set(pids)].join(', ')} has it open; stop it first`,
    );
}

function countEntries(root: RootDatabase, tables: readonly string[]): string {
  return tables
    .map((table) => {
      const { entryCount } = root
        .openDB(table, { encoding: 'binary', keyEncoding: 'binary' })
        .getStats() as { entryCount: number };
      return `${table} ${entryCount}`;
    })
    .join(', ');
}
