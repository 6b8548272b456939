/**
 * Loss of power under the real store: all that it writes is recorded, disks are made of what could have been left at some moment, and opened.
 *
 * Covered: every write and sync of `data.mdb` by one process, cut anywhere, chains of losses, and that the names of the file and its directory
 * are synced. Not covered: a device that lies about syncs, sectors that are torn or damaged themselves, several writing processes, and what a
 * file system does to its own structures.
 *
 * `MILLRACE_POWER_LOSSES` says how many disks, `MILLRACE_SEED` which.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { TestContext } from 'vitest';

import { systemClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Random } from '../../src/core/random.ts';
import { withDirectory } from '../broker/log-over.ts';
import { heard, nothingTold } from './power-loss-content.ts';
import type { Told } from './power-loss-content.ts';
import { imageOf, linesOf, readRecord } from './support/disk-record.ts';
import type { DiskEvent, DiskImage } from './support/disk-record.ts';
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

/** A directory as a loss of power has left it, and what it must hold. */
interface Start {
  readonly disk: Buffer;
  readonly told: Told;
}

interface Cut {
  readonly image: DiskImage;
  readonly told: Told;
}

type Result = { readonly found: Told } | { readonly wrong: string };

/** Runs the child on a copy of `start` and returns what it did to the disk. */
function record(library: string, home: string, start: Start | undefined): DiskEvent[] {
  const directory = join(home, 'data');
  const file = join(home, 'record');
  rmSync(directory, { recursive: true, force: true });
  rmSync(file, { force: true });
  if (start !== undefined) {
    mkdirSync(directory, { mode: 0o700 });
    writeFileSync(join(directory, 'data.mdb'), start.disk);
  }
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
  return events;
}

function cutAnywhere(
  start: Start | undefined,
  events: readonly DiskEvent[],
  random: Random,
  forgets = 0,
): Cut {
  const cut = forgets > 0 ? events.length : random.below(events.length + 1);
  return {
    image: imageOf(start?.disk ?? Buffer.alloc(0), events, cut, random, forgets),
    told: heard(start?.told ?? nothingTold, linesOf(events, cut)),
  };
}

/** Has a process look at the disks; one that ends it is told as wrong. */
function check(home: string, cuts: readonly Cut[]): Result[] {
  const results: Result[] = [];
  while (results.length < cuts.length) {
    const lines = cuts.slice(results.length).map(({ image, told }, i) => {
      const directory = join(home, `cut-${i}`);
      rmSync(directory, { recursive: true, force: true });
      mkdirSync(directory, { mode: 0o700 });
      writeFileSync(join(directory, 'data.mdb'), image.bytes);
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
    let start: Start | undefined;
    const figures = { records: 0, writes: 0, syncs: 0, cuts: 0, torn: 0, lost: 0, sectors: 0 };
    const wrong: string[] = [];
    while (figures.cuts < LOSSES) {
      const events = record(library, home, start);
      const count = Math.min(LOSSES_PER_RECORD, LOSSES - figures.cuts);
      const cuts = Array.from({ length: count }, () => cutAnywhere(start, events, random));
      const results = check(home, cuts);
      figures.records++;
      figures.writes += events.filter(({ kind }) => kind === 'write').length;
      figures.syncs += events.filter(({ kind }) => kind === 'sync' || kind === 'made').length;
      figures.cuts += count;
      for (const { image } of cuts) {
        if (image.lost > 0 && image.lost < image.sectors) figures.torn++;
        figures.lost += image.lost;
        figures.sectors += image.sectors;
      }
      for (const [i, result] of results.entries())
        if ('wrong' in result) wrong.push(`record ${figures.records}, cut ${i}: ${result.wrong}`);
      // The next process begins with what one of them left.
      const next = random.below(count);
      const [cut, result] = [cuts[next], results[next]];
      if (cut !== undefined && result !== undefined && 'found' in result)
        start = { disk: cut.image.bytes, told: result.found };
    }
    const seconds = Math.round((clock.monotonic() - began) / 1000);
    process.stdout.write(
      `power loss: ${figures.cuts} disks of ${figures.records} recordings (${figures.writes} writes, ${figures.syncs} syncs), ` +
        `${figures.torn} with part of what was open, ${figures.lost} of ${figures.sectors} open sectors lost, ` +
        `${wrong.length} wrong, ${seconds} s\n`,
    );
    expect(wrong).toEqual([]);
  });
});

test('names are synced before anything is acknowledged', async (context) => {
  await withRecorder(context, (library, home) => {
    const events = record(library, home, undefined);
    const kinds = events.map(({ kind }) => kind);
    const before = kinds.slice(kinds.indexOf('write'), kinds.indexOf('line'));
    expect(before).toEqual(expect.arrayContaining(['directory', 'parent']));
  });
});

test('a disk that lies about its last writes would be noticed', async (context) => {
  const random = seededRandom(SEED);
  await withRecorder(context, (library, home) => {
    const events = record(library, home, undefined);
    const cuts = Array.from({ length: LIES }, () =>
      cutAnywhere(undefined, events, random, FORGOTTEN_WRITES),
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
