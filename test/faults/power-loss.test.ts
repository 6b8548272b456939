/**
 * Loss of power under the real store: all that it writes is recorded, disks are made of what could have been left at some moment, and opened.
 *
 * Covered: every write and sync of `data.mdb` and of its copies by one process, cut anywhere, also while it takes checkpoints, compacts a topic, is
 * copied, or is replaced by a smaller file; changes of names; chains of losses. Not covered: a device that lies about syncs, sectors that are torn
 * or damaged themselves, several writing processes, and what a file system does to its own structures.
 *
 * `MILLRACE_POWER_LOSSES` says how many disks, `MILLRACE_SEED` which.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { TestContext } from 'vitest';

import { systemClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Random } from '../../src/core/random.ts';
import { withDirectory } from '../broker/log-over.ts';
import { heard, nothingTold, STORE } from './power-loss-content.ts';
import type { Told } from './power-loss-content.ts';
import { imageOf, linesOf, readRecord, differsFrom } from './support/disk-record.ts';
import type { DiskEvent, DiskImage, Files } from './support/disk-record.ts';
import { preload } from './support/preload.ts';

const LOSSES = Number(process.env['MILLRACE_POWER_LOSSES'] ?? 200);
const SEED = Number(process.env['MILLRACE_SEED'] ?? 1);
/** Disks that are made of one recording, and what its process does. */
const LOSSES_PER_RECORD = 25;
const LINES = 300;
/** Disks of a device that lies about its last writes. */
const LIES = 25;
const FORGOTTEN_WRITES = 40;

const child = fileURLToPath(new URL('power-loss-child.ts', import.meta.url));
const checker = fileURLToPath(new URL('power-loss-check.ts', import.meta.url));

/** A disk as a loss of power has left it, and what it must hold. */
interface Start {
  readonly files: Files;
  readonly told: Told;
}

const nothing: Start = { files: new Map(), told: nothingTold };
const storeFile = `${STORE}/data.mdb`;

function writeFiles(directory: string, files: Files): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  for (const [path, bytes] of files) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, bytes);
  }
}

interface Cut {
  readonly image: DiskImage;
  readonly told: Told;
}

type Result = { readonly found: Told } | { readonly wrong: string };

/** Runs the child on a copy of `start` and returns what it did to the disk. */
function record(library: string, home: string, start: Start): DiskEvent[] {
  const directory = join(home, 'disk');
  const file = join(home, 'record');
  writeFiles(directory, start.files);
  rmSync(file, { force: true });
  const { signal, stderr } = spawnSync(process.execPath, [child, directory, String(LINES)], {
    encoding: 'utf8',
    env: {
      ...process.env,
      LD_PRELOAD: library,
      RECORD_DIRECTORY: directory,
      RECORD_FILE: file,
    },
  });
  expect(signal, stderr).toBe('SIGKILL');
  const events = readRecord(file);
  expect(events.filter(({ kind }) => kind === 'unknown')).toHaveLength(0);
  // Nothing was done past the recorder.
  expect(
    differsFrom(start.files, events, (path) => readFileSync(join(directory, path))),
  ).toBeUndefined();
  return events;
}

function cutAnywhere(start: Start, events: readonly DiskEvent[], random: Random, forgets = 0): Cut {
  const cut = forgets > 0 ? events.length : random.below(events.length + 1);
  return {
    image: imageOf(start.files, events, cut, random, forgets),
    told: heard(start.told, linesOf(events, cut)),
  };
}

/** Has a process look at the disks; one that ends it is told as wrong. */
function check(home: string, cuts: readonly Cut[]): Result[] {
  const results: Result[] = [];
  while (results.length < cuts.length) {
    const lines = cuts.slice(results.length).map(({ image, told }, i) => {
      const directory = join(home, `cut-${i}`);
      writeFiles(directory, image.files);
      return JSON.stringify({ directory, told });
    });
    const { stdout, stderr, signal, status } = spawnSync(process.execPath, [checker], {
      encoding: 'utf8',
      input: `${lines.join('\n')}\n`,
      timeout: 120_000,
      maxBuffer: 2 ** 26,
    });
    for (const line of stdout.split('\n').slice(0, -1)) results.push(JSON.parse(line) as Result);
    if (signal !== null || status !== 0)
      results.push({ wrong: `the process ended with ${signal ?? status}: ${stderr}` });
  }
  return results;
}

function withRecorder(
  context: TestContext,
  body: (library: string, home: string) => void,
): Promise<void> {
  return withDirectory((home) => {
    body(preload(context, 'power-loss-recorder.c', home), home);
    return Promise.resolve();
  });
}

test(`${LOSSES} losses of power: nothing acknowledged is lost, nothing damaged is there`, async (context) => {
  const random = seededRandom(SEED);
  const clock = systemClock();
  const began = clock.monotonic();
  await withRecorder(context, (library, home) => {
    let start = nothing;
    const figures = {
      ...{
        records: 0,
        writes: 0,
        syncs: 0,
        checkpoints: 0,
        compactions: 0,
        backups: 0,
        smaller: 0,
      },
      ...{ cuts: 0, torn: 0, lost: 0, sectors: 0, lostNames: 0, names: 0 },
    };
    const wrong: string[] = [];
    while (figures.cuts < LOSSES) {
      const events = record(library, home, start);
      const count = Math.min(LOSSES_PER_RECORD, LOSSES - figures.cuts);
      const cuts = Array.from({ length: count }, () => cutAnywhere(start, events, random));
      const results = check(home, cuts);
      figures.records++;
      figures.writes += events.filter(({ kind }) => kind === 'write').length;
      figures.syncs += events.filter(({ kind }) => kind === 'sync' || kind === 'made').length;
      for (const [word] of linesOf(events, events.length)) {
        if (word === 'checkpoint') figures.checkpoints++;
        if (word === 'maintained') figures.compactions++;
        if (word === 'backup') figures.backups++;
        if (word === 'smaller') figures.smaller++;
      }
      figures.cuts += count;
      for (const { image } of cuts) {
        if (image.lost > 0 && image.lost < image.sectors) figures.torn++;
        figures.lost += image.lost;
        figures.sectors += image.sectors;
        figures.lostNames += image.lostNames;
        figures.names += image.names;
      }
      for (const [i, result] of results.entries())
        if ('wrong' in result) wrong.push(`record ${figures.records}, cut ${i}: ${result.wrong}`);
      // The next process begins with what one of them left.
      const next = random.below(count);
      const [cut, result] = [cuts[next], results[next]];
      const store = cut?.image.files.get(storeFile);
      if (store !== undefined && result !== undefined && 'found' in result)
        start = { files: new Map([[storeFile, store]]), told: result.found };
    }
    const seconds = Math.round((clock.monotonic() - began) / 1000);
    process.stdout.write(
      `power loss: ${figures.cuts} disks of ${figures.records} recordings (${figures.writes} writes, ${figures.syncs} syncs), ` +
        `${figures.checkpoints} checkpoints, ${figures.compactions} compactions, ${figures.backups} backups, ${figures.smaller} smaller files, ` +
        `${figures.torn} with part of what was open, ${figures.lost} of ${figures.sectors} open sectors and ` +
        `${figures.lostNames} of ${figures.names} open names lost, ` +
        `${wrong.length} wrong, ${seconds} s\n`,
    );
    expect(wrong).toEqual([]);
  });
});

test('names are synced before anything is acknowledged', async (context) => {
  await withRecorder(context, (library, home) => {
    const events = record(library, home, nothing);
    const kinds = events.map(({ kind }) => kind);
    const before = events.slice(kinds.indexOf('write'), kinds.indexOf('line'));
    const synced = before.filter(({ kind }) => kind === 'synced').map(({ path }) => path);
    expect(synced).toEqual(expect.arrayContaining(['', STORE]));
  });
});

test('a disk that lies about its last writes would be noticed', async (context) => {
  const random = seededRandom(SEED);
  await withRecorder(context, (library, home) => {
    const events = record(library, home, nothing);
    const cuts = Array.from({ length: LIES }, () =>
      cutAnywhere(nothing, events, random, FORGOTTEN_WRITES),
    );
    const lossy = cuts.map(({ image }) => image.lost > 0);
    const noticed = check(home, cuts).map((result) => 'wrong' in result);
    process.stdout.write(
      `a lying disk: ${noticed.filter(Boolean).length} of ${lossy.filter(Boolean).length} noticed\n`,
    );
    expect(noticed.filter(Boolean).length).toBeGreaterThan(LIES / 3);
    for (const [i, seen] of noticed.entries()) if (seen) expect(lossy[i]).toBe(true);
  });
});
