/** The pictures in the documents are those that `node scripts/marbles.ts` makes. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

// In a process of its own: captions are the text of functions, which a test runner changes.
test('the pictures are up to date, and each stands on a page', async () => {
  const ran = promisify(execFile)(process.execPath, ['scripts/marbles.ts', '--check'], {
    cwd: root,
  });
  const { stdout, stderr } = await ran.catch((error: unknown) => error as Awaited<typeof ran>);
  expect(`${stderr}${stdout}`).toMatch(/^marbles: \d+ pictures$/m);
  expect(`${stderr}${stdout}`).not.toMatch(/out of date|no page/);
});
