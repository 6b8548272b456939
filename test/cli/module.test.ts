/** Modules that export an app, or fail to. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';

import { millrace, withDirectory, writeModule, SLOW } from './support.ts';
import type { Outcome } from './support.ts';

/** `topology` on a module with this text behind its imports, in a process of its own. */
async function topologyOf(text: string): Promise<Outcome & { readonly file: string }> {
  return await withDirectory(async (directory) => {
    const file = writeModule(directory, text);
    return { ...(await millrace(['topology', file])), file };
  });
}

const memory = `{ broker: 'memory:cli' }`;

test(
  'one app, exported twice, and other things',
  async () => {
    const { status, stdout, stderr } = await topologyOf(
      `export const app = new App('shop', ${memory});\nexport default app;\nexport const one = 1;
app.topic('orders', { partitions: 2 }).stream().sink(() => undefined);
// Nothing that a module leaves open keeps the command alive.
setInterval(() => undefined, 1_000);`,
    );
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^app shop\n/u);
  },
  SLOW,
);

test.each<[string, string]>([
  [
    'export const app = { id: App.name };',
    "exports no app; export one: export const app = new App('…')",
  ],
  [
    `export const a = new App('a', ${memory});\nexport const b = new App('b', ${memory});`,
    'exports 2 apps; export one of them (a, b)',
  ],
])(
  '%s',
  async (text, complaint) => {
    const { status, stdout, stderr } = await topologyOf(text);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^millrace: MR_ARGUMENT_INVALID: /u);
    expect(stderr).toContain(complaint);
  },
  SLOW,
);

test(
  'one that runs its app while it is loaded',
  async () => {
    const { status, stdout, stderr } = await topologyOf(
      `export const app = new App('shop', ${memory});\nawait app.main();`,
    );
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain(
      'millrace: MR_ARGUMENT_INVALID: app shop was told to run, by main(), in the module that the command loads; write if (import.meta.main) await app.main(), so that only the program itself does it\n    at file:',
    );
  },
  SLOW,
);

test(
  'one with a mistake in its syntax: where it is',
  async () => {
    const { status, stdout, stderr, file } = await topologyOf(
      `export const app = new App('shop', ${memory};`,
    );
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`${file}:2\n`);
    expect(stderr).toMatch(/^export const app = new App\('shop', .*;\n +\^\n/mu);
  },
  SLOW,
);

test(
  'no file, and a directory',
  async () => {
    await withDirectory(async (directory) => {
      expect(await millrace(['worker', 'no/such.ts'])).toEqual({
        status: 1,
        stdout: '',
        stderr: 'millrace: MR_ARGUMENT_INVALID: there is no file no/such.ts\n',
      });
      const { status, stderr } = await millrace(['topology', directory]);
      expect(status).toBe(1);
      expect(stderr).toContain(`is a directory; name the module that exports the app`);
    });
  },
  SLOW,
);

test(
  'what a module throws is shown with its own frames, and with nobody else’s',
  async () => {
    const { status, stderr, file } = await topologyOf(
      `function setUp(): never {\n  throw new TypeError('no such thing');\n}\nsetUp();`,
    );
    expect(status).toBe(1);
    const url = pathToFileURL(file).href;
    expect(stderr).toBe(
      [
        'millrace: MR_MODULE_FAILED: app.ts cannot be loaded: no such thing',
        '  caused by TypeError: no such thing',
        `    at setUp (${url}:3:9)`,
        `    at ${url}:5:1`,
        '',
      ].join('\n'),
    );
  },
  SLOW,
);

test(
  'what millrace throws in a module keeps its code, and names the line',
  async () => {
    const { status, stderr, file } = await topologyOf(`new App('not a name');`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^millrace: MR_NAME_INVALID: .*not a name/u);
    expect(stderr).toContain(`${pathToFileURL(file).href}:2:1`);
    expect(stderr).not.toContain('/src/app/');
  },
  SLOW,
);

test(
  'a missing import is shown with its line',
  async () => {
    await withDirectory(async (directory) => {
      writeFileSync(join(directory, 'other.ts'), 'export const other = 1;\n');
      const file = writeModule(directory, `import { nothing } from './other.ts';\nnothing();`);
      const { status, stderr } = await millrace(['topology', file]);
      expect(status).toBe(1);
      expect(stderr).toMatch(/^millrace: MR_MODULE_FAILED: app\.ts cannot be loaded: /u);
      expect(stderr).toContain(`import { nothing } from './other.ts';\n`);
      expect(stderr).toContain("SyntaxError: The requested module './other.ts'");
    });
  },
  SLOW,
);
