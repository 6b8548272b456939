/** What an app says about deleting records, and what comes of it. */
import { expect, test } from 'vitest';

import { App, deadLetter, retry, unchecked } from '../../src/index.ts';
import { bench, close, keyed, runOnce, valuesOf, withApp } from './support.ts';

test('delete leaves a record without a value, which is read as null and not checked', () =>
  withApp(async ({ app }) => {
    const topic = app.topic<number>('topic', {
      ...keyed<number>(),
      partitions: 1,
      compact: true,
      timestamp: (n) => n,
    });
    await topic.send(1, { key: 'a' });
    await topic.send(2, { key: 'b' });
    await topic.delete('a');
    expect(await valuesOf(topic)).toEqual([1, 2, null]);
  }));

test('delete is refused by a topic that is not compacted', () =>
  withApp(async ({ app }) => {
    const topic = app.topic('topic', keyed<number>());
    expect(() => topic.delete('a')).toThrow(/not compacted/u);
  }));

test('a topic for dead letters that nobody declares does not depend on the other topics', async () => {
  const { app } = bench();
  try {
    for (const partitions of [1, 8]) {
      const each = new App(`app-${partitions}`, { onError: deadLetter('dead') });
      each['~replace']({ open: () => app['~parts']().broker() });
      each
        .topic(`of-${partitions}`, { partitions })
        .stream()
        .sink(() => undefined);
      await runOnce(each);
    }
  } finally {
    await close(app);
  }
});

test('the waits of a stream’s retry are checked at the start', () =>
  withApp(async ({ app }) => {
    app
      .topic('topic', { value: unchecked<number>() })
      .stream()
      .onError(retry({ times: 10, backoff: '30s' }))
      .sink(() => undefined);
    await expect(app.start()).rejects.toMatchObject({ code: 'MR_OPTION_INVALID' });
  }));

test('what an agent has read of a topic of its own is deleted', () =>
  withApp(async ({ app }) => {
    const agent = app.each('agent', { value: unchecked<number>(), partitions: 1 }, () => undefined);
    for (let n = 0; n < 10; n++) await agent.cast(n);
    await runOnce(app);
    const broker = await app['~parts']().broker();
    await broker.maintain();
    expect(await broker.bounds('shop-agent', 0)).toEqual({ start: 10, end: 10 });
  }));
