/**
 * The benchmarks: `npm run bench`. Each measurement runs in a process of its own, one at a time, the best of three (fewer where they take
 * long), beside a hand-written limit in the same run. Quote ratios: machines differ and are noisy. A whole run leaves its figures in
 * `bench/results/latest.json`.
 *
 * Options: `--only <case>` (several times for several) runs these, `--quick` makes everything small, to see whether it works;
 * neither leaves figures. `--keep` leaves the directories.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import agents from './cases/agents.ts';
import failover from './cases/failover.ts';
import flights from './cases/flights.ts';
import groupBy from './cases/group-by.ts';
import keys from './cases/keys.ts';
import latency from './cases/latency.ts';
import pipelines from './cases/pipelines.ts';
import poison from './cases/poison.ts';
import producer from './cases/producer.ts';
import recovery from './cases/recovery.ts';
import workers from './cases/workers.ts';
import { goalText, isMet, Stage } from './lib/stage.ts';
import type { Outcome } from './lib/stage.ts';

const cases = [
  flights,
  groupBy,
  workers,
  keys,
  latency,
  recovery,
  failover,
  poison,
  agents,
  producer,
  pipelines,
];

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    quick: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const { only, quick, keep } = values;
const unknown = only.filter((name) => cases.every((each) => each.name !== name));
if (unknown.length > 0) {
  console.error(
    `no case is called ${unknown.join(' or ')}; there are ${cases.map(({ name }) => name).join(', ')}`,
  );
  process.exit(2);
}

const machine = {
  platform: platform(),
  arch: arch(),
  processor: cpus()[0]?.model ?? 'unknown processor',
  cores: availableParallelism(),
  node: process.version,
};
const scratch = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
const outcomes: Record<string, Outcome> = {};
const startedAt = performance.now();

try {
  console.log(
    `${machine.platform} ${machine.arch}, ${machine.cores} cores of ${machine.processor}, Node ${machine.node}${quick ? '; small sizes, which say nothing about speed' : ''}`,
  );
  for (const each of cases) {
    if (only.length > 0 && !only.includes(each.name)) continue;
    console.log(`\n${each.name}: ${each.title}`);
    const begunAt = performance.now();
    const root = join(scratch, each.name);
    const stage = new Stage(each.name, root, quick);
    each.run(stage);
    outcomes[each.name] = stage.outcome;
    if (!keep) rmSync(root, { recursive: true, force: true });
    console.log(`  ${secondsSince(begunAt)} s`);
  }
} finally {
  if (keep) console.log(`\ndirectories: ${scratch}`);
  else rmSync(scratch, { recursive: true, force: true });
}

const goals = Object.values(outcomes).flatMap((outcome) => outcome.goals);
console.log(`\n${goals.filter(isMet).length} of ${goals.length} goals met`);
for (const goal of goals) if (!isMet(goal)) console.log(`  ${goalText(goal)}`);
console.log(`${secondsSince(startedAt)} s`);

if (only.length === 0 && !quick) {
  const results = fileURLToPath(new URL('results', import.meta.url));
  mkdirSync(results, { recursive: true });
  const file = join(results, 'latest.json');
  writeFileSync(file, `${JSON.stringify({ machine, cases: outcomes }, null, 2)}\n`);
}

function secondsSince(at: number): string {
  return ((performance.now() - at) / 1_000).toFixed(0);
}
