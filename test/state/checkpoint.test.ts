import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Broker } from '../../src/broker/broker.ts';
import { openLog, logTables } from '../../src/broker/log/index.ts';
import { openBroker } from '../../src/broker/open.ts';
import { keyRef } from '../../src/codec/key.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Kv } from '../../src/kv/kv.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';
import type { CommitFault } from '../../src/kv/simulated/simulated.ts';
import { checkpointRows, headAddress, headValue } from '../../src/state/checkpoint-rows.ts';
import { checkpointPosition, checkpointStep } from '../../src/state/checkpoint.ts';
import { recover } from '../../src/state/recovery.ts';
import { TaskState } from '../../src/state/task-state.ts';
import { builder, change, codec, contents, Modelled } from './support.ts';
import type { Change, Contents } from './support.ts';

const CHANGELOG = 'app-orders-changelog';
const STATE_ID = 7;

async function changelogOn(broker: Broker): Promise<Broker> {
  await broker.createTopic({
    name: CHANGELOG,
    partitions: 1,
    codec: 'rows',
    role: 'changelog',
  });
  return broker;
}

async function open(): Promise<Broker> {
  return await changelogOn(
    await openBroker('memory:', { clock: new VirtualClock(), random: seededRandom(1) }),
  );
}

const bounds = (broker: Broker) => broker.bounds(CHANGELOG, 0);
const step = (broker: Broker) => checkpointStep(broker, CHANGELOG, 0, STATE_ID);
const recovered = (broker: Broker) => recover(broker, CHANGELOG, 0, STATE_ID);
const position = (broker: Broker) => checkpointPosition(broker.state, STATE_ID);

/** Writes what is dirty, as a task's commit does. */
async function commit(broker: Broker, state: TaskState): Promise<void> {
  const changelog = builder();
  state.takeDirty(changelog);
  if (changelog.count > 0)
    await broker.append([{ topic: CHANGELOG, partition: 0, frame: changelog.build() }]);
}

/** One commit that gives each key a value in the keyed store; `undefined` deletes. */
async function put(broker: Broker, state: TaskState, rows: Record<string, unknown>): Promise<void> {
  const store = state.keyed('rows', codec);
  for (const [key, value] of Object.entries(rows)) store.write(store.cell(keyRef(key)), value);
  await commit(broker, state);
}

async function rowsOf(broker: Broker): Promise<Record<string, unknown>> {
  const { state } = await recovered(broker);
  return Object.fromEntries(
    [...state.keyed('rows', codec).rows()].map(([ref, value]) => [ref.key as string, value]),
  );
}

async function codeOf(promise: Promise<unknown>): Promise<MillraceError> {
  try {
    await promise;
  } catch (error) {
    if (MillraceError.is(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** The broker with some of its calls replaced: another process that is slow, or does something in between. */
function withCalls(broker: Broker, calls: Partial<Broker>): Broker {
  return new Proxy(broker, {
    get(target, name) {
      const own = Reflect.get(calls, name) as unknown;
      if (own !== undefined) return own;
      const value = Reflect.get(target, name) as unknown;
      return typeof value === 'function'
        ? (value as (...args: unknown[]) => unknown).bind(target)
        : value;
    },
  });
}

/** The store with a gate in front of every transaction. */
function behindGate(kv: Kv, gate: () => Promise<void>): Kv {
  return {
    maxKeyBytes: kv.maxKeyBytes,
    get: (table, key) => kv.get(table, key),
    range: (table, range) => kv.range(table, range),
    transact: async (body) => {
      await gate();
      return await kv.transact(body);
    },
    flush: () => kv.flush(),
    close: () => kv.close(),
  };
}

describe('recovery', () => {
  test('of a task that never committed', async () => {
    const broker = await open();
    try {
      const { state, entries, behind } = await recovered(broker);
      expect(state.names()).toEqual([]);
      expect([entries, behind]).toEqual([0, 0]);
      expect(await step(broker)).toEqual({ position: 0, complete: true });
    } finally {
      await broker.close();
    }
  });

  test('counts rows of the checkpoint and entries behind it', async () => {
    const broker = await open();
    try {
      const state = new TaskState();
      await put(broker, state, { a: 1, b: 2 });
      await put(broker, state, { b: 3 });
      expect(await recovered(broker)).toMatchObject({ entries: 3, behind: 3 });
      expect(await step(broker)).toEqual({ position: 3, complete: true });
      expect(await recovered(broker)).toMatchObject({ entries: 2, behind: 0 });
      await put(broker, state, { a: undefined, c: 4 });
      expect(await recovered(broker)).toMatchObject({ entries: 4, behind: 2 });
      expect(await rowsOf(broker)).toEqual({ b: 3, c: 4 });
      await step(broker);
      expect(await recovered(broker)).toMatchObject({ entries: 2, behind: 0 });
      expect(await rowsOf(broker)).toEqual({ b: 3, c: 4 });
    } finally {
      await broker.close();
    }
  });

  test('tasks and partitions do not mix', async () => {
    const broker = await open();
    try {
      await broker.createTopic({
        name: 'other',
        partitions: 2,
        codec: 'rows',
        role: 'changelog',
      });
      for (const partition of [0, 1]) {
        const state = new TaskState();
        const store = state.keyed('rows', codec);
        store.write(store.cell(keyRef('a')), partition);
        const changelog = builder();
        state.takeDirty(changelog);
        await broker.append([{ topic: 'other', partition, frame: changelog.build() }]);
      }
      await put(broker, new TaskState(), { a: 'here' });
      await step(broker);
      // Ids next to one another, and next to the longest row key.
      await checkpointStep(broker, 'other', 0, STATE_ID - 1);
      await checkpointStep(broker, 'other', 1, STATE_ID + 1);
      expect(await rowsOf(broker)).toEqual({ a: 'here' });
      for (const [partition, stateId] of [
        [0, STATE_ID - 1],
        [1, STATE_ID + 1],
      ] as const) {
        const { state } = await recover(broker, 'other', partition, stateId);
        expect([...state.keyed('rows', codec).rows()].map(([, value]) => value)).toEqual([
          partition,
        ]);
      }
    } finally {
      await broker.close();
    }
  });
});

describe('a checkpoint', () => {
  test('deletes the changelog up to its position, and nothing above', async () => {
    const broker = await open();
    try {
      const state = new TaskState();
      await put(broker, state, { a: 1, b: 1 });
      await put(broker, state, { a: 2 });
      expect(await step(broker)).toEqual({ position: 3, complete: true });
      expect(await bounds(broker)).toEqual({ start: 3, end: 3 });
      await put(broker, state, { c: 1 });
      expect(await bounds(broker)).toEqual({ start: 3, end: 4 });
      expect(await rowsOf(broker)).toEqual({ a: 2, b: 1, c: 1 });
      expect(await step(broker)).toEqual({ position: 4, complete: true });
      expect(await step(broker)).toEqual({ position: 4, complete: true });
    } finally {
      await broker.close();
    }
  });

  test('is taken in steps of some 16 MiB, each the state of some commit', async () => {
    const broker = await open();
    try {
      const state = new TaskState();
      const large = 'x'.repeat(1_200_000);
      for (let n = 0; n < 40; n++) await put(broker, state, { [`k${n % 7}`]: `${n}${large}`, n });
      const positions: number[] = [];
      for (;;) {
        const { position: at, complete } = await step(broker);
        positions.push(at);
        expect((await bounds(broker)).start).toBe(at);
        // Both rows of a commit, or none.
        expect(at % 2).toBe(0);
        expect(await rowsOf(broker)).toMatchObject({ n: 39, k4: `39${large}` });
        if (complete) break;
      }
      expect(positions).toEqual([28, 56, 80]);
      expect([...checkpointRows(broker.state, STATE_ID)]).toHaveLength(8);
    } finally {
      await broker.close();
    }
  });

  test('takes a frame that is larger than a step as a whole', async () => {
    const broker = await open();
    try {
      const rows = Object.fromEntries(
        Array.from({ length: 15 }, (_, n) => [`k${n}`, 'x'.repeat(1_200_000)]),
      );
      const state = new TaskState();
      await put(broker, state, rows);
      await put(broker, state, { last: 1 });
      expect(await step(broker)).toEqual({ position: 15, complete: false });
      expect(await step(broker)).toEqual({ position: 16, complete: true });
      expect(await rowsOf(broker)).toEqual({ ...rows, last: 1 });
    } finally {
      await broker.close();
    }
  });

  test('keeps rows whose keys are longer than the store allows, and removes them', async () => {
    const broker = await open();
    try {
      const state = new TaskState();
      const keys = [985, 993, 994, 995, 1_200, 8_192, 65_000].flatMap((length) => [
        'k'.repeat(length),
        `${'k'.repeat(length - 1)}x`,
      ]);
      await put(broker, state, Object.fromEntries(keys.map((key) => [key, key.length])));
      await step(broker);
      expect(await bounds(broker)).toEqual({ start: keys.length, end: keys.length });
      expect(await rowsOf(broker)).toEqual(
        Object.fromEntries(keys.map((key) => [key, key.length])),
      );
      await put(broker, state, Object.fromEntries(keys.map((key) => [key, undefined])));
      await step(broker);
      expect([...checkpointRows(broker.state, STATE_ID)]).toEqual([]);
    } finally {
      await broker.close();
    }
  });

  test('a window with long keys expires alone', async () => {
    const broker = await open();
    try {
      const state = new TaskState();
      const long = 'k'.repeat(5_000);
      for (const name of ['windows', 'windows2']) {
        const store = state.windowed(name, codec);
        for (const start of [-10, 0, 10])
          for (const key of ['a', `${long}a`, `${long}b`])
            store.write(store.cell(start, keyRef(key)), `${name} ${start}`);
      }
      const rows = state.keyed('rows', codec);
      rows.write(rows.cell(keyRef(long)), 'keyed');
      await commit(broker, state);
      await step(broker);
      state.windowed('windows', codec).expire(10);
      await commit(broker, state);
      const before = await recovered(broker);
      await step(broker);
      const after = await recovered(broker);
      for (const { state: found } of [before, after]) {
        expect(found.windowed('windows', codec).starts(-Infinity, Infinity)).toEqual([10]);
        expect(found.windowed('windows', codec).size).toBe(3);
        expect(found.windowed('windows2', codec).size).toBe(9);
        expect(found.keyed('rows', codec).size).toBe(1);
      }
      expect([...checkpointRows(broker.state, STATE_ID)]).toHaveLength(13);
    } finally {
      await broker.close();
    }
  });

  test('a mark of expiry does not reach rows that were written after it', async () => {
    const broker = await open();
    try {
      const write = async (start: number, value: string, expireTo?: number): Promise<void> => {
        // A new life each time: with a longer grace, windows are written that were let go of.
        const { state } = await recovered(broker);
        const store = state.windowed('windows', codec);
        if (expireTo !== undefined) store.expire(expireTo);
        store.write(store.cell(start, keyRef('a')), value);
        await commit(broker, state);
      };
      await write(0, 'old');
      await write(100, 'high', 50);
      await write(0, 'new');
      const rows = async (): Promise<unknown[]> => {
        const { state } = await recovered(broker);
        const store = state.windowed('windows', codec);
        return store
          .starts(-Infinity, Infinity)
          .flatMap((start) => [...store.rows(start)].map(([, value]) => value));
      };
      expect(await rows()).toEqual(['new', 'high']);
      await step(broker);
      expect(await rows()).toEqual(['new', 'high']);
    } finally {
      await broker.close();
    }
  });
});

describe('an interrupted checkpoint', () => {
  /** A broker over a store that does as `faults` says with its next commits. */
  async function faulty(): Promise<{ broker: Broker; faults: (CommitFault | undefined)[] }> {
    const faults: (CommitFault | undefined)[] = [];
    const kv = simulatedKv({ tables: logTables, faults: () => faults.shift() });
    const broker = await openLog({
      kv,
      url: 'memory:',
      clock: new VirtualClock(),
      random: seededRandom(1),
      durable: false,
    });
    return { broker: await changelogOn(broker), faults };
  }

  test.each<[string, (CommitFault | undefined)[], string, number]>([
    ['nothing was written', [{ fail: 'disk-full' }], 'MR_DISK_FULL', 0],
    ['the outcome is unknown and nothing was written', [{ fail: 'io-before' }], 'MR_IO', 0],
    ['the outcome is unknown and all was written', [{ fail: 'io-after' }], 'MR_IO', 3],
    ['the changelog could not be shortened', [undefined, { fail: 'disk-full' }], 'MR_DISK_FULL', 3],
  ])('%s: the state is the same, and the next one goes on', async (_, plan, code, at) => {
    const { broker, faults } = await faulty();
    try {
      const state = new TaskState();
      await put(broker, state, { a: 1, b: 1 });
      await put(broker, state, { a: 2 });
      faults.push(...plan);
      expect((await codeOf(step(broker))).code).toBe(code);
      expect(position(broker)).toBe(at);
      expect(await rowsOf(broker)).toEqual({ a: 2, b: 1 });
      await put(broker, state, { b: undefined, c: 3 });
      expect(await rowsOf(broker)).toEqual({ a: 2, c: 3 });
      expect(await step(broker)).toEqual({ position: 5, complete: true });
      expect(await bounds(broker)).toEqual({ start: 5, end: 5 });
      expect(await rowsOf(broker)).toEqual({ a: 2, c: 3 });
    } finally {
      await broker.close();
    }
  });

  test('what an interrupted one left of the changelog goes with the next, even when nothing is new', async () => {
    const { broker, faults } = await faulty();
    try {
      await put(broker, new TaskState(), { a: 1 });
      faults.push(undefined, { fail: 'disk-full' });
      await codeOf(step(broker));
      expect(await bounds(broker)).toEqual({ start: 0, end: 1 });
      expect(await step(broker)).toEqual({ position: 1, complete: true });
      expect(await bounds(broker)).toEqual({ start: 1, end: 1 });
    } finally {
      await broker.close();
    }
  });

  test('by a crash, at any commit of the store', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(change, { maxLength: 6 }), { minLength: 1, maxLength: 5 }),
        fc.nat({ max: 3 }),
        async (all, after) => {
          const kv = simulatedKv({ tables: logTables });
          const options = {
            url: 'memory:',
            clock: new VirtualClock(),
            random: seededRandom(1),
            durable: false,
          };
          const broker = await changelogOn(await openLog({ ...options, kv }));
          const model = new Modelled();
          for (const changes of all) {
            for (const each of changes) model.apply(each);
            await commit(broker, model.state);
          }
          const under = step(broker).catch(() => undefined);
          for (let turn = 0; turn < after * 4; turn++) await Promise.resolve();
          kv.crash();
          await under;
          const again = await openLog({ ...options, kv: kv.reopen() });
          expect(contents((await recovered(again)).state)).toEqual(model.expected);
          await step(again);
          expect(contents((await recovered(again)).state)).toEqual(model.expected);
          await again.close();
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('two at once', () => {
  test('a former owner that wakes up late does not put the checkpoint back', async () => {
    const broker = await open();
    try {
      const state = new TaskState();
      await put(broker, state, { a: 'old', b: 'old' });
      let release = (): void => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      const sleeper = withCalls(broker, { state: behindGate(broker.state, () => gate) });
      const late = step(sleeper);
      await put(broker, state, { a: 'new', b: undefined, c: 'new' });
      expect(await step(broker)).toEqual({ position: 5, complete: true });
      release();
      expect(await late).toEqual({ position: 5, complete: false });
      expect(position(broker)).toBe(5);
      expect(await bounds(broker)).toEqual({ start: 5, end: 5 });
      expect(await rowsOf(broker)).toEqual({ a: 'new', c: 'new' });
    } finally {
      await broker.close();
    }
  });

  test('a reader starts over when a checkpoint moves on between its two looks', async () => {
    const broker = await open();
    try {
      const state = new TaskState();
      await put(broker, state, { a: 1 });
      let looks = 0;
      const reader = withCalls(broker, {
        bounds: async (topic, partition) => {
          if (looks++ === 0) await step(broker);
          return await broker.bounds(topic, partition);
        },
      });
      expect(await rowsOf(reader)).toEqual({ a: 1 });
      expect(looks).toBe(2);
    } finally {
      await broker.close();
    }
  });

  test('and when the changelog is shortened under it', async () => {
    const broker = await open();
    try {
      const state = new TaskState();
      await put(broker, state, { a: 1 });
      await put(broker, state, { b: 1 });
      let readers = 0;
      const beside = withCalls(broker, {
        reader: (topic, partition, from) => {
          const real = broker.reader(topic, partition, from);
          let reads = 0;
          if (readers++ > 0) return real;
          return {
            get offset() {
              return real.offset;
            },
            seek: (offset) => real.seek(offset),
            next: async () => {
              // After the first frame, all that follows is gone.
              if (reads++ === 1) {
                await put(broker, state, { a: 2, c: 1 });
                await step(broker);
              }
              return await real.next();
            },
          };
        },
      });
      expect(await rowsOf(beside)).toEqual({ a: 2, b: 1, c: 1 });
      expect(readers).toBe(2);
    } finally {
      await broker.close();
    }
  });

  test('a reader that never gets through says so', async () => {
    const broker = await open();
    try {
      const state = new TaskState();
      let looks = 0;
      const beside = withCalls(broker, {
        bounds: async (topic, partition) => {
          await put(broker, state, { n: looks++ });
          await step(broker);
          return await broker.bounds(topic, partition);
        },
      });
      const error = await codeOf(recovered(beside));
      expect(error.code).toBe('MR_IO');
      expect(error.retryable).toBe(true);
      expect(error.message).toMatch(
        /the checkpoint of app-orders-changelog\[0\] moved on 20 times while it was read; try again/,
      );
      expect(looks).toBe(20);
    } finally {
      await broker.close();
    }
  });
});

describe('a checkpoint that does not belong to its changelog', () => {
  const address = headAddress(STATE_ID);

  test.each([10, -1, 0.5, Number.NaN])(
    'a position of %d is an error, not an empty table',
    async (at) => {
      const broker = await open();
      try {
        await put(broker, new TaskState(), { a: 1 });
        const head = headValue({ position: at, writes: 1 });
        await broker.state.transact((txn) => txn.put('state', address, head));
        for (const error of [await codeOf(recovered(broker)), await codeOf(step(broker))]) {
          expect(error.code).toBe('MR_CORRUPT');
          expect(error.message).toMatch(
            /checkpoint .* app-orders-changelog\[0\] stands at position .*restore the directory from a backup/,
          );
        }
      } finally {
        await broker.close();
      }
    },
  );

  test('a changelog that begins behind the position is an error: rows are missing', async () => {
    const broker = await open();
    try {
      const state = new TaskState();
      for (const a of [1, 2, 3]) await put(broker, state, { a });
      await broker.truncate(CHANGELOG, 0, 2);
      for (const error of [await codeOf(recovered(broker)), await codeOf(step(broker))]) {
        expect(error.code).toBe('MR_CORRUPT');
        expect(error.retryable).toBe(false);
        expect(error.message).toMatch(/position 0, .* from 2 to 3/);
      }
    } finally {
      await broker.close();
    }
  });
});

/** What a run does: commits of random changes, checkpoint steps, and restarts. */
type Action =
  | { readonly do: 'commit'; readonly changes: readonly Change[] }
  | { readonly do: 'checkpoint' }
  | { readonly do: 'restart' }
  | { readonly do: 'look' };

const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('commit' as const),
        changes: fc.array(change, { maxLength: 8 }),
      }),
    },
    { weight: 2, arbitrary: fc.constant({ do: 'checkpoint' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'look' as const }) },
  ),
  { maxLength: 25, size: 'max' },
);

describe('any history', () => {
  test('recovers to the model at any moment', async () => {
    await fc.assert(
      fc.asyncProperty(actions, async (history) => {
        const broker = await open();
        const model = new Modelled();
        for (const action of history) {
          if (action.do === 'commit') {
            for (const each of action.changes) model.apply(each);
            await commit(broker, model.state);
          } else if (action.do === 'checkpoint') {
            const { position: at } = await step(broker);
            expect(position(broker)).toBe(at);
            expect((await bounds(broker)).start).toBe(at);
          } else {
            const { state } = await recovered(broker);
            expect(contents(state)).toEqual(model.expected);
            if (action.do === 'restart') model.state = state;
          }
        }
        while (!(await step(broker)).complete);
        const { state, behind } = await recovered(broker);
        expect(behind).toBe(0);
        expect(contents(state)).toEqual(model.expected);
        // What is gone leaves no rows behind.
        const rows = model.keyed.size + model.windowed.size;
        expect([...checkpointRows(broker.state, STATE_ID)]).toHaveLength(rows);
        await broker.close();
      }),
      { numRuns: 60 },
    );
  });

  test('a reader beside the owner finds the state of some commit', async () => {
    await fc.assert(
      fc.asyncProperty(actions, fc.infiniteStream(fc.nat({ max: 8 })), async (history, waits) => {
        const broker = await open();
        const model = new Modelled();
        const commits: Contents[] = [model.expected];
        let done = false;
        const own = async (): Promise<void> => {
          for (const action of history) {
            if (action.do === 'commit') {
              for (const each of action.changes) model.apply(each);
              commits.push(model.expected);
              await commit(broker, model.state);
            } else if (action.do === 'checkpoint') await step(broker);
            for (let n = waits.next().value as number; n > 0; n--) await Promise.resolve();
          }
          done = true;
        };
        const look = async (): Promise<void> => {
          for (;;) {
            const last = done;
            const from = commits.length;
            const found = contents((await recovered(broker)).state);
            // Not older than what was committed when it began; the last one may not have been durable yet.
            const possible = commits.slice(Math.max(0, from - 2));
            expect(possible).toContainEqual(found);
            if (last) return;
            for (let n = waits.next().value as number; n >= 0; n--) await Promise.resolve();
          }
        };
        await Promise.all([own(), look(), look()]);
        await broker.close();
      }),
      { numRuns: 40 },
    );
  });
});
