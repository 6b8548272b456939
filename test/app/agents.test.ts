/** Agents: where their events come from, where results go, what is undone when they throw. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

import { App, unchecked } from '../../src/index.ts';
import type { AgentStream, StreamEvent, Topic } from '../../src/index.ts';
import {
  bench,
  close,
  failureOf,
  keyed,
  moment,
  recordsOf,
  rowsOf,
  runOnce,
  turns,
  valuesOf,
  withApp,
  withDirectory,
} from './support.ts';

function numbers(app: App, name = 'numbers', partitions = 1): Topic<string, number> {
  return app.topic(name, { ...keyed<number>(), partitions });
}

async function sendAll(topic: Topic<string, number>, values: number[], key = 'k'): Promise<void> {
  await Promise.all(values.map((value) => topic.send(value, { key })));
}

describe('yields', () => {
  test('go to topics, functions and agents, in this order, with key, time and headers', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const target = app.topic('target', keyed<string>());
      const seen: unknown[] = [];
      const other = app.each(
        'other',
        { value: z.string() },
        (text) => void seen.push(`other ${text}`),
      );
      app.agent(
        'agent',
        source,
        async function* (stream) {
          for await (const n of stream) {
            yield `${n}a`;
            yield `${n}b`;
          }
        },
        {
          sinks: [
            (text) => void seen.push(`first ${text}`),
            target,
            other,
            async (text) => {
              await Promise.resolve();
              seen.push(`last ${text}`);
            },
          ],
        },
      );
      await source.send(1, { key: 'k', timestamp: 77, headers: { trace: 'x' } });
      await source.send(2, { key: 'k' });
      await runOnce(app);
      expect(seen.filter((text) => !String(text).startsWith('other'))).toEqual([
        ...['first 1a', 'last 1a', 'first 1b', 'last 1b'],
        ...['first 2a', 'last 2a', 'first 2b', 'last 2b'],
      ]);
      expect(seen.filter((text) => String(text).startsWith('other'))).toEqual([
        ...['other 1a', 'other 1b', 'other 2a', 'other 2b'],
      ]);
      const [first] = await recordsOf(target);
      expect(first).toMatchObject({ key: 'k', timestamp: 77, value: '1a' });
      expect(Buffer.from(first?.headers['trace'] as Uint8Array).toString()).toBe('x');
    }));

  test('of each: what it returns, now or later; undefined goes nowhere', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const target = app.topic('target', keyed<number | null>());
      app.each('now', source, (n) => (n === 2 ? undefined : n * 10), { sinks: [target] });
      app.each(
        'later',
        source,
        async (n) => {
          await Promise.resolve();
          return n === 2 ? undefined : n === 3 ? null : n;
        },
        { sinks: [target] },
      );
      await sendAll(source, [1, 2, 3]);
      await runOnce(app);
      expect(new Set(await valuesOf(target))).toEqual(new Set([1, 10, 30, null]));
    }));

  test('an agent may yield to the topic that it reads', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      app.agent(
        'count-down',
        source,
        async function* (stream) {
          for await (const n of stream) if (n > 0) yield n - 1;
        },
        { sinks: [source] },
      );
      await source.send(3, { key: 'k' });
      await runOnce(app);
      expect(await valuesOf(source)).toEqual([3, 2, 1, 0]);
    }));
});

describe('sources', () => {
  test('a topic of its own, and cast', () =>
    withApp(async ({ app }) => {
      const seen: unknown[] = [];
      const mail = app.each(
        'mail',
        { key: z.string(), value: z.object({ to: z.string() }), partitions: 2 },
        ({ to }, { key, topic }) => void seen.push([key, to, topic]),
      );
      await mail.cast({ to: 'ann' }, { key: 'k' });
      await expect(mail.cast({ to: 5 } as never, { key: 'k' })).rejects.toMatchObject({
        code: 'MR_SCHEMA_VIOLATION',
      });
      await runOnce(app);
      expect(seen).toEqual([['k', 'ann', 'shop-mail']]);
    }));

  test('cast to an agent on a topic is a send to the topic', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const agent = app.each('agent', source, () => undefined);
      await agent.cast(5, { key: 'k' });
      expect(await recordsOf(source)).toMatchObject([{ key: 'k', value: 5 }]);
    }));

  test('nothing can be cast to an agent on a stream with operators', () =>
    withApp(async ({ app }) => {
      const agent = app.each('agent', numbers(app).stream().filter(Boolean), () => undefined);
      await expect(agent.cast(1)).rejects.toThrow(
        /^agent agent reads a stream with operators, so nothing can be sent to it directly/u,
      );
    }));

  test('a declared stream: filtered, mapped, grouped', () =>
    withApp(async ({ app }) => {
      const orders = app.topic('orders', { value: unchecked<{ city: string; n: number }>() });
      const byCity = app.table('by-city', { default: () => 0 });
      app.agent(
        'agent',
        orders
          .stream()
          .filter(({ n }) => n > 1)
          .groupBy('city'),
        async (stream) => {
          for await (const [city, { n }] of stream.items()) byCity.update(city, (sum) => sum + n);
        },
      );
      for (let n = 0; n < 20; n++) await orders.send({ city: `c${n % 3}`, n });
      await runOnce(app);
      const expected = new Map<string, number>();
      for (let n = 2; n < 20; n++) expected.set(`c${n % 3}`, (expected.get(`c${n % 3}`) ?? 0) + n);
      expect(await rowsOf(byCity)).toEqual(expected);
    }));

  test('each task runs an instance of its own', () =>
    withApp(async ({ app }) => {
      const source = numbers(app, 'numbers', 3);
      const runs: string[] = [];
      app.agent('agent', source, async (stream, { task }) => {
        let count = 0;
        for await (const _ of stream) runs.push(`${task.partition} ${++count}`);
      });
      for (let n = 0; n < 6; n++) await source.send(n, { key: 'k', partition: n % 3 });
      await runOnce(app);
      expect(runs.toSorted()).toEqual([...['0 1', '0 2'], ...['1 1', '1 2'], ...['2 1', '2 2']]);
    }));
});

describe('the stream of an agent', () => {
  /** What `read` makes of four events. */
  async function reading(
    read: (
      stream: AgentStream<number, string>,
      see: (what: unknown) => void,
    ) => Promise<void> | AsyncIterable<never>,
  ): Promise<unknown[]> {
    const { app } = bench();
    try {
      const source = numbers(app);
      const seen: unknown[] = [];
      app.agent('agent', source, (stream) => read(stream, (what) => void seen.push(what)));
      await sendAll(source, [1, 2, 3, 4]);
      await runOnce(app);
      return seen;
    } finally {
      await close(app);
    }
  }

  test('map, filter, enumerate, items', async () => {
    expect(
      await reading(async (stream, see) => {
        for await (const found of stream
          .map(async (n) => n * 10)
          .filter((n) => n !== 20)
          .enumerate(5)
          .items())
          see(found);
      }),
    ).toEqual([
      ['k', [5, 10]],
      ['k', [6, 30]],
      ['k', [7, 40]],
    ]);
  });

  test('event', async () => {
    const events = (await reading(async (stream, see) => {
      see(stream.event);
      for await (const _ of stream.filter((n) => n % 2 === 0)) see(stream.event);
    })) as (StreamEvent<number, string> | undefined)[];
    expect(events[0]).toBeUndefined();
    expect(events.slice(1)).toMatchObject([
      { value: 2, key: 'k', topic: 'numbers', partition: 0, offset: 1n, timestamp: 1_000_000 },
      { value: 4, key: 'k', offset: 3n },
    ]);
  });

  test('a filter that throws fails the event', async () => {
    const { app } = bench();
    try {
      const source = numbers(app);
      app.agent('agent', source, async (stream) => {
        for await (const _ of stream.filter((n) => {
          if (n === 2) throw new Error('two');
          return true;
        }));
      });
      await sendAll(source, [1, 2, 3]);
      expect(await failureOf(await app.start())).toMatchObject({
        details: { offset: 1 },
        cause: { message: 'two' },
      });
    } finally {
      await close(app);
    }
  });

  test('to ask twice at once is refused', async () => {
    const { app } = bench();
    try {
      const source = numbers(app);
      app.agent('agent', source, async (stream) => {
        const iterator = stream[Symbol.asyncIterator]();
        await iterator.next();
        await Promise.all([iterator.next(), iterator.next()]);
      });
      await sendAll(source, [1, 2]);
      const failure = await failureOf(await app.start());
      expect(failure.message).toMatch(/an agent asked for its next event twice at once/u);
    } finally {
      await close(app);
    }
  });
});

describe('sending from inside', () => {
  test('is part of the commit: offset -1, and not there before it', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const target = app.topic('target', keyed<number>());
      const sent: unknown[] = [];
      const during: number[] = [];
      app.each('agent', source, async (n) => {
        sent.push(await target.send(n, { key: 'other', timestamp: 5, headers: { a: 'b' } }));
        during.push((await recordsOf(target)).length);
      });
      await source.send(7, { key: 'k' });
      await runOnce(app);
      expect(sent).toEqual([{ topic: 'target', partition: -1, offset: -1n, timestamp: 5 }]);
      expect(during).toEqual([0]);
      expect(await recordsOf(target)).toMatchObject([{ key: 'other', timestamp: 5, value: 7 }]);
    }));

  test('takes the time of the event, or that of the value', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const plain = app.topic<number>('plain');
      const timed = app.topic('timed', { value: unchecked<number>(), timestamp: (n) => n * 2 });
      app.each('agent', source, async (n) => {
        await plain.send(n);
        await timed.send(n);
        await plain.send(n, { partition: 3 });
      });
      await source.send(7, { key: 'k', timestamp: 99 });
      await runOnce(app);
      expect((await recordsOf(plain)).map((r) => [r.key, r.timestamp, r.partition])).toEqual([
        [null, 99, 0],
        [null, 99, 3],
      ]);
      expect(await recordsOf(timed)).toMatchObject([{ timestamp: 14 }]);
    }));

  test.each<[string, (topic: Topic<string | null, unknown, unknown>) => Promise<unknown>, string]>([
    ['a value that cannot be encoded', (topic) => topic.send(undefined), 'MR_ENCODE_FAILED'],
    [
      'a partition that is not there',
      (topic) => topic.send(1, { partition: 9 }),
      'MR_ARGUMENT_INVALID',
    ],
    [
      'a key that is none',
      (topic) => topic.send(1, { key: Number.NaN as never }),
      'MR_KEY_INVALID',
    ],
    ['too large a record', (topic) => topic.send('x'.repeat(2 ** 21)), 'MR_RECORD_TOO_LARGE'],
    ['no time', (topic) => topic.send(1, { timestamp: 0.5 }), 'MR_TIMESTAMP_INVALID'],
  ])('%s is refused, and the agent may go on', (_, send, code) =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const target = app.topic('target', { value: unchecked<unknown>() });
      const errors: unknown[] = [];
      app.each('agent', source, async (n) => {
        await send(target).catch((error: unknown) => errors.push(error));
        await target.send(n);
      });
      await sendAll(source, [1, 2]);
      await runOnce(app);
      expect(errors).toMatchObject([{ code }, { code }]);
      expect(await valuesOf(target)).toEqual([1, 2]);
    }),
  );

  test('cast to another agent', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const seen: number[] = [];
      const other = app.each('other', { value: unchecked<number>() }, (n) => void seen.push(n));
      app.each('agent', source, async (n) => {
        await other.cast(n);
        if (n === 2) throw new Error('undone');
      });
      await source.send(1, { key: 'k' });
      await runOnce(app);
      expect(seen).toEqual([1]);
      await sendAll(source, [3, 2]);
      await failureOf(await app.start());
      expect(seen).toEqual([1]);
    }));

  test('from a declared stream', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const target = app.topic<number>('target');
      source
        .stream()
        .map(async (n) => {
          await target.send(n);
          return n;
        })
        .sink((n) => void target.send(n * 10));
      await sendAll(source, [1, 2]);
      await runOnce(app);
      expect((await valuesOf(target)).toSorted((a, b) => a - b)).toEqual([1, 2, 10, 20]);
    }));
});

describe('a body that throws after update, send and yield', () => {
  test.each(['agent', 'each'])('%s: nothing of it is committed', (kind) =>
    withDirectory(async (directory) => {
      const app = new App('shop', { broker: `file:${directory}`, commit: { every: 1 } });
      try {
        const source = numbers(app);
        const target = app.topic('target', keyed<number>());
        const sent = app.topic('sent', keyed<number>());
        const table = app.table('table', { default: () => 0 });
        const broken = { at: 3 };
        const handle = async (n: number): Promise<void> => {
          table.update('k', (sum) => sum + n);
          await sent.send(n, { key: 'k' });
          await Promise.resolve();
        };
        const check = (n: number): void => {
          if (n === broken.at) throw new TypeError(`broken at ${n}`);
        };
        if (kind === 'agent')
          app.agent(
            'agent',
            source,
            async function* (stream) {
              for await (const n of stream) {
                await handle(n);
                yield n;
                check(n);
              }
            },
            { sinks: [target] },
          );
        else
          app.each(
            'agent',
            source,
            async (n) => {
              await handle(n);
              return n;
            },
            { sinks: [target, check] },
          );
        await sendAll(source, [1, 2, 3, 4]);
        const failure = await failureOf(await app.start());
        expect(failure).toMatchObject({
          code: 'MR_PROCESSING_FAILED',
          message: expect.stringMatching(
            /^processing failed at numbers\[0\] offset 2, key "k": broken at 3; mend it /u,
          ) as string,
          details: { topic: 'numbers', partition: 0, offset: 2, key: 'k', task: 'agent-agent/0' },
          cause: { name: 'TypeError', message: 'broken at 3' },
        });
        // Those before it were committed or not, but always as a whole.
        const count = (await valuesOf(target)).length;
        expect(count).toBeLessThanOrEqual(2);
        expect(await valuesOf(sent)).toEqual([1, 2].slice(0, count));
        expect(await rowsOf(table)).toEqual(
          new Map(count === 0 ? [] : [['k', count === 1 ? 1 : 3]]),
        );
        broken.at = -1;
        await runOnce(app);
        expect(await valuesOf(target)).toEqual([1, 2, 3, 4]);
        expect(await valuesOf(sent)).toEqual([1, 2, 3, 4]);
        expect(await rowsOf(table)).toEqual(new Map([['k', 10]]));
      } finally {
        await close(app);
      }
    }),
  );

  test('a sink that throws fails the event', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const target = app.topic<string>('target', { partitions: 1 });
      app.each('agent', source, (n) => n as unknown as string, {
        sinks: [
          target,
          () => {
            throw new Error('the sink is broken');
          },
        ],
      });
      await sendAll(source, [1]);
      expect(await failureOf(await app.start())).toMatchObject({
        cause: { message: 'the sink is broken' },
      });
      expect(await valuesOf(target)).toEqual([]);
    }));

  test('what is thrown need not be an error', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      app.each('agent', source, () => {
        throw undefined;
      });
      await sendAll(source, [1]);
      expect(await failureOf(await app.start())).toMatchObject({
        message: expect.stringMatching(
          /^processing failed at numbers\[0\] offset 0, key "k": undefined; mend it /u,
        ) as string,
      });
    }));

  test('a body that catches goes on', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const target = app.topic('target', keyed<number>());
      app.agent(
        'agent',
        source,
        async function* (stream) {
          for await (const n of stream)
            try {
              if (n === 2) throw new Error('two');
              yield n;
            } catch {
              yield -n;
            }
        },
        { sinks: [target] },
      );
      await sendAll(source, [1, 2, 3]);
      await runOnce(app);
      expect(await valuesOf(target)).toEqual([1, -2, 3]);
    }));
});

describe('a body that ends', () => {
  const ended = {
    code: 'MR_PROCESSING_FAILED',
    message: expect.stringMatching(
      /the body of agent agent ended although its stream goes on; loop over the stream with for await/u,
    ) as unknown,
  };

  test('by break', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      app.agent('agent', source, async (stream) => {
        for await (const n of stream) if (n === 2) break;
      });
      await sendAll(source, [1, 2, 3]);
      expect(await failureOf(await app.start())).toMatchObject({
        ...ended,
        details: { offset: 1 },
      });
    }));

  test('without looking at its stream', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      app.agent('agent', source, async () => undefined);
      await sendAll(source, [1]);
      expect(await failureOf(await app.start())).toMatchObject(ended);
    }));

  test('neither as a promise nor as an iterable', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      app.agent('agent', source, (() => 5) as never);
      await sendAll(source, [1]);
      expect((await failureOf(await app.start())).message).toMatch(
        /the body of agent agent returned neither an async iterable nor a promise/u,
      );
    }));

  test('by a throw before its first event', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      app.agent('agent', source, () => {
        throw new Error('cannot connect');
      });
      await sendAll(source, [1]);
      expect(await failureOf(await app.start())).toMatchObject({
        cause: { message: 'cannot connect' },
      });
    }));
});

describe('at the end of a worker', () => {
  test('an agent that waits for its next event ends, and its signal aborts', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const ends: string[] = [];
      app.agent('agent', source, async (stream, { signal }) => {
        signal.addEventListener('abort', () => ends.push('aborted'));
        try {
          for await (const _ of stream);
          ends.push('left the loop');
        } finally {
          ends.push('finally');
        }
      });
      await sendAll(source, [1]);
      await runOnce(app);
      await turns({ turn: () => new Promise((resolve) => setImmediate(resolve)) });
      expect(ends).toEqual(['aborted', 'left the loop', 'finally']);
    }));

  test('the event under way is finished and committed', () =>
    withApp(async ({ app }) => {
      const source = numbers(app);
      const table = app.table('table', { default: () => 0 });
      const begun = moment();
      const goOn = moment();
      app.each('agent', source, async (n) => {
        table.update('k', (sum) => sum + n);
        begun.come();
        await goOn.reached;
        table.update('k', (sum) => sum + n);
      });
      await sendAll(source, [1, 10]);
      const running = await app.start();
      await begun.reached;
      const stopped = running.stop();
      goOn.come();
      await stopped;
      expect(await rowsOf(table)).toEqual(new Map([['k', 2]]));
      expect(running.stats.committed).toBe(1);
    }));

  test('a stuck agent is named when the deadline is over, and the app can be started again', async () => {
    const { app, clock, warnings } = bench();
    try {
      const source = numbers(app);
      const table = app.table('table', { default: () => 0 });
      const begun = moment();
      const stuck = { now: true };
      let sleeping: Promise<unknown> | undefined;
      app.each('agent', source, async (n, _, context) => {
        table.update('k', (sum) => sum + n);
        if (!stuck.now) return;
        begun.come();
        sleeping = context.sleep('1h').catch((error: unknown) => error);
        await new Promise(() => undefined);
      });
      await sendAll(source, [1]);
      const running = await app.start();
      await begun.reached;
      const stopped = running.stop({ deadline: '5s' });
      stopped.catch(() => undefined);
      await clock.advance(4_999);
      await clock.advance(1);
      await expect(stopped).rejects.toMatchObject({
        code: 'MR_STOP_TIMEOUT',
        message:
          'the worker did not stop within 5000 ms, waiting for agent-agent/0; what was not committed will be processed again',
        details: { deadlineMs: 5_000, busy: ['agent-agent/0'] },
      });
      await expect(running.done).rejects.toMatchObject({ code: 'MR_STOP_TIMEOUT' });
      expect(await sleeping).toMatchObject({ code: 'MR_ABORTED' });
      expect((await rowsOf(table)).size).toBe(0);
      stuck.now = false;
      await runOnce(app);
      expect(await rowsOf(table)).toEqual(new Map([['k', 1]]));
      expect(warnings).toEqual([]);
    } finally {
      await close(app);
    }
  });

  test('what a stuck agent does after the deadline has no effect', async () => {
    const { app, clock } = bench();
    try {
      const source = numbers(app);
      const target = app.topic<number>('target', { partitions: 1 });
      const table = app.table('table', { default: () => 0 });
      const begun = moment();
      const goOn = moment();
      const after: unknown[] = [];
      app.agent(
        'agent',
        source,
        async function* (stream) {
          for await (const n of stream) {
            begun.come();
            await goOn.reached;
            after.push(await target.send(n).catch((error: unknown) => error));
            try {
              table.set('k', n);
            } catch (error) {
              after.push(error);
            }
            yield n;
          }
        },
        { sinks: [target] },
      );
      await sendAll(source, [1]);
      const running = await app.start();
      await begun.reached;
      const stopped = running.stop({ deadline: 1 });
      stopped.catch(() => undefined);
      await clock.advance(1);
      await expect(stopped).rejects.toMatchObject({ code: 'MR_STOP_TIMEOUT' });
      await running.done.catch(() => undefined);
      goOn.come();
      await turns(clock);
      expect(after).toMatchObject([{ code: 'MR_ABORTED' }, { code: 'MR_TABLE_OUTSIDE' }]);
      expect(await valuesOf(target)).toEqual([]);
      expect((await rowsOf(table)).size).toBe(0);
      await runOnce(app);
      expect(await valuesOf(target)).toEqual([1, 1]);
      expect(await rowsOf(table)).toEqual(new Map([['k', 1]]));
    } finally {
      await close(app);
    }
  });

  test('a stuck closing of windows does not keep the worker either', async () => {
    const { app, clock } = bench();
    try {
      const source = app.topic('numbers', {
        ...keyed<number>(),
        partitions: 1,
        timestamp: (n) => n,
      });
      const counts = app.table('counts', { default: () => 0 }).tumbling(10);
      source.stream().update(counts, (n) => n + 1);
      const begun = moment();
      app.each('closer', counts.closed(), async () => {
        begun.come();
        await new Promise(() => undefined);
      });
      await sendAll(source, [1, 100]);
      const running = await app.start();
      running.settled().catch(() => undefined);
      await begun.reached;
      const stopped = running.stop({ deadline: 1 });
      stopped.catch(() => undefined);
      await clock.advance(1);
      await expect(stopped).rejects.toMatchObject({ code: 'MR_STOP_TIMEOUT' });
      await expect(running.done).rejects.toMatchObject({ code: 'MR_STOP_TIMEOUT' });
    } finally {
      await close(app);
    }
  });

  test('context.sleep is time of the app', async () => {
    const { app, clock } = bench();
    try {
      const source = numbers(app);
      const table = app.table('table', { default: () => 0 });
      app.each('agent', source, async (n, _, context) => {
        await context.sleep('10s');
        table.update('k', (sum) => sum + n);
      });
      await sendAll(source, [1]);
      const running = await app.start();
      const settled = running.settled();
      await turns(clock);
      await clock.advance(9_999);
      expect(running.stats.events).toBe(0);
      await clock.advance(1);
      await settled;
      expect(await rowsOf(table)).toEqual(new Map([['k', 1]]));
    } finally {
      await close(app);
    }
  });
});

test('a slow agent does not hold up a declared stream on the same topic', () =>
  withApp(async ({ app }) => {
    const source = numbers(app);
    const table = app.table('table', { default: () => 0 });
    const goOn = moment();
    source.stream().update(table, (sum, n) => sum + n);
    app.each('slow', source, () => goOn.reached);
    await sendAll(source, [1, 2, 3]);
    const running = await app.start();
    const settled = running.settled();
    while ((await rowsOf(table)).get('k') !== 6) await new Promise((go) => setImmediate(go));
    goOn.come();
    await settled;
    expect(running.stats.events).toBe(6);
  }));

test('order is kept per key', () =>
  withApp(async ({ app, clock }) => {
    const source = numbers(app, 'numbers', 4);
    const seen = new Map<string, number[]>();
    app.each('agent', source, async (n, { key }) => {
      if (n % 3 === 0) await clock.turn();
      seen.set(key, [...(seen.get(key) ?? []), n]);
    });
    for (let n = 0; n < 60; n++) await source.send(n, { key: `k${n % 7}` });
    await runOnce(app);
    for (const [key, found] of seen)
      expect(found).toEqual(
        Array.from({ length: 60 }, (_, n) => n).filter((n) => `k${n % 7}` === key),
      );
    expect(seen.size).toBe(7);
  }));
