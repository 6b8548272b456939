/**
 * Puts the pictures of `lib/marble-pictures.ts` into the pages in `docs/`, between the marks `<!-- marbles: name -->` and `<!-- /marbles -->`.
 *
 * Run: `node scripts/marbles.ts`. With `--check` nothing is written, and exit status 1 says that a page is out of date.
 *
 * @module
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { drawn } from './lib/marble-pictures.ts';
import { marksOf, withPictures } from './lib/marbles.ts';

const { values: options } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const pictures = await drawn();
const unused = new Set(pictures.keys());
const stale: string[] = [];
for (const page of globSync('docs/**/*.md').toSorted()) {
  const text = readFileSync(page, 'utf8');
  for (const name of marksOf(text)) unused.delete(name);
  const renewed = withPictures(text, pictures);
  if (renewed === text) continue;
  stale.push(page);
  if (!options.check) writeFileSync(page, renewed);
}
for (const name of unused) console.error(`marbles: no page has the picture ${name}`);
for (const page of stale)
  console.log(options.check ? `marbles: ${page} is out of date` : `marbles: ${page} rewritten`);
console.log(`marbles: ${pictures.size} pictures`);
process.exitCode = unused.size > 0 || (options.check && stale.length > 0) ? 1 : 0;
