/** Tasks and timers beside the streams of an app, in virtual time. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { VirtualClock } from '../../src/index.ts';
import type { App, MillraceError, Table, Topic } from '../../src/index.ts';
import { Leadership } from '../../src/app/leader.ts';
import { runTimer } from '../../src/app/timer.ts';
import { withMachine } from './machine.ts';
import type { Machine } from './machine.ts';
import { bench, close, keyed, logTo, moment, rowsOf, turns, withApp } from './support.ts';

/** Something for the app to do, so that it has tasks. */
function counting(app: App): {
  readonly numbers: Topic<string, number>;
  readonly sums: Table<string, number, number>;
} {
  const numbers = app.topic('numbers', { ...keyed<number>(), partitions: 2 });
  const sums = app.table<number>('sums', { default: () => 0 });
  numbers.stream().update(sums, (sum, n) => sum + n);
  return { numbers, sums };
}

/** Waits for an abort, as a job does that has nothing else to do. */
function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

describe('a task', () => {
  test('runs once in each life, when the state is loaded and start has returned', () =>
    withApp(async ({ app, clock }) => {
      const { numbers, sums } = counting(app);
      const seen: unknown[] = [];
      let returned = false;
      app.task(async () => {
        seen.push([returned, await rowsOf(sums)]);
      });
      for (let life = 1; life <= 2; life++) {
        returned = false;
        const running = await app.start();
        returned = true;
        await turns(clock);
        await numbers.send(20, { key: 'k' });
        await running.settled();
        await running.stop();
      }
      expect(seen).toEqual([
        [true, new Map()],
        [true, new Map([['k', 20]])],
      ]);
    }));

  test('sends and waits on the clock of the app, and the worker goes on when it has ended', () =>
    withApp(async ({ app, clock }) => {
      const { numbers, sums } = counting(app);
      const waited: number[] = [];
      app.task(async ({ sleep }) => {
        for (let n = 1; n <= 3; n++) {
          const at = clock.monotonic();
          await sleep('10s');
          waited.push(clock.monotonic() - at);
          await numbers.send(n, { key: 'k' });
        }
      });
      const running = await app.start();
      await clock.advance(60_000);
      await running.settled();
      expect(waited).toEqual([10_000, 10_000, 10_000]);
      expect(await rowsOf(sums)).toEqual(new Map([['k', 6]]));
      await numbers.send(4, { key: 'k' });
      await running.settled();
      expect(await rowsOf(sums)).toEqual(new Map([['k', 10]]));
    }));

  test('is told when the worker stops, and waited for', () =>
    withApp(async ({ app, clock }) => {
      counting(app);
      const goOn = moment();
      const seen: string[] = [];
      app.task(async ({ signal }) => {
        seen.push('began');
        await untilAborted(signal);
        seen.push('told');
        await goOn.reached;
        seen.push('ended');
      });
      const running = await app.start();
      await turns(clock);
      const stopped = running.stop().then(() => seen.push('stopped'));
      await turns(clock);
      expect(seen).toEqual(['began', 'told']);
      goOn.come();
      await stopped;
      expect(seen).toEqual(['began', 'told', 'ended', 'stopped']);
    }));

  test('does not run in an app that is stopped at once', () =>
    withApp(async ({ app }) => {
      counting(app);
      let ran = false;
      app.task(async () => {
        ran = true;
      });
      const running = await app.start({ signal: AbortSignal.abort() });
      await running.done;
      expect(ran).toBe(false);
    }));

  test.each([
    [{}, 'task 2'],
    [{ name: 'loader' }, 'loader'],
  ])('that fails makes the worker fail: %j', (options, name) =>
    withApp(async ({ app, clock }) => {
      counting(app);
      const others: boolean[] = [];
      app.task(async ({ signal }) => {
        await untilAborted(signal);
        others.push(signal.aborted);
      });
      const cause = new Error('no such file');
      app.task(async () => {
        await clock.turn();
        throw cause;
      }, options);
      const running = await app.start();
      const error = await running.done.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'MR_JOB_FAILED',
        cause,
        details: { app: 'shop', job: name },
      });
      expect((error as Error).message).toMatch(`${name} of app shop failed: no such file`);
      expect(others).toEqual([true]);
      // What failed can be started again.
      await (await app.start()).stop().catch(() => undefined);
    }),
  );

  test('that throws without a promise fails the same', () =>
    withApp(async ({ app }) => {
      app.task(() => {
        throw new Error('at once');
      });
      const running = await app.start();
      await expect(running.done).rejects.toMatchObject({ code: 'MR_JOB_FAILED' });
    }));

  test('may end with whatever its signal makes its calls throw', () =>
    withApp(async ({ app, clock, warnings }) => {
      counting(app);
      app.task(({ sleep }) => sleep('1h'));
      app.task(({ signal }) => untilAborted(signal).then(() => signal.throwIfAborted()));
      app.task(({ signal }) =>
        untilAborted(signal).then(() => {
          throw new DOMException('aborted', 'AbortError');
        }),
      );
      const running = await app.start();
      await turns(clock);
      await running.stop();
      expect(warnings).toEqual([]);
    }));

  test('that fails on its way out is told of', () =>
    withApp(async ({ app, clock, warnings }) => {
      counting(app);
      app.task(async ({ signal }) => {
        await untilAborted(signal);
        throw new Error('cannot flush');
      });
      const running = await app.start();
      await turns(clock);
      await running.stop();
      expect(warnings).toEqual([
        'task 1 of app shop failed: cannot flush, after it was told to end',
      ]);
    }));

  test('that does not end is left behind at the deadline, which names it', () =>
    withApp(async ({ app, clock }) => {
      const { numbers, sums } = counting(app);
      const never = moment();
      app.task(() => never.reached, { name: 'stubborn' });
      const running = await app.start();
      await numbers.send(1, { key: 'k' });
      await running.settled();
      const stopped = running.stop({ deadline: '5s' }).catch((error: unknown) => error);
      let ended = false;
      void stopped.then(() => {
        ended = true;
      });
      await clock.advance(4_999);
      expect(ended).toBe(false);
      await clock.advance(1);
      const error = await stopped;
      expect(error).toMatchObject({
        code: 'MR_STOP_TIMEOUT',
        details: { deadlineMs: 5_000, busy: ['stubborn'] },
      });
      expect(await rowsOf(sums)).toEqual(new Map([['k', 1]]));
      await expect(running.done).rejects.toBe(error);
      never.come();
    }));

  test('that does not end does not hide why the worker failed', () =>
    withApp(async ({ app, clock }) => {
      const { numbers } = counting(app);
      const never = moment();
      app.task(() => never.reached);
      numbers.stream().sink(() => {
        throw new Error('broken');
      });
      await numbers.send(1, { key: 'k' });
      const running = await app.start();
      const failure = running.done.catch((error: unknown) => error);
      await clock.advance(29_000);
      await clock.advance(2_000);
      expect(await failure).toMatchObject({ code: 'MR_PROCESSING_FAILED' });
      never.come();
    }));

  test('runs beside an app that has no streams', () =>
    withApp(async ({ app, clock }) => {
      const numbers = app.topic<number>('numbers');
      app.task(async () => {
        await numbers.send(1);
      });
      const running = await app.start();
      await turns(clock);
      await running.stop();
      expect(await Array.fromAsync(numbers.records())).toHaveLength(1);
    }));

  test('runs once in a process, however many workers it has', () =>
    withApp(async ({ app, clock }) => {
      counting(app);
      let runs = 0;
      app.task(async () => void runs++);
      const running = await app.start({ workers: 3 });
      await turns(clock);
      await running.stop();
      expect(runs).toBe(1);
    }));

  test('must be a function, named like nothing else, and declared before the start', () =>
    withApp(async ({ app }) => {
      counting(app);
      const code = (fn: () => void): unknown => {
        try {
          fn();
          return undefined;
        } catch (error) {
          return (error as MillraceError).code;
        }
      };
      const none = undefined as unknown as () => Promise<void>;
      expect(code(() => app.task(none))).toBe('MR_ARGUMENT_INVALID');
      expect(code(() => app.timer('1s', none))).toBe('MR_ARGUMENT_INVALID');
      expect(code(() => app.task(async () => undefined, { name: 'a b' }))).toBe('MR_NAME_INVALID');
      app.task(async () => undefined, { name: 'twice' });
      expect(code(() => app.timer(1, () => undefined, { name: 'twice' }))).toBe('MR_NAME_TAKEN');
      for (const interval of [0, -1, Number.NaN, 'soon' as '1s'])
        expect(code(() => app.timer(interval, () => undefined))).toBe('MR_OPTION_INVALID');
      const running = await app.start();
      expect(code(() => app.task(async () => undefined))).toBe('MR_ARGUMENT_INVALID');
      expect(code(() => app.timer(1, () => undefined))).toBe('MR_ARGUMENT_INVALID');
      await running.stop();
    }));
});

/** An app with a timer, and the times at which it began to run. */
async function ticking(
  body: (run: number, clock: VirtualClock) => unknown,
  advance: (clock: VirtualClock) => Promise<void>,
  intervalMs = 1_000,
): Promise<{ readonly times: number[]; readonly warnings: string[] }> {
  const { app, clock, warnings } = bench();
  try {
    const times: number[] = [];
    await clock.advance(1_234.5);
    const startMs = clock.monotonic();
    app.timer(intervalMs, () => {
      times.push(clock.monotonic() - startMs);
      return body(times.length, clock);
    });
    const running = await app.start();
    await turns(clock);
    await advance(clock);
    await running.stop();
    return { times, warnings };
  } finally {
    await close(app);
  }
}

describe('a timer', () => {
  test('runs for the first time after one interval, and then at its multiples', async () => {
    const { times } = await ticking(
      () => undefined,
      (clock) => clock.advance(5_500),
    );
    expect(times).toEqual([1_000, 2_000, 3_000, 4_000, 5_000]);
  });

  test('does not drift by the time that its runs take', async () => {
    const { times, warnings } = await ticking(
      async (_run, clock) => await new Promise<void>((done) => clock.setTimer(700, done)),
      (clock) => clock.advance(4_900),
    );
    expect(times).toEqual([1_000, 2_000, 3_000, 4_000]);
    expect(warnings).toEqual([]);
  });

  test('leaves out what it missed, does not overlap, and says that it is too slow', async () => {
    let under = 0;
    const { times, warnings } = await ticking(
      async (run, clock) => {
        expect(++under).toBe(1);
        await new Promise<void>((done) => clock.setTimer(run === 2 ? 2_500 : 10, done));
        under--;
      },
      (clock) => clock.advance(7_100),
    );
    expect(times).toEqual([1_000, 2_000, 5_000, 6_000, 7_000]);
    expect(warnings).toEqual([
      'timer 1 of app shop takes longer than its interval, 1000 ms; it runs again when it has ended',
    ]);
  });

  test('does not see the wall clock jump', async () => {
    const { times } = await ticking(
      (_run, clock) => clock.jump(-3_600_000),
      (clock) => clock.advance(3_000),
    );
    expect(times).toEqual([1_000, 2_000, 3_000]);
  });

  test('goes on after a run that throws, and counts the failures', async () => {
    const { times, warnings } = await ticking(
      (run) => {
        if (run === 1 || run === 4) throw new Error(`run ${run}`);
        return run === 2 ? Promise.reject(new Error('run 2')) : undefined;
      },
      (clock) => clock.advance(4_000),
    );
    expect(times).toEqual([1_000, 2_000, 3_000, 4_000]);
    expect(warnings).toEqual([
      'timer 1 of app shop failed, once: run 1; it runs again at its next time',
      'timer 1 of app shop failed, 2 times in a row: run 2; it runs again at its next time',
      'timer 1 of app shop failed, once: run 4; it runs again at its next time',
    ]);
  });

  test('is told when the worker stops, waited for, and sets nothing any more', () =>
    withApp(async ({ app, clock, warnings }) => {
      counting(app);
      const seen: string[] = [];
      app.timer('1s', async ({ signal, sleep }) => {
        seen.push('run');
        await sleep('1h').catch(() => undefined);
        seen.push(`aborted ${signal.aborted}`);
      });
      app.timer('1h', () => seen.push('never'));
      const running = await app.start();
      await clock.advance(1_500);
      await running.stop();
      expect(seen).toEqual(['run', 'aborted true']);
      await app.close();
      await turns(clock);
      expect(clock.timers).toBe(0);
      expect(warnings).toEqual([]);
    }));

  test('runs at multiples of its interval only, and at each that comes while it does not run', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.integer({ min: 0, max: 160 }), { minLength: 1, maxLength: 8 }),
        async (intervalMs, durations) => {
          const lasts = (run: number): number => durations[run % durations.length] ?? 0;
          const expected: number[] = [];
          for (let at = intervalMs; at <= 400;) {
            const endsAt = at + lasts(expected.length);
            expected.push(at);
            // One that is due in the moment in which a run ends was missed.
            at = (Math.floor(endsAt / intervalMs) + 1) * intervalMs;
          }
          expect(await timesOf(intervalMs, lasts, 400)).toEqual(expected);
        },
      ),
    ));
});

/** When a timer runs up to a time, by itself: each run lasts as long as `lasts` says. */
async function timesOf(
  intervalMs: number,
  lasts: (run: number) => number,
  untilMs: number,
): Promise<number[]> {
  const clock = new VirtualClock(0);
  const abort = new AbortController();
  const times: number[] = [];
  const ended = runTimer(
    {
      name: 'timer 1',
      kind: 'timer',
      onLeader: false,
      intervalMs,
      fn: ({ sleep }) => {
        times.push(clock.monotonic());
        return lasts(times.length - 1) > 0 ? sleep(lasts(times.length - 1)) : undefined;
      },
    },
    {
      clock,
      logger: logTo([]),
      app: 'shop',
      group: 'shop',
      leadership: new Leadership({ app: 'shop', subTopologies: [], tables: [], windows: {} }),
      signal: abort.signal,
    },
  );
  await clock.advance(untilMs);
  abort.abort();
  await ended;
  return times;
}

interface Member {
  readonly app: App;
  readonly did: string[];
  readonly ticks: () => number;
  readonly name: string;
}

describe('the leader', () => {
  /** Apps of one group on one machine, and what each of them did as the leader. */
  function team(machine: Machine, count: number): Member[] {
    return Array.from({ length: count }, (_, i) => {
      const app = machine.app('shop', { lease: '2s' });
      counting(app);
      const did: string[] = [];
      app.task(
        async ({ signal }) => {
          did.push('begin');
          await untilAborted(signal);
          did.push('end');
        },
        { onLeader: true },
      );
      let ticks = 0;
      app.timer('1s', () => void ticks++, { onLeader: true });
      return { app, did, ticks: () => ticks, name: `process ${i}` };
    });
  }

  test('is one process; when it stops, another one is', () =>
    withMachine(async (machine) => {
      const [one, two] = team(machine, 2) as [Member, Member];
      const first = await one.app.start();
      const second = await two.app.start();
      await machine.clock.advance(10_000);
      const before = [one, two].map(({ did }) => did.filter((what) => what === 'begin').length);
      // Whoever of them it is by now: terms do not overlap, and one is under way.
      const open = (did: readonly string[]): boolean => did.at(-1) === 'begin';
      expect([one, two].filter(({ did }) => open(did))).toHaveLength(1);
      expect(before.reduce((a, b) => a + b)).toBeGreaterThan(0);
      const [leader, other] = open(one.did) ? [one, two] : [two, one];
      const ticks = [leader.ticks(), other.ticks()] as const;
      await machine.clock.advance(5_000);
      expect([leader.ticks(), other.ticks()]).toEqual([ticks[0] + 5, ticks[1]]);
      await machine.until((leader === one ? first : second).stop());
      expect(leader.did.at(-1)).toBe('end');
      await machine.until(() => open(other.did));
      await machine.clock.advance(3_000);
      expect(other.ticks()).toBeGreaterThan(ticks[1]);
      await machine.until((leader === one ? second : first).stop());
    }));

  test('is told to end before another one begins', () =>
    withMachine(async (machine) => {
      const [one, two] = team(machine, 2) as [Member, Member];
      const log: string[] = [];
      for (const { did, name } of [one, two])
        did.push = (...what) => log.push(...what.map((each) => `${name} ${each}`));
      const first = await one.app.start();
      await machine.clock.advance(1_000);
      expect(log).toEqual(['process 0 begin']);
      const second = await two.app.start();
      await machine.clock.advance(5_000);
      await machine.until(first.stop());
      await machine.until(() => log.at(-1) === 'process 1 begin');
      let leads: string | undefined;
      for (const entry of log) {
        const [name, what] = [entry.slice(0, 9), entry.slice(10)];
        expect(leads).toBe(what === 'begin' ? undefined : name);
        leads = what === 'begin' ? name : undefined;
      }
      await machine.until(second.stop());
      expect(log.at(-1)).toBe('process 1 end');
    }));

  test('does its task once in a term', () =>
    withApp(async ({ app, clock }) => {
      counting(app);
      let runs = 0;
      app.task(async () => void runs++, { onLeader: true });
      const running = await app.start();
      await clock.advance(60_000);
      await running.stop();
      expect(runs).toBe(1);
    }));

  test('that fails makes the worker fail', () =>
    withApp(async ({ app }) => {
      counting(app);
      app.task(() => Promise.reject(new Error('no')), { onLeader: true, name: 'plan' });
      const running = await app.start();
      await expect(running.done).rejects.toMatchObject({ code: 'MR_JOB_FAILED' });
    }));

  test('needs an app with tasks', () =>
    withApp(async ({ app }) => {
      app.topic('unused');
      app.timer('1s', () => undefined, { onLeader: true });
      await expect(app.start()).rejects.toMatchObject({
        code: 'MR_TOPOLOGY_INVALID',
        details: { app: 'shop', job: 'timer 1' },
      });
    }));
});
