/** Child processes whose lines a test waits for. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A running program. What it says on both outputs is kept. */
export class Program {
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | NodeJS.Signals | null>;
  #watchers: (() => void)[] = [];
  #ended = false;
  stdout = '';
  stderr = '';

  /** Runs a TypeScript file against src/. */
  constructor(file: URL, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(process.execPath, ['-C', 'millrace-source', fileURLToPath(file), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', ...env },
    });
    for (const name of ['stdout', 'stderr'] as const)
      this.#child[name]?.setEncoding('utf8').on('data', (text: string) => {
        this[name] += text;
        this.#changed();
      });
    this.#exited = new Promise((resolve) => {
      this.#child.on('close', (status, signal) => {
        this.#ended = true;
        this.#changed();
        resolve(status ?? signal);
      });
    });
  }

  /** Resolves when the program has said `text`; throws when it ends without. */
  async said(text: string): Promise<void> {
    await this.until(text, (all) => all.includes(text));
  }

  /** Resolves when what the program has said is `enough`; throws when it ends without. `what` says what was waited for. */
  async until(what: string, enough: (all: string) => boolean): Promise<void> {
    while (!enough(`${this.stdout}\n${this.stderr}`)) {
      if (this.#ended) throw new Error(`it ended without saying ${what}:\n${this.stderr}`);
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its exit status, or the signal that ended it. */
  get status(): Promise<number | NodeJS.Signals | null> {
    return this.#exited;
  }

  /** Ends it if it has not ended: for `finally`. */
  async end(): Promise<void> {
    this.kill('SIGKILL');
    await this.#exited;
  }

  #changed(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const wake of watchers) wake();
  }
}
