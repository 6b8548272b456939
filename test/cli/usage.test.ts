/** How every command is called, and what it says when it is called in a wrong way. */
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';

import { buildProgram } from '../../src/cli/program.ts';
import { widthOf } from '../../src/cli/text.ts';
import { run, TestTerminal } from './support.ts';

function paths(command: Command, above: readonly string[] = []): string[][] {
  return command.commands.flatMap((child) => {
    const path = [...above, child.name()];
    return [path, ...paths(child, path)];
  });
}

const commands = paths(buildProgram(new TestTerminal()));

test('the commands', () => {
  expect(commands.map((path) => path.join(' '))).toEqual([
    'worker',
    'topology',
    'agents',
    'tables',
    'send',
    'tail',
    'topics',
    'groups',
    'lag',
    'dead-letters',
    'dead-letters list',
    'dead-letters show',
    'dead-letters resend',
    'verify',
    'backup',
    'compact',
    'completion',
  ]);
});

test.each(commands.map((path) => [path.join(' ')]))('%s --help', async (path) => {
  const { status, stdout, stderr } = await run([...path.split(' '), '--help'], { columns: 80 });
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(new RegExp(`^usage: millrace ${path} `, 'u'));
  expect(stdout).toMatch(/\nexamples?:\n {2}\$ /u);
  for (const line of stdout.split('\n')) expect([line, widthOf(line) <= 100]).toEqual([line, true]);
});

const json = commands.filter(([name = '']) => !['worker', 'completion'].includes(name));

test.each(json.filter((path) => path.join() !== 'dead-letters').map((path) => [path.join(' ')]))(
  '%s has --json',
  async (path) => {
    expect((await run([...path.split(' '), '--help'])).stdout).toContain('  --json ');
  },
);

describe('called in a wrong way', () => {
  test.each([
    ['brew app.ts', 'usage: millrace <command> [options]', "unknown command 'brew'"],
    [
      'tial orders',
      'usage: millrace <command> [options]',
      "unknown command 'tial'\n(Did you mean tail?)",
    ],
    ['worker', 'usage: millrace worker [options] <module>', "missing required argument 'module'"],
    ['worker a.ts b.ts', 'usage: millrace worker', "too many arguments for 'worker'"],
    ['worker a.ts -p 0', 'usage: millrace worker', 'Give a whole number from 1 to 1024.'],
    ['worker a.ts --log-level loud', 'usage: millrace worker', 'Allowed choices are debug'],
    ['tail orders --form start', 'usage: millrace tail', "unknown option '--form'"],
    ['tail orders -n many', 'usage: millrace tail', 'Give a whole number from 1.'],
    ['send orders 1 -H nothing', 'usage: millrace send', 'Give name=value.'],
    ['send orders 1 --timestamp now', 'usage: millrace send', 'Give milliseconds since 1970'],
    ['send orders 1 --key-json {', 'usage: millrace send', 'It is not JSON'],
    ['send orders 1 --key a --key-json 1', 'usage: millrace send', 'cannot be used with option'],
    [
      'topics --module a.ts --broker file:b',
      'usage: millrace topics',
      "option '--module' brings its own broker and cannot be used with '--broker'",
    ],
    ['dead-letters resend', 'usage: millrace dead-letters resend', 'missing required argument'],
  ])('millrace %s', async (line, usage, text) => {
    const { status, stdout, stderr } = await run(line.split(' '));
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr.startsWith(usage)).toBe(true);
    expect(stderr).toContain('\nmillrace: ');
    expect(stderr).toContain(text);
  });

  test('without a command the help goes to standard error', async () => {
    const { status, stdout, stderr } = await run([]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^usage: millrace <command> \[options\]\n[^]*worker/u);
  });
});

test('MILLRACE_BROKER does not get in the way of --module', async () => {
  const before = process.env['MILLRACE_BROKER'];
  process.env['MILLRACE_BROKER'] = 'file:/nowhere/that/exists';
  try {
    expect((await run(['topics'])).stderr).toContain('/nowhere/that/exists');
    expect((await run(['topics', '--module', 'no/such.ts'])).stderr).toBe(
      'millrace: MR_ARGUMENT_INVALID: there is no file no/such.ts\n',
    );
  } finally {
    if (before === undefined) delete process.env['MILLRACE_BROKER'];
    else process.env['MILLRACE_BROKER'] = before;
  }
});
