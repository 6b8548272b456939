/**
 * A worker that is started anew again and again, at half of what it can do, beside one that is killed again and again, under retention: nothing
 * is lost or doubled, and neither memory nor open files nor the file of the store grow.
 *
 * `MILLRACE_SOAK_SECONDS` says for how long (86400 for a day), and has the course of it printed; from half an hour on the slope of private memory
 * must be below 1 MB an hour. A shorter run cannot tell that from what a process needs to warm up: what is in use must not grow, and private
 * memory has a wide bound. `MILLRACE_SEED` says when it is killed.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { openBroker } from '../../src/broker/open.ts';
import { systemClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Random } from '../../src/core/random.ts';
import { realContext, withDirectory } from '../broker/log-over.ts';
import { PARTITIONS, soakApp, wantedSums } from './soak-app.ts';
import { SoakProcess } from './support/soak-process.ts';
import type { Restart } from './support/soak-process.ts';

const SECONDS = Number(process.env['MILLRACE_SOAK_SECONDS'] ?? 30);
const SEED = Number(process.env['MILLRACE_SEED'] ?? 1);
const RESTART_MS = Math.min(600_000, Math.max(2_000, (SECONDS * 1000) / 13));
/** How long the other one lives, between half and one and a half of it. */
const LIFE_MS = Math.min(60_000, Math.max(3_000, RESTART_MS / 2));
/** Course that is printed: so many lines. */
const LINES = 40;
const TOLD = process.env['MILLRACE_SOAK_SECONDS'] !== undefined;
const CALIBRATION_MS = 4_000;
const MEBIBYTE = 1024 * 1024;
/** Retention keeps so many seconds of what is sent. */
const KEPT_SECONDS = 8;
/** About what an event of either topic takes. */
const EVENT_BYTES = 40;

const LONG_SECONDS = 1_800;
const MAX_SLOPE = MEBIBYTE;
/** Of what is in use, and of all private memory, in which a young heap has much that is free. */
const MAX_LIVE_GROWTH = 8 * MEBIBYTE;
const MAX_SHORT_GROWTH = 96 * MEBIBYTE;
const MAX_FILE_SHARE = 2.2;
/** Some are opened when they are needed first. */
const MAX_MORE_FILES = 2;

const NEVER_MS = 2 ** 31 - 1;
const NO_RESTART: Restart = {
  atHours: 0,
  ...{ bytes: Number.NaN, files: 0, heapBytes: Number.NaN, externalBytes: Number.NaN, rate: 0 },
};

const clock = systemClock();
const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => void clock.setTimer(ms, resolve));

/** Events per second that a worker and a loader on this machine come to together. */
async function maximum(): Promise<number> {
  return await withDirectory(async (directory) => {
    const worker = new SoakProcess('work', directory, 1024 * MEBIBYTE, 3_600_000);
    const loader = new SoakProcess('load', directory, 1024 * MEBIBYTE, 0);
    try {
      await Promise.all([worker.begun, loader.begun]);
      await pause(CALIBRATION_MS);
      await loader.end();
      await worker.end();
      return worker.restarts[0]?.rate ?? 0;
    } finally {
      await Promise.all([worker.kill(), loader.kill()]);
    }
  });
}

const mebibytes = (bytes: number): string => (bytes / MEBIBYTE).toFixed(1);
const liveBytes = ({ heapBytes, externalBytes }: Restart): number => heapBytes + externalBytes;
const halfOf = <T>(items: readonly T[], half: 0 | 1): readonly T[] =>
  half === 0
    ? items.slice(0, Math.ceil(items.length / 2))
    : items.slice(Math.floor(items.length / 2));

/** Growth per hour, by least squares, of values with the hours at which they were seen. */
function slopeOf(points: readonly (readonly [hours: number, value: number])[]): number {
  const mean = (pick: 0 | 1): number =>
    points.reduce((sum, point) => sum + point[pick], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = points.reduce((sum, [hours]) => sum + (hours - x) ** 2, 0);
  return points.reduce((sum, [hours, value]) => sum + (hours - x) * (value - y), 0) / spread;
}

/** Bytes of all topics, partitions that retention has cut off, and records that were passed on. */
async function storedOf(
  directory: string,
): Promise<{ readonly bytes: number; readonly cut: number; readonly passed: number }> {
  const broker = await openBroker(`file:${directory}`, realContext());
  try {
    let [bytes, cut, passed] = [0, 0, 0];
    for (const { name, partitions } of await broker.topics())
      for (let partition = 0; partition < partitions; partition++) {
        const { start, end } = await broker.bounds(name, partition);
        bytes += await broker.storedBytes(name, partition);
        if (start > 0 && name === 'numbers') cut++;
        if (name === 'passed') passed += end;
      }
    return { bytes, cut, passed };
  } finally {
    await broker.close();
  }
}

/** A worker that is killed and started again until it is told to end. */
class Victim {
  readonly #start: () => SoakProcess;
  readonly #lives: Promise<void>;
  #current: SoakProcess;
  #ending = false;
  kills = 0;

  constructor(start: () => SoakProcess, seed: number) {
    this.#start = start;
    this.#current = start();
    this.#lives = this.#live(seededRandom(seed));
    this.#lives.catch(() => undefined);
  }

  async #live(random: Random): Promise<void> {
    for (;;) {
      await this.#current.begun;
      await pause(LIFE_MS * (0.5 + random.next()));
      if (this.#ending) return;
      await this.#current.killAlive();
      this.kills++;
      this.#current = this.#start();
    }
  }

  /** Lets the last one do what is left, and end. */
  async end(): Promise<void> {
    this.#ending = true;
    await this.#lives;
    await this.#current.end();
  }

  async kill(): Promise<void> {
    this.#ending = true;
    await this.#current.kill();
  }
}

test(
  `${SECONDS} s at half speed with restarts and kills`,
  { timeout: (SECONDS + 120) * 1000 },
  async () => {
    const rate = Math.round((await maximum()) / 2);
    expect(rate).toBeGreaterThan(0);
    const retentionBytes = Math.max(
      MEBIBYTE,
      Math.round((rate * EVENT_BYTES * KEPT_SECONDS) / PARTITIONS),
    );
    await withDirectory(async (directory) => {
      const worker = new SoakProcess('work', directory, retentionBytes, RESTART_MS);
      const loader = new SoakProcess('load', directory, retentionBytes, rate);
      await worker.begun;
      const victim = new Victim(
        () => new SoakProcess('work', directory, retentionBytes, NEVER_MS),
        SEED,
      );
      const course = [['s', 'private', 'objects', 'buffers', 'files', 'file', 'stored', 'kills']];
      let most = 0;
      try {
        const began = clock.monotonic();
        for (let now = began; now < began + SECONDS * 1000; now = clock.monotonic()) {
          await pause(1000);
          const { bytes } = await storedOf(directory);
          most = Math.max(most, bytes);
          if (now - began < (course.length - 1) * ((SECONDS * 1000) / LINES)) continue;
          const { heapBytes, externalBytes, files } = worker.restarts.at(-1) ?? NO_RESTART;
          course.push([
            ((now - began) / 1000).toFixed(0),
            ...[worker.privateBytes, heapBytes, externalBytes].map(mebibytes),
            String(files),
            ...[statSync(join(directory, 'data.mdb')).size, bytes].map(mebibytes),
            String(victim.kills),
          ]);
        }
        await loader.end();
        await victim.end();
        await worker.end();
      } finally {
        await Promise.all([worker.kill(), victim.kill(), loader.kill()]);
      }
      const columns = course.map((line) => line.map((cell) => cell.padStart(9)).join(''));
      if (TOLD) process.stdout.write(`${columns.join('\n')}\n`);
      const { sent } = loader;
      const { restarts } = worker;
      // The first third warms up.
      const steady = restarts.slice(Math.floor(restarts.length / 3));
      const hours = (steady.at(-1)?.atHours ?? 0) - (steady[0]?.atHours ?? 0);
      const slopes = [steady, halfOf(steady, 0), halfOf(steady, 1)].map((some) =>
        slopeOf(some.map(({ atHours, bytes }) => [atHours, bytes])),
      );
      const [slope = Number.NaN] = slopes;
      const [first, last] = [steady[0] ?? NO_RESTART, steady.at(-1) ?? NO_RESTART];
      const files = steady.map((restart) => restart.files);

      const { app, sums, others } = soakApp(directory, retentionBytes);
      const broker = await openBroker(`file:${directory}`, realContext());
      try {
        const wanted = wantedSums(sent);
        expect(new Map(await Array.fromAsync(sums.snapshot()))).toEqual(wanted.sums);
        expect(new Map(await Array.fromAsync(others.snapshot()))).toEqual(wanted.others);
        await broker.maintain();
        const size = statSync(join(directory, 'data.mdb')).size;
        const { bytes: kept, cut, passed } = await storedOf(directory);
        process.stdout.write(
          `soak: ${SECONDS} s, ${restarts.length} restarts, ${victim.kills} kills, ${sent} events at ${rate} a second, ` +
            `private memory ${mebibytes(first.bytes)} to ${mebibytes(last.bytes)} MiB, ` +
            `in use ${mebibytes(liveBytes(first))} to ${mebibytes(liveBytes(last))}, ` +
            `slope ${slopes.map(mebibytes).join(', of the halves ')} MiB an hour (${mebibytes(slope * hours)} in this run), ` +
            `${Math.min(...files)} to ${Math.max(...files)} open files, ` +
            `file ${mebibytes(size)} MiB for ${mebibytes(kept)} kept, at most ${mebibytes(most)}: ` +
            `${(size / kept).toFixed(2)} and ${(size / most).toFixed(2)}\n`,
        );
        expect(passed).toBe(sent);
        expect(cut, 'partitions that were cut off').toBeGreaterThan(0);
        expect(restarts.length).toBeGreaterThan(3);
        expect(victim.kills).toBeGreaterThan(2);
        expect(Math.max(...files) - (files[0] as number)).toBeLessThanOrEqual(MAX_MORE_FILES);
        // The file does not shrink: it is held against the most that it had to hold.
        expect(size / Math.max(kept, most)).toBeLessThanOrEqual(MAX_FILE_SHARE);
        expect(liveBytes(last) - liveBytes(first)).toBeLessThan(MAX_LIVE_GROWTH);
        if (SECONDS >= LONG_SECONDS) expect(slope).toBeLessThan(MAX_SLOPE);
        else expect(slope * hours).toBeLessThan(MAX_SHORT_GROWTH);
      } finally {
        await broker.close();
        await app.close();
      }
    });
  },
);
