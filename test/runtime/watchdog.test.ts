import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { Heartbeat, watchHeartbeat } from '../../src/runtime/watchdog-heartbeat.ts';
import { STUCK_EXIT_CODE, startWatchdog } from '../../src/runtime/watchdog.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';
import { Program } from '../faults/processes.ts';
import { withDirectory } from '../kv/support.ts';

const child = new URL('./watchdog-child.ts', import.meta.url);

describe('a heartbeat', () => {
  it('is seen over the same buffer', () => {
    const mine = new Heartbeat();
    const other = new Heartbeat(mine.buffer);
    expect([other.count, other.label]).toEqual([0, '']);
    mine.beat('task orders/3');
    mine.beat();
    expect([other.count, other.label]).toEqual([2, 'task orders/3']);
    mine.beat('schlüssel');
    expect(other.label).toBe('schlüssel');
  });

  it('cuts long labels between characters', () => {
    const heartbeat = new Heartbeat();
    heartbeat.beat('ü'.repeat(500));
    expect(heartbeat.label).toBe('ü'.repeat(120));
    heartbeat.beat(`x${'ü'.repeat(500)}`);
    expect(heartbeat.label).toBe(`x${'ü'.repeat(119)}`);
    heartbeat.beat('');
    expect(heartbeat.label).toBe('');
  });
});

describe('watching a heartbeat', () => {
  function watched(clock: Clock): { heartbeat: Heartbeat; stuck: number[]; stop: () => void } {
    const heartbeat = new Heartbeat();
    const stuck: number[] = [];
    const stop = watchHeartbeat({
      heartbeat,
      clock,
      stuckAfterMs: 800,
      onStuck: (silentMs) => stuck.push(silentMs),
    });
    return { heartbeat, stuck, stop };
  }

  it('finds out when it stands still, once', async () => {
    const clock = new VirtualClock();
    const { heartbeat, stuck } = watched(clock);
    for (let i = 0; i < 10; i++) {
      await clock.advance(700);
      heartbeat.beat();
    }
    await clock.advance(799);
    expect(stuck).toEqual([]);
    await clock.advance(101);
    expect(stuck).toEqual([800]);
    expect(clock.timers).toBe(0);
  });

  it('can be stopped', async () => {
    const clock = new VirtualClock();
    const { stuck, stop } = watched(clock);
    await clock.advance(700);
    stop();
    expect(clock.timers).toBe(0);
    await clock.advance(10_000);
    expect(stuck).toEqual([]);
  });

  it('does not count the time in which the process was frozen', () => {
    let nowMs = 0;
    let look = (): void => undefined;
    const { heartbeat, stuck } = watched({
      boot: '',
      now: () => 0,
      monotonic: () => nowMs,
      setTimer(_delayMs: number, fn: () => void) {
        look = fn;
        return { cancel: () => undefined };
      },
      turn: () => Promise.resolve(),
    });
    nowMs += 500;
    look();
    nowMs += 3_600_000;
    look();
    expect(stuck).toEqual([]);
    heartbeat.beat();
    look();
    nowMs += 100;
    look();
    expect(stuck).toEqual([]);
    for (let i = 0; i < 7; i++) {
      nowMs += 100;
      look();
    }
    expect(stuck).toEqual([800]);
  });
});

describe.concurrent('a process with a watchdog', { timeout: 60_000 }, () => {
  async function run(...args: readonly string[]): Promise<Program> {
    const program = new Program(child, args);
    await program.status;
    return program;
  }

  it.for([
    ['spin', 'spinForEver ('],
    ['promises', 'watchdog-child.ts:'],
  ] as const)('that is stuck in JavaScript (%s) says where and ends', async ([what, where]) => {
    const program = await run(what);
    expect(await program.status).toBe(STUCK_EXIT_CODE);
    expect(program.stderr).toMatch(
      /^millrace: the main thread has been stuck for \d+ ms, last in task orders\/3 at orders\/3@4711, at .*; the process ends with code 70$/m,
    );
    expect(program.stderr).toContain(where);
    expect(program.stdout).toBe('');
  });

  it('that is stuck in a transaction ends, and the store is free', () =>
    withDirectory(async (directory) => {
      const program = await run('transaction', directory);
      expect(await program.status).toBe(STUCK_EXIT_CODE);
      expect(program.stderr).toContain('spinForEver (');
      const kv = await openLmdb({ path: directory, tables: KV_TABLES });
      await kv.transact((txn) => txn.put('first', Buffer.from('key'), Buffer.from('value')));
      await kv.close();
    }));

  it.skipIf(process.platform === 'win32')('that is stuck in native code is killed', () =>
    withDirectory(async (directory) => {
      const pipe = join(directory, 'pipe');
      execFileSync('mkfifo', [pipe]);
      const program = await run('native', pipe);
      expect(await program.status).toBe('SIGKILL');
      expect(program.stderr).toMatch(
        /^millrace: .*, last in task orders\/3 at orders\/3@4711, in native code; the process is killed$/m,
      );
    }),
  );

  it.for(['beat', 'idle', 'stopped', 'nothing'])('that is not stuck (%s) goes on', async (what) => {
    const program = await run(what);
    expect(program.stdout).toBe('not stuck\nan exit listener ran\n');
    expect(await program.status).toBe(0);
    expect(program.stderr).toBe('');
  });
});

describe('startWatchdog', () => {
  it('stops without leaving a timer', async () => {
    const clock = new VirtualClock();
    const watchdog = startWatchdog({ stuckAfterMs: 60_000, clock });
    watchdog.beat('task orders/3');
    expect(clock.timers).toBe(1);
    await watchdog.stop();
    expect(clock.timers).toBe(0);
  });

  it('refuses times that a garbage collection can take', () => {
    for (const stuckAfterMs of [0, 99, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => startWatchdog({ stuckAfterMs, clock: new VirtualClock() })).toThrowError(
        expect.objectContaining({ code: 'MR_ARGUMENT_INVALID' }) as Error,
      );
  });
});
