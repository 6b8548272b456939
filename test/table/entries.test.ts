/** Ranges over the rows of a task, stored and not. */
import { expect, test } from 'vitest';

import { expectError } from '../codec/support.ts';
import { tableOn, TaskBench } from './task-bench.ts';

test('rows in the order of their keys, those of this commit among the others', async () => {
  const bench = new TaskBench();
  const { table } = tableOn(bench.host, 'rows', () => 0);
  await bench.event('k', 1, () => {
    for (const key of ['d', 'b', 'f', 'é', 'Z']) table.set(key, 1);
  });
  await bench.commit();
  bench.crash();
  await bench.event('k', 2, () => {
    table.set('c', 2);
    table.delete('f');
    table.update('b', (n) => n + 5);
    expect([...table.entries()]).toEqual([
      ['Z', 1],
      ['b', 6],
      ['c', 2],
      ['d', 1],
      ['é', 1],
    ]);
    expect([...table.entries({ from: 'b', to: 'd' })].map(([key]) => key)).toEqual(['b', 'c']);
    expect([...table.entries({ from: 'bb' })].map(([key]) => key)).toEqual(['c', 'd', 'é']);
    expect([...table.entries({ to: 'Z' })]).toEqual([]);
  });
});

test('what is left of a range when the event is finished is refused', async () => {
  const bench = new TaskBench();
  const { table } = tableOn(bench.host, 'rows', () => 0);
  const rows = await bench.event('k', 1, () => {
    for (const key of ['a', 'b', 'c']) table.set(key, 1);
    const begun = table.entries();
    expect(begun.next().value).toEqual(['a', 1]);
    return [begun, table.entries()];
  });
  for (const range of rows)
    expectError('MR_TABLE_OUTSIDE', () => range.next(), /by code whose event is finished/);
  await bench.event('k', 2, () => {
    for (const range of rows) expect(range.next().done).toBe(true);
  });
});

test('a row that was changed in place is as before when the event fails', async () => {
  const bench = new TaskBench();
  const { table } = tableOn<{ n: number }>(bench.host, 'rows', () => ({ n: 0 }));
  await bench.event('k', 1, () => table.set('a', { n: 1 }));
  await bench.commit();
  for (const spoil of [
    () => (table.get('a').n = 5),
    () => {
      for (const [, row] of table.entries()) row.n = 5;
    },
    () => {
      table.update('a', (row) => {
        row.n = 5;
        return row;
      });
    },
    () => table.set('a', { n: 5 }),
    () => table.delete('a'),
  ])
    await expect(
      bench.event('k', 2, () => {
        spoil();
        throw new Error('failed');
      }),
    ).rejects.toThrow('failed');
  await bench.event('k', 3, () => {
    expect([...table.entries()]).toEqual([['a', { n: 1 }]]);
  });
});
