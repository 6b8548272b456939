/**
 * The whole gate: types, lint, format, import rules, exports, unused code, tests, package.
 *
 * Two steps run at a time. Each gets a line with its seconds; of a failing one the output follows. The last line is the
 * count of tests. Exit status 1 when a step failed.
 *
 * Run: `npm run check`.
 *
 * @module
 */
import { inLanes, run } from './lib/run.ts';
import { emptyTally, lastTally, tallyLine } from './lib/tally.ts';

/** Names of scripts in package.json, the longest first. */
const steps = [
  'test',
  'pack:check',
  'typecheck',
  'lint',
  'unused',
  'format:check',
  'imports',
  'exports',
];

const startedMs = performance.now();
const failed: string[] = [];
let tally = emptyTally;
await inLanes(steps, 2, async (step) => {
  const { status, output, seconds } = await run('npm', ['run', '--silent', step]);
  console.log(`${status === 0 ? '✓' : '✗'} ${step.padEnd(14)} ${seconds.toFixed(1).padStart(5)} s`);
  if (status !== 0) {
    failed.push(step);
    console.log(`${output.trimEnd()}\n`.replaceAll(/^(?=.)/gm, '  | '));
  }
  if (step === 'test') tally = lastTally(output) ?? { ...emptyTally, failed: 1 };
});
const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
console.log(
  failed.length > 0 ? `failed: ${failed.join(', ')}` : `all steps passed in ${seconds} s`,
);
console.log(tallyLine(tally));
process.exitCode = failed.length > 0 || tally.failed > 0 ? 1 : 0;
