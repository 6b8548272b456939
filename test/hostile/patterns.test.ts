/**
 * No text can make a pattern work for long. Nobody can give millrace a pattern: names are compared as they are, on the command line too. So what
 * is looked at here are the patterns of millrace, and texts that would take them long if they could be taken.
 */
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import { run, SLOW } from '../cli/support.ts';
import { attack, type Target } from './attack.ts';
import { StepCounter } from './steps.ts';
import { targets } from './targets.ts';

const LONG = 20_000;
const CATASTROPHIC: readonly string[] = [
  `${'a'.repeat(LONG)}!`,
  `${'(a+)+'.repeat(LONG / 5)}$`,
  `${'*'.repeat(LONG)}x`,
  `${'**/'.repeat(LONG / 3)}x`,
  `a://${')'.repeat(LONG)}x`,
  `${'1'.repeat(LONG)}x`,
  `${'0.'.repeat(LONG / 2)}h`,
  `${'/'.repeat(LONG)}x`,
  `${'-v1'.repeat(LONG / 3)}x`,
  'user:p@ss?#'.repeat(LONG / 11),
  '{a,'.repeat(LONG / 3),
  `${'passwordpass'.repeat(LONG / 12)}!`,
];

const SOURCES = 'src/**/*.ts';
const TESTS = ['src/testing/**'];
/** Literals of patterns in a line of TypeScript. */
const LITERAL =
  /(?<=^|[=(,:!&|?;{}[\s])\/(?![*/ ])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*(?![/\w])/g;
/** Characters of a text, and how many times more steps one of twice the length may take. One that is squared takes four times as many. */
const CHARS = 300;
const MAX_RATIO = 2.3;
const MAX_STEPS = 1_000_000;

/** All patterns of millrace, compiled, by their literals. */
const patterns: ReadonlyMap<string, RegExp> = new Map(
  globSync(SOURCES, { exclude: TESTS })
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
    .filter((line) => !/^\s*(?:\*|\/[*/])/.test(line))
    .flatMap((line) => line.match(LITERAL) ?? [])
    .map((literal) => {
      const end = literal.lastIndexOf('/');
      return [literal, new RegExp(literal.slice(1, end), literal.slice(end + 1))];
    }),
);

/** The most by which steps grow when a text is twice as long, and that text. */
function growthOf(pattern: RegExp): { readonly ratio: number; readonly text: string } {
  const counter = new StepCounter(pattern);
  const long = counter.attacks(2 * CHARS);
  let [ratio, text] = [0, ''];
  for (const short of counter.attacks(CHARS)) {
    const twice = long.next().value as string;
    const { steps } = counter.count(short, MAX_STEPS);
    const more = counter.count(twice, MAX_STEPS);
    // The counter is right about what it counts.
    expect(more.matches, JSON.stringify(twice)).toBe(twice.search(pattern) >= 0);
    if (more.steps / steps > ratio) [ratio, text] = [more.steps / steps, twice];
  }
  return { ratio, text };
}

test('none is made of a text that comes from outside', () => {
  const using = globSync(SOURCES, { exclude: TESTS }).filter((file) =>
    /\bRegExp\(/.test(readFileSync(file, 'utf8')),
  );
  expect(using).toEqual([]);
});

test.each([/\s+$/, /[)\]]+$/, /^(?:a|b)*c?(?:a|b)*$/, /x.*y.*z/, /(?:a+)+$/, /(?:a|a)*!/])(
  '%s would be found',
  (pattern) => {
    let found: unknown;
    try {
      found = growthOf(pattern).ratio;
    } catch (error) {
      expect((error as Error).message).toBe(`more than ${MAX_STEPS} steps`);
      return;
    }
    expect(found).toBeGreaterThan(3);
  },
);

test('all are looked at', () => {
  expect(patterns.size).toBeGreaterThan(30);
});

test.each([...patterns])('%s takes twice the steps for twice the text', (_, pattern) => {
  const { ratio, text } = growthOf(pattern);
  expect(ratio, JSON.stringify(text.slice(0, 40))).toBeLessThan(MAX_RATIO);
});

test.each(targets.map((target) => [target.name, target] as const))(
  '%s',
  { timeout: SLOW },
  (_, target) => {
    const hard: Target = { ...target, corpus: CATASTROPHIC.map((text) => Buffer.from(text)) };
    for (const text of CATASTROPHIC) {
      const only: Target = { ...hard, corpus: [Buffer.from(text)] };
      expect(attack(only, 1, 10).failures).toEqual([]);
    }
  },
);

test('on the command line', { timeout: SLOW }, async () => {
  for (const text of CATASTROPHIC)
    for (const args of [
      ['tail', text],
      ['tail', 'orders', '--from', text],
      ['tail', 'orders', '--partition', text],
      ['send', 'orders', text],
      ['topics', '--broker', text],
      [text],
    ]) {
      const { status, stderr } = await run(args);
      expect([1, 2]).toContain(status);
      expect(stderr).not.toMatch(/TypeError|RangeError/);
    }
});
