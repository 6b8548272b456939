/**
 * From a URL to a verified log, for the command line and for programs that watch over their data.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { MillraceError } from '../core/errors.ts';
import type { Kv } from '../kv/kv.ts';
import { placeOf, type OpenBrokerContext } from './open.ts';
import type { StateCheck, VerifyProgress, VerifyReport } from './verify-report.ts';

/** What a verification needs from outside. */
export interface VerifyContext extends OpenBrokerContext {
  /** Left out, rows of checkpoints are only checked for belonging to a task. */
  readonly state?: StateCheck | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Verifies the log of a `file:` or `memory:` URL: every checksum, and all rows against one another. Reads only; workers may go on meanwhile.
 * A damaged file may end the process: where that matters, run it in a process of its own and take its death for an answer.
 *
 * Whatever is damaged is in the report and no error.
 *
 * @throws `MR_URL_INVALID`, `MR_ARGUMENT_INVALID` when there is no log in the directory, `MR_PERMISSION`, `MR_VERSION_UNSUPPORTED`,
 * `MR_IN_USE` while it is compacted, `MR_ABORTED`.
 */
export async function verifyDirectory(
  url: string,
  context: VerifyContext,
  onProgress?: (progress: VerifyProgress) => void,
): Promise<VerifyReport> {
  const { clock, state, signal } = context;
  const { verifyLog, Findings } = await import('./log/index.ts');
  let kv: Kv;
  try {
    kv = await openStore(url, context);
  } catch (error) {
    if (!MillraceError.is(error) || error.code !== 'MR_CORRUPT') throw error;
    const findings = new Findings();
    findings.error('file', url, error.message);
    return findings.report();
  }
  try {
    return await verifyLog(kv, { url, clock, state, signal, onProgress });
  } finally {
    await kv.close();
  }
}

/** The store of an existing log. */
async function openStore(url: string, context: OpenBrokerContext): Promise<Kv> {
  const place = placeOf(url);
  const { logTables } = await import('./log/index.ts');
  if ('memory' in place) {
    const { simulatedKv } = await import('../kv/simulated/simulated.ts');
    const make = () => simulatedKv({ tables: logTables });
    return context.memory === undefined ? make() : context.memory.open(place.memory, make);
  }
  await needLog(place.directory);
  const { openLmdb } = await import('../kv/lmdb/lmdb.ts');
  return await openLmdb({ path: place.directory, tables: logTables });
}

/** Looks whether there is a log, since opening would make one. @throws `MR_ARGUMENT_INVALID`, `MR_PERMISSION`. */
export async function needLog(directory: string): Promise<void> {
  try {
    if ((await stat(join(directory, 'data.mdb'))).isFile()) return;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
      throw new MillraceError('MR_PERMISSION', `the directory ${directory} cannot be read`, {
        cause: error,
        domain: 'external',
        details: { directory },
      });
  }
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `there is no log in ${directory}; check the directory`,
    { details: { directory } },
  );
}
