import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { Broker } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open.ts';
import { decodeKey, keyRef } from '../../src/codec/key.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { Effects } from '../../src/core/effects.ts';
import { seededRandom } from '../../src/core/random.ts';
import { checkpointStep } from '../../src/state/checkpoint.ts';
import { recover } from '../../src/state/recovery.ts';
import { readRow } from '../../src/state/row-key.ts';
import type { KeyedStore } from '../../src/state/store.ts';
import { TimeHeap } from '../../src/state/time-heap.ts';
import { Cell } from '../../src/state/cell.ts';
import { TaskState } from '../../src/state/task-state.ts';
import { expectError } from '../codec/support.ts';
import { builder, codec, commitOf, replayed, takeRows } from './support.ts';

const TTL = 100;
const a = keyRef('a');
const b = keyRef('b');

/** A state whose stream time is set by hand. */
function stateAt(start: number): {
  readonly state: TaskState;
  readonly store: KeyedStore;
  now: number;
} {
  const state = new TaskState();
  const at = { state, store: state.keyed('t', codec, TTL), now: start };
  state.follow(() => at.now);
  return at;
}

describe('a row with a time to live', () => {
  test('is there until stream time has reached the time of its last write and its ttl', () => {
    const at = stateAt(1_000);
    const { store } = at;
    store.write(store.cell(a), { n: 1 }, null, 1_000);
    const cell = store.cell(a);
    at.now = 1_099;
    expect(store.read(cell)).toEqual({ n: 1 });
    at.now = 1_100;
    expect(store.read(cell)).toBeUndefined();
    expect([...store.rows()]).toEqual([]);
    expect([...store.range()]).toEqual([]);
    store.write(cell, { n: 2 }, null, 1_050);
    expect(store.read(cell)).toEqual({ n: 2 });
    at.now = 1_150;
    expect(store.read(cell)).toBeUndefined();
  });

  test('does not expire while no stream time is known', () => {
    const { store } = stateAt(-Infinity);
    store.write(store.cell(a), 1, null, -5_000);
    expect(store.read(store.cell(a))).toBe(1);
  });

  test('cannot be written without a time', () => {
    const { store } = stateAt(0);
    expectError('MR_INTERNAL', () => store.write(store.cell(a), 1), /written without a time/);
  });

  test('has its time back when an event is taken back', () => {
    const at = stateAt(0);
    const { store } = at;
    store.write(store.cell(a), { n: 1 }, null, 0);
    const effects = new Effects();
    (store.read(store.cell(a), effects) as { n: number }).n = 2;
    store.write(store.cell(a), { n: 2 }, effects, 90);
    expect(effects.rollback()).toBe(true);
    expect(store.read(store.cell(a))).toEqual({ n: 1 });
    at.now = 100;
    expect(store.read(store.cell(a))).toBeUndefined();
  });

  test('that was written with a ttl is read without one, and the other way round is refused', () => {
    const { state, store } = stateAt(0);
    store.write(store.cell(a), 1, null, 0);
    const other = state.keyed('plain', codec);
    other.write(other.cell(a), 1);
    const again = replayed([commitOf(state)]);
    const rows = again.keyed('t', codec);
    expect([...rows.rows()].map(([, value]) => value)).toEqual([1]);
    rows.write(rows.cell(a), 2, null, 5);
    expect([...again.keyed('t', codec, TTL).rows()].map(([, value]) => value)).toEqual([2]);
    expectError(
      'MR_TOPOLOGY_CHANGED',
      () => again.keyed('plain', codec, TTL),
      /table plain is stored without a ttl and used with one/,
    );
  });
});

describe('a sweep', () => {
  test('deletes what has expired, in order of time, and no more than it may', () => {
    const { state, store } = stateAt(0);
    for (const n of [5, 3, 9, 1, 7]) store.write(store.cell(keyRef(n)), n, null, n);
    commitOf(state);
    expect(state.expire(TTL, 10)).toBe(0);
    expect(state.expire(TTL + 7, 3)).toBe(3);
    const keys: unknown[] = [];
    takeRows(store, (rowKey, value) => {
      expect(value).toBeNull();
      keys.push(decodeKey(readRow(rowKey).key));
    });
    expect(keys).toEqual([1, 3, 5]);
    expect(state.expire(TTL + 7, 3)).toBe(1);
    expect(state.expire(TTL + 8, 3)).toBe(0);
    expect(state.expire(TTL + 9, 3)).toBe(1);
    expect([...store.rows()]).toEqual([]);
    commitOf(state);
    expect(state.rows).toBe(0);
  });

  test('leaves rows that were written again', () => {
    const { state, store } = stateAt(0);
    for (const key of [a, b]) store.write(store.cell(key), 1, null, 0);
    state.expire(0, 10);
    store.write(store.cell(a), 2, null, 50);
    expect(state.expire(TTL, 10)).toBe(1);
    expect([...store.rows()].map(([ref]) => ref.key)).toEqual(['a']);
    expect(state.expire(TTL + 49, 10)).toBe(0);
    expect(state.expire(TTL + 50, 10)).toBe(1);
  });

  test('finds rows whose last write is older than the one before', () => {
    const { state, store } = stateAt(0);
    store.write(store.cell(a), 1, null, 500);
    state.expire(0, 10);
    store.write(store.cell(a), 2, null, 20);
    expect(state.expire(TTL + 20, 10)).toBe(1);
    expect(state.expire(10_000, 10)).toBe(0);
  });

  test('does not fill memory with what was passed over', () => {
    const { state, store } = stateAt(0);
    state.expire(0, 10);
    for (let n = 0; n < 10_000; n++) store.write(store.cell(a), n, null, -n);
    commitOf(state);
    expect(state.expire(TTL - 9_999, 10)).toBe(1);
    expect(state.expire(10_000, 10)).toBe(0);
  });
});

test('a heap gives its cells in order of time', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (times) => {
      const heap = new TimeHeap();
      for (const time of times) heap.push(time, new Cell(String(time)));
      const found: number[] = [];
      while (heap.size > 0) {
        const { first } = heap;
        found.push(first);
        expect(heap.pop()?.id).toBe(String(first));
      }
      expect(heap.first).toBe(Infinity);
      expect(found).toEqual([...times].toSorted((x, y) => x - y));
    }),
  );
});

type Step =
  | { readonly do: 'write'; readonly key: number; readonly back: number }
  | { readonly do: 'delete' | 'read'; readonly key: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'expire'; readonly limit: number }
  | { readonly do: 'commit' | 'checkpoint' | 'recover' };

const KEYS = 60;
const CACHE_ROWS = 10;
const key = fc.nat({ max: KEYS - 1 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        do: fc.constant('write' as const),
        key,
        back: fc.nat({ max: 150 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('read' as const), key }) },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat({ max: 60 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('expire' as const),
        limit: fc.integer({ min: 1, max: 20 }),
      }),
    },
    ...(['commit', 'checkpoint', 'recover'] as const).map((step) => ({
      weight: step === 'commit' ? 4 : 2,
      arbitrary: fc.constant({ do: step }),
    })),
  ),
  { maxLength: 120, size: 'max' },
);

describe('against a map with times', () => {
  let broker: Broker;
  beforeEach(async () => {
    broker = await openBroker('memory:', { clock: new VirtualClock(), random: seededRandom(1) });
    await broker.createTopic({ name: 'cl', partitions: 1, codec: 'rows', role: 'changelog' });
  });
  afterEach(async () => {
    await broker.close();
  });

  let stateId = 1;
  test.each([undefined, CACHE_ROWS])(
    'with %s rows in memory',
    async (cacheRows) => {
      await fc.assert(
        fc.asyncProperty(steps, async (history) => {
          const topic = `cl${++stateId}`;
          await broker.createTopic({
            name: topic,
            partitions: 1,
            codec: 'rows',
            role: 'changelog',
          });
          let now = 1_000;
          let model = new Map<number, number>();
          let committed = new Map(model);
          let state!: TaskState;
          const load = async (): Promise<void> => {
            ({ state } = await recover(broker, topic, 0, stateId, { cacheRows }));
            state.follow(() => now);
          };
          const store = (): KeyedStore => state.keyed('t', codec, TTL);
          const live = (): number[] =>
            [...model]
              .filter(([, time]) => time + TTL > now)
              .map(([n]) => n)
              .toSorted((x, y) => x - y);
          const found = (): number[] =>
            [...store().rows()].map(([ref]) => ref.key as number).toSorted((x, y) => x - y);
          const commit = async (): Promise<void> => {
            const changelog = builder();
            state.takeDirty(changelog);
            if (changelog.count > 0) {
              await broker.append([{ topic, partition: 0, frame: changelog.build() }]);
              state.committed((await broker.bounds(topic, 0)).end);
            }
            committed = new Map(model);
          };
          const checkpoint = async (): Promise<void> => {
            for (let complete = false; !complete;) {
              const step = await checkpointStep(broker, topic, 0, stateId);
              state.checkpointed(step.position);
              ({ complete } = step);
            }
          };
          await load();
          for (const step of history) {
            if (step.do === 'write') {
              store().write(store().cell(keyRef(step.key)), step.key, null, now - step.back);
              model.set(step.key, now - step.back);
            } else if (step.do === 'delete') {
              store().write(store().cell(keyRef(step.key)), undefined);
              model.delete(step.key);
            } else if (step.do === 'read') {
              const cell = store().find(keyRef(step.key));
              const value = cell === undefined ? undefined : store().read(cell);
              expect(value).toBe(live().includes(step.key) ? step.key : undefined);
            } else if (step.do === 'pass') now += step.ms;
            else if (step.do === 'expire') state.expire(now, step.limit);
            else if (step.do === 'commit') await commit();
            else if (step.do === 'checkpoint') await checkpoint();
            else {
              await load();
              model = new Map(committed);
            }
            expect(found()).toEqual(live());
          }
          // In the end nothing is left of what has expired, wherever it was.
          await commit();
          await checkpoint();
          for (let round = 0; round < KEYS + 2; round++) {
            state.expire(now, 5);
            await commit();
          }
          await checkpoint();
          const stored = (await recover(broker, topic, 0, stateId)).state;
          expect(
            [...stored.keyed('t', codec).rows()]
              .map(([ref]) => ref.key as number)
              .toSorted((x, y) => x - y),
          ).toEqual(live());
        }),
        { numRuns: 60 },
      );
    },
    60_000,
  );
});
