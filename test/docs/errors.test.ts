import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8');

/** The members of the union `ErrorCode`. */
function declared(): string[] {
  const [, union] = /export type ErrorCode =([^;]*);/.exec(read('src/core/errors.ts')) ?? [];
  return [...(union ?? '').matchAll(/'(MR_[A-Z_]+)'/g)].map(([, code]) => code as string);
}

/** The headings of docs/errors.md that are codes. */
function described(): string[] {
  return [...read('docs/errors.md').matchAll(/^### (MR_[A-Z_]+)$/gm)].map(
    ([, code]) => code as string,
  );
}

test('the page describes every error code, once, and no other', () => {
  expect(declared().length).toBeGreaterThan(30);
  expect(described().toSorted()).toEqual(declared().toSorted());
});

test('codes that documents mention exist', () => {
  const known = new Set(declared());
  for (const page of globSync(['*.md', 'docs/**/*.md'], { cwd: root }))
    for (const [code] of read(page).matchAll(/\bMR_[A-Z_]+\b/g))
      expect([page, code, known.has(code)]).toEqual([page, code, true]);
});

test('codes that nothing throws are marked as reserved, and no others', () => {
  const page = read('docs/errors.md');
  const sources = globSync('src/**/*.ts', { cwd: root }).map(read).join('\n');
  for (const code of described()) {
    const [, text = ''] = new RegExp(`^### ${code}\\n\\n(.*)$`, 'm').exec(page) ?? [];
    // One mention is the union itself.
    const thrown = sources.split(`'${code}'`).length > 2;
    expect([code, text.startsWith('Reserved')]).toEqual([code, !thrown]);
  }
});
