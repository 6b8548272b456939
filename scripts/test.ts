/**
 * Runs tiers of the tests and sums them up.
 *
 * - `unit`: test/ but for `test/faults`, under vitest, files in parallel.
 * - `types`: `test/types/*.test-d.ts`, what the public types infer and refuse.
 * - `docs`: the programs in the documents (`doc-tests.ts`).
 * - `faults`: `test/faults`, kills, fuzz and other long ones, one file after another. `MILLRACE_SEED` replays the choices of a run,
 *   `MILLRACE_KILLS` (100) and `MILLRACE_STORM_SECONDS` (20) say how long the longest ones go on.
 * - `kafka`: `test/kafka`, on a real broker; see `test/kafka/setup.ts`.
 *
 * Run: `node scripts/test.ts <tier...>`. The last line is `N passed, N failed`, with `, N skipped` when there are any.
 * A runner that crashes counts as one failure, and so does a tier without a test: a renamed folder must not look green.
 * Exit status 1 when anything failed.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { addTallies, emptyTally, tallyLine } from './lib/tally.ts';
import type { Tally } from './lib/tally.ts';

type Tier = 'unit' | 'types' | 'docs' | 'faults' | 'kafka';
const tiers: readonly string[] = ['unit', 'types', 'docs', 'faults', 'kafka'] satisfies Tier[];

/** What this script reads of vitest's JSON report. */
interface VitestReport {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !tiers.includes(name));
if (asked.length === 0 || unknown.length > 0) {
  console.error(`usage: node scripts/test.ts <tier...>, tiers: ${tiers.join(', ')}`);
  process.exit(2);
}

mkdirSync('.cache', { recursive: true });
const reports = mkdtempSync('.cache/test-');
let total = emptyTally;
try {
  const projects = asked.filter((name) => name !== 'docs') as Tier[];
  if (projects.length > 0) total = addTallies(total, await runVitest(projects));
  if (asked.includes('docs')) total = addTallies(total, await runDocs());
} finally {
  rmSync(reports, { recursive: true, force: true });
}
process.exitCode = total.failed > 0 ? 1 : 0;
console.log(tallyLine(total));

async function runVitest(projects: readonly Tier[]): Promise<Tally> {
  const file = join(reports, 'vitest.json');
  const status = await start([
    'node_modules/vitest/vitest.mjs',
    'run',
    ...projects.flatMap((name) => ['--project', name]),
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ]);
  const report = readJson(file) as VitestReport | undefined;
  const ran = new Set(report?.testResults.map(({ name }) => tierOf(name)));
  let tally = emptyTally;
  for (const { status: suite, assertionResults } of report?.testResults ?? []) {
    const count = (...names: string[]): number =>
      assertionResults.filter((result) => names.includes(result.status)).length;
    const failed = count('failed');
    // a file that could not be loaded has no test that failed
    tally = addTallies(tally, {
      passed: count('passed'),
      failed: suite === 'failed' ? Math.max(1, failed) : failed,
      skipped: count('skipped', 'pending', 'todo', 'disabled'),
    });
  }
  if (tally.failed === 0 && (status !== 0 || report?.success !== true))
    tally = addTallies(tally, failure(`vitest ended with status ${status} outside of any test`));
  for (const name of projects.filter((project) => !ran.has(project)))
    tally = addTallies(tally, failure(`tier ${name}: no test ran`));
  return tally;
}

async function runDocs(): Promise<Tally> {
  const file = join(reports, 'docs.json');
  const status = await start(['scripts/doc-tests.ts', '--report', file]);
  const report = readJson(file) as Pick<Tally, 'passed' | 'failed'> | undefined;
  const tally = { ...emptyTally, ...report };
  if (report === undefined || (status !== 0 && tally.failed === 0))
    return addTallies(
      tally,
      failure(`the doc tests ended with status ${status} outside of any test`),
    );
  return tally.passed + tally.failed > 0 ? tally : failure('tier docs: no test ran');
}

/** Says why and counts one failure. */
function failure(reason: string): Tally {
  console.error(reason);
  return { ...emptyTally, failed: 1 };
}

function tierOf(path: string): Tier {
  if (path.endsWith('.test-d.ts')) return 'types';
  const [folder] = relative(resolve('test'), path).split(sep);
  return folder === 'faults' || folder === 'kafka' ? folder : 'unit';
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Runs a script in this Node with its output passed on as it comes. */
function start(args: readonly string[]): Promise<number> {
  return new Promise((done) => {
    const child = spawn(process.execPath, args, { stdio: 'inherit' });
    child.on('error', () => done(1));
    child.on('close', (status) => done(status ?? 1));
  });
}
