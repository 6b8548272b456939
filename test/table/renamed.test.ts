/** Tables that were renamed, read from outside: by their new names, from every process, also beside one that still has the old program. */
import { expect, test } from 'vitest';

import { App, json, unchecked } from '../../src/index.ts';
import type { Running, Table, Topic, WindowedTable } from '../../src/index.ts';
import { close, keyed, logTo, runOnce, withDirectory } from '../app/support.ts';

interface Shop {
  readonly app: App;
  readonly orders: Topic<string, number>;
  /** Updated by a declared stream, by an agent, and per window. */
  readonly sums: Table<string, number, number>;
  readonly seen: Table<string, { readonly n: number }, { readonly n: number } | undefined>;
  readonly hours: WindowedTable<string, number, number>;
}

const KEYS = ['ann', 'bob', 'cid', 'dot', 'eve', 'fay'];

/** As it was declared first, or under other names. */
function shop(directory: string, renamed: boolean): Shop {
  const name = (old: string): string => (renamed ? `new-${old}` : old);
  const app = new App('shop', {
    broker: `file:${directory}`,
    logger: logTo([]),
    commit: { interval: 10 },
    rename: renamed ? { 'new-sums': 'sums', 'new-seen': 'seen', 'new-hours': 'hours' } : undefined,
  });
  const orders = app.topic('orders', { ...keyed<number>(), timestamp: (n) => n });
  const sums = app.table(name('sums'), { default: () => 0, codec: json });
  const seen = app.table(name('seen'), { value: unchecked<{ readonly n: number }>(), codec: json });
  const hours = app.table(name('hours'), { default: () => 0, codec: json }).tumbling('1h');
  orders.stream().update(sums, (sum, n) => sum + n);
  orders.stream().update(hours, (sum, n) => sum + n);
  app.each('see', orders, (n, { key }) => seen.set(key, { n }));
  return { app, orders, sums, seen, hours };
}

async function expectRows({ sums, seen, hours }: Shop, stale: boolean): Promise<void> {
  for (const [i, key] of KEYS.entries()) {
    expect(await sums.query(key, { stale })).toBe(i + 1);
    expect(await seen.query(key, { stale })).toEqual({ n: i + 1 });
    expect(await hours.query(key, { at: 1, stale })).toBe(i + 1);
  }
  expect(await sums.query('nobody', { stale })).toBe(0);
  expect(await seen.query('nobody', { stale })).toBeUndefined();
}

test.each<[string, readonly boolean[]]>([
  ['one worker', [true]],
  ['two workers', [true, true]],
  ['a worker of the old program and one of the new', [false, true]],
])('%s: query finds the rows of each key, from each process', (_, programs) =>
  withDirectory(async (directory) => {
    const first = shop(directory, false);
    await Promise.all(KEYS.map((key, i) => first.orders.send(i + 1, { key })));
    await runOnce(first.app);
    await close(first.app);

    const shops = programs.map((renamed) => shop(directory, renamed));
    const asker = shop(directory, true);
    const earlier = shop(directory, false);
    try {
      const all: Running[] = [];
      for (const { app } of shops) all.push(await app.start());
      while (all.some(({ stats }) => stats.tasks.length !== 8 / all.length))
        await all[0]?.settled();
      for (const each of [...shops, asker, earlier]) await expectRows(each, false);
      await Promise.all(all.map((running) => running.stop()));
      for (const each of [...shops, asker, earlier]) await expectRows(each, true);
    } finally {
      for (const { app } of [...shops, asker, earlier]) await close(app);
    }
  }),
);
