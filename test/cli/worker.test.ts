/** `millrace worker` as processes: one, several, and how they end. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';

import { cliFile, run, withDirectory, writeModule, SLOW } from './support.ts';

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

/** A worker whose lines a test waits for. */
class Worker {
  readonly child: ChildProcess;
  readonly ended: Promise<number | NodeJS.Signals | null>;
  text = '';
  #changed: (() => void)[] = [];

  constructor(module: string, ...args: string[]) {
    this.child = spawn(
      process.execPath,
      ['-C', 'millrace-source', cliFile, 'worker', module, ...args],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } },
    );
    started.push(this.child);
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.text += text;
        this.#wake();
      });
    this.ended = new Promise((resolve) => {
      this.child.on('close', (status, signal) => {
        resolve(status ?? signal);
        this.#wake();
      });
    });
  }

  /** Resolves when it has said `text` so often. */
  async said(text: string, times = 1): Promise<void> {
    while (this.text.split(text).length <= times) {
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`it ended without saying ${text}:\n${this.text}`);
      await new Promise<void>((resolve) => this.#changed.push(resolve));
    }
  }

  /** Its log lines, parsed. */
  get log(): Record<string, unknown>[] {
    return this.text
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  #wake(): void {
    for (const wake of this.#changed.splice(0)) wake();
  }
}

function counting(directory: string, body = 'n + 1'): string {
  return writeModule(
    directory,
    `
export const app = new App('counting', { broker: ${JSON.stringify(`file:${join(directory, 'data')}`)} });
const orders = app.topic('orders', { partitions: 4, value: unchecked<number>() });
const counts = app.table('counts', { default: () => 0 });
orders.stream().update(counts, (n, value) => ${body});
`,
  );
}

test(
  'one process: JSON lines, SIGTERM, status 0',
  async () => {
    await withDirectory(async (directory) => {
      const worker = new Worker(counting(directory));
      await worker.said('worker running');
      worker.child.kill('SIGTERM');
      expect(await worker.ended).toBe(0);
      expect(worker.log.map(({ msg }) => msg)).toEqual([
        'counting: worker running',
        'counting: SIGTERM, stopping (again to end at once)',
        'counting: stopped',
      ]);
      expect(worker.log[0]).toEqual({
        level: 'info',
        time: expect.stringMatching(/^\d{4}-.*Z$/u) as string,
        pid: worker.child.pid,
        app: 'counting',
        msg: 'counting: worker running',
      });
    });
  },
  SLOW,
);

test(
  'a failed worker: status 1, and the reason in either form',
  async () => {
    await withDirectory(async (directory) => {
      const module = counting(
        directory,
        `(() => { throw new TypeError('thirteen is too many'); })()`,
      );
      await run(['send', 'orders', '13', '--key', 'k', '--module', module]);
      const pretty = new Worker(module, '--log-format', 'pretty');
      expect(await pretty.ended).toBe(1);
      expect(pretty.text).toMatch(
        /^millrace: MR_PROCESSING_FAILED: processing failed at orders\[\d\] offset 0, key "k": thirteen is too many; mend it and start again, or say with onError what becomes of such events\n[^]*caused by TypeError: thirteen is too many\n +at .*app\.ts:/mu,
      );
      const json = new Worker(module, '--log-format', 'json');
      expect(await json.ended).toBe(1);
      expect(json.log.at(-1)).toMatchObject({
        level: 'error',
        msg: expect.stringContaining(
          'MR_PROCESSING_FAILED: processing failed at orders[',
        ) as string,
        error: { code: 'MR_PROCESSING_FAILED', cause: { message: 'thirteen is too many' } },
      });
      for (const line of json.text.trim().split('\n'))
        expect(() => void JSON.parse(line)).not.toThrow();
    });
  },
  SLOW,
);

test(
  'three processes share the work and stop together',
  async () => {
    await withDirectory(async (directory) => {
      const module = counting(directory);
      const worker = new Worker(module, '--processes', '3');
      await worker.said('worker running', 3);
      expect(new Set(worker.log.map(({ pid }) => pid)).size).toBe(3);
      worker.child.kill('SIGINT');
      expect(await worker.ended).toBe(0);
      expect(worker.text.split('counting: stopped')).toHaveLength(4);
    });
  },
  SLOW,
);

test(
  'one of several is killed: the others are stopped, and the status says so',
  async () => {
    await withDirectory(async (directory) => {
      const worker = new Worker(counting(directory), '-p', '2');
      await worker.said('worker running', 2);
      process.kill(worker.log[0]?.['pid'] as number, 'SIGKILL');
      expect(await worker.ended).toBe(137);
      expect(worker.text).toContain('a worker process failed, the others are stopped');
      expect(worker.text).toContain('counting: stopped');
    });
  },
  SLOW,
);

test(
  'the parent is killed: its children end by themselves',
  async () => {
    await withDirectory(async (directory) => {
      const worker = new Worker(counting(directory), '-p', '2');
      await worker.said('worker running', 2);
      worker.child.kill('SIGKILL');
      // The pipes close when the last of them is gone.
      expect(await worker.ended).toBe('SIGKILL');
      expect(worker.text.split('the supervisor is gone, stopping')).toHaveLength(3);
      expect(worker.text.split('counting: stopped')).toHaveLength(3);
    });
  },
  SLOW,
);
