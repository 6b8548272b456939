/** Asking for rows from outside: whom, for how long, and what an answer means. */
import { describe, expect, test } from 'vitest';

import { partitionOf } from '../../src/codec/partition.ts';
import { encodeKey } from '../../src/codec/key.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import type { AskLimits, TableHost } from '../../src/table/definition.ts';
import { Processing } from '../../src/table/processing.ts';
import { decodeQuestion, storedRow } from '../../src/table/question.ts';
import type { Table } from '../../src/table/table.ts';
import { hostOf, tableOn, TaskBench } from './task-bench.ts';

interface Asked {
  readonly task: string;
  readonly question: unknown;
  readonly limits: AskLimits | undefined;
}

function setup(answers: (attempt: number) => Promise<Uint8Array>, home = true) {
  const clock = new VirtualClock(1_000_000);
  const asked: Asked[] = [];
  const host: TableHost = {
    ...hostOf(new Processing(), clock),
    home: async () =>
      home ? { table: 'stored-rows', subTopology: 'orders-count', partitions: 4 } : undefined,
    ask: (task, question, limits) => {
      asked.push({ task, question: decodeQuestion(question), limits });
      return answers(asked.length);
    },
    stored: async (task, question) => {
      asked.push({ task, question: decodeQuestion(question), limits: undefined });
      return await answers(asked.length);
    },
  };
  const make = (): Table<string, number, number> => tableOn(host, 'rows', () => 0).table;
  return { clock, asked, table: make(), windows: make() };
}

const row = (value: unknown): Promise<Uint8Array> =>
  Promise.resolve(storedRow(value === undefined ? undefined : msgpack.encode(value)));

const failing = (code: 'MR_NO_OWNER' | 'MR_TIMEOUT' | 'MR_IO'): Promise<never> =>
  Promise.reject(new MillraceError(code, 'not now', { retryable: true }));

/** Lets time go on until `done` has settled; how long it took. */
async function timed<T>(clock: VirtualClock, done: Promise<T>): Promise<[T | Error, number]> {
  const before = clock.monotonic();
  let result: T | Error | undefined;
  const settled = done.then(
    (value) => (result = value),
    (error: Error) => (result = error),
  );
  while (result === undefined) await clock.advance(10);
  await settled;
  return [result, clock.monotonic() - before];
}

describe('query', () => {
  test('asks the task that the key lives in', async () => {
    const { table, asked } = setup(() => row(7));
    for (const key of ['a', 'b', 'c', 'd', 'e']) {
      expect(await table.query(key)).toBe(7);
      const bytes = encodeKey(key);
      expect(asked.at(-1)).toMatchObject({
        task: `orders-count/${partitionOf(bytes, 4)}`,
        question: { table: 'stored-rows', key: bytes, window: undefined },
      });
    }
  });

  test('gives the default where there is no row, and where there is no table yet', async () => {
    expect(await setup(() => row(undefined)).table.query('a')).toBe(0);
    const nowhere = setup(() => row(5), false);
    expect(await nowhere.table.query('a')).toBe(0);
    expect(await nowhere.table.query('a', { stale: true })).toBe(0);
    expect(nowhere.asked).toEqual([]);
  });

  test('tries again while nobody owns the key or answers', async () => {
    const { table, asked, clock } = setup((attempt) =>
      attempt === 1 ? failing('MR_NO_OWNER') : attempt === 2 ? failing('MR_TIMEOUT') : row(3),
    );
    expect((await timed(clock, table.query('a')))[0]).toBe(3);
    expect(asked).toHaveLength(3);
  });

  test('gives up after its timeout, with the last error', async () => {
    const { table, asked, clock } = setup(() => failing('MR_NO_OWNER'));
    const [error, took] = await timed(clock, table.query('a', { timeout: '2s' }));
    expect(error).toMatchObject({ code: 'MR_NO_OWNER' });
    expect(took).toBe(2_000);
    expect(asked.length).toBeGreaterThan(3);
    expect(asked.length).toBeLessThan(20);
    let left = 2_000;
    for (const { limits } of asked) {
      expect(limits?.timeoutMs).toBeLessThanOrEqual(left);
      expect(limits?.timeoutMs).toBeGreaterThan(0);
      left = Math.min(left, 2_000);
    }
  });

  test('other errors are the caller’s at once', async () => {
    const { table, asked } = setup(() => failing('MR_IO'));
    await expect(table.query('a')).rejects.toMatchObject({ code: 'MR_IO' });
    expect(asked).toHaveLength(1);
  });

  test('ends with its signal', async () => {
    const { table, asked, clock } = setup(() => failing('MR_NO_OWNER'));
    const abort = new AbortController();
    const done = expect(table.query('a', { signal: abort.signal })).rejects.toMatchObject({
      code: 'MR_ABORTED',
    });
    await clock.turn();
    abort.abort();
    await done;
    expect(asked).toHaveLength(1);
    expect(clock.timers).toBe(0);
    await expect(table.query('a', { signal: abort.signal, stale: true })).rejects.toMatchObject({
      code: 'MR_ABORTED',
    });
  });

  test('stale reads what is stored', async () => {
    const { table, asked } = setup(() => row(9));
    expect(await table.query('a', { stale: true })).toBe(9);
    expect(asked).toMatchObject([{ limits: undefined, question: { table: 'stored-rows' } }]);
  });

  test('is refused while an event is processed, unless it is stale', async () => {
    const bench = new TaskBench();
    const host: TableHost = {
      ...bench.host,
      home: async () => ({ table: 'rows', subTopology: 's', partitions: 1 }),
      stored: () => row(5),
    };
    const { table } = tableOn(host, 'rows', () => 0);
    await bench.event('k', 1, async () => {
      await expect(table.query('k')).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
        message: expect.stringMatching(
          /rows\.get\(key\), or query\(key, \{ stale: true \}\)/u,
        ) as unknown,
      });
      expect(await table.query('k', { stale: true })).toBe(5);
    });
  });

  test('refuses keys and timeouts that are none', async () => {
    const { table, asked } = setup(() => row(9));
    await expect(table.query(Number.NaN as unknown as string)).rejects.toMatchObject({
      code: 'MR_KEY_INVALID',
    });
    await expect(table.query('a', { timeout: 0 })).rejects.toMatchObject({
      code: 'MR_OPTION_INVALID',
    });
    expect(asked).toEqual([]);
  });
});

describe('query of windows', () => {
  test('names the window, by time or by stream time', async () => {
    const { windows, asked } = setup(() => row(4));
    const counts = windows.hopping(10, 5);
    expect(await counts.query('a', { at: 12 })).toBe(4);
    expect(await counts.query('a')).toBe(4);
    await counts.query('a', { at: 'now', stale: true });
    expect(asked.map(({ question }) => (question as { window: unknown }).window)).toEqual([
      { start: 10 },
      { current: { stepMs: 5 } },
      { current: { stepMs: 5 } },
    ]);
    await expect(counts.query('a', { at: 0.5 })).rejects.toMatchObject({
      code: 'MR_ARGUMENT_INVALID',
    });
  });

  test('now by the wall clock is the asker’s', async () => {
    const { windows, asked, clock } = setup(() => row(undefined));
    const counts = windows.tumbling(10, { relativeTo: 'now' });
    await clock.advance(25);
    expect(await counts.query('a')).toBe(0);
    expect(asked[0]?.question).toMatchObject({ window: { start: 1_000_020 } });
  });
});
