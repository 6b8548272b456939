/** What the phrase book calls things by is compiled: the code of its tables stands in the program behind them. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fencesOf } from '../../scripts/lib/fences.ts';

const page = readFileSync(new URL('../../docs/phrase-book.md', import.meta.url), 'utf8');
const [fence] = fencesOf('docs/phrase-book.md', page);
const program = withoutBlanks(fence?.code ?? '');

/** However a line is broken. */
function withoutBlanks(code: string): string {
  return code.replaceAll(/\s/g, '').replaceAll(/,(?=[)\]}])/g, '');
}

/** The code in the second column of the tables of a section. */
function codeOf(section: string): string[] {
  const [, text = ''] = new RegExp(`^## ${section}\\n(.*?)^## `, 'ms').exec(`${page}\n## `) ?? [];
  const cells = [...text.matchAll(/^\|.*$/gm)].map(([row]) => row.split(/(?<!\\)\|/)[2] ?? '');
  return cells.flatMap((cell) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => (code as string).replaceAll('\\|', '|')),
  );
}

test.each(['streamz', 'RxJS'])('what %s is called here is compiled', (section) => {
  const named = codeOf(section);
  expect(named.length).toBeGreaterThan(40);
  for (const code of named)
    expect([code, program.includes(withoutBlanks(code))]).toEqual([code, true]);
});
