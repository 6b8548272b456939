/** The processes of the orders app that a test starts, watches, kills and tells what to do. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { systemClock } from '../../src/core/clock.ts';
import type { OrdersOptions } from './orders-child.ts';

/** Against a wait that hangs. Nothing is decided by it. */
const LIMIT_MS = 120_000;
const KEPT_LINES = 60;

const program = fileURLToPath(new URL('orders-child.ts', import.meta.url));
const clock = systemClock();

export type CrewOptions = Partial<OrdersOptions> & Pick<OrdersOptions, 'seed'>;

const defaults = { leaseMs: 10_000, commitMs: 20, lead: 20_000, paceMs: 0 };

/** Hears every line, as its words, of whichever process. */
export type Listener = (hand: Hand, words: readonly string[]) => void;

export class Crew {
  readonly directory: string;
  readonly #options: CrewOptions;
  readonly #hands = new Set<Hand>();
  readonly #listeners = new Set<Listener>();
  /** Texts of warnings, without what differs from one to the next, and how often they came. */
  readonly warnings: Map<string, number> = new Map();

  constructor(directory: string, options: CrewOptions) {
    this.directory = directory;
    this.#options = options;
  }

  /** Starts a process: a worker does nothing until it is told to. */
  hire(role: 'work' | 'load'): Hand {
    const options = { ...defaults, ...this.#options };
    const args = [role, this.directory, JSON.stringify(options)];
    const hand: Hand = new Hand(args, (words) => {
      if (words[0] === 'warn') this.#warned(words.slice(1).join(' '));
      for (const listener of this.#listeners) listener(hand, words);
    });
    this.#hands.add(hand);
    void hand.exited.then(() => this.#hands.delete(hand));
    return hand;
  }

  /** Has `listener` hear everything until what is returned is called. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Resolves with the milliseconds (monotonic) of each commit when each of `tasks` has been committed by such a worker. */
  async committed(
    tasks: Iterable<string>,
    by: (hand: Hand) => boolean = () => true,
  ): Promise<readonly number[]> {
    const left = new Set(tasks);
    const times: number[] = [];
    if (left.size === 0) return times;
    const done = Promise.withResolvers<void>();
    const off = this.listen((hand, [word, task = '', , at]) => {
      if (word !== 'commit' || !by(hand) || !left.delete(task)) return;
      times.push(Number(at));
      if (left.size === 0) done.resolve();
    });
    try {
      await within('commits', () => [...left].join(' '), done.promise);
    } finally {
      off();
    }
    return times;
  }

  /** A worker that runs. */
  async worker(): Promise<Hand> {
    const hand = this.hire('work');
    hand.tell('start');
    await hand.said('running');
    return hand;
  }

  /** Kills whatever is left: for `finally`. */
  async dismiss(): Promise<void> {
    await Promise.all([...this.#hands].map((hand) => hand.kill()));
  }

  #warned(text: string): void {
    const kind = text.replaceAll(/\S*\d\S*/gu, '#').slice(0, 150);
    this.warnings.set(kind, (this.warnings.get(kind) ?? 0) + 1);
  }
}

interface Waiting {
  readonly word: string;
  readonly resolve: (words: readonly string[]) => void;
  readonly reject: (error: Error) => void;
}

/** One process. */
export class Hand {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #counts = new Map<string, number>();
  readonly #tasks = new Set<string>();
  #waiting: Waiting[] = [];
  #stderr = '';
  #ended = false;
  /** Its status, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals | null>;

  constructor(args: readonly string[], onLine: (words: readonly string[]) => void) {
    this.#child = spawn(process.execPath, ['-C', 'millrace-source', program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'millrace-faults-cache') },
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    // What is told to a process that has just been killed is lost with it.
    this.#child.on('error', () => undefined);
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => {
      this.#lines.push(line);
      if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      const words = line.split(' ');
      const [word = ''] = words;
      this.#counts.set(word, this.count(word) + 1);
      this.#keepTasks(words);
      onLine(words);
      const waiting = this.#waiting.filter((each) => each.word === word);
      this.#waiting = this.#waiting.filter((each) => each.word !== word);
      for (const { resolve } of waiting) resolve(words);
    });
    this.exited = new Promise((resolve) => {
      this.#child.on('close', (status, signal) => {
        this.#ended = true;
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const { word, reject } of waiting)
          reject(new Error(`it ended (${status ?? signal}) before it said ${word}: ${this.told}`));
        resolve(status ?? signal);
      });
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get alive(): boolean {
    return !this.#ended;
  }

  /** Its last lines, and all of its standard error. */
  get told(): string {
    return `\n${this.#lines.join('\n')}\n${this.#stderr}`;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Tasks that it has, as far as it has said so. */
  get tasks(): readonly string[] {
    return [...this.#tasks];
  }

  #keepTasks([word, task = '']: readonly string[]): void {
    if (word === 'gained') this.#tasks.add(task);
    else if (word === 'released' || word === 'lost') this.#tasks.delete(task);
  }

  /** How many lines with this first word it has said. */
  count(word: string): number {
    return this.#counts.get(word) ?? 0;
  }

  /** Resolves when it has said a line that begins with `word`. */
  async said(word: string): Promise<void> {
    if (this.count(word) === 0) await this.says(word);
  }

  /** Resolves with the words of the next line that begins with `word`. */
  says(word: string): Promise<readonly string[]> {
    if (this.#ended)
      return Promise.reject(new Error(`it had ended before it said ${word}: ${this.told}`));
    return within(
      `${word} of process ${this.pid}`,
      () => this.told,
      new Promise((resolve, reject) => this.#waiting.push({ word, resolve, reject })),
    );
  }

  tell(message: string | object): void {
    this.#child.send(message, () => undefined);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when it is gone and all that it had said was heard. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.exited;
  }

  /** Has a worker stop and leave. @throws when it fails at that. */
  async end(): Promise<void> {
    this.tell('end');
    const status = await within('the end', () => this.told, this.exited);
    if (status !== 0) throw new Error(`it ended with ${String(status)}: ${this.told}`);
  }
}

/** Rejects when `wait` hangs. */
async function within<T>(what: string, why: () => string, wait: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = clock.setTimer(LIMIT_MS, () =>
    late.reject(new Error(`nothing came of ${what} within ${LIMIT_MS} ms: ${why()}`)),
  );
  try {
    return await Promise.race([wait, late.promise]);
  } finally {
    timer.cancel();
  }
}

/** Some time, for processes to get somewhere in; what is expected of them must not depend on where. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(ms, resolve));
}

/** Milliseconds on the scale that all processes share. */
export const monotonic = (): number => clock.monotonic();
