/**
 * The simulator: `npm run simulate`. Runs whole apps in virtual time, with every order of events and every fault drawn from a seed, and looks
 * for what must never be so. The same seed is the same run, everywhere.
 *
 * Options: `--seeds N` (default 2,000) from `--seed S` (default 1), `--scenario <name>` instead of all in turn, `--tell` tells the story of the
 * one seed, `--trace` prints what is left of each run, for comparisons between machines; `--mutants` runs code with known mistakes instead, each of which must be found within `--seeds` (then 5,000):
 * all of them, or those of `--only <name,…>`.
 *
 * A seed that fails is told as a story, with as few faults as it needs, and becomes a test in `test/issues`.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { install, mutants } from './lib/mutants.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const { values: args } = parseArgs({
  options: {
    seeds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    scenario: { type: 'string' },
    tell: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    only: { type: 'string' },
    mutant: { type: 'string' },
  },
});

/** Failures that are told at length. */
const TOLD = 3;

if (args.mutants) process.exitCode = findMutants(Number(args.seeds ?? 5_000));
else process.exitCode = await lookForViolations(Number(args.seeds ?? (args.tell ? 1 : 2_000)));

async function lookForViolations(seeds: number): Promise<number> {
  if (args.mutant !== undefined) install(args.mutant);
  // Process ids are stored, and must be as long in every run.
  Object.defineProperty(process, 'pid', { value: 1 });
  const { simulate, scenarioOf } = await import('./lib/simulate.ts');
  const { shrink, story, testOf } = await import('./lib/story.ts');
  const { run } = await import('./lib/run.ts');
  const { fromMacrotask } = await import('./lib/drain.ts');
  const seed = Number(args.seed);
  if (args.tell) {
    const scenario = scenarioOf(seed, args.scenario);
    // Writing is I/O, which a run must not see.
    const lines: string[] = [];
    const { violation, hash } = await fromMacrotask(() =>
      run({ seed, scenario, tell: (line) => lines.push(line) }),
    );
    for (const line of lines) console.log(line);
    console.log(`trace ${(hash >>> 0).toString(16)}`);
    return violation === undefined ? 0 : 1;
  }
  if (args.trace) {
    for (let at = seed; at < seed + seeds; at++) {
      const scenario = scenarioOf(at, args.scenario);
      const { hash, steps } = await fromMacrotask(() => run({ seed: at, scenario }));
      console.log(`${at} ${scenario.name} ${steps} ${(hash >>> 0).toString(16)}`);
    }
    return 0;
  }
  const failed: Parameters<typeof shrink>[] = [];
  const before = process.cpuUsage();
  const sum = await simulate({
    seed,
    seeds,
    scenario: args.scenario,
    violated: (result, scenario) => {
      failed.push([result, scenario]);
      if (args.mutant === undefined)
        console.log(
          `seed ${result.seed} (${scenario.name}): ${result.violation?.invariant}: ${result.violation?.message}`,
        );
      return args.mutant === undefined;
    },
    progress: (done) => {
      if (args.mutant === undefined) console.log(`${done} seeds`);
    },
  });
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  if (args.mutant !== undefined) {
    const [found] = failed;
    const { seed: at, violation } = found?.[0] ?? {};
    console.log(
      JSON.stringify({
        seed: at,
        invariant: violation?.invariant,
        message: violation?.message,
        seconds,
      }),
    );
    return 0;
  }
  console.log(
    `${sum.seeds} seeds, ${sum.violations} violations, ${sum.twice} run twice; ${(sum.seeds / seconds).toFixed(0)} seeds a second of processor time, ${(sum.steps / sum.seeds).toFixed(0)} steps and ${(sum.virtualMs / sum.seeds).toFixed(0)} ms of virtual time each`,
  );
  for (const [result, scenario] of failed.slice(0, TOLD)) {
    const least = await shrink(result, scenario);
    console.log(
      `\nseed ${least.seed} of ${scenario.name} with ${least.faults.length} of ${result.faults.length} faults:`,
    );
    for (const line of await story(least, scenario)) console.log(line);
    const directory = join(root, 'test', 'issues');
    mkdirSync(directory, { recursive: true });
    const file = join(directory, `seed-${least.seed}.test.ts`);
    writeFileSync(file, testOf(least, scenario));
    console.log(`see ${file}`);
  }
  console.log(`${sum.seeds - sum.violations} passed, ${sum.violations} failed`);
  return sum.violations === 0 ? 0 : 1;
}

/** Runs each mutant in a process of its own. */
function findMutants(seeds: number): number {
  const only = args.only?.split(',');
  const chosen = mutants.filter(({ name }) => only === undefined || only.includes(name));
  let missed = 0;
  for (const { name, mistake } of chosen) {
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [
        '-C',
        'millrace-source',
        join(root, 'simulation', 'main.ts'),
        ...['--mutant', name, '--seeds', String(seeds), '--seed', args.seed],
      ],
      { encoding: 'utf8' },
    );
    const line = stdout.trim().split('\n').at(-1) ?? '';
    if (!line.startsWith('{')) {
      missed++;
      console.log(`${name.padEnd(26)} could not be run: ${stderr.slice(0, 500)}`);
      continue;
    }
    const found = JSON.parse(line) as { seed?: number; invariant?: string; message?: string };
    if (found.seed === undefined) missed++;
    const by =
      found.seed === undefined
        ? `NOT FOUND in ${seeds} seeds`
        : `seed ${String(found.seed).padStart(5)}  ${found.invariant?.padEnd(13)} ${found.message?.slice(0, 90)}`;
    console.log(`${name.padEnd(26)} ${by}`);
    if (found.seed === undefined) console.log(`  ${mistake}`);
  }
  console.log(`${chosen.length - missed} passed, ${missed} failed`);
  return missed === 0 ? 0 : 1;
}
