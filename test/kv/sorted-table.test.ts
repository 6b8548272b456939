import fc from 'fast-check';
import { expect, test } from 'vitest';

import { SortedTable, type NameRange } from '../../src/kv/sorted-table.ts';

function names(table: SortedTable<number>, range: NameRange = {}): string[] {
  const found: string[] = [];
  const walk = table.walk(range);
  for (let name = walk.peek(); name !== undefined; name = walk.peek()) {
    found.push(name);
    walk.pass(name);
  }
  return found;
}

function expected(model: Map<string, number>, { from, to, reverse }: NameRange): string[] {
  const sorted = [...model.keys()]
    .filter((name) => (from === undefined || name >= from) && (to === undefined || name < to))
    .toSorted((a, b) => (a < b ? -1 : 1));
  return reverse === true ? sorted.toReversed() : sorted;
}

const name = fc
  .integer({ min: 0, max: 300 })
  .map((number) => String.fromCharCode(number % 256) + number);
const range = fc.record({
  from: fc.option(name, { nil: undefined }),
  to: fc.option(name, { nil: undefined }),
  reverse: fc.boolean(),
});
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ set: name }) },
  { weight: 2, arbitrary: fc.record({ delete: name }) },
  { weight: 1, arbitrary: fc.record({ walk: range }) },
);

test('it agrees with a map that is sorted for every walk', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const table = new SortedTable<number>();
      const model = new Map<string, number>();
      for (const [at, action] of steps.entries()) {
        if ('set' in action) {
          table.set(action.set, at);
          model.set(action.set, at);
        } else if ('delete' in action) {
          table.delete(action.delete);
          model.delete(action.delete);
        } else expect(names(table, action.walk)).toEqual(expected(model, action.walk));
        expect(table.size).toBe(model.size);
      }
      for (const [key, value] of model) expect(table.get(key)).toBe(value);
      for (const reverse of [false, true])
        expect(names(table, { reverse })).toEqual(expected(model, { reverse }));
    }),
  );
});

test('a walk sees what changes ahead of it and nothing behind it', () => {
  fc.assert(
    fc.property(
      fc.array(name, { minLength: 1, maxLength: 50 }),
      fc.array(fc.record({ name, remove: fc.boolean() }), { maxLength: 50 }),
      fc.boolean(),
      (start, changes, reverse) => {
        const table = new SortedTable<number>();
        for (const each of start) table.set(each, 0);
        const walk = table.walk({ reverse });
        const left = [...changes];
        let passed: string | undefined;
        for (let next = walk.peek(); next !== undefined; next = walk.peek()) {
          if (passed !== undefined) expect(reverse ? next < passed : next > passed).toBe(true);
          expect(table.get(next)).toBeDefined();
          walk.pass(next);
          passed = next;
          const change = left.pop();
          if (change === undefined) continue;
          if (change.remove) table.delete(change.name);
          else table.set(change.name, 1);
          const ahead = names(table, { reverse }).find((each) =>
            reverse ? each < next : each > next,
          );
          expect(walk.peek()).toBe(ahead);
        }
      },
    ),
  );
});

test('large tables: ascending, descending and random insertion, then removal from both ends', () => {
  const size = 5000;
  const nameAt = (at: number): string => `${at}`.padStart(6, '0');
  const all = Array.from({ length: size }, (_, at) => nameAt(at));
  for (const order of [all, all.toReversed(), all.map((_, at) => nameAt((at * 2741) % size))]) {
    for (const walkFirst of [true, false]) {
      const table = new SortedTable<number>();
      if (walkFirst) expect(names(table)).toEqual([]);
      for (const each of order) table.set(each, 1);
      expect(names(table)).toEqual(all);
      expect(names(table, { reverse: true })).toEqual(all.toReversed());
      for (let at = 0; at < 2000; at++) {
        table.delete(nameAt(at));
        table.delete(nameAt(size - 1 - at));
      }
      expect(names(table)).toEqual(all.slice(2000, size - 2000));
      for (const each of names(table)) table.delete(each);
      expect(names(table)).toEqual([]);
      table.set('x', 1);
      expect(names(table)).toEqual(['x']);
    }
  }
});
