/**
 * The tables of the log and the version of what is in them. A directory that a newer millrace wrote is refused before
 * anything of it is read, so that an old program never guesses at new rows.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { Kv, KvReader } from '../../kv/kv.ts';
import { decodeRow, encodeRow, textKey } from './rows.ts';

/** The tables that the store of a log must be opened with. `state` belongs to the layer above. */
export const logTables: readonly string[] = [
  'meta',
  'frames',
  'ends',
  'tasks',
  'groups',
  'members',
  'listeners',
  'producers',
  'state',
];

/** Version of the rows that this code reads and writes. */
const FORMAT_VERSION = 3;

/**
 * Makes sure that the store holds rows of this version, and marks an empty one.
 *
 * @throws `MR_VERSION_UNSUPPORTED` for a store of another version.
 */
export async function ensureFormat(kv: Kv, url: string): Promise<void> {
  const key = textKey('format');
  let row = kv.get('meta', key);
  if (row === undefined)
    row = await kv.transact((txn) => {
      // Another process may have been first since.
      const there = txn.get('meta', key);
      if (there !== undefined) return there;
      const made = encodeRow({ version: FORMAT_VERSION });
      txn.put('meta', key, made);
      return made;
    });
  checkVersion(row, url);
}

/**
 * Looks at the version without marking anything. False, and `report` told why, when there is none that can be read.
 *
 * @throws `MR_VERSION_UNSUPPORTED` for a store of another version.
 */
export function readFormat(kv: KvReader, url: string, report: (text: string) => void): boolean {
  try {
    const row = kv.get('meta', textKey('format'));
    if (row === undefined) report('the row with the version of the format is missing');
    else checkVersion(row, url);
    return row !== undefined;
  } catch (error) {
    if (!MillraceError.is(error) || error.code !== 'MR_CORRUPT') throw error;
    report(error.message);
    return false;
  }
}

function checkVersion(row: Uint8Array, url: string): void {
  const { version } = decodeRow(row, () => `the format row of ${url}`).head as { version: number };
  if (version !== FORMAT_VERSION)
    throw new MillraceError(
      'MR_VERSION_UNSUPPORTED',
      `${url} has format version ${version}, this millrace reads version ${FORMAT_VERSION}; ` +
        (version > FORMAT_VERSION
          ? 'upgrade millrace to open it'
          : 'open it with the millrace that wrote it'),
      { details: { version, supported: FORMAT_VERSION } },
    );
}
