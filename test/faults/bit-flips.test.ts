/**
 * Flipped bits in `data.mdb`: what reading and `millrace verify` make of them. A record that is wrong is never returned, and nothing but typed
 * errors is thrown; lmdb itself has no checksums, so the process may die.
 *
 * Half of the bits are anywhere in the file, the others in the pages around what is stored, as many in each kind of them. `MILLRACE_FLIPS` says how many, `MILLRACE_SEED` which.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { systemClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import { withDirectory } from '../broker/log-over.ts';
import type { Done, Job } from './bit-flips-child.ts';
import type { Everything } from './bit-flips-content.ts';
import { LmdbPages, places } from './support/lmdb-pages.ts';
import type { Place } from './support/lmdb-pages.ts';

const FLIPS = Number(process.env['MILLRACE_FLIPS'] ?? 200);
const SEED = Number(process.env['MILLRACE_SEED'] ?? 1);
/** Far more than a job takes: lmdb may walk in circles. Nothing that must hold is decided by it. */
const HANG_MS = 10_000;

const program = fileURLToPath(new URL('bit-flips-child.ts', import.meta.url));
const clock = systemClock();

const structures: readonly Place[] = ['head', 'branch', 'leaf', 'value head', 'free list'];

type Ended = { readonly ended: string };

/** Does jobs in a process, and in a new one when that has died. */
class Hands {
  #child: ChildProcess | undefined;
  #answer: PromiseWithResolvers<Done | Ended> = Promise.withResolvers();
  #stderr = '';

  async do(job: Job): Promise<Done | Ended> {
    this.#answer = Promise.withResolvers();
    const child = (this.#child ??= this.#start());
    let hung = false;
    const timer = clock.setTimer(HANG_MS * (job.what === 'fill' ? 6 : 1), () => {
      hung = true;
      child.kill('SIGKILL');
    });
    child.stdin?.write(`${JSON.stringify(job)}\n`);
    const answer = await this.#answer.promise;
    timer.cancel();
    return hung && 'ended' in answer ? { ended: 'hang' } : answer;
  }

  async end(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.stdin?.end();
    await this.#answer.promise;
    child.kill('SIGKILL');
  }

  #start(): ChildProcess {
    const child = spawn(process.execPath, ['-C', 'millrace-source', program], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    child.stdin?.on('error', () => undefined);
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => this.#answer.resolve(JSON.parse(line) as Done));
    child.on('close', (status, signal) => {
      if (this.#child === child) this.#child = undefined;
      this.#answer.resolve({ ended: signal ?? `status ${status}: ${this.#stderr}` });
    });
    return child;
  }
}

/** What a reader of records met with, the worst of it. */
type Read = 'died' | 'hang' | 'error' | 'short' | 'wrong' | 'untyped' | 'row' | 'right';
type Verified = 'died' | 'hang' | 'found' | 'nothing' | 'untyped';

function readingOf(answer: Done | Ended, wanted: Everything): Read {
  if ('ended' in answer) return endOf(answer.ended);
  const { partitions, rows, errors } = answer.everything as Everything;
  const all = Object.entries(wanted.partitions);
  const found = all.map(([name, { records }]) => ({ records, there: partitions[name] }));
  const texts = [...errors, ...found.map(({ there }) => there?.error ?? '')];
  if (found.some(({ records, there }) => there?.records.some((sum, i) => sum !== records[i])))
    return 'wrong';
  if (texts.some((text) => text.startsWith('untyped'))) return 'untyped';
  if (
    found.some(
      ({ records, there }) =>
        there !== undefined && there.error === undefined && there.records.length < records.length,
    )
  )
    return 'short';
  if (texts.some((text) => text !== '')) return 'error';
  return JSON.stringify(rows) === JSON.stringify(wanted.rows) ? 'right' : 'row';
}

/** The errors that reading has met with, each once. */
function errorsOf(answer: Done | Ended): string {
  if ('ended' in answer || answer.everything === undefined) return '';
  const { partitions, errors } = answer.everything;
  const all = [...errors, ...Object.values(partitions).map(({ error }) => error ?? '')];
  return [...new Set(all)].join(' ');
}

function verifyingOf(answer: Done | Ended): Verified {
  if ('ended' in answer) return endOf(answer.ended);
  if (answer.status === 0) return 'nothing';
  return answer.text?.includes('MR_INTERNAL') === true ? 'untyped' : 'found';
}

function endOf(ended: string): 'hang' | 'died' | 'untyped' {
  if (ended === 'hang') return 'hang';
  return ended.startsWith('status') ? 'untyped' : 'died';
}

test(`${FLIPS} flipped bits: no record is wrong`, async () => {
  const random = seededRandom(SEED);
  const counts = new Map<Place, Record<string, number>>();
  const missed: string[] = [];
  const unfit: string[] = [];
  await withDirectory(async (home) => {
    const hands = new Hands();
    try {
      const pristine = join(home, 'pristine');
      const filled = (await hands.do({ what: 'fill', directory: pristine })) as Done;
      const topics = filled.topics ?? {};
      const read = (directory: string): Promise<Done | Ended> =>
        hands.do({ what: 'read', directory, topics });
      const verify = (directory: string): Promise<Done | Ended> =>
        hands.do({ what: 'verify', directory });
      const wanted = ((await read(pristine)) as Done).everything as Everything;
      expect(readingOf(await read(pristine), wanted)).toBe('right');
      expect(await verify(pristine)).toMatchObject({ status: 0 });

      const file = readFileSync(join(pristine, 'data.mdb'));
      const pages = new LmdbPages(file);
      const trees = structures.map((place) => pages.offsetsOf(place));
      const directory = join(home, 'flipped');
      for (let flip = 0; flip < FLIPS; flip++) {
        const tree = trees[random.below(trees.length)] as readonly number[];
        const offset =
          flip % 2 === 0 ? random.below(file.length) : (tree[random.below(tree.length)] as number);
        const bit = random.below(8);
        const damaged = Buffer.from(file);
        damaged[offset] = (damaged[offset] as number) ^ (1 << bit);
        const results: (Done | Ended)[] = [];
        // Opening writes: each reader gets a file of its own.
        for (const look of [read, verify]) {
          rmSync(directory, { recursive: true, force: true });
          mkdirSync(directory, { mode: 0o700 });
          writeFileSync(join(directory, 'data.mdb'), damaged);
          results.push(await look(directory));
        }
        const reading = readingOf(results[0] as Done | Ended, wanted);
        const verifying = verifyingOf(results[1] as Done | Ended);
        const place = pages.at(offset);
        const row = counts.get(place) ?? {};
        counts.set(place, row);
        row['flips'] = (row['flips'] ?? 0) + 1;
        row[`read ${reading}`] = (row[`read ${reading}`] ?? 0) + 1;
        row[`verify ${verifying}`] = (row[`verify ${verifying}`] ?? 0) + 1;
        const where = `${place} page ${Math.floor(offset / 4096)}+${offset % 4096} bit ${bit}: read ${reading}, verify ${verifying}`;
        if (reading !== 'right' && reading !== 'hang' && verifying === 'nothing')
          missed.push(`${where} ${errorsOf(results[0] as Done | Ended)}`);
        if (reading === 'wrong' || reading === 'untyped' || verifying === 'untyped') {
          unfit.push(`${where} ${JSON.stringify(results).slice(0, 1500)}`);
          if (process.env['MILLRACE_KEEP'] !== undefined)
            cpSync(directory, `${process.env['MILLRACE_KEEP']}/${flip}`, { recursive: true });
        }
      }
    } finally {
      await hands.end();
    }
  });
  const all: Record<string, number> = {};
  for (const row of counts.values())
    for (const [what, count] of Object.entries(row)) all[what] = (all[what] ?? 0) + count;
  process.stdout.write(`bit flips: ${textOf(all)}\n`);
  if (process.env['MILLRACE_FLIPS'] !== undefined) {
    for (const place of places)
      process.stdout.write(`bit flips in ${place}: ${textOf(counts.get(place) ?? {})}\n`);
    for (const where of missed) process.stdout.write(`not found by verify: ${where}\n`);
  }
  expect(unfit).toEqual([]);
  expect(missed).toEqual([]);
});

function textOf(counts: Readonly<Record<string, number>>): string {
  const texts = Object.entries(counts).map(([what, count]) => `${what} ${count}`);
  return texts.toSorted().join(', ');
}
