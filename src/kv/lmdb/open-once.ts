/**
 * One opening per directory and process, shared by all who ask for it.
 *
 * lmdb allows a process to open a file once. lmdb-js shares the file between its openings, but each of them takes the writer's lock on
 * this thread when it begins; a transaction of another one, which holds the lock and waits for its callback on this thread, would
 * then wait for ever, and the process with it.
 *
 * @see http://www.lmdb.tech/doc/, "Caveats"
 * @module
 */
import type { Kv } from '../kv.ts';
import { share } from '../share.ts';

interface Opening {
  readonly kv: Promise<Kv>;
  users: number;
  closing: Promise<void> | undefined;
}

// The one thing in millrace that belongs to the process: so does the rule that it keeps.
const openings = new Map<string, Opening>();

/** The store of `directory`, a resolved path. `open` is called if nobody has it open; the last one to close it ends it. */
export async function openOnce(directory: string, open: () => Promise<Kv>): Promise<Kv> {
  let opening = openings.get(directory);
  while (opening?.closing !== undefined) {
    await Promise.allSettled([opening.closing]);
    opening = openings.get(directory);
  }
  if (opening === undefined) {
    opening = { kv: open(), users: 0, closing: undefined };
    openings.set(directory, opening);
  }
  return await enter(directory, opening);
}

/**
 * Runs `body` while nobody in this process has `directory` open; whoever asks for it meanwhile waits. `inUse` makes the error if somebody has.
 */
export async function exclusively<T>(
  directory: string,
  body: () => Promise<T>,
  inUse: () => Error,
): Promise<T> {
  const opening = openings.get(directory);
  if (opening?.closing !== undefined) await Promise.allSettled([opening.closing]);
  if (openings.has(directory)) throw inUse();
  const run = body();
  const closing = run.then(
    () => undefined,
    () => undefined,
  );
  openings.set(directory, { kv: new Promise<Kv>(() => {}), users: 0, closing });
  try {
    return await run;
  } finally {
    openings.delete(directory);
  }
}

async function enter(directory: string, opening: Opening): Promise<Kv> {
  opening.users++;
  let kv: Kv;
  try {
    kv = await opening.kv;
  } catch (error) {
    if (openings.get(directory) === opening) openings.delete(directory);
    throw error;
  }
  return share(kv, directory, async () => {
    await kv.flush();
    if (--opening.users > 0) return;
    opening.closing = kv.close();
    try {
      await opening.closing;
    } finally {
      openings.delete(directory);
    }
  });
}
