/**
 * Whether others could put something else in the place of a store. Its files are this user's alone, but whoever may write to the directory they
 * are in, or to the one above, may rename them.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';

const WRITABLE_BY_ALL = 0o002;
/** Only owners rename here, as in /tmp. */
const STICKY = 0o1000;

/** Emits a warning of the process (`MR_PERMISSION`) for a directory, a real path, that anybody may replace or write to. */
export async function warnIfExposed(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  for (const path of [directory, dirname(directory)]) {
    const { mode } = await stat(path);
    if ((mode & WRITABLE_BY_ALL) === 0 || (mode & STICKY) !== 0) continue;
    process.emitWarning(
      `anybody on this machine may replace the store in ${directory}: ${path} has mode 0${(mode & 0o7777).toString(8)}; ` +
        `take that right away (chmod o-w ${path}) or choose another directory`,
      { type: 'MillraceWarning', code: 'MR_PERMISSION' },
    );
    return;
  }
}
