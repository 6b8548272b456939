/**
 * `npm run fuzz`: mangled inputs for everything that reads what others have written.
 *
 * `--inputs N` of each kind (default `MILLRACE_FUZZ`, else 1,000,000), `--seed N` of the first one (default: drawn), `--only TEXT` for targets whose names hold it.
 * For each target: how many were accepted and refused, the CPU time of the slowest input (the least of five runs, so that a busy machine does not count),
 * and by how much the resident memory grew at most. Status 1 when an error was none of millrace's, something bogus was accepted, an input took
 * more than 50 ms, memory grew by more than 64 MiB, or a prototype was changed. A failure is printed with its seed:
 * `--seed N --inputs 1 --only TEXT` repeats it.
 */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { systemClock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import { attack, inputOf, prototypes, type Target } from './attack.ts';
import { targets } from './targets.ts';

const MAX_MS = 50;
const MAX_GROWTH_MIB = 64;
const MIB = 1024 * 1024;
/** Inputs between two looks at the memory. */
const STRIDE = 5_000;
const SLOWEST = 5;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

setFlagsFromString('--expose-gc');
const clock = systemClock();
const collect = runInNewContext('gc') as () => void;

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: process.env['MILLRACE_FUZZ'] ?? '1000000' },
    seed: { type: 'string' },
    only: { type: 'string', default: '' },
  },
});
const inputs = Number(values.inputs);
const seed = Number(values.seed ?? systemRandom().below(2 ** 31));
if (!Number.isSafeInteger(inputs) || inputs < 1 || !Number.isSafeInteger(seed)) {
  say('usage: npm run fuzz -- [--inputs N] [--seed N] [--only TEXT]');
  process.exit(2);
}

say(`${inputs} inputs each, from seed ${seed} on`);
say(['target'.padEnd(30), 'accepted', 'refused', 'CPU s', 'slowest ms', 'MiB more'].join('  '));
let wrong = 0;
for (const target of targets) if (target.name.includes(values.only)) wrong += await fuzz(target);
say(wrong === 0 ? 'nothing is wrong' : `${wrong} findings`);
process.exitCode = wrong === 0 ? 0 : 1;

/** Resolves to the number of findings. */
async function fuzz(target: Target): Promise<number> {
  const findings: string[] = [];
  const before = prototypes();
  const slow: { seed: number; ms: number }[] = [];
  let begun = 0;
  const watch = {
    begin: () => void (begun = performance.now()),
    end(at: number) {
      const ms = performance.now() - begun;
      if (slow.length === SLOWEST && ms <= (slow[SLOWEST - 1]?.ms ?? 0)) return;
      slow.push({ seed: at, ms });
      slow.sort((a, b) => b.ms - a.ms);
      slow.length = Math.min(slow.length, SLOWEST);
    },
  };
  const cpu = process.cpuUsage();
  // The first ones are compiled for, and fill what is kept for good.
  const warm = Math.min(STRIDE, inputs);
  let accepted = 0;
  let refused = 0;
  let least = Infinity;
  let most = 0;
  for (let done = 0; done < inputs;) {
    const count = Math.min(done === 0 ? warm : STRIDE, inputs - done);
    const outcome = attack(target, seed + done, count, watch);
    done += count;
    accepted += outcome.accepted;
    refused += outcome.refused;
    for (const { seed: at, error, input } of outcome.failures)
      findings.push(
        `seed ${at}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n  input ${input.toString('hex', 0, 200)}`,
      );
    // What nobody holds any more is no growth, however late it is noticed. zlib lets go of an input that it refused in a turn after that.
    collect();
    await clock.turn();
    const resident = process.memoryUsage.rss();
    if (done >= Math.min(inputs, 10 * STRIDE)) least = Math.min(least, resident);
    if (least < Infinity) most = Math.max(most, resident - least);
  }
  const { user, system } = process.cpuUsage(cpu);
  const slowest = Math.max(0, ...slow.map(({ seed: at }) => again(target, at)));
  const growth = most / MIB;
  if (slowest > MAX_MS)
    findings.push(
      `an input of seeds ${slow.map((each) => each.seed).join(', ')} took ${slowest} ms`,
    );
  if (growth > MAX_GROWTH_MIB) findings.push(`resident memory grew by ${growth} MiB`);
  if (prototypes() !== before) findings.push('a prototype was changed');
  say(
    [
      target.name.padEnd(30),
      String(accepted).padStart(8),
      String(refused).padStart(7),
      ((user + system) / 1e6).toFixed(1).padStart(5),
      slowest.toFixed(2).padStart(10),
      growth.toFixed(1).padStart(8),
    ].join('  '),
  );
  for (const finding of findings.slice(0, 10)) say(`  ${finding}`);
  return findings.length;
}

/** Milliseconds of CPU that the input of a seed takes: the least of several runs, since others use the machine too. */
function again(target: Target, at: number): number {
  let least = Infinity;
  for (let i = 0; i < 5; i++) {
    const input = inputOf(target, at);
    const begun = process.cpuUsage();
    try {
      target.run(input);
    } catch {
      // Counted the first time.
    }
    const { user, system } = process.cpuUsage(begun);
    least = Math.min(least, (user + system) / 1_000);
  }
  return least;
}
