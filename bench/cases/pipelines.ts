/**
 * What an event costs in a pipeline of one process, beside loops written by hand and the libraries that people would use instead. The peers stand in
 * `bench/peers`, a package of its own that is installed on first use; streamz is measured where Python with streamz 0.6.6 is (`MILLRACE_BENCH_PYTHON`, else
 * `python3`).
 *
 * @module
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { Case, Stage } from '../lib/stage.ts';

const home = fileURLToPath(new URL('../peers/', import.meta.url));
const python = process.env['MILLRACE_BENCH_PYTHON'] ?? 'python3';

/** How often a row of a peer is measured. The best counts. */
const RUNS = 2;

const rows = [
  { row: 'sync', title: 'map, filter, accumulate, sink, all synchronous', most: 2.5 },
  { row: 'awaited', title: 'the same with an awaited sink', most: 2.5 },
  { row: 'sliding', title: 'slidingWindow(10) and sum', most: 2.5 },
  { row: 'partition', title: 'partition(100) and sum', most: 2.5 },
  { row: 'fork', title: 'fork into 3 and union', most: 3.6 },
  { row: 'iterate', title: 'for await', most: undefined },
] as const;

/** Those that have to be left behind in every row that they have. */
const behind = ['rxjs', 'ix', 'node-stream'];
const peers = ['loop', 'millrace', 'most', 'effect', ...behind];

/** One row of one peer. */
interface Cell {
  readonly nanoseconds?: number | undefined;
  readonly checksum?: number | undefined;
}

function measure(command: string, args: readonly string[]): Cell {
  let best: Cell = {};
  for (let i = 0; i < RUNS; i++) {
    const output = execFileSync(command, args, { cwd: home, encoding: 'utf8' });
    const cell = JSON.parse(output.trim().split('\n').at(-1) ?? '{}') as Cell;
    if (cell.nanoseconds === undefined) return {};
    if (cell.nanoseconds < (best.nanoseconds ?? Infinity)) best = cell;
  }
  return best;
}

function compare(stage: Stage, { row, title, most }: (typeof rows)[number]): void {
  const cells = new Map<string, Cell>();
  for (const peer of peers) {
    const events = stage.size(slowIn(row, peer) ? 20_000 : 1_000_000);
    cells.set(
      peer,
      measure(process.execPath, ['run.mjs', peer, row, String(events), String(stage.size(1_200))]),
    );
  }
  if (hasStreamz())
    cells.set('streamz', measure(python, ['streamz_rows.py', row, String(stage.size(20_000))]));
  const figures: Record<string, number> = {};
  for (const [peer, { nanoseconds }] of cells)
    if (nanoseconds !== undefined) figures[peer] = nanoseconds;
  stage.figures(`${title}, ns per event`, figures);
  checkSums(row, cells);

  const own = figures['millrace'] ?? Infinity;
  const goal = (what: string, value: number | undefined, bound: number): void => {
    if (value !== undefined)
      stage.goal({ what: `${title}: ${what}`, value: own / value, unit: 'times', most: bound });
  };
  for (const peer of behind) goal(`beside ${peer}`, figures[peer], 1);
  goal('beside effect', figures['effect'], row === 'iterate' ? 2 : 1);
  if (most !== undefined) goal('beside the loop', figures['loop'], most);
}

/** The slow ones get fewer events: none of them gets slower with fewer, and rxjs with an awaited sink gets faster. */
function slowIn(row: string, peer: string): boolean {
  return (row === 'awaited' || row === 'iterate') && !['loop', 'millrace', 'effect'].includes(peer);
}

/** Peers that had the same events must have made the same of them. */
function checkSums(row: string, cells: ReadonlyMap<string, Cell>): void {
  const sums = new Map<number, string>();
  for (const name of ['loop', 'millrace', 'effect', 'most', 'rxjs', 'ix', 'node-stream']) {
    const { checksum } = cells.get(name) ?? {};
    if (checksum !== undefined && !sums.has(checksum)) sums.set(checksum, name);
  }
  const sizes = new Set([...cells.keys()].map((peer) => slowIn(row, peer)));
  if (sums.size > sizes.size)
    throw new Error(`row ${row}: checksums differ: ${JSON.stringify([...sums])}`);
}

function hasStreamz(): boolean {
  return spawnSync(python, ['-c', 'import streamz'], { stdio: 'ignore' }).status === 0;
}

const pipelines: Case = {
  name: 'pipelines',
  title: 'pipelines in one process, each row in a process of its own, best of several',
  // Peers have processes of their own, which know nothing of millrace.
  parts: {},
  run(stage) {
    if (!existsSync(new URL('../peers/node_modules', import.meta.url)))
      execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: home, stdio: 'ignore' });
    for (const row of rows) compare(stage, row);
    if (!hasStreamz())
      console.log(
        `  streamz is left out: no ${python} has it (pip install streamz==0.6.6, MILLRACE_BENCH_PYTHON=…)`,
      );
  },
};
export default pipelines;
