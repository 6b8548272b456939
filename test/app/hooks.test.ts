/** Listeners: told of partitions and tables, waited for, and never able to break a worker. */
import { describe, expect, test } from 'vitest';

import type { App, AppEvents, TopicPartition } from '../../src/index.ts';
import { withMachine } from './machine.ts';
import { keyed, moment, rowsOf, turns, withApp } from './support.ts';

interface Declared {
  readonly send: (n: number, key: string) => Promise<unknown>;
  readonly rows: () => Promise<Map<string, number>>;
}

function counting(app: App): Declared {
  const numbers = app.topic('numbers', { ...keyed<number>(), partitions: 2 });
  const sums = app.table<number>('sums', { default: () => 0 });
  numbers.stream().update(sums, (sum, n) => sum + n);
  return { send: (n, key) => numbers.send(n, { key }), rows: () => rowsOf(sums) };
}

const places = (partitions: readonly TopicPartition[]): string =>
  partitions
    .map(({ topic, partition }) => `${topic}/${partition}`)
    .toSorted()
    .join(' ');

/** Writes down everything that an app tells. */
function listen(app: App, log: string[], name = ''): void {
  app.on('partitionsAssigned', (each) => log.push(`${name}assigned ${places(each)}`));
  app.on('partitionsRevoked', (each) => log.push(`${name}revoked ${places(each)}`));
  app.on('recovered', (each) =>
    log.push(`${name}recovered ${each.table}/${each.partition} ${each.records}`),
  );
}

describe('what an app tells', () => {
  test('partitions that come, tables that are loaded, partitions that go', () =>
    withApp(async ({ app }) => {
      const { send } = counting(app);
      const log: string[] = [];
      listen(app, log);
      for (let life = 0; life < 2; life++) {
        const running = await app.start();
        for (const key of ['a', 'b', 'c', 'd', 'e']) await send(1, key);
        await running.settled();
        await running.stop();
      }
      const [first, loaded] = [log.slice(0, 4), log.slice(4)];
      expect(first[0]).toBe('assigned numbers/0 numbers/1');
      expect(first.slice(1, 3).toSorted()).toEqual(['recovered sums/0 0', 'recovered sums/1 0']);
      expect(first[3]).toBe('revoked numbers/0 numbers/1');
      expect(loaded[0]).toBe('assigned numbers/0 numbers/1');
      const rows = loaded
        .slice(1, 3)
        .map((line) => Number(/^recovered sums\/[01] (\d)$/u.exec(line)?.[1]));
      expect(rows.reduce((a, b) => a + b)).toBe(5);
      expect(loaded.slice(3)).toEqual(['revoked numbers/0 numbers/1']);
    }));

  test('a partition once, though several tasks read it, and those behind a groupBy', () =>
    withApp(async ({ app }) => {
      const numbers = app.topic('numbers', { ...keyed<number>(), partitions: 1 });
      app.each('look', numbers, async () => undefined);
      const counts = app.table<number>('counts', { default: () => 0 });
      numbers
        .stream()
        .groupBy(String, { name: 'text' })
        .update(counts, (n) => n + 1);
      const log: string[] = [];
      app.on('partitionsAssigned', (each) => log.push(places(each)));
      app.on('partitionsRevoked', (each) => log.push(places(each)));
      await (await app.start()).stop();
      const all = 'numbers/0 shop-numbers-text-repartition/0';
      expect(log).toEqual([all, all]);
    }));

  test('tables under their declared names', () =>
    withMachine(async (machine) => {
      const told: string[] = [];
      for (const [table, rename] of [
        ['old', {}],
        ['new', { new: 'old' }],
      ] as const) {
        const app = machine.app('shop', { rename });
        const numbers = app.topic('numbers', { ...keyed<number>(), partitions: 1 });
        const sums = app.table<number>(table, { default: () => 0 });
        numbers.stream().update(sums, (sum, n) => sum + n);
        app.on('recovered', (each) => told.push(`${each.table} ${each.records}`));
        await numbers.send(1, { key: 'k' });
        const running = await app.start();
        await machine.until(running.settled());
        await machine.until(running.stop());
      }
      expect(told).toEqual(['old 0', 'new 1']);
    }));

  test('partitions that move: gone from one process before they come to the other', () =>
    withMachine(async (machine) => {
      const log: string[] = [];
      const [one, two] = ['1 ', '2 '].map((name) => {
        const app = machine.app('shop', { lease: '2s' });
        counting(app);
        app.on('partitionsAssigned', (each) => log.push(`${name}assigned ${places(each)}`));
        app.on('partitionsRevoked', (each) => log.push(`${name}revoked ${places(each)}`));
        return app;
      }) as [App, App];
      const first = await one.start();
      const second = await two.start();
      await machine.until(() => log.length === 3);
      expect(log[0]).toBe('1 assigned numbers/0 numbers/1');
      const moved = log[1]?.slice('1 revoked '.length) ?? '';
      expect(['numbers/0', 'numbers/1']).toContain(moved);
      expect(log[2]).toBe(`2 assigned ${moved}`);
      const stays = moved === 'numbers/0' ? 'numbers/1' : 'numbers/0';
      await machine.until(first.stop());
      await machine.until(() => log.length === 5);
      expect(log.slice(3)).toEqual([`1 revoked ${stays}`, `2 assigned ${stays}`]);
      await machine.until(second.stop());
      expect(log.slice(5)).toEqual(['2 revoked numbers/0 numbers/1']);
    }));

  test('a partition stays until the listeners of the process that gives it are done', () =>
    withMachine(async (machine) => {
      const goOn = moment();
      const [one, two] = [machine.app('shop'), machine.app('shop')];
      counting(one);
      counting(two);
      let asked = false;
      one.on('partitionsRevoked', async () => {
        asked = true;
        await goOn.reached;
      });
      let moved = false;
      two.on('partitionsAssigned', () => (moved = true));
      const first = await one.start();
      const second = await two.start();
      await machine.until(() => asked);
      await machine.clock.advance(5_000);
      expect(moved).toBe(false);
      goOn.come();
      await machine.until(() => moved);
      await machine.until(first.stop());
      await machine.until(second.stop());
    }));
});

describe('a listener', () => {
  test.each(['partitionsAssigned', 'recovered'] as const)(
    'to %s holds up the start, and what it is told of',
    (event) =>
      withApp(async ({ app, clock }) => {
        const { send, rows } = counting(app);
        const goOn = moment();
        await send(1, 'k');
        app.on(event, () => goOn.reached);
        let up = false;
        const starting = app.start().then((running) => {
          up = true;
          return running;
        });
        await clock.advance(1_000);
        expect([up, await rows()]).toEqual([false, new Map()]);
        goOn.come();
        const running = await starting;
        await running.settled();
        expect(await rows()).toEqual(new Map([['k', 1]]));
      }),
  );

  test.each(['throws', 'rejects'])('that %s is told of, and the worker goes on', (how) =>
    withApp(async ({ app, warnings }) => {
      const { send, rows } = counting(app);
      app.on('partitionsAssigned', () => {
        if (how === 'throws') throw new Error('broken');
        return Promise.reject(new Error('broken'));
      });
      let others = 0;
      app.on('partitionsAssigned', () => others++);
      const running = await app.start();
      await send(1, 'k');
      await running.settled();
      expect(await rows()).toEqual(new Map([['k', 1]]));
      await running.stop();
      expect(others).toBe(1);
      expect(warnings).toEqual([
        'a listener to partitionsAssigned of app shop failed: broken; the worker goes on without it',
      ]);
    }),
  );

  test.each([
    [undefined, 10_000],
    ['2s', 2_000],
  ] as const)('has a deadline: %s', (deadline, deadlineMs) =>
    withApp(async ({ app, clock, warnings }) => {
      counting(app);
      const never = moment();
      let told = false;
      app.on(
        'partitionsAssigned',
        async (_partitions, { signal }) => {
          signal.addEventListener('abort', () => (told = true));
          await never.reached;
          throw new Error('nobody hears this');
        },
        { deadline },
      );
      let up = false;
      const starting = app.start().then((running) => {
        up = true;
        return running;
      });
      await turns(clock);
      await clock.advance(deadlineMs - 1);
      expect([up, told]).toEqual([false, false]);
      await clock.advance(1);
      const running = await starting;
      expect(told).toBe(true);
      never.come();
      await running.stop();
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(
        `a listener to partitionsAssigned of app shop failed: it has taken longer than its deadline of ${deadlineMs} ms`,
      );
    }),
  );

  test('leaves no timer behind', () =>
    withApp(async ({ app, clock }) => {
      counting(app);
      const seen: (keyof AppEvents)[] = [];
      app.on('partitionsAssigned', async (_all, { sleep }) => {
        await sleep(1);
        seen.push('partitionsAssigned');
      });
      const starting = app.start();
      await clock.advance(10);
      await (await starting).stop();
      await app.close();
      await turns(clock);
      expect(seen).toEqual(['partitionsAssigned']);
      expect(clock.timers).toBe(0);
    }));

  test('must be a function that listens to something there is, declared before the start', () =>
    withApp(async ({ app }) => {
      counting(app);
      const none = undefined as unknown as () => void;
      expect(() => app.on('recovered', none)).toThrow('give it a function');
      expect(() => app.on('started' as 'recovered', () => undefined)).toThrow(
        'started is no event of an app; listen to partitionsAssigned, partitionsRevoked, recovered',
      );
      expect(() => app.on('recovered', () => undefined, { deadline: 0 })).toThrow('deadline');
      const running = await app.start();
      expect(() => app.on('recovered', () => undefined)).toThrow('while app shop runs');
      await running.stop();
    }));
});
