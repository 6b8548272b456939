/** Typical mistakes that compile and are refused when they are declared, started or run. */
import { logTo } from '../app/support.ts';
import { App, CoPartitionError } from 'millrace';
import { expect, test } from 'vitest';
import { z } from 'zod';

const Flight = z.object({ origin: z.string(), destination: z.string(), delay: z.number() });

const topicOf = (app: App) => app.topic('departures', { key: z.string(), value: Flight });

function declare(): { app: App; departures: ReturnType<typeof topicOf> } {
  const app = new App('refusals', { broker: 'memory:', logger: logTo([]) });
  return { app, departures: topicOf(app) };
}

test('M15: sinks on an agent that cannot yield', () => {
  const { app, departures } = declare();
  const alerts = app.topic('alerts', { value: Flight });
  expect(() =>
    app.agent(
      'c',
      departures,
      async (st) => {
        for await (const f of st) void f;
      },
      { sinks: [alerts] },
    ),
  ).toThrow(/agent c has sinks, but its body is an async function and never yields/u);
});

test('M33: a table outside event processing', () => {
  const { app } = declare();
  const counts = app.table('counts', { default: () => 0 });
  for (const use of [
    () => counts.has('a'),
    () => counts.get('a'),
    () => counts.set('a', 1),
    () => counts.delete('a'),
    () => counts.update('a', (n) => n + 1),
    () => [...counts.entries()],
  ])
    expect(use).toThrow(expect.objectContaining({ code: 'MR_TABLE_OUTSIDE' }));
});

test('M38: emit into the stream of a topic', () => {
  const { departures } = declare();
  expect(() => departures.stream().emit({ origin: 'a', destination: 'b', delay: 1 })).toThrow(
    expect.objectContaining({ code: 'MR_TEMPLATE' }),
  );
});

test('the same name twice', () => {
  const { app } = declare();
  expect(() => app.topic('departures')).toThrow(expect.objectContaining({ code: 'MR_NAME_TAKEN' }));
});

test('a table with a key that lives in another task', async () => {
  const { app, departures } = declare();
  const counts = app.table('counts', { default: () => 0 });
  app.agent('count', departures, async (st) => {
    for await (const f of st) counts.update(f.origin, (n) => n + 1);
  });
  try {
    const running = await app.start();
    for (const origin of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
      await departures.send({ origin, destination: 'x', delay: 1 }, { key: 'x' });
    const error: unknown = await running.done.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'MR_PROCESSING_FAILED' });
    const { cause } = error as Error;
    expect(cause).toBeInstanceOf(CoPartitionError);
    expect((cause as Error).message).toMatch(
      /table counts .* topic departures .*keyed by "x".*groupBy\(/u,
    );
  } finally {
    await app.close();
  }
});
