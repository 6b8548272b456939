import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { sleep, systemClock, VirtualClock } from '../../src/core/clock.ts';

describe('VirtualClock', () => {
  test('stands still until it is advanced', async () => {
    const clock = new VirtualClock(1_000);
    await clock.turn();
    expect([clock.now(), clock.monotonic()]).toEqual([1_000, 0]);
    await clock.advance(250);
    expect([clock.now(), clock.monotonic()]).toEqual([1_250, 250]);
  });

  test('fires due timers in order of time, then of setting, at the time they are due', async () => {
    const clock = new VirtualClock();
    const fired: string[] = [];
    const set = (name: string, delayMs: number): unknown =>
      clock.setTimer(delayMs, () => fired.push(`${name}@${clock.monotonic()}`));
    set('late', 30);
    set('a', 10);
    set('b', 10);
    set('after', 31);
    set('now', -5);
    await clock.advance(30);
    expect(fired).toEqual(['now@0', 'a@10', 'b@10', 'late@30']);
    expect(clock.timers).toBe(1);
  });

  test('fires timers that timers set, within the same advance', async () => {
    const clock = new VirtualClock();
    const fired: number[] = [];
    const tick = (): void => {
      fired.push(clock.monotonic());
      clock.setTimer(10, tick);
    };
    clock.setTimer(10, tick);
    await clock.advance(35);
    expect(fired).toEqual([10, 20, 30]);
  });

  test('gives the work that a timer starts a turn before the next one fires', async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.setTimer(10, () => {
      void (async () => {
        for (let i = 0; i < 50; i++) await Promise.resolve();
        seen.push(`work@${clock.monotonic()}`);
      })();
    });
    clock.setTimer(20, () => seen.push('second'));
    await clock.advance(20);
    expect(seen).toEqual(['work@10', 'second']);
  });

  test('cancelled timers do not fire; cancelling again is harmless', async () => {
    const clock = new VirtualClock();
    const fn = vi.fn();
    const timer = clock.setTimer(10, fn);
    timer.cancel();
    timer.cancel();
    await clock.advance(20);
    expect(fn).not.toHaveBeenCalled();
    const fired = clock.setTimer(0, fn);
    await clock.advance(0);
    fired.cancel();
    expect(fn).toHaveBeenCalledTimes(1);
  });

  test('a jump moves the wall clock alone, either way', async () => {
    const clock = new VirtualClock(10_000);
    clock.jump(-4_000);
    expect([clock.now(), clock.monotonic()]).toEqual([6_000, 0]);
    await clock.advance(5);
    clock.jump(1_000.5);
    expect([clock.now(), clock.monotonic()]).toEqual([7_005, 5]);
  });

  test('advances that overlap add up and never turn time back', async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    for (const at of [5, 10, 15]) clock.setTimer(at, () => seen.push(clock.monotonic()));
    await Promise.all([clock.advance(10), clock.advance(5)]);
    expect(seen).toEqual([5, 10, 15]);
    expect([clock.now(), clock.monotonic()]).toEqual([15, 15]);
  });

  test('a timer that throws rejects the advance; time can go on', async () => {
    const clock = new VirtualClock();
    clock.setTimer(10, () => {
      throw new Error('from a timer');
    });
    await expect(clock.advance(50)).rejects.toThrow('from a timer');
    expect(clock.monotonic()).toBe(10);
    await clock.advance(5);
    expect(clock.monotonic()).toBe(15);
  });

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses to advance by %s', (byMs) => {
    expect(() => new VirtualClock().advance(byMs)).toThrow(
      expect.objectContaining({ code: 'MR_ARGUMENT_INVALID' }),
    );
  });
});

describe('sleep', () => {
  test('resolves when the time has passed', async () => {
    const clock = new VirtualClock();
    const woken = vi.fn();
    const sleeping = sleep(clock, 100).then(() => woken());
    await clock.advance(99);
    expect(woken).not.toHaveBeenCalled();
    await clock.advance(1);
    expect(woken).toHaveBeenCalledTimes(1);
    await sleeping;
  });

  test('rejects at once when its signal has aborted, and sets no timer', async () => {
    const clock = new VirtualClock();
    const reason = new Error('stopped');
    await expect(sleep(clock, 100, AbortSignal.abort(reason))).rejects.toMatchObject({
      code: 'MR_ABORTED',
      cause: reason,
    });
    expect(clock.timers).toBe(0);
  });

  test('rejects when its signal aborts, and lets go of its timer', async () => {
    const clock = new VirtualClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 100, controller.signal);
    expect(clock.timers).toBe(1);
    controller.abort();
    await expect(sleeping).rejects.toMatchObject({ code: 'MR_ABORTED' });
    expect(clock.timers).toBe(0);
  });

  test('leaves no listener on a signal that did not abort', async () => {
    const clock = new VirtualClock();
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, 'removeEventListener');
    const add = vi.spyOn(signal, 'addEventListener');
    const sleeping = sleep(clock, 10, signal);
    await clock.advance(10);
    await sleeping;
    expect(remove.mock.calls[0]?.[1]).toBe(add.mock.calls[0]?.[1]);
  });
});

describe('systemClock', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('now is whole milliseconds, monotonic does not go back', () => {
    const clock = systemClock();
    expect(Number.isInteger(clock.now())).toBe(true);
    const first = clock.monotonic();
    expect(clock.monotonic()).toBeGreaterThanOrEqual(first);
  });

  test('all processes of a machine read one monotonic scale', () => {
    const url = new URL('../../src/core/clock.ts', import.meta.url).href;
    const program = `import { systemClock } from ${JSON.stringify(url)};
      const { boot } = systemClock();
      console.log(JSON.stringify([boot, systemClock().monotonic()]));`;
    const clock = systemClock();
    const before = clock.monotonic();
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', program]);
    const after = clock.monotonic();
    const [boot, there] = JSON.parse(said.toString()) as [string, number];
    expect(boot).toBe(clock.boot);
    expect(there).toBeGreaterThan(before);
    expect(there).toBeLessThan(after);
  });

  test('a timer of more than 25 days fires when it is due, not before', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const fn = vi.fn();
    const days = (n: number): number => n * 86_400_000;
    systemClock().setTimer(days(60), fn);
    vi.advanceTimersByTime(days(60) - 1);
    expect(fn).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(fn).toHaveBeenCalledTimes(1);
  });

  test('cancels, also after the timer was prolonged', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const fn = vi.fn();
    const timer = systemClock().setTimer(2 ** 32, fn, { unref: true });
    vi.advanceTimersByTime(2 ** 31 + 5);
    timer.cancel();
    vi.advanceTimersByTime(2 ** 33);
    expect(fn).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('turn comes after the microtasks', async () => {
    const seen: string[] = [];
    const turn = systemClock()
      .turn()
      .then(() => seen.push('turn'));
    queueMicrotask(() => seen.push('microtask'));
    await turn;
    expect(seen).toEqual(['microtask', 'turn']);
  });
});
