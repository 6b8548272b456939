/** Records that would be certain to be wrong where they go: without the key that their topic needs, or to a topic of another app. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

import { unchecked } from '../../src/index.ts';
import type { App, Schema, Topic } from '../../src/index.ts';
import { bench, close, failureOf, recordsOf, withApp } from './support.ts';

describe('without a key, to a topic whose keys have a schema', () => {
  const missing = {
    code: 'MR_KEY_MISSING',
    message:
      'a record without a key was sent to topic keyed, whose keys have a schema that demands one; send it with { key }, or key the stream with groupBy(…) before it goes there',
  };

  test('from outside: send, producers, cast and questions', () =>
    withApp(async ({ app }) => {
      const keyed = app.topic('keyed', { key: z.string(), value: z.number() });
      const agent = app.each('echo', keyed, (n) => n);
      await expect(keyed.send(1, {} as never)).rejects.toMatchObject(missing);
      await expect(agent.cast(1)).rejects.toMatchObject(missing);
      await using producer = await keyed.producer({ id: 'p' });
      expect(() => producer.send(1, { position: 1 })).toThrow(missing.message);
      await expect(agent.ask(1)).rejects.toMatchObject(missing);
      await expect(Array.fromAsync(agent.map([1]))).rejects.toMatchObject(missing);
    }));

  type Into = (
    source: Topic<string | null, number>,
    keyed: Topic<string, number>,
    app: App,
  ) => void;

  test.each<[string, Into]>([
    ['sink', (source, keyed) => void source.stream().sink(keyed)],
    ['echo', (source, keyed) => void source.stream().echo(keyed)],
    ['through', (source, keyed) => void source.stream().through(keyed)],
    ['an agent', (source, keyed, app) => void app.each('a', source, (n) => n, { sinks: [keyed] })],
    [
      'send in an agent',
      (source, keyed, app) =>
        void app.each('a', source, async (n, { key }) => {
          await keyed.send(n, { key: key as string });
        }),
    ],
  ])('from inside: %s', (_, into) =>
    withApp(async ({ app }) => {
      const source = app.topic('source', { value: z.number() });
      const keyed = app.topic('keyed', { key: z.string(), value: z.number() });
      into(source, keyed, app);
      const running = await app.start();
      await source.send(1, { key: 'k' });
      await running.settled();
      await source.send(2);
      expect(await failureOf(running)).toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        cause: missing,
      });
      expect((await recordsOf(keyed)).map(({ key, value }) => [key, value])).toEqual([['k', 1]]);
    }),
  );

  test.each<[string, Schema<string | null>]>([
    ['that takes null', z.string().nullable()],
    ['that is only a type', unchecked<string | null>()],
  ])('and a schema %s: it is sent', (_, key) =>
    withApp(async ({ app }) => {
      const source = app.topic('source', { value: z.number() });
      const open = app.topic('open', { key, value: z.number() });
      source.stream().sink(open);
      const running = await app.start();
      await source.send(1);
      await open.send(2);
      await running.settled();
      expect((await recordsOf(open)).map((event) => event.key)).toEqual([null, null]);
    }),
  );
});

describe('to a topic of another app', () => {
  type Into = (source: Topic<string, number>, other: App, app: App) => void;

  const elsewhere = (other: App): Topic<string, number> =>
    other.topic('elsewhere', { key: z.string(), value: z.number() });

  test.each<[string, Into]>([
    ['sink', (source, other) => void source.stream().sink(elsewhere(other))],
    ['echo', (source, other) => void source.stream().echo(elsewhere(other))],
    [
      'an agent’s sinks',
      (source, other, app) => void app.each('a', source, (n) => n, { sinks: [elsewhere(other)] }),
    ],
    [
      'another app’s agent',
      (source, other) =>
        void source.stream().sink(other.each('far', elsewhere(other), () => undefined)),
    ],
  ])('%s: the app does not start', (_, into) =>
    withApp(async ({ app }) => {
      const other = bench('other').app;
      const source = app.topic('source', { key: z.string(), value: z.number() });
      // What another app sends to must not be taken for a topic that is called the same here.
      app.topic('elsewhere', { value: unchecked<string>() });
      into(source, other, app);
      await expect(app.start()).rejects.toMatchObject({
        code: 'MR_NOT_IN_AN_APP',
        message: expect.stringMatching(
          /^task (agent-a|source)\/0 sends to topic elsewhere, which was declared by another app; declare the topic in this app too, and send to that one$/u,
        ) as string,
      });
      await close(other);
    }),
  );
});
