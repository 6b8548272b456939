/**
 * Where a case runs: its directories, its measurements, each in a process of its own and never two at once, and what it has to say.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { closeSync, cpSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Figures } from './figures.ts';

/** What a part is told besides its directory. `nodeFlags`: with which flags its process runs, separated by spaces. */
export type PartOptions = Readonly<Record<string, number | string>>;

/** One measurement, or the making of a directory; runs in a child process. */
export type Part = (directory: string, options: PartOptions) => Promise<Figures>;

/** A benchmark. */
export interface Case {
  readonly name: string;
  readonly title: string;
  readonly parts: Readonly<Record<string, Part>>;
  /** Runs in the main process, which is idle while a part runs. */
  run(stage: Stage): void;
}

/** A figure and what it should be. */
export interface Goal {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly least?: number | undefined;
  readonly most?: number | undefined;
}

/** What is kept of a case. */
export interface Outcome {
  readonly lines: Record<string, Figures>;
  readonly goals: Goal[];
}

const script = fileURLToPath(new URL('../case.ts', import.meta.url));
const RUNS = 3;

/** No further run is begun when the ones before took this long together. */
const RUNS_MS = 10_000;

export class Stage {
  readonly outcome: Outcome = { lines: {}, goals: [] };
  readonly #name: string;
  readonly #root: string;
  readonly #quick: boolean;
  #copies = 0;

  /** `root`: a directory of its own. */
  constructor(name: string, root: string, quick: boolean) {
    this.#name = name;
    this.#root = root;
    this.#quick = quick;
    mkdirSync(root, { recursive: true });
  }

  /** How large something is; a twentieth with `--quick`. */
  size(full: number): number {
    return this.#quick ? Math.max(1, Math.round(full / 20)) : full;
  }

  /** Has a part fill a directory; gives its path. */
  make(directory: string, part: string, options: PartOptions = {}): string {
    const path = join(this.#root, directory);
    this.#child(part, path, options);
    return path;
  }

  /** Another directory like `directory`. What it takes to have it on the disk is not left to whoever works on it. */
  copy(directory: string): string {
    const path = join(this.#root, `copy-${this.#copies++}`);
    cpSync(directory, path, { recursive: true });
    for (const name of readdirSync(path)) {
      const file = openSync(join(path, name), 'r+');
      fsyncSync(file);
      closeSync(file);
    }
    return path;
  }

  /** A measurement that leaves its directory as it is: the best of up to three. */
  best(part: string, directory: string, options: PartOptions = {}): Figures {
    return this.#best(() => this.#child(part, directory, options));
  }

  /** A measurement that changes its directory: the best of up to three, each on a copy. */
  bestOnCopies(part: string, directory: string, options: PartOptions = {}): Figures {
    return this.#best(() => {
      const copy = this.copy(directory);
      try {
        return this.#child(part, copy, options);
      } finally {
        rmSync(copy, { recursive: true, force: true });
      }
    });
  }

  /** A measurement that begins with nothing: the best of up to three. */
  bestOfNew(part: string, options: PartOptions = {}): Figures {
    return this.#best(() => this.once(part, options));
  }

  /** One measurement that begins with nothing. */
  once(part: string, options: PartOptions = {}): Figures {
    const path = join(this.#root, `new-${this.#copies++}`);
    try {
      return this.#child(part, path, options);
    } finally {
      rmSync(path, { recursive: true, force: true });
    }
  }

  #best(run: () => Figures): Figures {
    const startedAt = performance.now();
    let best: Figures | undefined;
    let runs = 0;
    while (runs < (this.#quick ? 1 : RUNS) && performance.now() - startedAt < RUNS_MS) {
      const figures = run();
      if (best === undefined || (figures['perSecond'] ?? 0) > (best['perSecond'] ?? 0))
        best = figures;
      runs++;
    }
    return { ...best, runs };
  }

  /** Says and keeps a throughput, beside the limit that it is a share of. */
  throughput(what: string, figures: Figures, limit?: Figures): void {
    this.outcome.lines[what] = figures;
    const { perSecond = 0, cpuMicroseconds, megabytes } = figures;
    const share = limit && `${((100 * perSecond) / (limit['perSecond'] ?? 1)).toFixed(0)} %`;
    const cpu = cpuMicroseconds && `${cpuMicroseconds.toFixed(2)} µs`;
    const memory = megabytes && `${megabytes.toFixed(0)} MB`;
    const columns = [share, cpu, memory].map((text) => String(text ?? '').padStart(9));
    console.log(`  ${what.padEnd(52)} ${readable(perSecond).padStart(11)}/s ${columns.join('')}`);
  }

  /** Says and keeps other figures. */
  figures(what: string, figures: Figures): void {
    this.outcome.lines[what] = figures;
    const text = Object.entries(figures).map(([name, value]) => `${name} ${readable(value)}`);
    console.log(`  ${what.padEnd(52)} ${text.join(', ')}`);
  }

  /** Says and keeps whether a goal is met. */
  goal(goal: Goal): void {
    this.outcome.goals.push(goal);
    console.log(`  ${goalText(goal)}`);
  }

  #child(part: string, directory: string, options: PartOptions): Figures {
    const args = [script, this.#name, part, directory, JSON.stringify(options)];
    const flags = String(options['nodeFlags'] ?? '')
      .split(' ')
      .filter((flag) => flag !== '');
    const child = spawnSync(process.execPath, [...flags, '-C', 'millrace-source', ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (child.status !== 0)
      throw new Error(`${this.#name}, ${part}: ended with ${child.status ?? child.signal}`);
    return JSON.parse(child.stdout.trim().split('\n').at(-1) ?? '{}') as Figures;
  }
}

/** Whether a goal is met. */
export function isMet({ value, least = -Infinity, most = Infinity }: Goal): boolean {
  return value >= least && value <= most;
}

/** A goal as a line. */
export function goalText(goal: Goal): string {
  const { what, value, unit, least, most } = goal;
  const bound =
    least === undefined ? `at most ${readable(most ?? 0)}` : `at least ${readable(least)}`;
  return `${isMet(goal) ? 'met    ' : 'NOT MET'} ${what}: ${readable(value)} ${unit} (goal: ${bound})`;
}

function readable(value: number): string {
  const digits = Math.abs(value) < 10 ? 2 : Math.abs(value) < 1_000 ? 1 : 0;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}
