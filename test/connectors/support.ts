/**
 * What the tests of connectors share.
 *
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { VirtualClock } from '../../src/core/clock.ts';

/** Lets everything that is ready have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Resolves when `condition` holds. One that never does is ended by the limit of the test. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

/** Resolves when a source sleeps until its next look: it has dealt with everything that there was. */
export async function asleep(clock: VirtualClock): Promise<void> {
  await until(() => clock.timers > 0);
}

/** Goes on in time, a millisecond at a time where something real has to happen in between. */
export async function pass(clock: VirtualClock, ms: number): Promise<void> {
  const endMs = clock.monotonic() + ms;
  while (clock.monotonic() < endMs) {
    await asleep(clock);
    await clock.advance(Math.min(1, endMs - clock.monotonic()));
  }
  await asleep(clock);
}

/** A directory of its own for `body`, gone afterwards. */
export async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-connectors-'));
  try {
    await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A gate that values wait at, and that counts them. */
export interface Gate {
  readonly fn: (value: unknown) => Promise<void>;
  /** What has come so far. */
  readonly values: unknown[];
  /** Lets the value at the gate pass, or the next one that comes. */
  readonly open: () => void;
  /** From now on nothing waits. */
  readonly openForGood: () => void;
}

export function gate(): Gate {
  const values: unknown[] = [];
  const waiting: (() => void)[] = [];
  let passes = 0;
  let good = false;
  return {
    values,
    fn: async (value) => {
      values.push(value);
      if (good) return;
      if (passes > 0) passes--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
    },
    open: () => {
      const next = waiting.shift();
      if (next === undefined) passes++;
      else next();
    },
    openForGood: () => {
      good = true;
      for (const next of waiting.splice(0)) next();
    },
  };
}

/** How many sockets and servers the process has open. Files of tests share one process, whose timers come and go. */
export function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;
}

/** The error that `promise` rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not reject');
}
