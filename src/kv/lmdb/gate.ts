/**
 * A directory for one process alone, while its file is replaced.
 *
 * Whoever wants that puts up a gate, a file `compacting` with its process id, and then looks who has the directory open. Everybody else opens
 * the directory first, which enters them into lmdb's list of readers, and then looks for the gate. In whatever order that happens, one of
 * them sees the other. A gate whose process is gone counts as none.
 *
 * @module
 */
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inUseError } from './errors.ts';

const GATE = 'compacting';
const ATTEMPTS = 10;

/** @throws `MR_IN_USE` when another process has the directory for itself. */
export async function checkGate(directory: string): Promise<void> {
  const pid = await gateKeeper(directory);
  if (pid !== undefined)
    throw inUseError(directory, `process ${pid} compacts it; open it when that has finished`);
}

/** Runs `body` behind a gate. The caller still has to look who was there before. @throws `MR_IN_USE`. */
export async function behindGate<T>(directory: string, body: () => Promise<T>): Promise<T> {
  const gate = join(directory, GATE);
  const own = join(directory, `${GATE}-${process.pid}`);
  try {
    // Linked when it is complete, so that nobody reads half of it.
    await writeFile(own, `${process.pid}\n`, { mode: 0o600 });
    for (let attempt = 1; ; attempt++) {
      try {
        await link(own, gate);
        break;
      } catch (error) {
        if (!isThere(error) || attempt === ATTEMPTS) throw error;
        await checkGate(directory);
        await rm(gate, { force: true });
      }
    }
  } finally {
    await rm(own, { force: true });
  }
  try {
    return await body();
  } finally {
    await rm(gate, { force: true });
  }
}

/** The living process that has put up a gate. */
async function gateKeeper(directory: string): Promise<number | undefined> {
  let pid: number;
  try {
    pid = Number.parseInt(await readFile(join(directory, GATE), 'utf8'), 10);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  return Number.isSafeInteger(pid) && pid > 0 && isAlive(pid) ? pid : undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there and somebody else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function isThere(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}
