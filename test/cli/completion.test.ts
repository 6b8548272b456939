/** Completion scripts: what the shells make of them. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';

import { completionScript, shells } from '../../src/cli/completion.ts';
import type { Shell } from '../../src/cli/completion.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { run, TestTerminal } from './support.ts';

const script = (shell: Shell): string => completionScript(buildProgram(new TestTerminal()), shell);
const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;

test.each(shells)('the script for %s is printed, and knows all commands', async (shell) => {
  const { status, stdout } = await run(['completion', shell]);
  expect(status).toBe(0);
  expect(stdout.trimEnd()).toBe(script(shell).trimEnd());
  for (const word of ['worker', 'dead-letters', 'resend', 'processes', 'follow', 'mermaid'])
    expect(stdout).toContain(word);
});

test('an unknown shell', async () => {
  const { status, stderr } = await run(['completion', 'cmd']);
  expect(status).toBe(2);
  expect(stderr).toContain('Allowed choices are bash, zsh, fish');
});

/** What bash offers for the last word. */
function offered(...words: string[]): string[] {
  const program = `${script('bash')}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length - 1}
_millrace
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', program], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.split('\n').filter((line) => line !== '');
}

describe.skipIf(!has('bash'))('bash', () => {
  test.each<[readonly string[], readonly string[]]>([
    [['millrace', 'wor'], ['worker']],
    [
      ['millrace', 'to'],
      ['topology', 'topics'],
    ],
    [
      ['millrace', 'worker', '--log'],
      ['--log-level', '--log-format'],
    ],
    [['millrace', 'worker', '--log-format', 'p'], ['pretty']],
    [['millrace', 'dead-letters', 're'], ['resend']],
    [['millrace', 'dead-letters', 'resend', 'orders', '--al'], ['--all']],
    [['millrace', 'completion', 'z'], ['zsh']],
    [['millrace', 'tail', 'worker', '--fol'], ['--follow']],
  ])('%j offers %j', (words, wanted) => {
    expect(offered(...words)).toEqual(wanted);
  });
});

test.each(['zsh', 'fish'] as const)('%s takes the script, where it is installed', (shell) => {
  if (!has(shell)) return;
  const { status, stderr } = spawnSync(shell, ['-n'], { input: script(shell), encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
});
