/**
 * Processes that a measurement starts, and talks with.
 *
 * @module
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import type { PartOptions } from './stage.ts';

/** Something that a process says. */
export interface Said {
  readonly kind: string;
  /** When, in milliseconds on the scale that all processes share. */
  readonly at: number;
  readonly tasks?: readonly string[] | undefined;
  readonly count?: number | undefined;
}

const script = fileURLToPath(new URL('../case.ts', import.meta.url));

/** Against a wait that hangs. */
const LIMIT_MS = 60_000;

/** Milliseconds on the scale that all processes share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Says something to the process that started this one. */
export function say(kind: string, more: Omit<Said, 'kind' | 'at'> = {}): void {
  process.send?.({ kind, at: monotonicMs(), ...more });
}

/** Calls back with what the process that started this one says. When that is gone, this one ends. */
export function listen(told: (word: string) => void): void {
  process.on('message', (message) => told(String(message)));
  process.on('disconnect', () => process.exit(3));
}

/** One process. */
export class Hand {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  /** Called with everything that it says. */
  onSaid: (said: Said) => void = () => undefined;
  #waiting: { readonly kind: string; readonly resolve: (said: Said) => void }[] = [];
  #killed = false;

  /** Starts a part of a case. */
  constructor(name: string, part: string, directory: string, options: PartOptions = {}) {
    this.#child = fork(script, [name, part, directory, JSON.stringify(options)], {
      execArgv: ['-C', 'millrace-source'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (message) => {
      const said = message as Said;
      this.onSaid(said);
      const heard = this.#waiting.filter(({ kind }) => kind === said.kind);
      this.#waiting = this.#waiting.filter(({ kind }) => kind !== said.kind);
      for (const { resolve } of heard) resolve(said);
    });
    this.#ended = new Promise((resolve) => {
      this.#child.on('exit', (status) => {
        if (!this.#killed && status !== 0) {
          console.error(`${name}, ${part}: ended with ${status}`);
          process.exit(1);
        }
        resolve();
      });
    });
  }

  /** The next that it says of a kind. */
  said(kind: string): Promise<Said> {
    const { promise, resolve } = Promise.withResolvers<Said>();
    const timer = setTimeout(() => {
      console.error(`nothing came of ${kind} within ${LIMIT_MS} ms`);
      process.exit(1);
    }, LIMIT_MS);
    this.#waiting.push({ kind, resolve });
    return promise.finally(() => clearTimeout(timer));
  }

  tell(word: string): void {
    this.#child.send(word);
  }

  async end(): Promise<void> {
    this.tell('end');
    await this.#ended;
  }

  /** Ends it with SIGKILL. Gives when that was done; it may take the process a moment to be gone. */
  kill(): number {
    this.#killed = true;
    const at = monotonicMs();
    this.#child.kill('SIGKILL');
    return at;
  }
}
