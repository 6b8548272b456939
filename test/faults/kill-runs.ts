/** Runs `app-kill-child.ts`, kills it, and holds what it finds when it starts again against what it had said before. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

import { flightsApp } from '../../examples/flights/app.ts';
import { compare } from '../../examples/flights/compare.ts';
import { openFlights, readFlights } from '../../examples/flights/dataset.ts';
import { encodeKey } from '../../src/codec/key.ts';
import { partitionOf } from '../../src/codec/partition.ts';
import { systemClock } from '../../src/core/clock.ts';

export type Mode = 'load' | 'work' | 'both';
export type KeyedBy = 'origin' | 'destination';

/** When a child is killed: `after` says so of what it has said last, or some time after its start. */
export type Kill =
  | { readonly after: (said: { readonly loaded: number; readonly committed: number }) => boolean }
  | { readonly afterMs: number };

const child = fileURLToPath(new URL('app-kill-child.ts', import.meta.url));

/** The runs of one directory. */
export class KillRuns {
  readonly #directory: string;
  readonly #keyedBy: KeyedBy;
  /** Rows and events that were said to be durable. */
  loaded = 0;
  committed = 0;
  /** Kills by what the child was doing when it died. */
  readonly kills: Record<'starting' | 'loading' | 'working', number> = {
    starting: 0,
    loading: 0,
    working: 0,
  };
  /** Milliseconds from the start of a process that followed a kill to the first append of its loader and the first commit of its worker. */
  readonly firstMs: Record<'load' | 'commit', number[]> = { load: [], commit: [] };
  /** Events that came too late for their window, said by the child that ended. */
  late: number = Number.NaN;
  #afterKill = false;

  constructor(directory: string, keyedBy: KeyedBy) {
    this.#directory = directory;
    this.#keyedBy = keyedBy;
  }

  get killed(): number {
    return this.kills.starting + this.kills.loading + this.kills.working;
  }

  /** Runs a child until it ends or is killed; tells whether it was killed. */
  async run(mode: Mode, rows: number, kill?: Kill): Promise<boolean> {
    const running = spawn(
      process.execPath,
      ['-C', 'millrace-source', child, this.#directory, mode, String(rows), this.#keyedBy],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let errors = '';
    running.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    const exited = once(running, 'exit');
    const timer =
      kill !== undefined && 'afterMs' in kill
        ? systemClock().setTimer(kill.afterMs, () => running.kill('SIGKILL'))
        : undefined;
    let doing: 'starting' | 'loading' | 'working' = 'starting';
    try {
      for await (const line of createInterface(running.stdout)) {
        // What the pipe holds when the child dies counts too: it was said before.
        doing = this.#heard(line, doing);
        if (kill !== undefined && 'after' in kill && doing !== 'starting' && kill.after(this))
          running.kill('SIGKILL');
      }
    } catch (error) {
      running.kill('SIGKILL');
      throw error;
    }
    const [status, signal] = (await exited) as [number | null, NodeJS.Signals | null];
    timer?.cancel();
    expect(errors).toBe('');
    this.#afterKill = signal === 'SIGKILL';
    if (this.#afterKill) this.kills[doing]++;
    else expect(status).toBe(0);
    return this.#afterKill;
  }

  #heard(
    line: string,
    doing: 'starting' | 'loading' | 'working',
  ): 'starting' | 'loading' | 'working' {
    const [word, ...rest] = line.split(' ') as [string, ...string[]];
    const number = Number(rest.at(-1));
    if (word === 'loading') {
      expect(number, 'rows that were acknowledged before').toBeGreaterThanOrEqual(this.loaded);
      this.loaded = number;
      return doing === 'working' ? doing : 'loading';
    }
    if (word === 'working') {
      expect(number, 'events that were committed before').toBeGreaterThanOrEqual(this.committed);
      this.committed = number;
      return 'working';
    }
    if (word === 'loaded') this.loaded = number;
    else if (word === 'committed') this.committed = number;
    else if (word === 'late') this.late = number;
    else if (word === 'first') {
      if (this.#afterKill) this.firstMs[rest[0] as 'load' | 'commit'].push(number);
    } else throw new Error(`the child said ${line}`);
    return doing;
  }

  /** Every flight is in the topic once and in order, and the app's results are those of DuckDB. */
  async expectExact(rows: number): Promise<void> {
    const connection = await openFlights(rows);
    const flights = flightsApp({ broker: `file:${this.#directory}`, keyedBy: this.#keyedBy });
    try {
      const wanted = new Prints();
      for await (const chunk of readFlights(connection, 0))
        for (const flight of chunk)
          wanted.add(partitionOf(encodeKey(flight[this.#keyedBy]), 8), flight);
      const found = new Prints();
      for await (const { partition, value } of flights.departures.records())
        found.add(partition, value);
      expect(found.toString()).toBe(wanted.toString());
      const comparisons = await compare(flights, connection);
      expect(comparisons.flatMap(({ differences }) => differences)).toEqual([]);
      expect(comparisons.every((comparison) => comparison.rows > 0)).toBe(true);
    } finally {
      await flights.app.close();
    }
    expect(this.late).toBe(0);
  }
}

/** How many values each partition holds, and a fingerprint of them in their order. */
class Prints {
  readonly #hashes = new Map<number, { count: number; readonly hash: Hash }>();

  add(partition: number, value: unknown): void {
    let print = this.#hashes.get(partition);
    if (print === undefined) {
      print = { count: 0, hash: createHash('sha1') };
      this.#hashes.set(partition, print);
    }
    print.count++;
    print.hash.update(JSON.stringify(value));
  }

  toString(): string {
    return [...this.#hashes]
      .toSorted(([a], [b]) => a - b)
      .map(([partition, { count, hash }]) => `${partition}: ${count} ${hash.digest('hex')}`)
      .join('\n');
  }
}

/** `median 312 ms, max 480 ms of 20`. */
export function summary(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  return `median ${sorted[sorted.length >> 1] ?? '-'} ms, max ${sorted.at(-1) ?? '-'} ms of ${sorted.length}`;
}
