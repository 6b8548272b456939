import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: root });

const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Anchors of the headings of a page, as GitHub makes them. */
function anchors(path: string): Set<string> {
  return new Set(
    [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
      (heading as string)
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

test.each(pages)('the links of %s lead somewhere', (page) => {
  for (const [, target] of read(page).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
    const [file, anchor] = (target as string).split('#');
    const path = file === '' ? page : join(dirname(page), file as string);
    expect([target, existsSync(join(root, path))]).toEqual([target, true]);
    if (anchor !== undefined) expect([target, anchors(path).has(anchor)]).toEqual([target, true]);
  }
});

test('files that ARCHITECTURE.md names exist', () => {
  const text = read('ARCHITECTURE.md');
  const named = [...text.matchAll(/`((?:src\/|scripts\/|simulation\/)?[\w-]+(?:\/[\w-]+)+\.ts)`/g)];
  expect(named.length).toBeGreaterThan(15);
  for (const [, name] of named) {
    const path = /^(?:src|scripts|simulation)\//.test(name as string)
      ? (name as string)
      : `src/${name}`;
    expect([path, existsSync(join(root, path))]).toEqual([path, true]);
  }
});

test('the table of folders says what the import rules say', () => {
  const [, rules = ''] =
    /const layers[^=]*= \{([^}]*)\}/.exec(read('scripts/lib/import-rules.ts')) ?? [];
  const wanted = [...rules.matchAll(/^ {2}(\w+): \[([^\]]*)\]/gm)]
    .filter(([, folder]) => folder !== 'cli')
    .map(([, folder, list]) => [
      folder === 'index' ? 'index.ts' : folder,
      (list as string).replaceAll("'", '') || 'nothing',
    ]);
  expect(wanted.length).toBeGreaterThan(10);
  const rows = [...read('ARCHITECTURE.md').matchAll(/^\| `([\w.]+)` +\|[^|]*\| ([^|]*?) +\|$/gm)];
  const said = new Map(rows.map(([, folder, list]) => [folder, list]));
  for (const [folder, list] of wanted) expect([folder, said.get(folder)]).toEqual([folder, list]);
});
