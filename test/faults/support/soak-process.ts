/** One process of the soak, and what it has said. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { systemClock } from '../../../src/core/clock.ts';

const program = fileURLToPath(new URL('../soak-child.ts', import.meta.url));
const HOUR_MS = 3_600_000;

/** RssAnon of a process: without the pages of mapped files. */
export function privateBytesOf(pid: number | 'self'): number {
  const [, kib] = /^RssAnon:\s+(\d+) kB$/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}

/** A worker between two runs. */
export interface Restart {
  readonly atHours: number;
  /** Private memory. */
  readonly bytes: number;
  readonly files: number;
  /** Of that, objects that are in use, and what they hold outside of the heap. */
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Events per second of the run before. */
  readonly rate: number;
}

export class SoakProcess {
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | NodeJS.Signals | null>;
  /** Resolves when it does what it is there for; or has ended. */
  readonly begun: Promise<unknown>;
  readonly restarts: Restart[] = [];
  sent = 0;
  #stderr = '';

  /** `pace`: events per second of a loader, milliseconds to the restart of a worker. */
  constructor(role: 'load' | 'work', directory: string, retentionBytes: number, pace: number) {
    // The young generation of V8 grows for hours, and is no leak.
    const args = ['--expose-gc', '--max-semi-space-size=4', '-C', 'millrace-source', program];
    args.push(role, directory, String(retentionBytes), String(pace));
    const child = spawn(process.execPath, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Each thread of the store would have memory of its own that is free and not given back.
      env: { ...process.env, MALLOC_ARENA_MAX: '1' },
    });
    this.#child = child;
    const clock = systemClock();
    const began = clock.monotonic();
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    child.stdin.on('error', () => undefined);
    const lines = createInterface({ input: child.stdout });
    this.begun = Promise.race([once(lines, 'line'), once(child, 'close')]);
    lines.on('line', (line) => {
      const [word, ...rest] = line.split(' ');
      const [bytes = 0, files = 0, heapBytes = 0, externalBytes = 0, rate = 0] = rest.map(Number);
      if (word === 'sent') this.sent = bytes;
      else if (word === 'restarted') {
        const atHours = (clock.monotonic() - began) / HOUR_MS;
        this.restarts.push({ atHours, bytes, files, heapBytes, externalBytes, rate });
      }
    });
    this.#closed = new Promise((resolve) => {
      child.on('close', (status, signal) => resolve(status ?? signal));
    });
  }

  /** Private memory at this moment. */
  get privateBytes(): number {
    return privateBytesOf(this.#child.pid ?? 0);
  }

  /** Has it do what is left, and end. @throws when it failed. */
  async end(): Promise<void> {
    this.#child.stdin?.write('end\n');
    const status = await this.#closed;
    if (status !== 0) throw new Error(`it ended with ${String(status)}: ${this.#stderr}`);
  }

  /** @throws when it had ended before. */
  async killAlive(): Promise<void> {
    await this.kill();
    const status = await this.#closed;
    if (status !== 'SIGKILL') throw new Error(`it ended with ${String(status)}: ${this.#stderr}`);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }
}
