/**
 * A crawl through a directory: a pipeline with a cycle. What is found in a directory goes back to the beginning, and `unique` lets each path
 * through once, so links that lead in circles do no harm. The one `emit` resolves when nothing goes round any more.
 *
 * Run: `node 05-crawl.ts [directory]`. Without one it makes a small tree of its own.
 */
import { lstat, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Stream } from 'millrace';

const [, , given] = process.argv;
const root = await realpath(given ?? (await smallTree()));

const paths = new Stream<string>();
const found = paths
  .map((path) => realpath(path))
  .unique()
  .map(async (path) => ({ path, directory: (await lstat(path)).isDirectory() }));
found.sink(({ path, directory }) => {
  if (path !== root) console.log(relative(root, path) + (directory ? '/' : ''));
});

const directories = found.filter(({ directory }) => directory);
directories
  .map(async ({ path }) => (await readdir(path)).toSorted().map((name) => join(path, name)))
  .flatten()
  .connect(paths);

const counts = { files: 0, directories: 0 };
found.sink(({ directory }) => {
  counts[directory ? 'directories' : 'files'] += 1;
});

await paths.emit(root);
console.log(`${counts.files} files in ${counts.directories} directories`);
if (given === undefined) await rm(root, { recursive: true });

/** Two rooms of a mill, and a back door that leads to the front again. */
async function smallTree(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'crawl-'));
  for (const room of ['cellar', 'loft/bins'])
    await mkdir(join(directory, room), { recursive: true });
  for (const file of ['cellar/wheel', 'loft/bins/oats', 'loft/bins/rye', 'loft/hoist', 'sign'])
    await writeFile(join(directory, file), '');
  await symlink('..', join(directory, 'cellar/back-door'));
  return directory;
}
