/**
 * No text can make a pattern work for long. Nobody can give millrace a pattern: names are compared as they are, on the command line too. So what
 * is looked at here are the patterns of millrace, and texts that would take them long if they could be taken.
 */
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import { run, SLOW } from '../cli/support.ts';
import { attack, type Target } from './attack.ts';
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
/** Literals of patterns in a text of TypeScript. */
const LITERAL =
  /(?<=[=(,:!&|?;{}[\s])\/(?![*/])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*/g;

function patterns(): string[] {
  return globSync(SOURCES, { exclude: TESTS }).flatMap((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => !/^\s*(?:\*|\/)/.test(line))
      .flatMap((line) => line.match(LITERAL) ?? []),
  );
}

test('none is made of a text that comes from outside', () => {
  const using = globSync(SOURCES, { exclude: TESTS }).filter((file) =>
    /\bRegExp\(/.test(readFileSync(file, 'utf8')),
  );
  expect(using).toEqual([]);
});

test('none repeats what repeats, or looks for an end from every place', () => {
  const all = patterns();
  expect(all.length).toBeGreaterThan(25);
  for (const pattern of all) {
    const plain = pattern.replaceAll(/\\.|\[(?:[^\]\\]|\\.)*\]/g, 'c');
    expect(plain, pattern).not.toMatch(/\([^()]*[+*}][^()]*\)[+*{]/);
    // Where it is not anchored each place is tried; `.*` of all characters takes everything at the first.
    expect(plain, pattern).not.toMatch(/^\/c[+*]\$/);
  }
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
