/** Supervision, with children that are made up and in virtual time. */
import { expect, test } from 'vitest';

import { supervise } from '../../src/cli/supervise.ts';
import type { Child, Supervised } from '../../src/cli/supervise.ts';
import type { Logger } from '../../src/core/log.ts';
import { VirtualClock } from '../../src/index.ts';

class FakeChild implements Child {
  readonly pid: number;
  readonly told: string[] = [];
  killed = false;
  #exit: (status: number | null, signal: NodeJS.Signals | null) => void = () => undefined;

  constructor(pid: number) {
    this.pid = pid;
  }

  tell({ reason }: { readonly reason: string }): void {
    this.told.push(reason);
  }

  kill(): void {
    if (this.killed) return;
    this.killed = true;
    this.exit(null, 'SIGKILL');
  }

  onExit(fn: (status: number | null, signal: NodeJS.Signals | null) => void): void {
    this.#exit = fn;
  }

  exit(status: number | null, signal: NodeJS.Signals | null = null): void {
    this.#exit(status, signal);
  }
}

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

function three(): { children: FakeChild[]; group: Supervised; clock: VirtualClock } {
  const clock = new VirtualClock();
  const children: FakeChild[] = [];
  const group = supervise({
    processes: 3,
    start: (index) => {
      const child = new FakeChild(index);
      children.push(child);
      return child;
    },
    clock,
    log: silent,
    stopWithinMs: 1_000,
  });
  return { children, group, clock };
}

test('told to stop, all stop, and the status is 0', async () => {
  const { children, group, clock } = three();
  group.stop('SIGTERM');
  expect(children.map(({ told }) => told)).toEqual([['SIGTERM'], ['SIGTERM'], ['SIGTERM']]);
  for (const child of children) child.exit(0);
  expect(await group.status).toBe(0);
  expect(clock.timers).toBe(0);
});

test('one fails: the others are stopped, and its status is that of all', async () => {
  const { children, group } = three();
  children[1]?.exit(7);
  expect(children[0]?.told).toHaveLength(1);
  children[0]?.exit(0);
  children[2]?.exit(1);
  expect(await group.status).toBe(7);
});

test('one is killed: the status says by which signal', async () => {
  const { children, group } = three();
  children[2]?.exit(null, 'SIGKILL');
  children[0]?.exit(0);
  children[1]?.exit(0);
  expect(await group.status).toBe(137);
});

test('one ends well by itself: the others go on', async () => {
  const { children, group } = three();
  children[0]?.exit(0);
  expect(children[1]?.told).toEqual([]);
  group.stop('SIGINT');
  expect(children[0]?.told).toEqual([]);
  children[1]?.exit(0);
  children[2]?.exit(0);
  expect(await group.status).toBe(0);
});

test('a second word kills', async () => {
  const { children, group } = three();
  group.stop('SIGTERM');
  children[0]?.exit(0);
  group.stop('SIGTERM');
  expect(children.map(({ killed }) => killed)).toEqual([false, true, true]);
  expect(await group.status).toBe(1);
});

test('what does not stop is killed', async () => {
  const { children, group, clock } = three();
  group.stop('SIGTERM');
  children[0]?.exit(0);
  await clock.advance(999);
  expect(children[1]?.killed).toBe(false);
  await clock.advance(1);
  expect(children.map(({ killed }) => killed)).toEqual([false, true, true]);
  expect(await group.status).toBe(1);
});
