/** The stream of a table's changes, as far as the table is concerned. */
import { describe, expect, test } from 'vitest';

import { msgpack } from '../../src/codec/msgpack.ts';
import type { EventCell } from '../../src/core/event.ts';
import { DELETE } from '../../src/stream/delete.ts';
import type { Receive } from '../../src/stream/operator.ts';
import type { ChangeSource } from '../../src/table/changes.ts';
import type { Table } from '../../src/table/table.ts';
import { expectError } from '../codec/support.ts';
import { tableOn, TaskBench } from './task-bench.ts';

type Rows = Table<string, number, number>;

interface Told {
  readonly change: unknown;
  readonly key: unknown;
  readonly timestamp: number | undefined;
}

function setup(receive?: Receive): {
  bench: TaskBench;
  rows: Rows;
  changes: ChangeSource;
  told: Told[];
} {
  const bench = new TaskBench();
  const { table: rows, changes } = tableOn(bench.host, 'rows', () => 0);
  rows.changes();
  const told: Told[] = [];
  bench.changes.set('rows', (change, event) => {
    told.push({ change, key: event?.key?.key, timestamp: event?.timestamp });
    return receive?.(change, event);
  });
  return { bench, rows, changes, told };
}

describe('what is told', () => {
  test('every change by a declared update', async () => {
    const { bench, rows, told } = setup();
    const passedOn: unknown[] = [];
    bench.update(
      rows,
      (n, value: number) => (value === 0 ? DELETE : n + value),
      (change) => {
        passedOn.push(change);
      },
    );
    await bench.send(rows, 'a', 5, 2);
    await bench.send(rows, 'a', 6, 3);
    await bench.send(rows, 'a', 7, 0);
    expect(told).toEqual([
      { change: { key: 'a', value: 2, previous: undefined }, key: 'a', timestamp: 5 },
      { change: { key: 'a', value: 5, previous: 2 }, key: 'a', timestamp: 6 },
      { change: { key: 'a', value: undefined, previous: 5 }, key: 'a', timestamp: 7 },
    ]);
    expect(passedOn).toEqual(told.map(({ change }) => change));
  });

  test('every change by a method, under the key of the row', async () => {
    const { bench, rows, told } = setup();
    await bench.event('event', 9, () => {
      rows.set('a', 1);
      rows.update('b', (n) => n + 2);
      rows.update('a', (n) => n + 3);
      expect(rows.delete('b')).toBe(true);
      expect(rows.delete('c')).toBe(false);
      rows.get('a');
      rows.set('event', 7);
    });
    expect(told.map(({ change }) => change)).toEqual([
      { key: 'a', value: 1, previous: undefined },
      { key: 'b', value: 2, previous: undefined },
      { key: 'a', value: 4, previous: 1 },
      { key: 'b', value: undefined, previous: 2 },
      { key: 'event', value: 7, previous: undefined },
    ]);
    expect(told.map(({ key }) => key)).toEqual(['a', 'b', 'a', 'b', 'event']);
    expect(new Set(told.map(({ timestamp }) => timestamp))).toEqual(new Set([9]));
  });

  test('as part of the event: with its effects, and its own cell where the key is the same', async () => {
    const cells: (EventCell | null)[] = [];
    const { bench, rows } = setup((_, event) => {
      cells.push(event);
    });
    await bench.event('k', 1, (event) => {
      rows.set('k', 1);
      rows.set('other', 1);
      expect(cells[0]).toBe(event);
      expect(cells[1]).not.toBe(event);
      expect(cells[1]).toMatchObject({ topic: 'topic', offset: event.offset, raw: null });
      expect(cells[1]?.effects).toBe(event.effects);
    });
  });

  test('nothing when nobody asked', async () => {
    const { bench, told } = setup();
    const { table: silent } = tableOn(bench.host, 'rows', () => 0);
    bench.update(silent, (n: number) => n + 1);
    await bench.send(silent, 'a', 1);
    await bench.event('a', 2, () => silent.set('a', 5));
    expect(told).toEqual([]);
  });
});

describe('what is behind', () => {
  test('is done with before the event is finished', async () => {
    let done = 0;
    const { bench, rows } = setup(async () => {
      await bench.clock.turn();
      done++;
    });
    bench.update(rows, (n: number) => n + 1);
    await bench.send(rows, 'a', 1);
    expect(done).toBe(1);
    await bench.event('a', 2, () => {
      rows.set('a', 5);
      rows.set('a', 6);
      expect(done).toBe(1);
    });
    expect(done).toBe(3);
  });

  test('fails the event, even if the code that made the change catches the error', async () => {
    const failing = { how: 'now' };
    const { bench, rows } = setup(() => {
      if (failing.how === 'now') throw new Error('broken');
      return Promise.reject(new Error('broken'));
    });
    bench.update(rows, (n: number) => n + 1);
    for (failing.how of ['now', 'later']) {
      await expect(bench.send(rows, 'a', 1)).rejects.toThrow('broken');
      await expect(bench.event('a', 1, () => rows.set('a', 1))).rejects.toThrow('broken');
      const caught = bench.event('a', 1, () => {
        try {
          rows.set('a', 1);
        } catch {
          // A body that takes errors lightly.
        }
      });
      await expect(caught).rejects.toThrow('broken');
    }
    expect([...bench.state.keyed('rows', msgpack).rows()]).toEqual([]);
  });
});

describe('its declaration', () => {
  test('has one source, whoever asks, and remembers the agent', () => {
    const { rows, changes } = setup();
    const { node } = changes;
    expect(node).toMatchObject({
      kind: 'changes',
      role: { source: { kind: 'changes', name: 'rows' } },
    });
    rows.changes({ by: { name: 'agent' } });
    rows.changes();
    expect([changes.node, changes.by]).toEqual([node, 'agent']);
    expectError(
      'MR_ARGUMENT_INVALID',
      () => rows.changes({ by: { name: 'other' } }),
      /given agent other, and agent agent before/,
    );
  });

  test('is not for tables with windows', () => {
    const { rows } = setup();
    expectError(
      'MR_OPTION_INVALID',
      () => rows.tumbling(10),
      /changes\(\) of table rows was asked/,
    );
  });

  test('a table with a ttl has no windows', () => {
    const { table: rows } = tableOn(new TaskBench().host, 'rows', () => 0, 5);
    expectError('MR_OPTION_INVALID', () => rows.hopping(10, 5), /table rows has a ttl/);
  });
});

test('while others are under way a row of another key is changed by update alone', async () => {
  const bench = new TaskBench();
  const { table: rows } = tableOn(bench.host, 'rows', () => 0);
  const text = /of table rows was called with the key "other".*use rows\.update\(key, fn\)/s;
  await bench.event('k', 1, () => {
    const cell = { ...bench.processing.find(), concurrent: true } as never;
    bench.processing.within(cell, () => {
      rows.set('k', rows.get('k') + 1);
      expect(rows.get('other')).toBe(0);
      expect(rows.update('other', (n) => n + 5)).toBe(5);
      expect(rows.delete('k')).toBe(true);
      expectError('MR_ARGUMENT_INVALID', () => rows.set('other', 1), text);
      expectError('MR_ARGUMENT_INVALID', () => rows.delete('other'), text);
    });
  });
});
