import * as fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';

import type { Codec } from '../../src/codec/codec.ts';
import { keyRef } from '../../src/codec/key.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { Effects } from '../../src/core/effects.ts';
import { KeyedStore, WindowStore } from '../../src/state/store.ts';
import { TaskState } from '../../src/state/task-state.ts';
import { codec, commitOf, contents, keyedRows, takeRows, windowId, windowRows } from './support.ts';

const a = keyRef('a');
const b = keyRef('b');

function keyedStore(): KeyedStore {
  const store = new KeyedStore('t');
  store.use(codec);
  return store;
}

/** Commits, and tells what was written, by key. */
function written(store: KeyedStore | WindowStore, commit = 1): Record<string, string | null> {
  const rows: Record<string, string | null> = {};
  takeRows(
    store,
    (rowKey, value) => {
      rows[Buffer.from(rowKey).toString('latin1').slice(3)] =
        value === null ? null : Buffer.from(value).toString();
    },
    commit,
  );
  return rows;
}

describe('a write that is taken back', () => {
  test('leaves the value that was there, clean if it was', () => {
    const store = keyedStore();
    store.write(store.cell(a), 1);
    written(store);
    const effects = new Effects();
    store.write(store.cell(a), 2, effects);
    expect(store.dirtyRows).toBe(1);
    expect(effects.rollback()).toBe(true);
    expect([keyedRows(store), store.dirtyRows]).toEqual([new Map([['a', 1]]), 0]);
    expect(written(store, 2)).toEqual({});
  });

  test('leaves the row dirty if it was', () => {
    const store = keyedStore();
    store.write(store.cell(a), 1);
    const effects = new Effects();
    store.write(store.cell(a), 2, effects);
    expect(effects.rollback()).toBe(true);
    expect(store.dirtyRows).toBe(1);
    expect(written(store)).toEqual({ a: '1' });
  });

  test('of a row that was not there leaves no row, and nothing for the changelog', () => {
    const store = keyedStore();
    const effects = new Effects();
    store.write(store.cell(a), 1, effects);
    store.write(store.cell(b), undefined, effects);
    expect(effects.rollback()).toBe(true);
    expect([store.size, store.dirtyRows, store.find(a)]).toEqual([0, 0, undefined]);
    expect(written(store)).toEqual({});
  });

  test('leaves bytes that nobody has decoded as they were', () => {
    let decoded = 0;
    const counting: Codec<unknown> = {
      ...codec,
      decode: (raw) => {
        decoded++;
        return codec.decode(raw);
      },
    };
    const store = new KeyedStore('t');
    store.load(a.bytes, codec.encode(1));
    store.use(counting);
    const effects = new Effects();
    store.write(store.cell(a), 2, effects);
    expect(effects.rollback()).toBe(true);
    expect(decoded).toBe(0);
    expect(keyedRows(store)).toEqual(new Map([['a', 1]]));
  });

  test('of many writes gives back what there was before the first', () => {
    const store = keyedStore();
    store.write(store.cell(a), 'before');
    written(store);
    const effects = new Effects();
    for (const value of [1, undefined, 2, 3]) store.write(store.cell(a), value, effects);
    store.write(store.cell(b), 4, effects);
    store.write(store.cell(a), undefined, effects);
    expect(effects.rollback()).toBe(true);
    expect([keyedRows(store), store.dirtyRows]).toEqual([new Map([['a', 'before']]), 0]);
  });

  test('to a mark keeps what was written before it', () => {
    const store = keyedStore();
    const effects = new Effects();
    store.write(store.cell(a), { n: 1 }, effects);
    const mark = effects.mark();
    (store.read(store.cell(a), effects) as { n: number }).n = 2;
    store.write(store.cell(b), 2, effects);
    expect(effects.rollback(mark)).toBe(true);
    expect(keyedRows(store)).toEqual(new Map([['a', { n: 1 }]]));
    expect(effects.rollback()).toBe(true);
    expect(store.size).toBe(0);
  });

  test('to a mark keeps what was changed in place before it, and nothing else', () => {
    const store = keyedStore();
    store.write(store.cell(a), { n: 1 });
    const effects = new Effects();
    (store.read(store.cell(a), effects) as { n: number }).n = 2;
    const mark = effects.mark();
    (store.read(store.cell(a), effects) as { n: number }).n = 3;
    expect(effects.rollback(mark)).toBe(true);
    expect(keyedRows(store)).toEqual(new Map([['a', { n: 2 }]]));
    expect(effects.rollback()).toBe(true);
    expect(keyedRows(store)).toEqual(new Map([['a', { n: 1 }]]));
  });

  test('twice, and written again, is in the changelog once', () => {
    const store = keyedStore();
    for (let round = 0; round < 3; round++) {
      const effects = new Effects();
      store.write(store.cell(a), round, effects);
      store.write(store.cell(b), round, effects);
      effects.rollback();
    }
    store.write(store.cell(b), 'b');
    store.write(store.cell(a), 'a');
    expect(store.dirtyRows).toBe(2);
    expect(written(store)).toEqual({ a: '"a"', b: '"b"' });
  });

  test('after somebody else has written cannot be taken back, whatever else can', () => {
    const store = keyedStore();
    const [first, second] = [new Effects(), new Effects()];
    store.write(store.cell(a), 1, first);
    store.write(store.cell(b), 1, first);
    store.write(store.cell(a), 2, second);
    expect(first.rollback()).toBe(false);
    expect(keyedRows(store)).toEqual(new Map([['a', 2]]));
    second.settle();
  });

  test('after somebody else has written and was taken back can', () => {
    const store = keyedStore();
    const [first, second] = [new Effects(), new Effects()];
    store.write(store.cell(a), 1, first);
    store.write(store.cell(a), 2, second);
    expect(second.rollback()).toBe(true);
    expect(first.rollback()).toBe(true);
    expect(store.size).toBe(0);
  });

  test('after it was committed is written again as it was', () => {
    const store = keyedStore();
    store.write(store.cell(a), 1);
    written(store, 1);
    const effects = new Effects();
    store.write(store.cell(a), 2, effects);
    store.write(store.cell(b), 2, effects);
    expect(written(store, 2)).toEqual({ a: '2', b: '2' });
    expect(effects.rollback()).toBe(true);
    expect(keyedRows(store)).toEqual(new Map([['a', 1]]));
    expect(written(store, 3)).toEqual({ a: '1', b: null });
  });

  test('in a window that has expired is of no account', () => {
    const store = new WindowStore('w');
    store.use(codec);
    const effects = new Effects();
    store.write(store.cell(0, a), { n: 1 }, effects);
    store.read(store.cell(0, a), effects);
    store.write(store.cell(10, a), 2, effects);
    store.expire(10);
    expect(effects.rollback()).toBe(true);
    expect(windowRows(store)).toEqual(new Map());
    store.write(store.cell(10, a), 3);
    expect(windowRows(store)).toEqual(new Map([[windowId(10, 'a'), 3]]));
  });
});

describe('a value that was changed in place', () => {
  interface Value {
    n: number;
  }

  test('is what it was when its event is taken back', () => {
    const store = keyedStore();
    store.write(store.cell(a), { n: 1 });
    written(store);
    const effects = new Effects();
    (store.read(store.cell(a), effects) as Value).n = 2;
    expect(effects.rollback()).toBe(true);
    expect(keyedRows(store)).toEqual(new Map([['a', { n: 1 }]]));
    expect(store.dirtyRows).toBe(0);
  });

  test('and written, and read again, too', () => {
    const store = keyedStore();
    store.load(a.bytes, codec.encode({ n: 1 }));
    const effects = new Effects();
    const value = store.read(store.cell(a), effects) as Value;
    value.n = 2;
    store.write(store.cell(a), value, effects);
    (store.read(store.cell(a), effects) as Value).n = 3;
    store.write(store.cell(a), undefined, effects);
    expect(effects.rollback()).toBe(true);
    expect(keyedRows(store)).toEqual(new Map([['a', { n: 1 }]]));
    expect(store.dirtyRows).toBe(0);
  });

  test('before it was committed is committed as it was before', () => {
    const store = keyedStore();
    store.write(store.cell(a), { n: 1 });
    const effects = new Effects();
    (store.read(store.cell(a), effects) as Value).n = 2;
    expect(effects.rollback()).toBe(true);
    expect(written(store)).toEqual({ a: '{"n":1}' });
  });

  test('and committed meanwhile is written again', () => {
    const store = keyedStore();
    store.write(store.cell(a), { n: 1 });
    const effects = new Effects();
    (store.read(store.cell(a), effects) as Value).n = 2;
    expect(written(store, 1)).toEqual({ a: '{"n":2}' });
    expect(effects.rollback()).toBe(true);
    expect(written(store, 2)).toEqual({ a: '{"n":1}' });
  });

  test('stays as it is when its event succeeds', () => {
    const store = keyedStore();
    const effects = new Effects();
    store.write(store.cell(a), { n: 1 }, effects);
    (store.read(store.cell(a), effects) as Value).n = 2;
    effects.settle();
    expect(effects.rollback()).toBe(true);
    expect(keyedRows(store)).toEqual(new Map([['a', { n: 2 }]]));
  });

  test('is encoded once for each event, however often it is read', () => {
    let encoded = 0;
    const counting: Codec<unknown> = {
      ...codec,
      encode: (value) => {
        encoded++;
        return codec.encode(value);
      },
    };
    const store = new KeyedStore('t');
    store.use(counting);
    store.write(store.cell(a), { n: [1] });
    store.write(store.cell(b), 'text');
    const effects = new Effects();
    for (let event = 1; event <= 3; event++) {
      for (let n = 0; n < 5; n++) store.read(store.cell(a), effects);
      store.read(store.cell(b), effects);
      // After a rollback the bytes are still there.
      expect(encoded).toBe(Math.min(event, 2));
      if (event === 2) effects.rollback();
      else effects.settle();
    }
    store.read(store.cell(a), null);
    expect(encoded).toBe(2);
  });

  test('is copied and not encoded where all its members are primitive', () => {
    const strange: Codec<unknown> = {
      ...codec,
      encode: () => {
        throw new Error('nothing can be encoded');
      },
    };
    const store = new KeyedStore('t');
    store.use(strange);
    const before = { n: 1, text: 'x', none: undefined, nothing: null, big: 2n, zero: -0 };
    store.write(store.cell(a), { ...before });
    const effects = new Effects();
    for (const n of [2, 3])
      Object.assign(store.read(store.cell(a), effects) as Value, { n, more: n });
    expect(effects.rollback()).toBe(true);
    expect(store.read(store.cell(a))).toStrictEqual(before);
    // What was put back is as good as any other value.
    (store.read(store.cell(a), effects) as Value).n = 4;
    expect(effects.rollback()).toBe(true);
    expect(store.read(store.cell(a))).toStrictEqual(before);
  });

  test.each([
    ['an object within', { in: { n: 1 } }, (value: { in: Value }) => void (value.in.n = 2)],
    ['an array', [1, 2], (value: number[]) => void value.push(3)],
    ['members that a class has', new Date(5), (value: Date) => void value.setTime(6)],
  ])('is what it was with %s', (_, before: object, change: (value: never) => void) => {
    const store = new KeyedStore('t');
    store.use(msgpack);
    store.write(store.cell(a), structuredClone(before));
    const effects = new Effects();
    change(store.read(store.cell(a), effects) as never);
    expect(store.read(store.cell(a))).not.toEqual(before);
    expect(effects.rollback()).toBe(true);
    expect(store.read(store.cell(a))).toEqual(before);
  });

  test('beside many others is kept once, and as it was', () => {
    const store = keyedStore();
    const refs = Array.from({ length: 100 }, (_, n) => keyRef(n));
    for (const ref of refs) store.write(store.cell(ref), { n: 0 });
    const effects = new Effects();
    const kept = vi.spyOn(effects, 'add');
    for (let round = 1; round <= 5; round++)
      for (const ref of refs) (store.read(store.cell(ref), effects) as Value).n = round;
    expect(kept).toHaveBeenCalledTimes(100);
    expect(effects.rollback()).toBe(true);
    for (const ref of refs) expect(store.read(store.cell(ref), effects)).toEqual({ n: 0 });
  });

  test('that cannot be encoded cannot be taken back', () => {
    const store = keyedStore();
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    store.write(store.cell(a), circular);
    const effects = new Effects();
    expect(store.read(store.cell(a), effects)).toBe(circular);
    expect(effects.rollback()).toBe(false);
  });

  test('and written by somebody else since cannot be taken back alone', () => {
    const store = keyedStore();
    store.write(store.cell(a), { n: 1 });
    const effects = new Effects();
    (store.read(store.cell(a), effects) as Value).n = 2;
    store.write(store.cell(a), { n: 3 });
    expect(effects.rollback()).toBe(false);
    expect(keyedRows(store)).toEqual(new Map([['a', { n: 3 }]]));
  });

  test('is handed out by rows and ranges too', () => {
    const store = keyedStore();
    store.write(store.cell(a), { n: 1 });
    const effects = new Effects();
    for (const [, value] of store.rows(effects)) (value as Value).n = 2;
    for (const [, value] of store.range(undefined, undefined, effects)) (value as Value).n = 3;
    expect(effects.rollback()).toBe(true);
    expect(keyedRows(store)).toEqual(new Map([['a', { n: 1 }]]));
  });
});

test('a cell that was made to look at leaves nothing behind', () => {
  const store = keyedStore();
  const effects = new Effects();
  expect(store.read(store.cell(a), effects)).toBeUndefined();
  expect(store.size).toBe(1);
  expect(effects.rollback()).toBe(true);
  expect([store.size, store.find(a)]).toEqual([0, undefined]);
});

/** What an event does, and whether it fails. */
interface Event {
  readonly fails: boolean;
  readonly commitAfter: boolean;
  readonly steps: readonly {
    readonly key: string;
    readonly start: number | null;
    readonly op: 'set' | 'add' | 'delete' | 'read';
    readonly object: boolean;
  }[];
}

const events: fc.Arbitrary<Event[]> = fc.array(
  fc.record({
    fails: fc.boolean(),
    commitAfter: fc.boolean(),
    steps: fc.array(
      fc.record({
        key: fc.constantFrom('a', 'b', 'c'),
        start: fc.constantFrom(null, 0, 10),
        op: fc.constantFrom('set' as const, 'add' as const, 'delete' as const, 'read' as const),
        object: fc.boolean(),
      }),
      { maxLength: 6 },
    ),
  }),
  { maxLength: 20, size: 'max' },
);

test('against a map: an event that fails has never been', () => {
  fc.assert(
    fc.property(events, (history) => {
      let state = new TaskState();
      const frames: NonNullable<ReturnType<typeof commitOf>>[] = [];
      let model = new Map<string, unknown>();
      const effects = new Effects();
      for (const event of history) {
        const keyed = state.keyed('rows', codec);
        const windows = state.windowed('windows', codec);
        const after = structuredClone(model);
        for (const { key, start, op, object } of event.steps) {
          const ref = keyRef(key);
          const id = start === null ? key : windowId(start, key);
          const read = (): unknown =>
            start === null
              ? keyed.read(keyed.cell(ref), effects)
              : windows.read(windows.cell(start, ref), effects);
          const write = (value: unknown): void => {
            if (start === null) keyed.write(keyed.cell(ref), value, effects);
            else windows.write(windows.cell(start, ref), value, effects);
            if (value === undefined) after.delete(id);
            else after.set(id, structuredClone(value));
          };
          if (op === 'delete') write(undefined);
          else if (op === 'set') write(object ? { n: 0 } : 0);
          else {
            const value = read();
            expect(value).toEqual(after.get(id));
            if (op !== 'add') continue;
            if (typeof value === 'number') write(value + 1);
            else if (value !== undefined) {
              // In place, and not always written.
              (value as { n: number }).n++;
              after.set(id, structuredClone(value));
              if (!event.fails || object) write(value);
            }
          }
        }
        if (event.fails) expect(effects.rollback()).toBe(true);
        else {
          effects.settle();
          model = after;
        }
        const all = contents(state);
        expect(new Map([...all.keyed, ...all.windowed])).toEqual(model);
        if (event.commitAfter) {
          const frame = commitOf(state);
          if (frame !== undefined) frames.push(frame);
          state = new TaskState();
          for (const each of frames) state.applyFrame(each);
        }
      }
    }),
    { numRuns: 300 },
  );
});
