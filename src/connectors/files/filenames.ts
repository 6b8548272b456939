/**
 * @module
 */
import { glob, readdir, stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';

import { sleep, systemClock } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import { checkOptions } from '../../core/given.ts';
import type { Stream } from '../../stream/stream.ts';
import { outside, systemCode } from '../failure.ts';
import { connectorOptions, textOf } from '../options.ts';
import type { ConnectorOptions } from '../options.ts';
import { sourceOf } from '../source.ts';

/** What {@link filenames} takes. */
export interface FilenamesOptions extends ConnectorOptions {
  /** How long it waits before it looks again, at least 1 ms. Default 100 ms. */
  readonly pollInterval?: Duration | undefined;
  /** Waits for more. When false, the stream is closed behind what is there. Default true. */
  readonly follow?: boolean | undefined;
}

/**
 * The names of files, each once: those that are there, and those that come. Of a directory the files in it (not what begins with a dot, and not
 * what is deeper), or whatever a pattern with `*`, `**`, `?`, `[…]` or `{…}` matches, but no directories.
 * Names are relative to the working directory if the argument is.
 *
 * A file is named as soon as it is there: write it under another name and rename it when it is complete.
 *
 * - *Order*: those found in one look are sorted by code units.
 * - *Back-pressure*: it looks again when all names of the last look have been dealt with.
 * - *State*: the names that were there at the last look. A file that was away then and is there again is named again.
 * - *Delivery*: each name once per stream; what comes and goes between two looks is not seen.
 *
 * ```ts
 * import { writeFileSync } from 'node:fs';
 * import { filenames } from 'millrace/files';
 *
 * for (const name of ['b.csv', 'a.csv', 'c.txt']) writeFileSync(name, '');
 * await filenames('*.csv', { follow: false }).toArray(); // => ['a.csv', 'b.csv']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`. The stream fails with `MR_IO` or `MR_PERMISSION` when a directory
 * cannot be read.
 */
export function filenames(pattern: string, options: FilenamesOptions = {}): Stream<string> {
  checkOptions<FilenamesOptions>('filenames', options, {
    ...connectorOptions,
    pollInterval: true,
    follow: true,
  });
  const { clock = systemClock(), follow = true } = options;
  textOf('filenames', pattern);
  const pollMs = durationMs(options.pollInterval ?? '100ms', 'pollInterval', 1);
  return sourceOf<string>('filenames', options, async (feed) => {
    let seen: ReadonlySet<string> = new Set();
    for (;;) {
      const there = await look(pattern);
      feed.opened();
      await feed.emitAll([...there].filter((name) => !seen.has(name)).toSorted());
      if (!follow || feed.signal.aborted) return;
      seen = there;
      await sleep(clock, pollMs, feed.signal);
    }
  });
}

async function look(pattern: string): Promise<Set<string>> {
  try {
    return (await isDirectory(pattern)) ? await inDirectory(pattern) : await matching(pattern);
  } catch (error) {
    throw outside(`${pattern} cannot be read; may this user do that`, error, { pattern });
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return false;
    throw error;
  }
}

async function inDirectory(path: string): Promise<Set<string>> {
  const entries = await readdir(path, { withFileTypes: true });
  return new Set(
    entries
      .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => join(path, name)),
  );
}

async function matching(pattern: string): Promise<Set<string>> {
  const names = new Set<string>();
  const here = isAbsolute(pattern) ? undefined : process.cwd();
  for await (const entry of glob(pattern, { withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    names.add(here === undefined ? path : relative(here, path));
  }
  return names;
}
