/** A seed is the same run whatever the process, its place, its language, its time zone, and how its code is compiled. */
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { scenarios } from '../../simulation/lib/simulate.ts';

const root = join(import.meta.dirname, '../..');
const SEEDS = 2 * scenarios.length;

function traces(flags: readonly string[], env: Readonly<Record<string, string>>, cwd: string) {
  const main = join(root, 'simulation/main.ts');
  const args = ['-C', 'millrace-source', ...flags, main, '--trace', '--seed', '30'];
  const options = { cwd, env: { PATH: process.env['PATH'], ...env }, encoding: 'utf8' } as const;
  return execFileSync(process.execPath, [...args, '--seeds', String(SEEDS)], options)
    .trim()
    .split('\n');
}

test('the traces of two processes are the same', { timeout: 120_000 }, () => {
  const here = traces([], { TZ: 'UTC', LANG: 'C' }, root);
  const there = traces(
    ['--no-opt', '--single-threaded', '--max-old-space-size=300'],
    {
      TZ: 'Asia/Kathmandu',
      LANG: 'tr_TR.UTF-8',
      LC_ALL: 'tr_TR.UTF-8',
      UV_THREADPOOL_SIZE: '1',
    },
    tmpdir(),
  );
  expect(here).toHaveLength(SEEDS);
  for (const { name } of scenarios)
    expect(here.filter((line) => line.includes(` ${name} `))).toHaveLength(2);
  expect(there).toEqual(here);
});
