/**
 * Checks the package that users install: builds it, packs it, lints the tarball, and uses it in an empty project.
 *
 * There, from `dist` and without the `millrace-source` condition: every subpath of `exports` loads, the program in `bin`
 * answers `--help`, every program of README.md runs and prints what the README says, and all types check with
 * `skipLibCheck` off. The dependencies are linked from this checkout, so no network is needed; that src imports only
 * declared ones is checked by the import rules.
 *
 * Run: `npm run pack:check`. Exit status 1 with the output of what failed.
 *
 * @module
 */
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { fencesOf, programOf, trimLines } from './lib/fences.ts';
import { inLanes, run } from './lib/run.ts';
import type { Finished, RunOptions } from './lib/run.ts';

interface Program {
  readonly name: string;
  readonly file: string;
  readonly run: boolean;
  readonly output: string | undefined;
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  name: string;
  bin: Record<string, string>;
  exports: Record<string, unknown>;
  dependencies: Record<string, string>;
};
/** What programs of the README import besides the package. */
const alsoInstalled = ['@types/node', 'undici-types', 'zod', 'valibot'];
const timeoutMs = 30_000;

mkdirSync('.cache', { recursive: true });
const here = mkdtempSync(resolve('.cache/pack-'));
const project = join(here, 'project');
try {
  await must('build', process.execPath, ['scripts/build.ts']);
  const tarball = await pack();
  await must('publint', 'publint', ['run', tarball, '--strict']);
  await install(tarball);
  const programs = [loadEverything(), ...readmePrograms()];
  await Promise.all([checkTypes(programs), checkBin(), inLanes(programs, 2, runProgram)]);
  const kilobytes = Math.round(statSync(tarball).size / 1024);
  console.log(`pack-check: ${kilobytes} kB, ${programs.length} programs run from the tarball`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  rmSync(here, { recursive: true, force: true });
}

async function pack(): Promise<string> {
  await must('npm pack', 'npm', [
    'pack',
    '--silent',
    '--ignore-scripts',
    '--pack-destination',
    here,
  ]);
  return join(here, globSync('*.tgz', { cwd: here })[0]!);
}

/** Lays the project out as `npm install <tarball>` would. */
async function install(tarball: string): Promise<void> {
  const modules = join(project, 'node_modules');
  mkdirSync(modules, { recursive: true });
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  await must('tar', 'tar', ['-xzf', tarball, '-C', here]);
  renameSync(join(here, 'package'), join(modules, manifest.name));
  for (const name of [...Object.keys(manifest.dependencies), ...alsoInstalled]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(resolve('node_modules', name), join(modules, name), 'junction');
  }
}

function loadEverything(): Program {
  const file = join(project, 'everything.ts');
  const subpaths = Object.keys(manifest.exports).filter((subpath) => !subpath.endsWith('.json'));
  const lines = subpaths.map((subpath, i) => {
    const name = manifest.name + subpath.slice(1);
    return `import * as m${i} from '${name}';\nif (Object.keys(m${i}).length === 0) throw new Error('${name} exports nothing');\n`;
  });
  writeFileSync(file, lines.join(''));
  return { name: 'all exports', file, run: true, output: undefined };
}

function readmePrograms(): Program[] {
  if (!existsSync('README.md')) return [];
  return fencesOf('README.md', readFileSync('README.md', 'utf8')).map((fence, i) => {
    const file = join(project, `readme-${i}`, 'program.ts');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, programOf(fence));
    const name = `README.md:${fence.line}`;
    return { name, file, run: !fence.compileOnly, output: fence.output };
  });
}

async function checkTypes(programs: readonly Program[]): Promise<void> {
  const compilerOptions = {
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
  };
  const files = programs.map(({ file }) => file);
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  await must('types of the package', 'tsc', ['-p', project, '--pretty', 'false']);
}

async function checkBin(): Promise<void> {
  for (const [name, target] of Object.entries(manifest.bin)) {
    const file = join(project, 'node_modules', manifest.name, target);
    if ((statSync(file).mode & 0o111) === 0)
      throw new Error(`bin ${name}: ${target} is not executable`);
    await must(`${name} --help`, process.execPath, [file, '--help'], { cwd: project, timeoutMs });
  }
}

async function runProgram(program: Program): Promise<void> {
  if (!program.run) return;
  const args = ['--input-type=module', '-e', `await import('${pathToFileURL(program.file).href}')`];
  const { stdout } = await must(program.name, process.execPath, args, {
    cwd: dirname(program.file),
    timeoutMs,
  });
  if (program.output !== undefined && trimLines(stdout) !== program.output)
    throw new Error(`${program.name} printed\n${trimLines(stdout)}\ninstead of\n${program.output}`);
}

/** Runs `command` and throws with all it said when it fails. */
async function must(
  what: string,
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const finished = await run(command, args, options);
  const { status, output, timedOut } = finished;
  if (timedOut) throw new Error(`${what} did not end within ${timeoutMs / 1000} s\n${output}`);
  if (status !== 0) throw new Error(`${what} failed with status ${status}\n${output}`);
  return finished;
}
