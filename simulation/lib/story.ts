/**
 * What is told of a run that has failed: its story, the least that has to go wrong for it, and a test that runs it again.
 *
 * @module
 */
import { fromMacrotask } from './drain.ts';
import type { Fault } from './faults.ts';
import { run } from './run.ts';
import type { RunResult } from './run.ts';
import type { Scenario } from './scenario.ts';

const MOST_LINES = 60;
const FAULT = /\bFAULT\b/;
/** Runs that looking for fewer faults may take. */
const MOST_TRIES = 200;

/** As few of the faults of a run as still break the same invariant. */
export async function shrink(result: RunResult, scenario: Scenario): Promise<RunResult> {
  let best = result;
  let tries = 0;
  const attempt = async (faults: readonly Fault[]): Promise<boolean> => {
    if (++tries > MOST_TRIES) return false;
    const found = await fromMacrotask(() => run({ seed: result.seed, scenario, faults }));
    if (found.violation?.invariant !== result.violation?.invariant) return false;
    best = found;
    return true;
  };
  for (let size = Math.ceil(best.faults.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < best.faults.length;) {
      const { faults } = best;
      const fewer = [...faults.slice(0, from), ...faults.slice(from + size)];
      if (!(await attempt(fewer))) from += size;
    }
  }
  return best;
}

/** The lines of a run, the last ones if there are too many; faults stay. */
export async function story(result: RunResult, scenario: Scenario): Promise<string[]> {
  const lines: string[] = [];
  const { seed, faults } = result;
  await fromMacrotask(() => run({ seed, scenario, faults, tell: (line) => lines.push(line) }));
  const told = lines.filter((line) => FAULT.test(line)).slice(0, MOST_LINES / 3);
  const from = Math.max(0, lines.length - MOST_LINES + told.length);
  return [...told.filter((line) => lines.indexOf(line) < from), ...lines.slice(from)].map((line) =>
    line.length > 240 ? `${line.slice(0, 237)}...` : line,
  );
}

/** A test that runs a seed with these faults. */
export function testOf({ seed, faults, violation }: RunResult, scenario: Scenario): string {
  const json = JSON.stringify(faults, null, 2).replaceAll('\n', '\n  ');
  return `/** Made by \`npm run simulate\`: ${violation?.invariant ?? ''}. ${oneLine(violation?.message ?? '')} */
import { expect, test } from 'vitest';

import { fromMacrotask } from '../../simulation/lib/drain.ts';
import type { Fault } from '../../simulation/lib/faults.ts';
import { run } from '../../simulation/lib/run.ts';
import { scenarioOf } from '../../simulation/lib/simulate.ts';

test('seed ${seed} of ${scenario.name}', async () => {
  const faults: readonly Fault[] = ${json};
  const scenario = scenarioOf(${seed}, '${scenario.name}');
  const { violation } = await fromMacrotask(() => run({ seed: ${seed}, scenario, faults }));
  expect(violation).toBeUndefined();
});
`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('*/', '* /').slice(0, 300);
}
