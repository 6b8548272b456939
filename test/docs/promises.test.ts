/** The page of promises names every fault test, and no command that there is not. */
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pages = ['docs/promises.md', 'SECURITY.md'].map((page) =>
  readFileSync(join(root, page), 'utf8'),
);
const [promises = ''] = pages;

test.each(
  ['faults', 'hostile'].flatMap((folder) => globSync(`test/${folder}/*.test.ts`, { cwd: root })),
)('%s is the proof of a promise', (file) => {
  expect(promises).toContain(`/${basename(file)})`);
});

test('commands are there', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  const named = pages.flatMap((page) => [...page.matchAll(/`npm (?:run )?([a-z:]+)/g)]);
  expect(named.length).toBeGreaterThan(10);
  for (const [, name] of named) expect(Object.keys(scripts)).toContain(name);
});
