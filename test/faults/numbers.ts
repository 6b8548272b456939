/** The numbers app as a test uses it: sends, looks at what has become of it, and runs its workers as processes. */
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

import { withDirectory } from '../broker/log-over.ts';
import { numbersApp } from './numbers-app.ts';
import type { NumbersApp } from './numbers-app.ts';
import { Program } from './processes.ts';

const cli = new URL('../../src/cli/main.ts', import.meta.url);
/** The worker as a program of its own. */
export const own: URL = new URL('numbers-stop.ts', import.meta.url);
const module = fileURLToPath(new URL('numbers-worker.ts', import.meta.url));
const keyOf = (n: number): string => `k${n % 7}`;
export const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);

/** Runs `millrace worker` with these arguments, or a program. */
export type Start = (
  env?: Readonly<Record<string, string>>,
  file?: URL,
  args?: readonly string[],
) => Program;

/** Runs `body` with the app, for sending and looking, and a way to start its worker in processes of their own. */
export async function withApp(
  body: (app: NumbersApp, start: Start) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const app = numbersApp(directory);
    const programs: Program[] = [];
    try {
      await body(app, (env, file = cli, args = ['--log-format', 'pretty']) => {
        const program = new Program(file, file === cli ? ['worker', module, ...args] : [], {
          NUMBERS_DIRECTORY: directory,
          ...env,
        });
        programs.push(program);
        return program;
      });
    } finally {
      await Promise.all(programs.map((program) => program.end()));
      await app.app.close();
    }
  });
}

export async function send({ numbers }: NumbersApp, values: readonly number[]): Promise<void> {
  await Promise.all(values.map((n) => numbers.send(n, { key: keyOf(n) })));
}

export async function doublesOf({ doubles }: NumbersApp): Promise<number[]> {
  const found: number[] = [];
  for await (const { value } of doubles.records()) found.push(value);
  return found.toSorted((a, b) => a - b);
}

/** Each of 1 … `last` was summed and doubled once. */
export async function expectExact(app: NumbersApp, last: number): Promise<void> {
  expect(await doublesOf(app)).toEqual(upTo(last).map((n) => n * 2));
  const wanted: Record<string, number> = {};
  for (const n of upTo(last)) wanted[keyOf(n)] = (wanted[keyOf(n)] ?? 0) + n;
  expect(Object.fromEntries(await Array.fromAsync(app.sums.snapshot()))).toEqual(wanted);
}

/** Starts a worker that does what is left, and stops it. */
export async function finish(app: NumbersApp): Promise<void> {
  const running = await app.app.start();
  await running.settled();
  await running.stop();
}
