/**
 * Many seeds, one after the other.
 *
 * @module
 */
import { agents } from '../scenarios/agents.ts';
import { asked } from '../scenarios/asked.ts';
import { joined } from '../scenarios/joined.ts';
import { kept } from '../scenarios/kept.ts';
import { relaxed } from '../scenarios/relaxed.ts';
import { standard } from '../scenarios/standard.ts';
import { fromMacrotask } from './drain.ts';
import { run } from './run.ts';
import type { RunResult } from './run.ts';
import type { Scenario } from './scenario.ts';
import { Violation } from './violation.ts';

/** Every scenario; seeds take turns. */
export const scenarios: readonly Scenario[] = [standard, agents, joined, relaxed, asked, kept];

/** Of how many seeds one is run twice. */
const TWICE = 50;

export interface SimulateOptions {
  readonly seed: number;
  readonly seeds: number;
  readonly scenario?: string | undefined;
  /** Told of each violation; stops when it returns false. */
  readonly violated: (result: RunResult, scenario: Scenario) => boolean;
  /** Told of the progress now and then. */
  readonly progress?: ((seeds: number) => void) | undefined;
}

export interface Simulated {
  readonly seeds: number;
  readonly violations: number;
  readonly steps: number;
  readonly virtualMs: number;
  /** How many runs were compared with a second one. */
  readonly twice: number;
}

/** @throws for a scenario that there is not. */
export function scenarioOf(seed: number, name?: string): Scenario {
  if (name === undefined) return scenarios[seed % scenarios.length] as Scenario;
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found !== undefined) return found;
  throw new Error(
    `there is no scenario ${name}; there are ${scenarios.map((each) => each.name).join(', ')}`,
  );
}

export async function simulate(options: SimulateOptions): Promise<Simulated> {
  const { seed: first, seeds, scenario: name, violated, progress } = options;
  const sum = { seeds: 0, violations: 0, steps: 0, virtualMs: 0, twice: 0 };
  for (let seed = first; seed < first + seeds; seed++) {
    const scenario = scenarioOf(seed, name);
    const twice = seed % TWICE === 0;
    const result = twice ? await runTwice(seed, scenario) : await runOnce(seed, scenario);
    if (twice) sum.twice++;
    sum.seeds++;
    sum.steps += result.steps;
    sum.virtualMs += result.virtualMs;
    if (sum.seeds % 1_000 === 0) progress?.(sum.seeds);
    if (result.violation === undefined) continue;
    sum.violations++;
    if (!violated(result, scenario)) break;
  }
  return sum;
}

function runOnce(seed: number, scenario: Scenario): Promise<RunResult> {
  return fromMacrotask(() => run({ seed, scenario }));
}

/** Both runs must be the same in every decision and every line of their stories. */
async function runTwice(seed: number, scenario: Scenario): Promise<RunResult> {
  const traces: string[] = [];
  let last: RunResult | undefined;
  for (let i = 0; i < 2; i++) {
    const lines: string[] = [];
    last = await fromMacrotask(() => run({ seed, scenario, tell: (line) => lines.push(line) }));
    traces.push(`${lines.join('\n')}\n${last.hash} ${last.steps}`);
  }
  const result = last as RunResult;
  if (traces[0] === traces[1] || result.violation !== undefined) return result;
  return { ...result, violation: new Violation('replay', differenceOf(traces)) };
}

function differenceOf([a = '', b = '']: readonly string[]): string {
  const [first, second] = [a.split('\n'), b.split('\n')];
  const at = first.findIndex((line, i) => line !== second[i]);
  return `two runs of one seed differ at line ${at}: ${first[at]} / ${second[at]}`;
}
