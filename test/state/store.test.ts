import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Codec } from '../../src/codec/codec.ts';
import { keyRef } from '../../src/codec/key.ts';
import type { KeyRef } from '../../src/core/event.ts';
import { readRow } from '../../src/state/row-key.ts';
import { KeyedStore, WindowStore } from '../../src/state/store.ts';
import { expectError } from '../codec/support.ts';
import { codec, key, keyedRows, oddKeys, takeRows, windowId, windowRows } from './support.ts';

/** A row that a store handed to a commit, readable. */
interface Written {
  readonly kind: 'row' | 'expired';
  readonly start: number;
  readonly key: string;
  readonly value: string | null;
}

function written(store: KeyedStore | WindowStore): Written[] {
  const rows: Written[] = [];
  takeRows(store, (rowKey, value) => {
    const { start, key: bytes, expired } = readRow(rowKey);
    rows.push({
      kind: expired ? 'expired' : 'row',
      start,
      key: Buffer.from(bytes).toString('latin1'),
      value: value === null ? null : Buffer.from(value).toString(),
    });
  });
  return rows;
}

function keyedStore(): KeyedStore {
  const store = new KeyedStore('t');
  store.use(codec);
  return store;
}

function windowStore(): WindowStore {
  const store = new WindowStore('w');
  store.use(codec);
  return store;
}

const a = keyRef('a');
const b = keyRef('b');
const bytes = (value: unknown): Uint8Array => codec.encode(value);

describe('keyed store', () => {
  test('a row is written once per commit, however often it changed', () => {
    const store = keyedStore();
    for (let n = 1; n <= 10; n++) store.write(store.cell(a), n);
    expect(store.dirtyRows).toBe(1);
    expect(written(store)).toMatchObject([{ key: 'a', value: '10' }]);
    expect(store.dirtyRows).toBe(0);
    expect(written(store)).toEqual([]);
  });

  test('rows come in the order in which they became dirty', () => {
    const store = keyedStore();
    store.write(store.cell(b), 1);
    store.write(store.cell(a), 2);
    store.write(store.cell(b), 3);
    expect(written(store).map((row) => row.key)).toEqual(['b', 'a']);
  });

  test('looking for a row makes none', () => {
    const store = keyedStore();
    expect(store.find(a)).toBeUndefined();
    expect(store.size).toBe(0);
  });

  test('a cell that nobody wrote is no row', () => {
    const store = keyedStore();
    expect(store.read(store.cell(a))).toBeUndefined();
    expect([...store.rows()]).toEqual([]);
    expect(written(store)).toEqual([]);
  });

  test('a deleted row is written as null and leaves the store', () => {
    const store = keyedStore();
    store.write(store.cell(a), 1);
    written(store);
    store.write(store.cell(a), undefined);
    expect(store.size).toBe(1);
    expect([...store.rows()]).toEqual([]);
    expect(written(store)).toMatchObject([{ key: 'a', value: null }]);
    expect(store.size).toBe(0);
    expect(store.find(a)).toBeUndefined();
  });

  test('a row that was deleted before it was ever committed leaves nothing behind', () => {
    const store = keyedStore();
    store.write(store.cell(a), 1);
    store.write(store.cell(a), undefined);
    expect(written(store).every(({ value }) => value === null)).toBe(true);
    expect(store.size).toBe(0);
    store.write(store.cell(a), 2);
    expect(written(store)).toMatchObject([{ key: 'a', value: '2' }]);
  });

  test('a row that was deleted and written again in one commit is just written', () => {
    const store = keyedStore();
    store.write(store.cell(a), 1);
    written(store);
    store.write(store.cell(a), undefined);
    store.write(store.cell(a), 2);
    expect(written(store)).toMatchObject([{ key: 'a', value: '2' }]);
    expect(keyedRows(store)).toEqual(new Map([['a', 2]]));
  });

  test('null, 0, false and an empty text are values', () => {
    const store = keyedStore();
    for (const value of [null, 0, false, '']) {
      store.write(store.cell(a), value);
      expect(keyedRows(store)).toEqual(new Map([['a', value]]));
      expect(written(store)).toMatchObject([{ value: JSON.stringify(value) }]);
    }
  });

  test('loaded bytes are decoded once, and only when somebody reads', () => {
    let decoded = 0;
    const counting: Codec<unknown> = {
      ...codec,
      decode: (raw) => {
        decoded++;
        return codec.decode(raw);
      },
    };
    const store = new KeyedStore('t');
    store.load(a.bytes, bytes({ n: 1 }));
    store.load(b.bytes, bytes({ n: 2 }));
    store.use(counting);
    expect(decoded).toBe(0);
    const cell = store.cell(a);
    expect(store.read(cell)).toEqual({ n: 1 });
    expect(store.read(cell)).toBe(store.read(cell));
    expect(decoded).toBe(1);
    store.write(store.cell(b), { n: 3 });
    expect(store.read(store.cell(b))).toEqual({ n: 3 });
    expect(decoded).toBe(1);
  });

  test('loaded rows are clean, and loading null removes one', () => {
    const store = keyedStore();
    store.load(a.bytes, bytes(1));
    store.load(b.bytes, bytes(2));
    store.load(a.bytes, null);
    expect(written(store)).toEqual([]);
    expect(keyedRows(store)).toEqual(new Map([['b', 2]]));
  });

  test('bytes that cannot be decoded stay as they are', () => {
    const store = keyedStore();
    store.load(a.bytes, Buffer.from('{'));
    const cell = store.cell(a);
    expectError('MR_DECODE_FAILED', () => store.read(cell));
    expectError('MR_DECODE_FAILED', () => store.read(cell));
  });

  test('a row that cannot be encoded names table, key and codec', () => {
    const store = keyedStore();
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    store.write(store.cell(a), circular);
    expectError(
      'MR_ENCODE_FAILED',
      () => written(store),
      /row of key "a" in table t cannot be encoded as json; .*give the table a codec/,
    );
  });

  test('a store that nobody gave a codec cannot be read', () => {
    const store = new KeyedStore('t');
    store.load(a.bytes, bytes(1));
    expectError('MR_INTERNAL', () => store.read(store.cell(a)), /store t is used before/);
  });

  test('odd keys are keys like others', () => {
    const store = keyedStore();
    for (const [n, each] of oddKeys.entries()) store.write(store.cell(keyRef(each)), n);
    const loaded = keyedStore();
    let rows = 0;
    takeRows(store, (rowKey, value) => {
      rows++;
      loaded.load(readRow(rowKey).key, value);
    });
    expect(rows).toBe(oddKeys.length);
    expect(keyedRows(loaded)).toEqual(keyedRows(store));
    for (const [n, each] of oddKeys.entries()) {
      const cell = loaded.find(keyRef(each));
      expect(cell === undefined ? undefined : loaded.read(cell)).toBe(n);
      expect(cell?.ref.key).toEqual(each);
    }
  });
});

describe('window store', () => {
  test('starts are ascending, whatever the order of the events', () => {
    const store = windowStore();
    for (const start of [20, -10, 0, 10, 0, -20]) store.write(store.cell(start, a), start);
    expect(store.starts(-Infinity, Infinity)).toEqual([-20, -10, 0, 10, 20]);
    expect(store.starts(-10, 10)).toEqual([-10, 0]);
    expect(store.starts(-9, 11)).toEqual([0, 10]);
    expect(store.starts(21, Infinity)).toEqual([]);
    expect(store.starts(10, -10)).toEqual([]);
  });

  test('one key has a row in each window', () => {
    const store = windowStore();
    store.write(store.cell(0, a), 'first');
    store.write(store.cell(10, a), 'second');
    store.write(store.cell(10, b), 'third');
    expect(store.size).toBe(3);
    expect([...store.rows(10)].map(([ref, value]) => [ref.key, value])).toEqual([
      ['a', 'second'],
      ['b', 'third'],
    ]);
    expect([...store.rows(20)]).toEqual([]);
    expect(store.find(20, a)).toBeUndefined();
    expect(store.find(0, b)).toBeUndefined();
  });

  test('expired windows are gone; the one that starts at the bound stays', () => {
    const store = windowStore();
    for (const start of [0, 10, 20]) store.write(store.cell(start, a), start);
    written(store);
    store.expire(10);
    expect(store.starts(-Infinity, Infinity)).toEqual([10, 20]);
    expect(written(store)).toEqual([{ kind: 'expired', start: 10, key: '', value: null }]);
    expect(written(store)).toEqual([]);
  });

  test('expiry that finds nothing writes nothing', () => {
    const store = windowStore();
    store.expire(100);
    store.write(store.cell(100, a), 1);
    store.expire(90);
    store.expire(100);
    store.expire(-Infinity);
    expect(written(store).map(({ kind }) => kind)).toEqual(['row']);
  });

  test('a window that expires while its rows are dirty is not written', () => {
    const store = windowStore();
    store.write(store.cell(0, a), 1);
    store.write(store.cell(10, a), 2);
    store.expire(10);
    expect(written(store)).toEqual([
      { kind: 'expired', start: 10, key: '', value: null },
      { kind: 'row', start: 10, key: 'a', value: '2' },
    ]);
    expect(store.dirtyRows).toBe(0);
  });

  test('two expiries in one commit are one mark, the later one', () => {
    const store = windowStore();
    for (const start of [0, 10, 20]) store.write(store.cell(start, a), start);
    written(store);
    store.expire(10);
    store.expire(20);
    store.expire(21);
    expect(written(store)).toEqual([{ kind: 'expired', start: 21, key: '', value: null }]);
  });

  test('a mark stands before the rows of its commit, so that a row that is there afterwards is there after a replay', () => {
    // Cannot come from a table, whose closed windows take no events; a store does not rely on that.
    const store = windowStore();
    store.write(store.cell(0, a), 'old');
    written(store);
    store.expire(10);
    store.write(store.cell(0, a), 'new');
    store.write(store.cell(10, a), 'kept');
    const rows = written(store);
    expect(rows.map(({ kind, start, value }) => [kind, start, value])).toEqual([
      ['expired', 10, null],
      ['row', 0, '"new"'],
      ['row', 10, '"kept"'],
    ]);
    expect(windowRows(store)).toEqual(
      new Map([
        [windowId(0, 'a'), 'new'],
        [windowId(10, 'a'), 'kept'],
      ]),
    );
  });

  test('a mark from an earlier life does not hold back rows of this one', () => {
    // A longer grace lets the app take events for windows that it had let go of.
    const store = windowStore();
    store.loadExpired(100);
    store.write(store.cell(50, a), 1);
    expect(written(store)).toMatchObject([{ kind: 'row', start: 50, value: '1' }]);
    store.expire(60);
    expect(store.starts(-Infinity, Infinity)).toEqual([]);
    expect(written(store)).toMatchObject([{ kind: 'expired', start: 60 }]);
  });

  test('loading a mark removes what was loaded before it, and is not written again', () => {
    const store = windowStore();
    store.load(0, a.bytes, bytes(1));
    store.load(10, a.bytes, bytes(2));
    store.loadExpired(10);
    expect(store.starts(-Infinity, Infinity)).toEqual([10]);
    store.load(0, b.bytes, bytes(3));
    expect(windowRows(store).size).toBe(2);
    store.load(0, b.bytes, null);
    store.load(30, b.bytes, null);
    expect(windowRows(store)).toEqual(new Map([[windowId(10, 'a'), 2]]));
    expect(written(store)).toEqual([]);
  });

  test('a window that was just used does not come back from the dead', () => {
    const store = windowStore();
    store.write(store.cell(0, a), 1);
    store.expire(10);
    // The store remembers the window that it touched last.
    expect(store.read(store.cell(0, a))).toBeUndefined();
    expect(store.find(0, a)).toBeDefined();
    expect(store.size).toBe(1);
  });
});

/** What can happen to a store. */
type Op =
  | { readonly op: 'write'; readonly start: number; readonly key: unknown; readonly value: number }
  | { readonly op: 'delete'; readonly start: number; readonly key: unknown }
  | { readonly op: 'read'; readonly start: number; readonly key: unknown }
  | { readonly op: 'commit' }
  | { readonly op: 'reload' }
  | { readonly op: 'expire'; readonly by: number };

const start = fc.integer({ min: -5, max: 10 }).map((n) => n * 10);
const fewKeys = fc.oneof(fc.constantFrom<unknown>('a', '__proto__', 1, Uint8Array.of(1)), key);
const ops: fc.Arbitrary<Op[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        op: fc.constant('write' as const),
        start,
        key: fewKeys,
        value: fc.nat(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ op: fc.constant('delete' as const), start, key: fewKeys }),
    },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('read' as const), start, key: fewKeys }) },
    { weight: 2, arbitrary: fc.constant({ op: 'commit' as const }) },
    { weight: 1, arbitrary: fc.constant({ op: 'reload' as const }) },
    {
      weight: 1,
      arbitrary: fc.record({ op: fc.constant('expire' as const), by: fc.nat({ max: 35 }) }),
    },
  ),
  { maxLength: 80, size: 'max' },
);

describe('against a map', () => {
  test('keyed: memory is what was written, storage is what was committed', () => {
    fc.assert(
      fc.property(ops, (steps) => {
        let store = keyedStore();
        let memory = new Map<string, unknown>();
        let committed = new Map<string, unknown>();
        const storage = new Map<string, readonly [KeyRef['bytes'], Uint8Array]>();
        for (const step of steps) {
          if (step.op === 'write') {
            store.write(store.cell(keyRef(step.key)), step.value);
            memory.set(keyRef(step.key).id, step.value);
          } else if (step.op === 'delete') {
            store.write(store.cell(keyRef(step.key)), undefined);
            memory.delete(keyRef(step.key).id);
          } else if (step.op === 'read') {
            const cell = store.find(keyRef(step.key));
            expect(cell === undefined ? undefined : store.read(cell)).toBe(
              memory.get(keyRef(step.key).id),
            );
          } else if (step.op === 'commit') {
            const dirty = store.dirtyRows;
            let rows = 0;
            takeRows(store, (rowKey, value) => {
              rows++;
              const id = Buffer.from(rowKey).toString('latin1');
              if (value === null) storage.delete(id);
              else storage.set(id, [readRow(rowKey).key, value]);
            });
            expect(rows).toBe(dirty);
            committed = new Map(memory);
            expect(store.size).toBe(memory.size);
          } else if (step.op === 'reload') {
            // The task failed: what is not committed is gone.
            store = keyedStore();
            for (const [rowKey, value] of storage.values()) store.load(rowKey, value);
            memory = new Map(committed);
          }
          expect(keyedRows(store)).toEqual(memory);
        }
      }),
    );
  });

  test('windowed: the same, and no window below the bound in either', () => {
    fc.assert(
      fc.property(ops, (steps) => {
        let store = windowStore();
        let memory = new Map<string, unknown>();
        let committed = new Map<string, unknown>();
        let frames: (readonly [Uint8Array, Uint8Array | null])[] = [];
        let keptFrom = -Infinity;
        let committedFrom = -Infinity;
        const startOf = (id: string): number => Number(id.slice(0, id.indexOf(':')));
        for (const step of steps) {
          if (step.op === 'write' || step.op === 'delete') {
            // What is below the bound is late, and a table does not touch it.
            if (step.start < keptFrom) continue;
            const value = step.op === 'write' ? step.value : undefined;
            store.write(store.cell(step.start, keyRef(step.key)), value);
            if (value === undefined) memory.delete(windowId(step.start, step.key));
            else memory.set(windowId(step.start, step.key), value);
          } else if (step.op === 'read') {
            const cell = store.find(step.start, keyRef(step.key));
            expect(cell === undefined ? undefined : store.read(cell)).toBe(
              memory.get(windowId(step.start, step.key)),
            );
          } else if (step.op === 'expire') {
            keptFrom = Math.max(keptFrom, -60) + step.by;
            store.expire(keptFrom);
            for (const id of memory.keys()) if (startOf(id) < keptFrom) memory.delete(id);
          } else if (step.op === 'commit') {
            takeRows(store, (rowKey, value) => frames.push([rowKey, value]));
            committed = new Map(memory);
            committedFrom = keptFrom;
          } else {
            store = windowStore();
            for (const [rowKey, value] of frames) {
              const row = readRow(rowKey);
              if (row.expired) store.loadExpired(row.start);
              else store.load(row.start, row.key, value);
            }
            memory = new Map(committed);
            keptFrom = committedFrom;
          }
          expect(windowRows(store)).toEqual(memory);
        }
        frames = [];
      }),
    );
  });
});
