/** Every numbered example runs as it is and prints what is written here. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const examples = new URL('../examples/', import.meta.url);

const printed: Readonly<Record<string, string>> = {
  '01-hello.ts': `
hello ada
  longest so far: ada
hello grace
  longest so far: grace
hello lin
  longest so far: grace
square 1
square 4
square 9
`,
  '02-word-count.ts': `
as      4
the     4
long    2
mill    2
no      2
race    2
runs    2
`,
  '03-windows.ts': `
12:00 north: 22.0 °C of 3
12:01 north: 30.5 °C of 2
late: 1
`,
  '04-agent.ts': `
first run
  ann spent 400
  bob spent 90
second run
  watch ann
  block ann
  ann spent 5100
  bob spent 110
`,
  '05-crawl.ts': `
cellar/
loft/
sign
cellar/wheel
loft/bins/
loft/hoist
loft/bins/oats
loft/bins/rye
5 files in 4 directories
`,
};

test('all are here', () => {
  const files = readdirSync(examples).filter((name) => /^\d\d-.*\.ts$/u.test(name));
  expect(files.toSorted()).toEqual(Object.keys(printed));
});

test.each(Object.entries(printed))('%s', async (file, expected) => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    '-C',
    'millrace-source',
    fileURLToPath(new URL(file, examples)),
  ]);
  expect(stderr).toBe('');
  expect(`\n${stdout}`).toBe(expected);
});
