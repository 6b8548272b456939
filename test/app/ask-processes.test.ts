/** Questions from one process to another: who answers when workers come, go and die. */
import { describe, expect, test } from 'vitest';

import { App, unchecked } from '../../src/index.ts';
import type { Agent, AppOptions } from '../../src/index.ts';
import { withMachine } from './machine.ts';
import { close, withDirectory } from './support.ts';

/** What every process declares. `by` says where an answer comes from. */
function declare(app: App, by: string): Agent<string, number, string> {
  const orders = app.topic('orders', {
    key: unchecked<string>(),
    value: unchecked<number>(),
    partitions: 4,
  });
  const spent = app.table('spent', { default: () => 0 });
  return app.each('agent', orders, async (n, { key }) => {
    await Promise.resolve();
    const count = spent.update(key, (before) => before + 1);
    return `${key} ${n} ${count} ${by}`;
  });
}

describe('two apps on one machine', () => {
  test('one asks, the other works', () =>
    withMachine(async (machine) => {
      const asking = declare(machine.app('shop'), 'asker');
      const answering = machine.app('shop');
      const agent = declare(answering, 'worker');
      await answering.start();
      expect(await machine.until(asking.ask(1, { key: 'a' }))).toBe('a 1 1 worker');
      expect(await machine.until(agent.ask(2, { key: 'a' }))).toBe('a 2 2 worker');
      expect([asking.info(), agent.info()]).toEqual([
        { name: 'agent', instances: 0 },
        { name: 'agent', instances: 4 },
      ]);
      const answers = await machine.until(asking.join([1, 2, 3], { key: 'b' }));
      expect(answers).toEqual(['b 1 1 worker', 'b 2 2 worker', 'b 3 3 worker']);
    }));

  test('both ask at once: nobody gets an answer of the other', () =>
    withMachine(async (machine) => {
      const apps = Array.from({ length: 10 }, () => machine.app('shop'));
      const agents = apps.map((app, i) => declare(app, `${i}`));
      await apps[0]?.start();
      const answers = await machine.until(
        Promise.all(
          agents.map((agent, i) =>
            agent.join(
              Array.from({ length: 50 }, (_, n) => i * 1_000 + n),
              { key: `k${i}` },
            ),
          ),
        ),
      );
      answers?.forEach((own, i) =>
        expect(own).toEqual(own.map((_, n) => `k${i} ${i * 1_000 + n} ${n + 1} 0`)),
      );
    }));

  test('a question that was asked before anybody works is answered by whoever comes', () =>
    withMachine(async (machine) => {
      const asking = declare(machine.app('shop'), 'asker');
      const asked = asking.ask(1, { key: 'a' });
      asked.catch(() => undefined);
      await machine.clock.advance(5_000);
      const answering = machine.app('shop');
      declare(answering, 'worker');
      await answering.start();
      expect(await machine.until(asked)).toBe('a 1 1 worker');
    }));
});

test('workers that die and come back: each question is answered once, by its own answer, or not in time', () =>
  withMachine(async (machine) => {
    const asking = declare(machine.app('shop'), 'asker');
    const options: AppOptions = { lease: '2s' };
    let answered = 0;
    let late = 0;
    for (let round = 0; round < 6; round++) {
      const workers = [machine.app('shop', options), machine.app('shop', options)];
      workers.forEach((app, i) => declare(app, `${round}.${i}`));
      const runs = await machine.until(Promise.all(workers.map((app) => app.start())));
      const questions = Array.from({ length: 80 }, (_, n) => ({ n, key: `k${n % 7}` }));
      const open = questions.map(({ n, key }) => asking.ask(n, { key, timeout: '5s' }));
      const told = Promise.allSettled(open);
      await machine.clock.advance(round * 15);
      // Dies with what it has not committed; the other one takes over when its lease has ended.
      const [first, second] = runs ?? [];
      const [dying] = first?.['~workers'] ?? [];
      await machine.until(Promise.resolve(dying?.crash()));
      (await machine.until(told))?.forEach((result, i) => {
        const { n, key } = questions[i] as (typeof questions)[number];
        if (result.status === 'fulfilled') {
          answered++;
          expect(result.value.startsWith(`${key} ${n} `)).toBe(true);
        } else {
          late++;
          expect(result.reason).toMatchObject({ code: 'MR_TIMEOUT' });
        }
      });
      await machine.until(Promise.allSettled([second?.stop(), first?.stop()]));
    }
    expect(answered).toBeGreaterThan(0);
    expect(answered + late).toBe(480);
  }));

test('two processes on one directory, in real time', () =>
  withDirectory(async (directory) => {
    const options: AppOptions = { broker: `file:${directory}`, commit: { interval: 10 } };
    const asker = new App('shop', options);
    const worker = new App('shop', options);
    try {
      const asking = declare(asker, 'asker');
      declare(worker, 'worker');
      await worker.start();
      const answers = await asking.join([1, 2, 3], { key: 'a' });
      expect(answers).toEqual(['a 1 1 worker', 'a 2 2 worker', 'a 3 3 worker']);
    } finally {
      await close(asker);
      await close(worker);
    }
  }));
