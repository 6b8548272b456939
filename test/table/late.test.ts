/** Late events: what counts as late, and where it goes. */
import { describe, expect, test } from 'vitest';

import { msgpack } from '../../src/codec/msgpack.ts';
import type { LateEvent } from '../../src/table/late.ts';
import type { WindowOptions } from '../../src/table/window-options.ts';
import type { WindowedTable } from '../../src/table/windowed-table.ts';
import { expectError } from '../codec/support.ts';
import { tableOn, TaskBench, topicCalled } from './task-bench.ts';

type Counts = WindowedTable<string, number, number>;

function countsOf(
  bench: TaskBench,
  options: WindowOptions<string> = {},
  step: number | null = 5,
): Counts {
  const { table } = tableOn(bench.host, 'counts', () => 0);
  return step === null ? table.tumbling(10, options) : table.hopping(10, step, options);
}

function startsOf(bench: TaskBench): Record<number, unknown> {
  const store = bench.state.windowed('counts', msgpack);
  return Object.fromEntries(
    store
      .starts(-Infinity, Infinity)
      .flatMap((start) => [...store.rows(start)].map(([, value]) => [start, value])),
  );
}

describe('of windows that overlap', () => {
  test('an event changes those that are open, and is late for the others', async () => {
    const bench = new TaskBench();
    const seen: LateEvent<string>[] = [];
    const counts = countsOf(bench, {
      grace: 2,
      onLate: (late: LateEvent<string>) => void seen.push(late),
    });
    bench.update(counts, (n: number) => n + 1);
    await bench.send(counts, 'k', 12, 'first');
    // Windows of 9 start at 0 and 5; the first closes at 12.
    await bench.send(counts, 'k', 9, 'second');
    // Those of 4 start at -5 and 0.
    await bench.send(counts, 'k', 4, 'third');
    expect(startsOf(bench)).toEqual({ 5: 2, 10: 1 });
    expect(bench.late.get('counts')).toBe(3);
    expect(seen).toEqual([
      {
        table: 'counts',
        key: 'k',
        value: 'second',
        timestamp: 9,
        window: { start: 0, end: 10 },
        windows: 1,
        lateByMs: 0,
      },
      {
        table: 'counts',
        key: 'k',
        value: 'third',
        timestamp: 4,
        window: { start: 0, end: 10 },
        windows: 2,
        lateByMs: 0,
      },
    ]);
    await bench.send(counts, 'k', 30);
    await bench.send(counts, 'k', 1);
    expect(seen.at(-1)).toMatchObject({ window: { start: 0 }, windows: 2, lateByMs: 18 });
  });

  test('passes on a change for each open window, in the order of their ends', async () => {
    const bench = new TaskBench();
    const counts = countsOf(bench);
    const changes: unknown[] = [];
    bench.update(
      counts,
      (n) => n + 1,
      (change) => {
        changes.push(change);
      },
    );
    await bench.send(counts, 'k', 7);
    await bench.send(counts, 'k', 12);
    await bench.send(counts, 'k', 8);
    expect(changes).toEqual([
      { key: 'k', value: 1, previous: undefined, window: { start: 0, end: 10 } },
      { key: 'k', value: 1, previous: undefined, window: { start: 5, end: 15 } },
      { key: 'k', value: 2, previous: 1, window: { start: 5, end: 15 } },
      { key: 'k', value: 1, previous: undefined, window: { start: 10, end: 20 } },
      { key: 'k', value: 3, previous: 2, window: { start: 5, end: 15 } },
    ]);
  });

  test('one change is done with before the next', async () => {
    const bench = new TaskBench();
    const counts = countsOf(bench);
    const order: string[] = [];
    bench.update(
      counts,
      (n) => n + 1,
      async (change) => {
        const { start } = (change as { window: { start: number } }).window;
        order.push(`begin ${start}`);
        await bench.clock.turn();
        order.push(`end ${start}`);
      },
    );
    await bench.send(counts, 'k', 7);
    expect(order).toEqual(['begin 0', 'end 0', 'begin 5', 'end 5']);
  });
});

describe('onLate', () => {
  test('a topic gets the event in the commit, with key and time', async () => {
    const bench = new TaskBench();
    const counts = countsOf(bench, { onLate: topicCalled('late') }, null);
    bench.update(counts, (n: number) => n + 1);
    await bench.send(counts, 'k', 25);
    await bench.send(counts, 'k', 3, 'old');
    expect(bench.sent).toEqual([
      {
        to: 'late',
        value: expect.objectContaining({ key: 'k', value: 'old', lateByMs: 15 }) as unknown,
        event: expect.objectContaining({
          timestamp: 3,
          key: expect.objectContaining({ key: 'k' }) as unknown,
        }) as unknown,
      },
    ]);
  });

  test('from an agent the value is not known, and the key is that of the row', async () => {
    const bench = new TaskBench();
    const counts = countsOf(bench, { onLate: topicCalled('late') }, null);
    await bench.event('k', 25, () => counts.update('k', (n) => n + 1));
    await bench.event('k', 3, () => counts.update('other', (n) => n + 1));
    expect(bench.late.get('counts')).toBe(1);
    expect(bench.sent).toMatchObject([
      { value: { key: 'other', value: undefined }, event: { key: { key: 'other' }, raw: null } },
    ]);
  });

  test('a function that takes time is waited for, behind a stream and in an agent', async () => {
    const bench = new TaskBench();
    const done: unknown[] = [];
    const counts = countsOf(
      bench,
      {
        onLate: async ({ timestamp }: LateEvent<string>) => {
          await bench.clock.turn();
          done.push(timestamp);
        },
      },
      null,
    );
    bench.update(counts, (n: number) => n + 1);
    await bench.send(counts, 'k', 25);
    await bench.send(counts, 'k', 3);
    expect(done).toEqual([3]);
    await bench.event('k', 4, () => counts.update('k', (n) => n + 1));
    expect(done).toEqual([3, 4]);
  });

  test('a function that throws fails the event, whenever it does', async () => {
    const bench = new TaskBench();
    const failing = { how: 'now' };
    const counts = countsOf(
      bench,
      {
        onLate: () => {
          if (failing.how === 'now') throw new Error('no room');
          return Promise.reject(new Error('no room'));
        },
      },
      null,
    );
    bench.update(counts, (n: number) => n + 1);
    await bench.send(counts, 'k', 25);
    for (failing.how of ['now', 'later']) {
      await expect(bench.send(counts, 'k', 3)).rejects.toThrow('no room');
      await expect(bench.event('k', 3, () => counts.update('k', (n) => n + 1))).rejects.toThrow(
        'no room',
      );
    }
    // What the events did was taken back.
    expect(bench.late.get('counts')).toBe(0);
  });

  test.each([null, 5, 'late', {}])('%j is refused', (target) => {
    const options = { onLate: target } as unknown as WindowOptions<string>;
    expectError(
      'MR_OPTION_INVALID',
      () => countsOf(new TaskBench(), options),
      /onLate of table counts is .*; give a function, a topic or an agent/,
    );
  });
});

describe('the window that is meant', () => {
  test('current, delta, at and now', async () => {
    const bench = new TaskBench();
    const counts = countsOf(bench, { grace: 100 });
    bench.update(counts, (n: number) => n + 1);
    for (const time of [1, 7, 22]) await bench.send(counts, 'k', time);
    await bench.event('k', 8, () => {
      expect(counts.current('k')).toBe(1);
      expect(counts.delta('k', 3)).toBe(1);
      expect(counts.delta('k', 4)).toBe(2);
      expect(counts.delta('k', '8ms')).toBe(2);
      expect(counts.at('k', 4)).toBe(2);
      expect(counts.at('k', 5)).toBe(1);
      expect(counts.now('k')).toBe(1);
      expect(counts.now('other')).toBe(0);
      expect([...counts.windows('k')].map(([{ start, end }, n]) => [start, end, n])).toEqual([
        [-5, 5, 1],
        [0, 10, 2],
        [5, 15, 1],
        [15, 25, 1],
        [20, 30, 1],
      ]);
      expectError('MR_OPTION_INVALID', () => counts.delta('k', 0.5), /back is 0\.5/);
      expectError('MR_ARGUMENT_INVALID', () => counts.at('k', 0.5), /at 0\.5; give integer/);
    });
  });

  test('now by the wall clock', async () => {
    const bench = new TaskBench();
    const counts = countsOf(bench, { relativeTo: 'now' }, null);
    bench.update(counts, (n: number) => n + 1);
    await bench.send(counts, 'k', 1_000_005);
    await bench.event('k', 1_000_025, () => expect(counts.now('k')).toBe(1));
    await bench.clock.advance(10);
    await bench.event('k', 1_000_025, () => expect(counts.now('k')).toBe(0));
  });

  test('before stream time is known it is that of the event', async () => {
    const bench = new TaskBench();
    const counts = countsOf(bench);
    await bench.event('k', -Infinity, (event) => {
      event.timestamp = 7;
      counts.update('k', (n) => n + 1);
      expect(counts.now('k')).toBe(1);
    });
  });

  test('relativeTo is checked', () => {
    const options = { relativeTo: 'event' } as unknown as WindowOptions<string>;
    expectError(
      'MR_OPTION_INVALID',
      () => countsOf(new TaskBench(), options),
      /relativeTo is "event"; give 'stream' or 'now'/,
    );
  });
});
