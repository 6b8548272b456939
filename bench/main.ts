/**
 * The benchmarks: `npm run bench`. Each case runs in a process of its own, one at a time, beside a hand-written limit in the same run. Quote
 * ratios: machines differ and are noisy. The figures go to `bench/results/latest.json`.
 *
 * Options: `--rows N` (default 3,000,000), `--keep` leaves the directory.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

interface Figures {
  readonly perSecond: number;
  /** Processor time of all threads, per event. */
  readonly cpuMicroseconds: number;
  /** Peak private memory. */
  readonly megabytes?: number;
}

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '3000000' },
    keep: { type: 'boolean', default: false },
  },
});
const rows = Number(values.rows);
const tenth = rows / 10;
const scratch = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
const results: Record<string, Figures> = {};

try {
  console.log(
    `${platform()} ${arch()}, ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}, ${rows} flights\n`,
  );
  const produceLimit = best('produce-limit', join(scratch, 'producer'), rows);
  const produced = best('produce-json', join(scratch, 'producer-json'), rows);
  const producedPacked = best('produce-msgpack', join(scratch, 'producer-msgpack'), rows);
  const json = load('load-json', 'json', rows);
  const small = load('load-json (a tenth)', 'small', tenth, 'load-json');
  const packed = load('load-msgpack', 'packed', rows);
  const crossed = load('load-by-destination', 'crossed', rows);
  const limit = best('limit', json, rows);
  const work = worked('work-json', json, rows);
  const workSmall = worked('work-json (a tenth)', small, tenth, 'work-json');
  const zod = worked('work-zod', json, rows);
  const msgpack = worked('work-msgpack', packed, rows);
  const grouped = worked('work-group-by', crossed, rows);

  console.log(
    '\ncase                                   events/s   of the limit   µs CPU/event   private MB',
  );
  row('limit: read frames, JSON.parse, Map', limit, limit);
  row('flights app, JSON, validate off', work, limit);
  row('flights app, JSON, zod', zod, limit);
  row('flights app, msgpack', msgpack, limit);
  row('flights app, JSON, groupBy(origin)', grouped, limit);
  row('limit: JSON.stringify, put, fsync', produceLimit, produceLimit);
  row('producer, JSON, 1,000 a batch, fsync', produced, produceLimit);
  row('producer, msgpack, the same', producedPacked, produceLimit);
  const growth = work.cpuMicroseconds / workSmall.cpuMicroseconds;
  console.log(
    `\nper event at ${rows} against ${tenth}: ${growth.toFixed(2)} times the processor time`,
  );
  const file = fileURLToPath(new URL('results/latest.json', import.meta.url));
  mkdirSync(fileURLToPath(new URL('results', import.meta.url)), { recursive: true });
  const machine = {
    platform: platform(),
    arch: arch(),
    processor: cpus()[0]?.model,
    node: process.version,
  };
  writeFileSync(file, `${JSON.stringify({ machine, rows, results }, null, 2)}\n`);
} finally {
  if (!values.keep) rmSync(scratch, { recursive: true, force: true });
}

/** Fills a directory; gives its path. */
function load(label: string, directory: string, count: number, name = label): string {
  const path = join(scratch, directory);
  record(label, run(name, path, count));
  return path;
}

/** Works through a copy of a directory, so that every case begins with the same one. */
function worked(label: string, directory: string, count: number, name = label): Figures {
  const copy = join(scratch, 'copy');
  rmSync(copy, { recursive: true, force: true });
  cpSync(directory, copy, { recursive: true });
  const size = statSync(join(copy, 'data.mdb')).size / 1024 / 1024;
  const figures = run(name, copy, count);
  record(`${label}${size > 4096 ? ` (${size.toFixed(0)} MB)` : ''}`, figures);
  return figures;
}

/** The middle one of three runs. */
function best(label: string, directory: string, count: number): Figures {
  const runs = [1, 2, 3]
    .map(() => run(label, directory, count))
    .toSorted((a, b) => a.perSecond - b.perSecond);
  const middle = runs[1] as Figures;
  record(label, middle);
  return middle;
}

function run(name: string, directory: string, count: number): Figures {
  const script = fileURLToPath(new URL('case.ts', import.meta.url));
  const child = spawnSync(
    process.execPath,
    ['-C', 'millrace-source', script, name, directory, String(count)],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  if (child.status !== 0)
    throw new Error(`benchmark case ${name} ended with status ${child.status}`);
  return JSON.parse(child.stdout.trim().split('\n').at(-1) ?? '{}') as Figures;
}

function record(label: string, figures: Figures): void {
  results[label] = figures;
  console.log(
    `${label.padEnd(28)} ${Math.round(figures.perSecond).toLocaleString('en-US').padStart(10)}/s`,
  );
}

function row(label: string, figures: Figures, limit: Figures): void {
  const share = `${((100 * figures.perSecond) / limit.perSecond).toFixed(0)} %`;
  console.log(
    `${label.padEnd(36)} ${Math.round(figures.perSecond).toLocaleString('en-US').padStart(10)} ${share.padStart(14)} ${figures.cpuMicroseconds.toFixed(2).padStart(14)} ${(figures.megabytes ?? 0).toFixed(0).padStart(12)}`,
  );
}
