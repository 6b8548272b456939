/** `for await` over a topic in a task: a group of its own, at least once. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

import type { App, Topic } from '../../src/index.ts';
import { withMachine } from './machine.ts';
import { keyed, moment, turns, withApp } from './support.ts';

function numbersOf(app: App, partitions = 1): Topic<string, number> {
  return app.topic('numbers', { ...keyed<number>(), partitions });
}

async function sendAll(topic: Topic<string, number>, values: readonly number[]): Promise<void> {
  for (const n of values) await topic.send(n, { key: `k${n}` });
}

describe('iterate on the stream of a topic', () => {
  test('in a task, until the worker stops; the next life goes on behind it', () =>
    withApp(async ({ app, clock, warnings }) => {
      const numbers = numbersOf(app);
      const lives: number[][] = [];
      app.task(async ({ signal }) => {
        const seen: number[] = [];
        lives.push(seen);
        for await (const n of numbers.stream().iterate({ signal })) seen.push(n);
      });
      await sendAll(numbers, [1, 2, 3]);
      for (const more of [4, 5]) {
        const running = await app.start();
        await turns(clock, 100);
        await sendAll(numbers, [more]);
        await turns(clock, 100);
        await running.stop();
      }
      expect(lives).toEqual([[1, 2, 3, 4], [5]]);
      expect(warnings).toEqual([]);
      await app.close();
      await turns(clock);
      expect(clock.timers).toBe(0);
    }));

  test('waits for the loop: a value that it has when it is left comes again', () =>
    withApp(async ({ app }) => {
      const numbers = numbersOf(app);
      await sendAll(numbers, [1, 2, 3, 4]);
      const take = async (last: number): Promise<number[]> => {
        const seen: number[] = [];
        for await (const n of numbers.stream().iterate()) {
          seen.push(n);
          if (n === last) break;
        }
        return seen;
      };
      expect(await take(2)).toEqual([1, 2]);
      expect(await take(3)).toEqual([2, 3]);
      expect(await take(4)).toEqual([3, 4]);
    }));

  test('a body that throws is the same', () =>
    withApp(async ({ app }) => {
      const numbers = numbersOf(app);
      await sendAll(numbers, [1, 2]);
      const seen: number[] = [];
      const fail = async (): Promise<void> => {
        for await (const n of numbers.stream().iterate()) {
          seen.push(n);
          if (n === 2) throw new Error('broken');
        }
      };
      await expect(fail()).rejects.toThrow('broken');
      await expect(fail()).rejects.toThrow('broken');
      expect(seen).toEqual([1, 2, 2]);
    }));

  test('groups have positions of their own', () =>
    withApp(async ({ app }) => {
      const numbers = numbersOf(app);
      await sendAll(numbers, [1, 2]);
      for (const group of ['a', 'b']) {
        const iterator = numbers.stream().iterate({ group });
        expect([await iterator.next(), await iterator.next()]).toEqual([
          { done: false, value: 1 },
          { done: false, value: 2 },
        ]);
        expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
        expect(await iterator.next()).toEqual({ done: true, value: undefined });
      }
      const groups = await (await app['~parts']().broker()).groups();
      expect(groups.toSorted()).toEqual(['shop-iterate-a', 'shop-iterate-b']);
    }));

  test('one loop of a group in a process', () =>
    withApp(async ({ app }) => {
      const numbers = numbersOf(app);
      await sendAll(numbers, [1]);
      const one = numbers.stream().iterate();
      await one.next();
      const two = numbers.stream().iterate();
      await expect(two.next()).rejects.toMatchObject({ code: 'MR_NAME_TAKEN' });
      // The second has not taken the name of the first with it.
      await expect(numbers.stream().iterate().next()).rejects.toMatchObject({
        code: 'MR_NAME_TAKEN',
      });
      await one.return?.();
      const three = numbers.stream().iterate();
      expect(await three.next()).toEqual({ done: false, value: 1 });
      await three.return?.();
    }));

  test('partitions side by side, each in order, shared by processes', () =>
    withMachine(async (machine) => {
      const seen: [number, number][] = [];
      const apps = [0, 1].map((which) => {
        const app = machine.app('shop');
        const numbers = numbersOf(app, 4);
        app.task(async ({ signal }) => {
          for await (const n of numbers.stream().iterate({ signal })) seen.push([which, n]);
        });
        return { app, numbers };
      });
      const running = [];
      for (const { app } of apps) running.push(await app.start());
      // Until both have what is theirs.
      await machine.clock.advance(5_000);
      const values = Array.from({ length: 200 }, (_, n) => n);
      await machine.until(sendAll(apps[0]?.numbers as Topic<string, number>, values));
      await machine.until(() => seen.length >= 200);
      expect(seen.map(([, n]) => n).toSorted((a, b) => a - b)).toEqual(values);
      expect(new Set(seen.map(([which]) => which)).size).toBe(2);
      for (const each of running) await machine.until(each.stop());
    }));

  test('a record that cannot be read ends the loop, and a task that does not catch it', () =>
    withApp(async ({ app, clock }) => {
      const numbers = app.topic('numbers', { value: z.number(), validate: 'out', partitions: 1 });
      await numbers.send(1);
      await numbers.send('two' as unknown as number);
      const seen: number[] = [];
      app.task(async ({ signal }) => {
        for await (const n of numbers.stream().iterate({ signal })) seen.push(n);
      });
      const running = await app.start();
      await expect(running.done).rejects.toMatchObject({
        code: 'MR_JOB_FAILED',
        cause: { code: 'MR_PROCESSING_FAILED', details: { topic: 'numbers', offset: 1 } },
      });
      expect(seen).toEqual([1]);
      await turns(clock);
    }));

  test('an abort ends a loop that waits, and one that was aborted before does not begin', () =>
    withApp(async ({ app, clock }) => {
      const numbers = numbersOf(app);
      const abort = new AbortController();
      const iterator = numbers.stream().iterate({ signal: abort.signal });
      const next = iterator.next();
      await turns(clock, 50);
      abort.abort();
      await expect(next).rejects.toMatchObject({ code: 'MR_ABORTED' });
      const other = numbers.stream().iterate({ signal: AbortSignal.abort(), group: 'other' });
      await expect(other.next()).rejects.toMatchObject({ code: 'MR_ABORTED' });
    }));

  test('while the app runs nothing else can be made of its stream', () =>
    withApp(async ({ app, clock }) => {
      const numbers = numbersOf(app);
      const goOn = moment();
      const refusals: unknown[] = [];
      app.task(async () => {
        const stream = numbers.stream();
        for (const use of [
          () => stream.map((n) => n),
          () => stream.sink(() => undefined),
          () => stream.groupBy(String, { name: 'text' }),
        ])
          try {
            use();
          } catch (error) {
            refusals.push((error as Error).message);
          }
        goOn.come();
      });
      const running = await app.start();
      await goOn.reached;
      await running.stop();
      await turns(clock);
      expect(refusals).toHaveLength(3);
      for (const text of refusals)
        expect(text).toMatch(/^a stream of topic numbers was declared while app shop runs/u);
    }));

  test('behind operators, and with options that it cannot have, it is refused', () =>
    withApp(async ({ app }) => {
      const stream = numbersOf(app).stream();
      const template = expect.objectContaining({ code: 'MR_TEMPLATE' }) as unknown;
      expect(() => stream.map((n) => n).iterate()).toThrow(template);
      expect(() => stream.iterate({ capacity: 1 })).toThrow(template);
      expect(() => stream.iterate({ group: 'a b' })).toThrow('not a valid group name');
    }));
});
