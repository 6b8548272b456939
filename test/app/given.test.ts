/** What TypeScript refuses in programs whose types are checked, and Node runs: refused as well, where it is given, with a text that says what to try. */
import { describe, expect, test } from 'vitest';

import { App, deadLetter, retry, unchecked } from '../../src/index.ts';
import type { MillraceError, Topic } from '../../src/index.ts';
import { checkOptions } from '../../src/core/given.ts';
import { bench, close, keyed, withApp } from './support.ts';

/** An app of which no type is known. */
// oxlint-disable-next-line typescript/no-explicit-any
type Untyped = any;

function refusal(give: (app: Untyped, topic: Untyped) => unknown): MillraceError {
  const { app } = bench();
  const topic = app.topic('orders', keyed<{ readonly city: string }>());
  try {
    give(app, topic);
  } catch (error) {
    return error as MillraceError;
  }
  throw new Error('it was not refused');
}

describe('options that there are not', () => {
  const make = App as Untyped;

  test.each<[string, (app: Untyped, topic: Untyped) => unknown, string]>([
    [
      'an app',
      () => new make('a', { brocker: 'memory:' }),
      'app a has no option "brocker"; did you mean broker?',
    ],
    [
      'commit',
      () => new make('a', { commit: { intervall: 1 } }),
      'commit of app a has no option "intervall"; did you mean interval?',
    ],
    [
      'a topic',
      (app) => app.topic('t', { Partition: 3 }),
      'topic t has no option "Partition"; did you mean partitions?',
    ],
    [
      'a topic',
      (app) => app.topic('t', { schema: {} }),
      'topic t has no option "schema"; there are key, value, codec, keyCodec, partitions, timestamp, validate, retention, retentionBytes, compact',
    ],
    [
      'an agent',
      (app, topic) => app.agent('x', topic, async function* () {}, { sink: [] }),
      'agent x has no option "sink"; did you mean sinks?',
    ],
    [
      'an each',
      (app, topic) => app.each('x', topic, () => 1, { concurency: 2 }),
      'agent x has no option "concurency"; did you mean concurrency?',
    ],
    [
      'a topic of an agent',
      (app) => app.each('x', { values: unchecked() }, () => 1),
      'topic shop-x has no option "values"; did you mean value?',
    ],
    [
      'a table',
      (app) => app.table('n', { defaults: () => 0 }),
      'table n has no option "defaults"; did you mean default?',
    ],
    [
      'windows',
      (app) => app.table('n', { default: () => 0 }).tumbling('1h', { graze: '1m' }),
      'windows of table n has no option "graze"; did you mean grace?',
    ],
    [
      'a job',
      (app) => app.timer('1s', () => 1, { onleader: true }),
      'a timer has no option "onleader"; did you mean onLeader?',
    ],
  ])('%s: %#', (_, give, message) => {
    expect(refusal(give)).toMatchObject({ code: 'MR_OPTION_INVALID', message });
  });

  test('those of a start and of a producer', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('orders', keyed<number>());
      await expect(app.start({ worker: 2 } as never)).rejects.toThrow(
        'start of app shop has no option "worker"; did you mean workers?',
      );
      await expect(topic.producer({ id: 'p', lingers: 1 } as never)).rejects.toThrow(
        'a producer of topic orders has no option "lingers"; did you mean linger?',
      );
      await expect(topic.producer(undefined as never)).rejects.toThrow(
        "a producer of topic orders was asked for without an id, by which it finds its position again; give producer({ id: 'loader' }), or use send",
      );
    }));

  test('something else in their place', () => {
    expect(refusal(() => new make('a', 'memory:')).message).toBe(
      'the options of app a are "memory:"; give an object, such as { broker: … }',
    );
    expect(refusal((app) => app.topic('t', [])).message).toMatch(
      /^the options of topic t are an array/u,
    );
    expect(refusal((app) => app.topic('t', null)).message).toMatch(
      /^the options of topic t are null/u,
    );
  });

  test('undefined is none; what is not part of this version yet is warned of', () => {
    const { app, warnings } = bench('shop', { brocker: undefined, standbys: 1 } as never);
    expect(warnings).toEqual([
      'app shop: standbys is not part of this version of millrace, and without effect',
    ]);
    app.table('n', { default: () => 0, partitions: 3 } as never);
  });

  test('a name that is like none gets all of them', () => {
    const known = { of: true, take: true, later: 'later' } as const;
    expect(() => checkOptions<object>('it', { ofof: 1 }, known)).toThrow(
      'it has no option "ofof"; there are of, take',
    );
    expect(() => checkOptions<object>('it', { tkae: 1 }, known)).toThrow('there are of, take');
    expect(() => checkOptions<object>('it', { tke: 1 }, known)).toThrow('did you mean take?');
    expect(checkOptions<object>('it', { later: 1, of: 2 }, known)).toEqual(['later']);
    expect(checkOptions<object>('it', undefined, known)).toEqual([]);
  });
});

describe('something of the wrong kind', () => {
  test.each<[string, (app: Untyped, topic: Untyped) => unknown, RegExp]>([
    [
      'an agent without a source',
      (app) => app.agent('x', undefined, async () => {}),
      /^agent x was given undefined as its source; give a topic, /u,
    ],
    [
      'an agent over the name of a topic',
      (app) => app.agent('x', 'orders', async () => {}),
      /^agent x was given "orders" as its source; /u,
    ],
    [
      'an agent without a body',
      (app, topic) => app.agent('x', topic),
      /^agent x was given undefined; give it a function$/u,
    ],
    [
      'an each without a function',
      (app, topic) => app.each('x', topic),
      /^agent x was given undefined; give it a function$/u,
    ],
    [
      'sinks that are one',
      (app, topic) => app.each('x', topic, () => 1, { sinks: topic }),
      /^sinks of agent x are a value of type object; give an array, such as \{ sinks: \[topic\] \}$/u,
    ],
    [
      'a sink that is a name',
      (app, topic) => app.each('x', topic, () => 1, { sinks: ['out'] }),
      /^agent x has "out" among its sinks; give topics, agents, channels and functions$/u,
    ],
    [
      'dead letters without a topic',
      () => (deadLetter as Untyped)(),
      /^deadLetter was given undefined; give a topic, the name of one, or in a process a stream$/u,
    ],
    [
      'a policy that was not called',
      () => new App('a', { onError: retry as never }),
      /^onError is a function; /u,
    ],
    [
      'a table without options',
      (app) => app.table('n'),
      /^table n was declared without options; give what reading a missing row gives, /u,
    ],
    [
      'a default that is no function',
      (app) => app.table('n', { default: 0 }),
      /^default of table n is a value of type number; give a function that makes it: \{ default: \(\) => … \}$/u,
    ],
    ['no name', () => new (App as Untyped)(), /^undefined is not a valid app name; /u],
    [
      'map without a function',
      (_app, topic) => topic.stream().map(),
      /^map was given undefined; give it a function$/u,
    ],
    [
      'filter without a function',
      (_app, topic) => topic.stream().filter('city'),
      /^filter was given "city"; give it a function$/u,
    ],
    ['tap without a function', (_app, topic) => topic.stream().tap(null), /^tap was given null; /u],
    [
      'starmap without a function',
      (_app, topic) => topic.stream().starmap(),
      /^starmap was given undefined; /u,
    ],
    [
      'processors with something else',
      (_app, topic) => topic.stream().processors((x: unknown) => x, 1),
      /^processors was given a value of type number; /u,
    ],
    [
      'accumulate without a function',
      (_app, topic) => topic.stream().accumulate(),
      /^accumulate was given undefined; /u,
    ],
    [
      'groupBy without a field',
      (_app, topic) => topic.stream().groupBy(),
      /^groupBy was given undefined; give the name of a field, or a function and a name: /u,
    ],
    [
      'update without a function',
      (app, topic) => topic.stream().update(app.table('n', { default: () => 0 })),
      /^update of table n was given undefined; /u,
    ],
  ])('%s', (_, give, message) => {
    const error = refusal(give);
    expect(error.code).toMatch(/^MR_(?:ARGUMENT|OPTION|NAME)_INVALID$/u);
    expect(error.message).toMatch(message);
  });

  test('the key of a send in the place of its options', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('orders', keyed<number>());
      await expect(topic.send(1, 'ann' as never)).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
        message:
          'the options of a send to topic orders are "ann"; give an object, such as { key: \'ann\' }',
      });
    }));

  test('a row that is a promise', () =>
    withApp(async ({ app }) => {
      const topic = app.topic('orders', keyed<number>());
      const table = app.table<number>('n', { default: () => 0 });
      topic.stream().update(table, (async (n: number) => await Promise.resolve(n + 1)) as never);
      const running = await app.start();
      await topic.send(1, { key: 'ann' });
      await expect(running.settled()).rejects.toMatchObject({
        cause: {
          code: 'MR_ARGUMENT_INVALID',
          message:
            'table n was given a promise as a row: the function of an update is not awaited; await first, in an agent, and update then',
        },
      });
    }));

  test('a field that values do not have', () =>
    withApp(async ({ app }) => {
      const topic: Topic<string | null, { readonly country: string }> = app.topic('orders', {
        value: unchecked<{ readonly country: string }>(),
      });
      topic
        .stream()
        .groupBy('contry' as 'country')
        .update(app.table('n', { default: () => 0 }), (n) => n + 1);
      const running = await app.start();
      await topic.send({ country: 'FR' });
      await expect(running.settled()).rejects.toMatchObject({
        cause: {
          code: 'MR_KEY_MISSING',
          message:
            'groupBy("contry") found undefined as the key of an event, whose value is one with country; check the name of the field, or filter such events out before',
        },
      });
    }));
});

test('a start that nobody waited for is brought to an end by close', async () => {
  const { app } = bench();
  app
    .topic('orders', keyed<number>())
    .stream()
    .sink(() => undefined);
  const starting = app.start();
  await app.close();
  const running = await starting;
  await expect(running.done).resolves.toBeUndefined();
  await (await app.start()).stop();
  await close(app);
});
