/** Running commands: in this process on a terminal that is made up, and as programs of their own. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Broker } from '../../src/broker/broker.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import { openBroker } from '../../src/broker/open.ts';
import { runProgram } from '../../src/cli/program.ts';
import { reasonOf } from '../../src/cli/terminal.ts';
import type { Terminal } from '../../src/cli/terminal.ts';
import { encodeKey } from '../../src/codec/key.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import { systemRandom } from '../../src/core/random.ts';
import type { Random } from '../../src/core/random.ts';
import type { Headers } from '../../src/core/types.ts';

/** What a command did. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a made-up terminal is. */
export interface TerminalSettings {
  readonly columns?: number | undefined;
  readonly color?: boolean | undefined;
  readonly watched?: boolean | undefined;
  readonly clock?: Clock | undefined;
  readonly stdin?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onPrint?: ((text: string) => void) | undefined;
}

/** A terminal that keeps what is written. */
export class TestTerminal implements Terminal {
  readonly env: Readonly<Record<string, string | undefined>> = { NO_COLOR: '1' };
  readonly clock: Clock;
  readonly random: Random = systemRandom();
  readonly columns: number | undefined;
  readonly color: boolean;
  readonly watched: boolean;
  readonly signal: AbortSignal;
  readonly #settings: TerminalSettings;
  status = 0;
  stdout = '';
  stderr = '';

  constructor(settings: TerminalSettings = {}) {
    this.#settings = settings;
    this.clock = settings.clock ?? systemClock();
    this.columns = settings.columns;
    this.color = settings.color ?? false;
    this.watched = settings.watched ?? false;
    this.signal = settings.signal ?? new AbortController().signal;
  }

  print(text: string): void {
    if (this.signal.aborted) throw reasonOf(this.signal);
    this.stdout += `${text}\n`;
    this.#settings.onPrint?.(text);
  }

  complain(text: string): void {
    this.stderr += text;
  }

  async *lines(): AsyncGenerator<string> {
    yield* this.#settings.stdin ?? [];
  }
}

/** Runs a command in this process. */
export async function run(args: readonly string[], settings?: TerminalSettings): Promise<Outcome> {
  const terminal = new TestTerminal(settings);
  const status = await runProgram(args, terminal);
  return { status, stdout: terminal.stdout, stderr: terminal.stderr };
}

/** Runs a command in this process and returns the JSON that it prints; fails when the command does. */
export async function runJson(...args: string[]): Promise<unknown> {
  const { status, stdout, stderr } = await run([...args, '--json']);
  if (status !== 0) throw new Error(`status ${status}: ${stderr}`);
  return JSON.parse(stdout) as unknown;
}

/** For tests that start processes: on a busy machine each may take seconds. Milliseconds. */
export const SLOW = 60_000;

export const cliFile: string = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const indexFile: string = fileURLToPath(new URL('../../src/index.ts', import.meta.url));

/** Runs a command as a program of its own. */
export async function millrace(
  args: readonly string[],
  options: {
    readonly stdin?: string | undefined;
    readonly cwd?: string | undefined;
    readonly env?: Readonly<Record<string, string>> | undefined;
  } = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, ['-C', 'millrace-source', cliFile, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: options.cwd,
    env: { ...process.env, NO_COLOR: '1', ...options.env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.end(options.stdin ?? '');
  const status = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? -1));
  });
  return { status, stdout, stderr };
}

/** Runs `body` with a directory that is gone afterwards. */
export async function withDirectory<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-cli-'));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Writes a module with this text behind its imports, and returns its path. */
export function writeModule(directory: string, text: string, name = 'app.ts'): string {
  const file = join(directory, name);
  writeFileSync(file, `import { App, unchecked } from ${JSON.stringify(indexFile)};\n${text}`);
  return file;
}

/** Opens the log of a directory. */
export async function withLog<T>(
  directory: string,
  body: (broker: Broker) => Promise<T>,
): Promise<T> {
  const broker = await openBroker(`file:${directory}`, {
    clock: systemClock(),
    random: systemRandom(),
  });
  try {
    return await body(broker);
  } finally {
    await broker.close();
  }
}

/** A record as a test writes it. */
export interface TestRecord {
  readonly value: string | Uint8Array | null;
  readonly key?: string | number | undefined;
  readonly timestamp?: number | undefined;
  readonly headers?: Headers | undefined;
  readonly partition?: number | undefined;
}

/** Appends records as one frame per partition. */
export async function append(
  broker: Broker,
  topic: string,
  records: readonly TestRecord[],
): Promise<void> {
  const builders = new Map<number, FrameBuilder>();
  for (const { value, key, timestamp = 0, headers, partition = 0 } of records) {
    const builder =
      builders.get(partition) ?? new FrameBuilder({ text: false, maxRecordBytes: 1 << 20 });
    builders.set(partition, builder);
    builder.add(
      timestamp,
      key === undefined ? null : encodeKey(key),
      typeof value === 'string' ? Buffer.from(value) : value,
      headers ?? null,
    );
  }
  await broker.append(
    [...builders].map(([partition, builder]) => ({ topic, partition, frame: builder.build() })),
  );
}
