/** Tables: what an event may do with them, what is kept, and who may not touch them. */
import { describe, expect, test } from 'vitest';

import { App, CoPartitionError, DELETE, json, unchecked } from '../../src/index.ts';
import type { Table, Topic } from '../../src/index.ts';
import {
  bench,
  close,
  failureOf,
  keyed,
  moment,
  rowsOf,
  runOnce,
  turns,
  valuesOf,
  withApp,
  withDirectory,
} from '../app/support.ts';

/** Runs `body` for each event of one keyed topic in an agent. */
async function inAgent(
  body: (table: Table<string, number, number>, n: number) => unknown,
  send: (topic: Topic<string, number>) => Promise<unknown>,
): Promise<{ failure: Error | undefined; rows: Map<string, number> }> {
  const { app } = bench();
  try {
    const topic = app.topic('topic', { ...keyed<number>(), partitions: 4 });
    const table = app.table('table', { default: () => 0 });
    app.each('agent', topic, async (n) => {
      await body(table, n);
    });
    await send(topic);
    const running = await app.start();
    const failure = await running.settled().then(
      () => undefined,
      (error: unknown) => error as Error,
    );
    return { failure, rows: await rowsOf(table) };
  } finally {
    await close(app);
  }
}

describe('in an event', () => {
  test('get, set, has, delete, update and entries see what was written before', async () => {
    const seen: unknown[] = [];
    const { rows } = await inAgent(
      (table, n) => {
        const key = 'k';
        if (n === 1) {
          seen.push(table.get(key), table.has(key), table.delete(key));
          table.set(key, 5);
          seen.push(table.get(key), table.has(key), [...table.entries()]);
          seen.push(table.update(key, (value) => value + 1));
          seen.push(table.delete(key), table.has(key), table.get(key), [...table.entries()]);
          seen.push(table.update(key, (value) => value + 7));
        } else {
          seen.push(
            table.get(key),
            table.update(key, () => DELETE),
            table.has(key),
          );
        }
      },
      async (topic) => {
        await topic.send(1, { key: 'k' });
        await topic.send(2, { key: 'k' });
      },
    );
    expect(seen).toEqual([
      ...[0, false, false],
      ...[5, true, [['k', 5]]],
      6,
      ...[true, false, 0, []],
      7,
      ...[7, 0, false],
    ]);
    expect(rows).toEqual(new Map());
  });

  test('reading a default stores nothing', async () => {
    const { rows } = await inAgent(
      (table) => table.get('k'),
      (topic) => topic.send(1, { key: 'k' }),
    );
    expect(rows.size).toBe(0);
  });

  test('entries are in the order of their keys, from a key to before a key', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const table = app.table('table', { default: () => 0 });
      const found: string[][] = [];
      app.each('agent', topic, (n, { key }) => {
        table.set(key, n);
        if (n < 4) return;
        for (const range of [{}, { from: 'b' }, { to: 'b' }, { from: 'a', to: 'ü' }])
          found.push([...table.entries(range)].map(([of]) => of));
      });
      for (const [n, key] of ['ü', 'b', 'a', 'A', 'a b'].entries()) await topic.send(n, { key });
      await runOnce(app);
      expect(found).toEqual([
        ['A', 'a', 'a b', 'b', 'ü'],
        ['b', 'ü'],
        ['A', 'a', 'a b'],
        ['a', 'a b', 'b'],
      ]);
    }));

  test.each<[string, (table: Table<string, number, number>) => unknown]>([
    ['update', (table) => table.update('k', (() => undefined) as unknown as () => number)],
    ['set', (table) => table.set('k', undefined as unknown as number)],
  ])('%s refuses undefined as a row', async (_, write) => {
    const { failure, rows } = await inAgent(
      (table) => {
        table.set('k', 1);
        write(table);
      },
      (topic) => topic.send(1, { key: 'k' }),
    );
    expect(failure).toMatchObject({
      code: 'MR_PROCESSING_FAILED',
      cause: {
        code: 'MR_ARGUMENT_INVALID',
        message:
          'table table was given undefined as a row; return the new row, or DELETE to remove it (did the function forget to return?)',
      },
    });
    expect(rows).toEqual(new Map());
  });

  test('null, 0, an empty text and false are rows', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<unknown>(), partitions: 1 });
      const table = app.table('table', { value: unchecked<unknown>() });
      topic.stream().update(table, (_, value) => value);
      const values = [null, 0, '', false, Number.NaN, [], {}];
      for (const [n, value] of values.entries()) await topic.send(value, { key: `k${n}` });
      await runOnce(app);
      const rows = await rowsOf(table);
      // JSON has no NaN.
      expect([...rows.values()]).toEqual([null, 0, '', false, null, [], {}]);
    }));

  test('a row that cannot be stored fails the worker, naming the table', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const table = app.table('table', { default: (): unknown => 0, codec: json });
      topic.stream().update(table, () => 5n);
      await topic.send(1, { key: 'k' });
      expect(await failureOf(await app.start())).toMatchObject({
        code: 'MR_ENCODE_FAILED',
        message: expect.stringMatching(
          /^the row of key "k" in table table cannot be encoded as json/u,
        ) as unknown,
      });
      expect((await rowsOf(table)).size).toBe(0);
    }));
});

describe('the wrong home', () => {
  const elsewhere = async (
    use: (table: Table<string, number, number>) => unknown,
  ): Promise<Error | undefined> =>
    (
      await inAgent(
        (table) => use(table),
        (topic) => topic.send(1, { key: 'ann' }),
      )
    ).failure;

  test.each<[string, (table: Table<string, number, number>) => unknown]>([
    ['get', (table) => table.get('customer-7')],
    ['has', (table) => table.has('customer-7')],
    ['set', (table) => table.set('customer-7', 1)],
    ['delete', (table) => table.delete('customer-7')],
    ['update', (table) => table.update('customer-7', (n) => n + 1)],
  ])('%s names topic, table and the missing groupBy', async (_, use) => {
    const failure = await elsewhere(use);
    expect(failure?.cause).toBeInstanceOf(CoPartitionError);
    expect(failure).toMatchObject({
      code: 'MR_PROCESSING_FAILED',
      cause: {
        code: 'MR_CO_PARTITION',
        message:
          'table table was used with key "customer-7" while processing an event of topic topic that is keyed by "ann": ' +
          'the row of "customer-7" lives in another task. Key the stream by the table\'s key first: topic.stream().groupBy(…) as the source',
        details: { table: 'table', topic: 'topic', key: 'customer-7' },
      },
    });
  });

  test('an event without a key has no home at all', async () => {
    const { app } = bench();
    try {
      const topic = app.topic<number>('topic');
      const table = app.table('table', { default: () => 0 });
      app.each('agent', topic, () => void table.get('k'));
      await topic.send(1);
      expect(await failureOf(await app.start())).toMatchObject({
        cause: {
          code: 'MR_CO_PARTITION',
          message: expect.stringMatching(/of topic topic that has no key/u) as unknown,
        },
      });
    } finally {
      await close(app);
    }
  });

  test('another key of the same task is at home', async () => {
    const { failure, rows } = await inAgent(
      (table, n) => {
        // Of 26 keys in 4 partitions some live where `ann` does.
        let found = 0;
        for (let i = 0; i < 26; i++)
          try {
            table.update(`k${i}`, (value) => value + n);
            found++;
          } catch (error) {
            expect(error).toBeInstanceOf(CoPartitionError);
          }
        expect(found).toBeGreaterThan(0);
      },
      (topic) => topic.send(1, { key: 'ann' }),
    );
    expect(failure).toBeUndefined();
    expect(rows.size).toBeGreaterThan(0);
    expect(rows.size).toBeLessThan(26);
  });

  test('1 and "1" are two keys', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<number, number, string | number>('topic', {
        key: unchecked<string | number>(),
      });
      const table = app.table<number, string | number>('table', { default: () => 0 });
      topic.stream().update(table, (sum, n) => sum + n);
      await topic.send(1, { key: 1 });
      await topic.send(2, { key: '1' });
      await runOnce(app);
      expect(await rowsOf(table)).toEqual(
        new Map<string | number, number>([
          [1, 1],
          ['1', 2],
        ]),
      );
    }));

  test.each([Number.NaN, {}.constructor, undefined, null])('%o is no key', async (key) => {
    const failure = await elsewhere((table) => table.get(key as unknown as string));
    expect(failure).toMatchObject({ cause: { code: 'MR_KEY_INVALID' } });
  });
});

describe('outside event processing', () => {
  const outside = {
    code: 'MR_TABLE_OUTSIDE',
    message: expect.stringMatching(/^table table was used outside event processing; /u) as unknown,
  };

  test('every method is refused', () => {
    const table = bench().app.table('table', { default: () => 0 });
    for (const use of [
      () => table.get('k'),
      () => table.has('k'),
      () => table.set('k', 1),
      () => table.delete('k'),
      () => table.update('k', (n) => n),
      () => [...table.entries()],
    ])
      expect(use).toThrow(expect.objectContaining(outside));
  });

  test('while the worker runs too', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', keyed<number>());
      const table = app.table('table', { default: () => 0 });
      topic.stream().update(table, (n) => n + 1);
      const running = await app.start();
      await topic.send(1, { key: 'k' });
      await running.settled();
      expect(() => table.set('k', 5)).toThrow(expect.objectContaining(outside));
      await running.stop();
      expect(await rowsOf(table)).toEqual(new Map([['k', 1]]));
    }));

  test('what an event left running is refused when the event is finished', () =>
    withApp(async ({ app, clock }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const table = app.table('table', { default: () => 0 });
      const later = moment();
      const outcomes: Promise<unknown>[] = [];
      app.each('agent', topic, (n, { key }) => {
        table.update(key, (sum) => sum + n);
        if (n > 1) return;
        outcomes.push(
          later.reached.then(() => table.set(key, 99)).catch((error: unknown) => error),
        );
      });
      await topic.send(1, { key: 'k' });
      const running = await app.start();
      await running.settled();
      later.come();
      await turns(clock);
      expect(await outcomes[0]).toMatchObject({
        code: 'MR_TABLE_OUTSIDE',
        message: expect.stringMatching(
          /by code whose event is finished; await everything/u,
        ) as unknown,
      });
      await topic.send(2, { key: 'k' });
      await running.settled();
      expect(await rowsOf(table)).toEqual(new Map([['k', 3]]));
    }));

  test('a send that an event left running is refused when the event is finished', () =>
    withApp(async ({ app, clock }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const copies = app.topic<number>('copies', { partitions: 1 });
      const later = moment();
      const outcomes: Promise<unknown>[] = [];
      app.each('agent', topic, (n) => {
        outcomes.push(later.reached.then(() => copies.send(n)).catch((error: unknown) => error));
      });
      await topic.send(1, { key: 'k' });
      const running = await app.start();
      await running.settled();
      later.come();
      await turns(clock);
      expect(await outcomes[0]).toMatchObject({ code: 'MR_SEND_OUTSIDE' });
      await running.settled();
      expect(await valuesOf(copies)).toEqual([]);
    }));

  test('a send that an event left running fails when the task is gone', () =>
    withApp(async ({ app, clock }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const copies = app.topic<number>('copies', { partitions: 1 });
      const later = moment();
      const outcomes: Promise<unknown>[] = [];
      app.each('agent', topic, (n) => {
        outcomes.push(later.reached.then(() => copies.send(n)).catch((error: unknown) => error));
      });
      await topic.send(1, { key: 'k' });
      await runOnce(app);
      later.come();
      await turns(clock);
      expect(await outcomes[0]).toMatchObject({ code: 'MR_ABORTED' });
      expect(await valuesOf(copies)).toEqual([]);
    }));

  test('what an event left running is not taken for the next event', () =>
    withApp(async ({ app, clock }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const table = app.table('table', { default: () => 0 });
      const copies = app.topic<string>('copies', { partitions: 1 });
      const second = moment();
      const goOn = moment();
      const outcomes: Promise<unknown>[] = [];
      app.each('agent', topic, async (n) => {
        if (n === 1) {
          outcomes.push(
            second.reached.then(() => table.set('k', 99)).catch((error: unknown) => error),
            second.reached.then(() => copies.send('left')).catch((error: unknown) => error),
          );
          return;
        }
        second.come();
        await goOn.reached;
        table.update('k', (sum) => sum + n);
      });
      await topic.send(1, { key: 'k' });
      await topic.send(2, { key: 'k' });
      const running = await app.start();
      await second.reached;
      await turns(clock);
      goOn.come();
      await running.settled();
      const [written, sent] = await Promise.all(outcomes);
      expect(written).toMatchObject({ code: 'MR_TABLE_OUTSIDE' });
      expect(sent).toMatchObject({ code: 'MR_SEND_OUTSIDE' });
      expect(await rowsOf(table)).toEqual(new Map([['k', 2]]));
      expect(await valuesOf(copies)).toEqual([]);
    }));
});

describe('a table has one owner', () => {
  test('what another part of the app owns is refused, naming both', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const table = app.table('table', { default: () => 0 });
      topic.stream().update(table, (n) => n + 1);
      app.each('thief', topic, (_, { key }) => void table.update(key, (n) => n + 1));
      await topic.send(1, { key: 'k' });
      expect(await failureOf(await app.start())).toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        details: { topic: 'topic', partition: 0, offset: 0, key: 'k', task: 'agent-thief/0' },
        cause: {
          code: 'MR_TABLE_OWNED',
          details: { table: 'table', owner: 'topic', by: 'agent-thief' },
        },
      });
    }));

  test('the declared stream owns it, whoever comes first', () =>
    withApp(async ({ app }) => {
      const numbers = app.topic('numbers', { ...keyed<number>(), partitions: 1 });
      const others = app.topic('others', { ...keyed<number>(), partitions: 1 });
      const table = app.table('table', { default: () => 0 });
      numbers.stream().update(table, (n) => n + 1);
      app.each('a-thief', others, (_, { key }) => void table.update(key, (n) => n + 1));
      await others.send(1, { key: 'k' });
      expect(await failureOf(await app.start())).toMatchObject({
        cause: { code: 'MR_TABLE_OWNED', details: { owner: 'numbers', by: 'agent-a-thief' } },
      });
      expect((await rowsOf(table)).size).toBe(0);
    }));

  test('of two agents the first to use it', () =>
    withApp(async ({ app }) => {
      const numbers = app.topic('numbers', { ...keyed<number>(), partitions: 1 });
      const others = app.topic('others', { ...keyed<number>(), partitions: 1 });
      const table = app.table('table', { default: () => 0 });
      app.each('first', numbers, (_, { key }) => void table.update(key, (n) => n + 1));
      app.each('second', others, (_, { key }) => void table.update(key, (n) => n + 1));
      await numbers.send(1, { key: 'k' });
      await runOnce(app);
      // Also after a restart, when it has done nothing yet.
      await others.send(1, { key: 'k' });
      expect(await failureOf(await app.start())).toMatchObject({
        cause: { code: 'MR_TABLE_OWNED', details: { owner: 'agent-first', by: 'agent-second' } },
      });
      expect(await rowsOf(table)).toEqual(new Map([['k', 1]]));
    }));

  test('two declared streams that update it are one part of the app', () =>
    withApp(async ({ app }) => {
      const numbers = app.topic('numbers', keyed<number>());
      const others = app.topic('others', keyed<number>());
      const table = app.table('table', { default: () => 0 });
      numbers.stream().update(table, (sum, n) => sum + n);
      others.stream().update(table, (sum, n) => sum - n);
      await numbers.send(10, { key: 'k' });
      await others.send(3, { key: 'k' });
      await runOnce(app);
      expect(await rowsOf(table)).toEqual(new Map([['k', 7]]));
    }));
});

describe('declared updates', () => {
  test('pass on the change', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const table = app.table('table', { value: unchecked<number>() });
      const changes: unknown[] = [];
      topic
        .stream()
        .update(table, (current, n) => (n === 0 ? DELETE : (current ?? 100) + n))
        .sink((change) => changes.push(change));
      for (const n of [1, 2, 0, 0, 5]) await topic.send(n, { key: 'k' });
      await runOnce(app);
      expect(changes).toEqual([
        { key: 'k', value: 101, previous: undefined },
        { key: 'k', value: 103, previous: 101 },
        { key: 'k', value: undefined, previous: 103 },
        { key: 'k', value: undefined, previous: undefined },
        { key: 'k', value: 105, previous: undefined },
      ]);
      expect(await rowsOf(table)).toEqual(new Map([['k', 105]]));
    }));

  test('DELETE removes rows for good', () =>
    withDirectory(async (directory) => {
      for (const n of [1, 0, 5]) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const topic = app.topic('topic', keyed<number>());
          const table = app.table('table', { default: () => 0 });
          topic.stream().update(table, (sum, value) => (value === 0 ? DELETE : sum + value));
          await topic.send(n, { key: 'k' });
          await topic.send(1, { key: 'other' });
          await runOnce(app);
          const rows = await rowsOf(table);
          expect(rows.get('k')).toBe({ 1: 1, 0: undefined, 5: 5 }[n]);
        } finally {
          await close(app);
        }
      }
    }));

  test('without a key they fail, and say what to do', () =>
    withApp(async ({ app }) => {
      const topic = app.topic<number>('topic', { partitions: 1 });
      topic.stream().update(app.table('table', { default: () => 0 }) as never, () => 1);
      await topic.send(1);
      expect(await failureOf(await app.start())).toMatchObject({
        cause: {
          code: 'MR_KEY_MISSING',
          message:
            'table table is updated by an event of topic topic that has no key; put groupBy(…) before update, or send with a key',
        },
      });
    }));

  test('with a function that throws fail, and change nothing', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('topic', { ...keyed<number>(), partitions: 1 });
      const table = app.table('table', { default: () => 0 });
      const copies = app.topic('copies', keyed<unknown>());
      topic
        .stream()
        .update(table, (sum, n) => {
          if (n === 3) throw new RangeError('three');
          return sum + n;
        })
        .sink(copies);
      for (const n of [1, 2, 3, 4]) await topic.send(n, { key: 'k' });
      expect(await failureOf(await app.start())).toMatchObject({
        details: { offset: 2, key: 'k' },
        cause: { name: 'RangeError', message: 'three' },
      });
      expect((await rowsOf(table)).size).toBe(0);
      expect(await valuesOf(copies)).toEqual([]);
    }));

  test('keep dates, maps, sets, bigints and bytes', () =>
    withDirectory(async (directory) => {
      const row = {
        at: new Date(5),
        map: new Map([['a', new Set([1n])]]),
        bytes: Uint8Array.of(1, 2),
      };
      for (let life = 0; life < 2; life++) {
        const app = new App('shop', { broker: `file:${directory}` });
        try {
          const topic = app.topic('topic', keyed<number>());
          const table = app.table('table', { value: unchecked<typeof row>() });
          const seen: unknown[] = [];
          topic.stream().update(table, (current) => {
            seen.push(current);
            return row;
          });
          await topic.send(1, { key: 'k' });
          await runOnce(app);
          expect(seen).toEqual([life === 0 ? undefined : row]);
          expect(await rowsOf(table)).toEqual(new Map([['k', row]]));
        } finally {
          await close(app);
        }
      }
    }));
});

test('rows of a restarted app are those of its last commit', () =>
  withDirectory(async (directory) => {
    const app = new App('shop', { broker: `file:${directory}` });
    try {
      const topic = app.topic('topic', keyed<number>());
      const table = app.table('table', { default: () => 0 });
      const fail = { at: 8 };
      topic.stream().update(table, (sum, n) => {
        if (n === fail.at) throw new Error('stop here');
        return sum + 1;
      });
      for (let n = 0; n < 5; n++) await topic.send(n, { key: 'k' });
      await runOnce(app);
      for (let n = 5; n < 10; n++) await topic.send(n, { key: 'k' });
      await failureOf(await app.start());
      expect(await rowsOf(table)).toEqual(new Map([['k', 5]]));
      fail.at = -1;
      await runOnce(app);
      expect(await rowsOf(table)).toEqual(new Map([['k', 10]]));
    } finally {
      await close(app);
    }
  }));
