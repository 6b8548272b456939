/** Mutants change words of the source: they have to follow it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { mutants, mutate } from '../../simulation/lib/mutants.ts';

const root = join(import.meta.dirname, '../..');

test.each(mutants.map(({ name, edits }) => [name, edits] as const))(
  '%s finds what it changes',
  (_name, edits) => {
    const texts = new Map(
      edits.map(({ file }) => [file, readFileSync(join(root, file), 'utf8')] as const),
    );
    for (const edit of edits) {
      const before = texts.get(edit.file) as string;
      const after = mutate(before, edit, edit.file);
      expect(after).not.toBe(before);
      texts.set(edit.file, after);
    }
  },
);

test('a text that is not there, or twice, is refused', () => {
  const edit = { file: 'a.ts', find: 'x', replace: 'y' };
  expect(() => mutate('abc', edit, 'a.ts')).toThrow('stands 0 times');
  expect(() => mutate('xx', edit, 'a.ts')).toThrow('stands 2 times');
});
