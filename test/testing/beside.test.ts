/** What runs beside the tasks of an app under test: agents of channels, jobs, loops over topics. */
import { describe, expect, test } from 'vitest';

import { App, retry } from '../../src/index.ts';
import type { Channel, Topic } from '../../src/index.ts';
import { TestApp } from '../../src/testing/index.ts';
import { keyed } from '../app/support.ts';

interface Parts {
  readonly app: App;
  readonly numbers: Topic<string, number>;
  readonly doubled: Topic<string, number>;
  readonly channel: Channel<number>;
}

/** Numbers go into a channel, and from its agent, doubled, into a topic. */
function parts(body: (n: number) => number | Promise<number> = (n) => n * 2): Parts {
  const app = new App('beside', { broker: 'file:./never-opened' });
  const numbers = app.topic('numbers', keyed<number>());
  const doubled = app.topic('doubled', keyed<number>());
  const channel = app.channel<number>({ capacity: 4 });
  numbers.stream().sink(channel);
  app.agent(
    'double',
    channel,
    async (stream) => {
      for await (const n of stream) await doubled.send(await body(n), { key: 'k' });
    },
    { onError: retry({ times: 2, backoff: '10s' }) },
  );
  return { app, numbers, doubled, channel };
}

async function valuesOf(t: TestApp, topic: Topic<string, number>): Promise<number[]> {
  return (await t.output(topic)).map(({ value }) => value).toSorted((a, b) => a - b);
}

describe('an agent of a channel', () => {
  test.each([1, 3])('has done its work when a call returns, with %d workers', async (workers) => {
    const { app, numbers, doubled } = parts();
    await using t = await TestApp.start(app, { workers });
    await t.sendAll(
      numbers,
      Array.from({ length: 20 }, (_, i) => [i, { key: `k${i}` }] as const),
    );
    expect(await valuesOf(t, doubled)).toEqual(Array.from({ length: 20 }, (_, i) => i * 2));
    await t.rebalance({ add: 1 });
    await t.send(numbers, 100, { key: 'a' });
    expect(await valuesOf(t, doubled)).toEqual([200]);
  });

  test('takes what the test puts itself', async () => {
    const { app, channel, doubled } = parts();
    await using t = await TestApp.start(app);
    await channel.put(7);
    await t.settled();
    expect(await valuesOf(t, doubled)).toEqual([14]);
  });

  test('waits on the time of the test, as its context and its policy say', async () => {
    let failures = 2;
    const { app, numbers, doubled } = parts((n) => {
      if (failures-- > 0) throw new Error('not yet');
      return n;
    });
    await using t = await TestApp.start(app, { now: 0 });
    await t.send(numbers, 1, { key: 'a' });
    await t.advance('1m');
    expect(await valuesOf(t, doubled)).toEqual([1]);
    expect(t.now).toBeLessThanOrEqual(90_000);
  });

  test('goes on after a crash, with another worker', async () => {
    const { app, numbers, doubled } = parts();
    await using t = await TestApp.start(app, { workers: 2 });
    await t.crash(0);
    await t.send(numbers, 1, { key: 'a' });
    await t.crash(0);
    await t.send(numbers, 2, { key: 'a' });
    expect(await valuesOf(t, doubled)).toEqual([2, 4]);
  });

  test('that fails for good ends the test with its error', async () => {
    const { app, numbers } = parts(() => {
      throw new RangeError('never');
    });
    await using t = await TestApp.start(app);
    const sent = t.send(numbers, 1, { key: 'a' }).then(() => t.advance('10m'));
    await expect(sent).rejects.toMatchObject({
      code: 'MR_PROCESSING_FAILED',
      message: expect.stringContaining('agent double failed with a value of its channel') as string,
    });
  });
});

describe('jobs', () => {
  test('a timer of the leader fills a channel, and its agent has the value', async () => {
    const { app, channel, doubled } = parts();
    app.timer('10s', async ({ signal }) => await channel.put(1, { signal }), { onLeader: true });
    await using t = await TestApp.start(app, { workers: 2 });
    await t.advance('35s');
    expect(await valuesOf(t, doubled)).toEqual([2, 2, 2]);
  });

  test('a task that loops over a topic gets what is sent', async () => {
    const { app, numbers } = parts();
    const seen: number[] = [];
    app.task(async ({ signal }) => {
      for await (const n of numbers.stream().iterate({ signal })) seen.push(n);
    });
    await using t = await TestApp.start(app);
    await t.send(numbers, 1, { key: 'a' });
    await t.send(numbers, 2, { key: 'b' });
    expect(seen).toEqual([1, 2]);
  });
});
