/**
 * Runs programs of the tool chain and keeps what they say.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { delimiter, resolve } from 'node:path';

export interface Finished {
  /** Exit status; 1 when a signal ended the program. */
  readonly status: number;
  readonly stdout: string;
  /** stdout and stderr as they came. */
  readonly output: string;
  readonly timedOut: boolean;
  readonly seconds: number;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Default: no limit. */
  readonly timeoutMs?: number;
}

const maxOutput = 4_000_000;

/** Runs `command`, with the project's tools first on its PATH. Does not throw: a program that cannot start has status 1. */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const startedMs = performance.now();
  const { PATH = '', FORCE_COLOR: _color, ...inherited } = process.env;
  const env = {
    ...inherited,
    NO_COLOR: '1',
    PATH: `${resolve('node_modules/.bin')}${delimiter}${PATH}`,
    ...options.env,
  };
  return new Promise((done) => {
    let stdout = '';
    let output = '';
    let timedOut = false;
    const child = spawn(command, args, {
      cwd: options.cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            child.kill('SIGKILL');
            // a grandchild may hold the pipes open
            child.stdout.destroy();
            child.stderr.destroy();
          }, options.timeoutMs);
    const finish = (status: number): void => {
      clearTimeout(timer);
      done({ status, stdout, output, timedOut, seconds: (performance.now() - startedMs) / 1000 });
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output.length > maxOutput) return;
      stdout += text;
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < maxOutput) output += text;
    });
    child.on('error', (error) => {
      output += `${command}: ${error.message}\n`;
      finish(1);
    });
    child.on('close', (status) => finish(status ?? 1));
  });
}

/** Runs `work` for each item, `atOnce` at a time; results in the order of the items. */
export async function inLanes<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return results;
}
