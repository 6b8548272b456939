/**
 * Runs the documentation: every ts fence of the Markdown documents in the root and in `docs/`, and of the doc comments
 * in `src/`. `lib/fences.ts` says how a fence becomes a program.
 *
 * Each program is type-checked, and runs in a Node of its own and in an empty directory of its own, so a broker at
 * `file:./data` collides with no other. It is imported, not started: what stands under `if (import.meta.main)` stays
 * quiet. Both see `millrace` as the source in `src/`.
 *
 * Run: `node scripts/doc-tests.ts [--report <file>]`. The report gets `{ passed, failed }`. Exit status 1 when one fails.
 *
 * @module
 */
import { globSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { fencesOf, programOf, trimLines } from './lib/fences.ts';
import type { Fence } from './lib/fences.ts';
import { inLanes, run } from './lib/run.ts';

interface Snippet {
  readonly fence: Fence;
  readonly directory: string;
  readonly program: string;
  /** What went wrong; empty when nothing did. */
  readonly problems: string[];
}

const timeoutMs = 30_000;
const documents = ['*.md', 'docs/**/*.md', 'src/**/*.ts'];
const { values: options } = parseArgs({ options: { report: { type: 'string' } } });
const home = resolve('.cache/doc-tests');
const here = join(home, String(process.pid));

removeLeftovers();
const unreadable: string[] = [];
const snippets = globSync(documents, { exclude: (name) => basename(name) === 'node_modules' })
  .toSorted()
  .flatMap(readFences)
  .map(writeSnippet);
await Promise.all([typeCheck(), inLanes(snippets, Math.min(2, availableParallelism()), execute)]);
report();

/** Directories of runs that failed or were killed. */
function removeLeftovers(): void {
  mkdirSync(home, { recursive: true });
  for (const name of readdirSync(home)) {
    try {
      process.kill(Number(name), 0);
    } catch {
      rmSync(join(home, name), { recursive: true, force: true });
    }
  }
}

function readFences(file: string): Fence[] {
  try {
    return fencesOf(file.replaceAll('\\', '/'), readFileSync(file, 'utf8'));
  } catch (error) {
    unreadable.push((error as Error).message);
    return [];
  }
}

function writeSnippet(fence: Fence, index: number): Snippet {
  const directory = join(here, String(index));
  const program = join(directory, `${basename(fence.file).replace(/\.\w+$/, '')}.ts`);
  mkdirSync(directory, { recursive: true });
  try {
    writeFileSync(program, programOf(fence));
    return { fence, directory, program, problems: [] };
  } catch (error) {
    return { fence, directory, program, problems: [(error as Error).message] };
  }
}

/** One compiler run over all programs. What it says of other files is the business of `npm run typecheck`. */
async function typeCheck(): Promise<void> {
  const usable = snippets.filter(({ problems }) => problems.length === 0);
  if (usable.length === 0) return;
  const config = {
    extends: resolve('tsconfig.json'),
    compilerOptions: {
      declaration: false,
      isolatedDeclarations: false,
      noPropertyAccessFromIndexSignature: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
    },
    files: usable.map(({ program }) => program),
    include: [],
  };
  writeFileSync(join(here, 'tsconfig.json'), JSON.stringify(config));
  const { status, output } = await run('tsc', ['-p', here, '--pretty', 'false']);
  if (status === 0) return;
  let found = false;
  for (const { fence, program, problems } of usable) {
    const messages = output
      .split(/\n(?=\S)/)
      .filter((message) => message.includes(`${tail(program)}(`));
    for (const message of messages)
      problems.push(message.replace(/^.*?\((\d+),\d+\): /, `${fence.file}:$1: `));
    found ||= messages.length > 0;
  }
  if (!found)
    console.log(`the compiler has complaints, none of them about the documents:\n${output}`);
}

async function execute({ fence, directory, program, problems }: Snippet): Promise<void> {
  if (fence.compileOnly || problems.length > 0) return;
  const url = pathToFileURL(program).href;
  const args = ['-C', 'millrace-source', '--input-type=module', '-e', `await import('${url}')`];
  const env = { NODE_COMPILE_CACHE: resolve('.cache/node') };
  const done = await run(process.execPath, args, { cwd: directory, env, timeoutMs });
  const said = done.output.replaceAll(`${url}:`, `${fence.file}:`).trimEnd();
  if (done.timedOut) problems.push(`it did not end within ${timeoutMs / 1000} s\n${said}`);
  else if (done.status === 13)
    problems.push(`it waits for a promise that nothing settles\n${said}`);
  else if (done.status !== 0) problems.push(`it failed with status ${done.status}\n${said}`);
  else if (fence.output !== undefined && trimLines(done.stdout) !== fence.output)
    problems.push(`it printed\n${trimLines(done.stdout)}\ninstead of\n${fence.output}`);
}

/** The last two parts of a path: enough to know a program by in the compiler's messages. */
function tail(path: string): string {
  return path.split(/[\\/]/).slice(-2).join('/');
}

function report(): void {
  for (const file of new Set(snippets.map(({ fence }) => fence.file))) {
    const own = snippets.filter(({ fence }) => fence.file === file);
    const bad = own.filter(({ problems }) => problems.length > 0);
    console.log(` ${bad.length > 0 ? '✗' : '✓'} docs  ${file} (${own.length})`);
    for (const { fence, problems } of bad) {
      console.error(`\n   ${fence.file}:${fence.line} this snippet fails`);
      for (const problem of problems) console.error(problem.replaceAll(/^/gm, '     '));
    }
  }
  for (const problem of unreadable) console.error(problem);
  const failed = snippets.filter(({ problems }) => problems.length > 0).length + unreadable.length;
  const passed = snippets.length + unreadable.length - failed;
  console.log(` docs: ${passed} passed, ${failed} failed`);
  if (options.report !== undefined)
    writeFileSync(options.report, JSON.stringify({ passed, failed }));
  if (failed === 0) rmSync(here, { recursive: true, force: true });
  process.exitCode = failed > 0 ? 1 : 0;
}
