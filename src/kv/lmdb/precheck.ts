/**
 * Looks at the files of a store before lmdb opens them. When lmdb refuses a file, lmdb-js goes on with memory that it has
 * freed, and the process dies; so whatever makes lmdb refuse one is found out here first.
 *
 * `lock.mdb` is never opened here: closing it would take away the locks that this process holds through lmdb.
 *
 * @module
 */
import { access, constants, open, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { corruptError, diskFullError, SPARE_BYTES, versionError } from './errors.ts';

/** How often a file is read again that another process may just be making. */
const MAX_READS = 20;

/**
 * Checks that lmdb can open or make the files in `directory`.
 *
 * @throws errors of the file system, and `MR_CORRUPT`, `MR_VERSION_UNSUPPORTED` or `MR_DISK_FULL`.
 */
export async function checkFiles(directory: string): Promise<void> {
  const mode = constants.R_OK | constants.W_OK;
  await access(directory, mode | constants.X_OK);
  const lock = join(directory, 'lock.mdb');
  if (await isThere(lock)) await access(lock, mode);
  const data = join(directory, 'data.mdb');
  if (!(await isThere(data))) {
    const { bavail, bsize } = await statfs(directory);
    if (bavail * bsize < SPARE_BYTES) throw diskFullError(undefined, directory);
    return;
  }
  let problem: Problem | undefined;
  for (let read = 0; read < MAX_READS; read++) {
    problem = await readHead(data);
    if (problem === undefined) return;
  }
  throw problem === 'version'
    ? versionError(directory)
    : corruptError(directory, 'it does not begin as a file of lmdb does');
}

/** True for a file, false if nothing is there. @throws EISDIR for anything else. */
async function isThere(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isFile()) return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
  // Opening a directory for writing gives the error of the system.
  await (await open(path, 'r+')).close();
  return true;
}

type Problem = 'version' | 'corrupt';

const HEAD_BYTES = 64;
const META_PAGE = 0x08;
const MAGIC = 0xbe_ef_c0_de;
const VERSION = 2;
/** Where stock LMDB 0.9 has its magic number; its page headers are shorter. */
const OLD_MAGIC_AT = 16;

/**
 * The beginning of the file, in the byte order of the machine:
 *
 * ```
 * u64 page number, u64 transaction, u16 padding, u16 flags of the page (0x08: head), u32
 * u32 magic, u32 version (lower half), u64 address, u64 map size
 * u32 page size
 * ```
 *
 * A second head of the same layout is on the next page. An empty file is as good as none.
 */
async function readHead(path: string): Promise<Problem | undefined> {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    if (size === 0) return undefined;
    const head = new DataView(new ArrayBuffer(HEAD_BYTES));
    await file.read(head, 0, HEAD_BYTES, 0);
    const u32 = (at: number): number => head.getUint32(at, LITTLE_ENDIAN);
    if (u32(OLD_MAGIC_AT) === MAGIC) return 'version';
    if ((head.getUint16(18, LITTLE_ENDIAN) & META_PAGE) === 0 || u32(24) !== MAGIC)
      return 'corrupt';
    if ((u32(28) & 0xffff) !== VERSION) return 'version';
    return size < 2 * u32(48) ? 'corrupt' : undefined;
  } finally {
    await file.close();
  }
}

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
