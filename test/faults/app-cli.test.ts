/** The command line from outside: what it prints, and its exit status. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import { withDirectory } from '../broker/log-over.ts';
import { Program } from './processes.ts';

const cli = new URL('../../src/cli/main.ts', import.meta.url);
const index = fileURLToPath(new URL('../../src/index.ts', import.meta.url));

interface Outcome {
  readonly status: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

async function millrace(...args: string[]): Promise<Outcome> {
  const program = new Program(cli, args);
  const status = await program.status;
  return { status, stdout: program.stdout, stderr: program.stderr };
}

/** Runs a command on a module with this text behind its imports. */
async function onModule(command: string, text: string): Promise<Outcome> {
  return await withDirectory(async (directory) => {
    const file = join(directory, 'module.ts');
    writeFileSync(file, `import { App } from ${JSON.stringify(index)};\n${text}`);
    return await millrace(command, file);
  });
}

const memory = `{ broker: 'memory:cli' }`;

describe('usage', () => {
  test('--help', async () => {
    const { status, stdout } = await millrace('--help');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^usage: millrace <command> \[options\]\n[^]*worker[^]*topology/u);
  });

  test.each(['', 'worker', 'brew app.ts', 'worker a.ts b.ts'])(
    'refused: millrace %s',
    async (line) => {
      const args = line.split(' ').filter((word) => word !== '');
      const { status, stdout, stderr } = await millrace(...args);
      expect(status).toBe(2);
      expect(stdout).toBe('');
      expect(stderr).toMatch(/^usage: millrace/u);
    },
  );
});

describe('the module', () => {
  test('is missing', async () => {
    expect(await millrace('worker', 'no/such/file.ts')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'millrace: MR_ARGUMENT_INVALID: there is no file no/such/file.ts\n',
    });
  });

  test('exports no app', async () => {
    const { status, stderr } = await onModule('worker', 'export const app = { id: App.name };');
    expect(status).toBe(1);
    expect(stderr).toMatch(/exports no app; export one: export const app = new App\('…'\)/u);
  });

  test('exports two apps', async () => {
    const { status, stderr } = await onModule(
      'worker',
      `export const a = new App('a', ${memory});\nexport const b = new App('b', ${memory});`,
    );
    expect(status).toBe(1);
    expect(stderr).toContain('exports 2 apps; export one');
  });

  test('exports one app twice, and other things', async () => {
    const { status, stdout } = await onModule(
      'topology',
      `export const app = new App('a', ${memory});\nexport default app;\nexport const one = 1;`,
    );
    expect(status).toBe(0);
    expect(stdout).not.toBe('');
  });

  test('throws', async () => {
    const { status, stderr } = await onModule('worker', `new App('not a name');`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^millrace: MR_NAME_INVALID: .*not a name/u);
  });
});

test('topology prints what would run, and runs nothing', async () => {
  const { status, stdout, stderr } = await onModule(
    'topology',
    `export const app = new App('shop', ${memory});
const orders = app.topic<{ user: string }>('orders', { partitions: 2 });
const counts = app.table('counts', { default: () => 0 });
orders.stream().groupBy('user').update(counts, (n) => n + 1);`,
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  for (const name of ['shop', 'orders', 'counts', 'user']) expect(stdout).toContain(name);
});

test('a worker that cannot start says why', async () => {
  await withDirectory(async (directory) => {
    writeFileSync(join(directory, 'taken'), '');
    const { status, stderr } = await onModule(
      'worker',
      `export const app = new App('shop', { broker: ${JSON.stringify(`file:${directory}/taken`)} });
app.topic<string>('lines').stream().sink(() => undefined);`,
    );
    expect(status).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({
      msg: expect.stringMatching(/^MR_PERMISSION: .*taken/u) as string,
    });
  });
});
