import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Broker } from '../../src/broker/broker.ts';
import { openLog, logTables } from '../../src/broker/log/index.ts';
import { keyRef } from '../../src/codec/key.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Kv } from '../../src/kv/kv.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';
import type { CommitFault } from '../../src/kv/simulated/simulated.ts';
import {
  checkCheckpointRow,
  checkpointRows,
  CheckpointReader,
} from '../../src/state/checkpoint-rows.ts';
import { checkpointDue, checkpointStep } from '../../src/state/checkpoint.ts';
import { MAX_PAGE_BYTES } from '../../src/state/page.ts';
import { recover } from '../../src/state/recovery.ts';
import { TaskState } from '../../src/state/task-state.ts';
import { builder, codec, keyedRows } from './support.ts';

const CHANGELOG = 'app-orders-changelog';
const STATE_ID = 7;

async function open(kv: Kv): Promise<Broker> {
  const broker = await openLog({
    kv,
    url: 'memory:',
    clock: new VirtualClock(),
    random: seededRandom(1),
    durable: false,
  });
  await broker.createTopic({ name: CHANGELOG, partitions: 1, codec: 'rows', role: 'changelog' });
  return broker;
}

async function put(broker: Broker, rows: ReadonlyMap<string, unknown>): Promise<void> {
  const state = new TaskState();
  const store = state.keyed('rows', codec);
  for (const [key, value] of rows) store.write(store.cell(keyRef(key)), value);
  const changelog = builder();
  state.takeDirty(changelog);
  if (changelog.count > 0)
    await broker.append([{ topic: CHANGELOG, partition: 0, frame: changelog.build() }]);
}

async function rowsOf(broker: Broker): Promise<Map<string, unknown>> {
  const { state } = await recover(broker, CHANGELOG, 0, STATE_ID);
  return keyedRows(state.keyed('rows', codec));
}

const step = (broker: Broker) => checkpointStep(broker, CHANGELOG, 0, STATE_ID);

/** Checks that pages are full, in order, and hold what their names say. */
function checkPages(broker: Broker): void {
  let before: Buffer | undefined;
  for (const { rowKey, page } of new CheckpointReader(broker.state, STATE_ID).pages()) {
    expect(page.count).toBeGreaterThan(0);
    if (page.count > 1) expect(page.bytes.length).toBeLessThanOrEqual(MAX_PAGE_BYTES);
    if (before !== undefined) expect(Buffer.compare(before, rowKey)).toBeLessThan(0);
    expect(Buffer.compare(rowKey, page.key(0))).toBeLessThanOrEqual(0);
    for (let i = 1; i < page.count; i++)
      expect(Buffer.compare(page.key(i - 1), page.key(i))).toBeLessThan(0);
    before = page.key(page.count - 1);
  }
}

/** Changes of many rows at once, so that pages are made, split and emptied. */
const batch = fc
  .record({
    from: fc.nat({ max: 3_000 }),
    count: fc.nat({ max: 1_500 }),
    stride: fc.integer({ min: 1, max: 7 }),
    length: fc.constantFrom(0, 1, 20, 300, 2_500, 5_000),
    deletes: fc.boolean(),
  })
  .map(({ from, count, stride, length, deletes }) => {
    const rows = new Map<string, unknown>();
    const some = length > 1_000 ? Math.min(count, 100) : count;
    for (let n = 0; n < some; n++) {
      const key = from + n * stride;
      rows.set(`k${key}`, deletes ? undefined : `${key}${'v'.repeat((length * (key % 5)) / 4)}`);
    }
    return rows;
  });

describe('pages', () => {
  test('hold the rows of a map, whatever is written and wherever a commit of the store fails', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(batch, { minLength: 1, maxLength: 8 }),
        fc.infiniteStream(
          fc.oneof(
            { weight: 4, arbitrary: fc.constant(undefined) },
            {
              weight: 1,
              arbitrary: fc.constantFrom<CommitFault>(
                { fail: 'disk-full' },
                { fail: 'io-before' },
                { fail: 'io-after' },
              ),
            },
          ),
        ),
        async (batches, plan) => {
          let faulty = false;
          const kv = simulatedKv({
            tables: logTables,
            faults: () => (faulty ? (plan.next().value as CommitFault | undefined) : undefined),
          });
          const broker = await open(kv);
          const model = new Map<string, unknown>();
          for (const rows of batches) {
            await put(broker, rows);
            for (const [key, value] of rows)
              if (value === undefined) model.delete(key);
              else model.set(key, value);
            faulty = true;
            for (let complete = false; !complete;)
              try {
                ({ complete } = await step(broker));
              } catch (error) {
                expect(MillraceError.is(error)).toBe(true);
                expect(await rowsOf(broker)).toEqual(model);
              }
            faulty = false;
            expect(await rowsOf(broker)).toEqual(model);
            checkPages(broker);
          }
          expect([...checkpointRows(broker.state, STATE_ID)]).toHaveLength(model.size);
          await broker.close();
        },
      ),
      { numRuns: 25 },
    );
  }, 60_000);

  test('no row is ever missing while they are split: after a crash at any commit of the store', async () => {
    const before = new Map(
      Array.from({ length: 3_000 }, (_, n) => [`k${n}`, 'v'.repeat(n % 500)] as const),
    );
    const after = new Map(
      Array.from({ length: 9_000 }, (_, n) => [`k${n * 3}x`, `${n}${'v'.repeat(300)}`] as const),
    );
    const all = new Map([...before, ...after]);
    for (let commits = 0; ; commits++) {
      let left = Infinity;
      const kv = simulatedKv({
        tables: logTables,
        faults: () => (left-- <= 0 ? { fail: 'disk-full' } : undefined),
      });
      const broker = await open(kv);
      await put(broker, before);
      await step(broker);
      await put(broker, after);
      left = commits;
      const done = await step(broker).then(
        () => true,
        () => false,
      );
      kv.crash();
      const again = await open(kv.reopen());
      expect(await rowsOf(again)).toEqual(all);
      await again.close();
      if (done) {
        expect(commits).toBeGreaterThan(2);
        return;
      }
    }
  }, 60_000);

  test('two checkpoints at once, and one of an owner that was, give the rows of the map', async () => {
    const broker = await open(simulatedKv({ tables: logTables }));
    const model = new Map<string, unknown>();
    for (let round = 0; round < 6; round++) {
      const rows = new Map<string, unknown>();
      for (let n = 0; n < 6_000; n++)
        rows.set(`k${(n * 7 + round * 13) % 9_000}`, `${round}${'v'.repeat(300)}`);
      await put(broker, rows);
      for (const [key, value] of rows) model.set(key, value);
      const first = step(broker);
      await put(broker, new Map([['k1', round]]));
      model.set('k1', round);
      const results = await Promise.allSettled([first, step(broker), step(broker)]);
      expect(results.some(({ status }) => status === 'fulfilled')).toBe(true);
      expect(await rowsOf(broker)).toEqual(model);
    }
    while (!(await step(broker)).complete);
    expect(await rowsOf(broker)).toEqual(model);
    checkPages(broker);
    await broker.close();
  }, 60_000);
});

/** The broker, with `before` called in front of each transaction of its store. */
function withGate(broker: Broker, before: () => Promise<void>): Broker {
  const { state } = broker;
  const gated: Kv = {
    maxKeyBytes: state.maxKeyBytes,
    get: (table, key) => state.get(table, key),
    range: (table, range) => state.range(table, range),
    transact: async (body) => {
      await before();
      return await state.transact(body);
    },
    flush: () => state.flush(),
    close: () => state.close(),
  };
  return new Proxy(broker, {
    get(target, name) {
      if (name === 'state') return gated;
      const value = Reflect.get(target, name) as unknown;
      return typeof value === 'function'
        ? (value as (...args: unknown[]) => unknown).bind(target)
        : value;
    },
  });
}

test('a former owner that writes between two transactions of a checkpoint does not put rows back', async () => {
  const broker = await open(simulatedKv({ tables: logTables }));
  const value = 'v'.repeat(300);
  await put(broker, new Map(Array.from({ length: 6_000 }, (_, n) => [`k${n}`, `old${value}`])));
  const gates = [0, 1].map(() => Promise.withResolvers<void>());
  let late = 0;
  const former = step(
    withGate(broker, async () => {
      await gates[Math.min(late++, 1)]?.promise;
    }),
  );
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  expect(late).toBe(1);
  await put(broker, new Map(Array.from({ length: 6_000 }, (_, n) => [`k${n}`, `new${value}`])));
  let own = 0;
  const result = await step(
    withGate(broker, async () => {
      // One transaction of its own, then one of the former owner.
      if (own++ !== 1) return;
      gates[0]?.resolve();
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    }),
  );
  gates[1]?.resolve();
  await former;
  expect(own).toBeGreaterThan(1);
  expect(result.position).toBeGreaterThan(0);
  while (!(await step(broker)).complete);
  const rows = await rowsOf(broker);
  expect(rows.size).toBe(6_000);
  expect([...rows.values()].every((row) => row === `new${value}`)).toBe(true);
  await broker.close();
});

describe('checksums', () => {
  const long = 'x'.repeat(5_000);

  async function stored(): Promise<{
    readonly broker: Broker;
    readonly rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[];
  }> {
    const broker = await open(simulatedKv({ tables: logTables }));
    await put(
      broker,
      new Map<string, unknown>([
        ['a', 1],
        ['b', 'two'],
        [long, 3],
      ]),
    );
    await step(broker);
    return { broker, rows: [...broker.state.range('state', {})] };
  }

  test('are right for what was written', async () => {
    const { broker, rows } = await stored();
    expect(rows).toHaveLength(3);
    for (const { key, value } of rows) expect(checkCheckpointRow(key, value)).toBeUndefined();
    await broker.close();
  });

  test('find every flipped bit of a value, and every cut', async () => {
    const { broker, rows } = await stored();
    for (const { key, value } of rows) {
      for (let at = 0; at < Math.min(value.length, 100); at++)
        for (let bit = 0; bit < 8; bit++) {
          const flipped = Uint8Array.from(value);
          flipped[at] = (flipped[at] as number) ^ (1 << bit);
          expect(checkCheckpointRow(key, flipped)).toBeDefined();
        }
      for (const length of [0, 1, 3, 5, value.length - 1])
        expect(checkCheckpointRow(key, value.subarray(0, length))).toBeDefined();
    }
    await broker.close();
  });

  test('find a value under the key of another', async () => {
    const { broker, rows } = await stored();
    const [head, page, row] = rows as [(typeof rows)[0], (typeof rows)[0], (typeof rows)[0]];
    expect(checkCheckpointRow(page.key, row.value)).toMatch(/page of rows from the first on/);
    expect(checkCheckpointRow(row.key, page.value)).toMatch(
      /row with key hash [0-9a-f]+.* of table rows is wrong/,
    );
    expect(checkCheckpointRow(head.key, page.value)).toMatch(/position/);
    const moved = Buffer.concat([page.key, Buffer.from('\u{4}rows\0m')]);
    expect(checkCheckpointRow(moved, page.value)).toMatch(/page of rows from "m" of table rows on/);
    for (const key of [Buffer.of(), Buffer.of(0, 0, 0, 7), Buffer.of(0, 0, 0, 7, 9)])
      expect(checkCheckpointRow(key, page.value)).toBeDefined();
    await broker.close();
  });

  test('that are wrong stop recovery, checkpoints and reading, and name the task and the rows', async () => {
    for (const which of [0, 1, 2]) {
      const { broker, rows } = await stored();
      const { key, value } = rows[which] as (typeof rows)[0];
      const flipped = Uint8Array.from(value);
      flipped[6] = (flipped[6] as number) ^ 1;
      await broker.state.transact((txn) => txn.put('state', key, flipped));
      await put(broker, new Map([['a', 2]]));
      const text = [/position/, /rows from the first on/, /row with key hash .* of table rows/][
        which
      ];
      const recovering = recover(broker, CHANGELOG, 0, STATE_ID);
      await expect(recovering).rejects.toMatchObject({ code: 'MR_CORRUPT' });
      await expect(recovering).rejects.toThrow(text);
      await expect(recovering).rejects.toThrow(/app-orders-changelog\[0\] is damaged.*backup/);
      if (which < 2) await expect(step(broker)).rejects.toMatchObject({ code: 'MR_CORRUPT' });
      await broker.close();
    }
  });
});

test('a checkpoint is due at 200,000 entries, later for many rows, at half a million in any case', () => {
  expect(checkpointDue(199_999, 0)).toBe(false);
  expect(checkpointDue(200_000, 0)).toBe(true);
  expect(checkpointDue(200_000, 200_000)).toBe(true);
  expect(checkpointDue(200_000, 300_000)).toBe(false);
  expect(checkpointDue(300_000, 300_000)).toBe(true);
  expect(checkpointDue(500_000, 1e9)).toBe(true);
});
