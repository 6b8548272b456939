/** Asking agents: whose answer it is, what there is instead of one, and who may ask. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';

import { deadLetter, MillraceError, retry, seededRandom, unchecked } from '../../src/index.ts';
import type { App, AppOptions, Topic, VirtualClock } from '../../src/index.ts';
import { openBroker } from '../../src/broker/open.ts';
import { bench, close, keyed, moment, recordsOf, turns, valuesOf } from './support.ts';
import type { Bench } from './support.ts';

/** Lets time pass, 10 ms at a time, until `done` has settled. Gives what it has become, and how long it took. */
async function after<T>(clock: VirtualClock, done: Promise<T>): Promise<T> {
  let settled = false;
  const mark = (): void => {
    settled = true;
  };
  done.then(mark, mark);
  for (let i = 0; !settled; i++) {
    if (i === 10_000) throw new Error('it does not come about');
    await clock.advance(10);
  }
  return await done;
}

/** An app, closed whatever happens. */
async function withBench(
  body: (bench: Bench) => Promise<void>,
  options: AppOptions = {},
): Promise<void> {
  const made = bench('shop', options);
  try {
    await body(made);
  } finally {
    await close(made.app);
  }
}

function numbers(app: App, name = 'numbers', partitions = 4): Topic<string | null, number> {
  return app.topic(name, { value: unchecked<number>(), partitions });
}

describe('an answer', () => {
  test('is the first result for the event', () =>
    withBench(async ({ app, clock }) => {
      const source = numbers(app);
      const agent = app.agent('agent', source, async function* (stream) {
        for await (const n of stream) {
          yield `${n}a`;
          yield `${n}b`;
        }
      });
      await app.start();
      await source.send(1);
      expect(await after(clock, agent.ask(2))).toBe('2a');
      expect(await after(clock, agent.ask(3, { key: 'k' }))).toBe('3a');
    }));

  test('of each: what it returns, null too', () =>
    withBench(async ({ app, clock }) => {
      const agent = app.each('agent', numbers(app), async (n) => (n === 0 ? null : n * 2));
      await app.start();
      expect(await after(clock, agent.ask(21))).toBe(42);
      expect(await after(clock, agent.ask(0))).toBe(null);
    }));

  test('is whatever msgpack carries', () =>
    withBench(async ({ app, clock }) => {
      const values = [undefined, 1n, new Date(5), new Map([['a', new Set([1])]]), [null, -1.5]];
      const agent = app.agent('agent', numbers(app), async function* (stream) {
        for await (const n of stream) yield values[n];
      });
      await app.start();
      for (const [i, value] of values.entries())
        expect(await after(clock, agent.ask(i))).toEqual(value);
    }));

  test('is there with the commit that finishes the event, and so is everything else', () =>
    withBench(
      async ({ app, clock }) => {
        const target = numbers(app, 'target');
        const agent = app.each('agent', numbers(app), (n) => n + 1, { sinks: [target] });
        await app.start();
        let answer: unknown;
        const asked = agent.ask(1).then((value) => {
          answer = value;
        });
        await clock.advance(900);
        expect([answer, await valuesOf(target)]).toEqual([undefined, []]);
        await clock.advance(200);
        await asked;
        expect([answer, await valuesOf(target)]).toEqual([2, [2]]);
      },
      { commit: { interval: '1s' } },
    ));

  test('comes from the agent that was asked, and not from others that read the same topic', () =>
    withBench(async ({ app, clock }) => {
      const source = numbers(app);
      const first = app.each('first', source, () => 'first');
      const second = app.each('second', source, async () => {
        await Promise.resolve();
        return 'second';
      });
      await app.start();
      expect(await after(clock, Promise.all([first.ask(1), second.ask(1)]))).toEqual([
        'first',
        'second',
      ]);
    }));

  test('is not asked for again by what comes of the event', () =>
    withBench(async ({ app, clock }) => {
      const target = numbers(app, 'target', 1);
      const doubled = app.each('doubled', { value: z.number() }, (n) => `doubled ${n * 2}`);
      const source = numbers(app);
      source.stream().sink(target);
      // It sends to itself what is still too small, and that is not answered once more.
      const agent = app.agent(
        'agent',
        source,
        async function* (stream) {
          for await (const n of stream) if (n < 4) yield n + 1;
        },
        { sinks: [doubled, source, target] },
      );
      const running = await app.start();
      expect(await after(clock, agent.ask(2))).toBe(3);
      await running.settled();
      const records = await recordsOf(target);
      expect(records.map(({ value }) => value).toSorted((a, b) => a - b)).toEqual([2, 3, 3, 4, 4]);
      for (const { headers } of records) expect(headers).toEqual({});
      const [only, more] = await recordsOf(app['~parts']().topics.get('shop-doubled') as never);
      expect([only, more].map((record) => record?.headers)).toEqual([{}, {}]);
    }));

  test('of a body that takes groups goes to the last event of each', () =>
    withBench(async ({ app, clock }) => {
      const agent = app.agent('agent', numbers(app, 'numbers', 1), async function* (stream) {
        for await (const group of stream.take(3, { within: '1s' })) yield group.join();
      });
      await app.start();
      const answers = await after(clock, Promise.allSettled([1, 2, 3].map((n) => agent.ask(n))));
      expect(answers).toEqual([
        expect.objectContaining({ reason: expect.objectContaining({ code: 'MR_NO_REPLY' }) }),
        expect.objectContaining({ reason: expect.objectContaining({ code: 'MR_NO_REPLY' }) }),
        { status: 'fulfilled', value: '1,2,3' },
      ]);
    }));

  test('a thousand questions at once to eight bodies: each has its own answer', () =>
    withBench(async ({ app, clock }) => {
      const spent = app.table('spent', { default: () => 0 });
      const agent = app.agent(
        'agent',
        app.topic('orders', keyed<number>()),
        async function* (stream, context) {
          for await (const [key, n] of stream.items()) {
            await context.sleep((n * 7) % 5);
            spent.update(key, (sum) => sum + 1);
            yield `${key} ${n}`;
          }
        },
        { concurrency: 8 },
      );
      const running = await app.start();
      const questions = Array.from({ length: 1_000 }, (_, n) => ({ n, key: `k${n % 50}` }));
      const answers = await after(
        clock,
        Promise.all(questions.map(({ n, key }) => agent.ask(n, { key }))),
      );
      expect(answers).toEqual(questions.map(({ n, key }) => `${key} ${n}`));
      await running.settled();
      const rows = new Map(await Array.fromAsync(spent.snapshot()));
      expect([rows.size, new Set(rows.values())]).toEqual([50, new Set([20])]);
    }));
});

describe('no answer', () => {
  test('when the body asks for the next event first: told at once', () =>
    withBench(async ({ app, clock }) => {
      const odd = app.agent('odd', numbers(app), async function* (stream) {
        for await (const n of stream.filter((value) => value % 2 === 1)) yield n;
      });
      const each = app.each('each', numbers(app, 'others'), (n) => (n > 1 ? n : undefined));
      await app.start();
      const began = clock.monotonic();
      for (const ask of [() => odd.ask(2), () => each.ask(1)])
        await expect(after<unknown>(clock, ask())).rejects.toMatchObject({
          code: 'MR_NO_REPLY',
          retryable: false,
        });
      expect(await after(clock, odd.ask(3))).toBe(3);
      expect(clock.monotonic() - began).toBeLessThan(2_000);
    }));

  test('with manual acknowledgement: when the event is acknowledged without a result', () =>
    withBench(
      async ({ app, clock }) => {
        const agent = app.agent(
          'agent',
          numbers(app, 'numbers', 1),
          async function* (stream) {
            for await (const event of stream.events({ ack: 'manual' })) {
              if (event.value > 1) yield event.value;
              if (event.value < 3) event.ack();
              else event.nack(new RangeError('too much'));
            }
          },
          { onError: 'skip' },
        );
        await app.start();
        const answers = await after(clock, Promise.allSettled([1, 2, 3].map((n) => agent.ask(n))));
        expect(answers).toMatchObject([
          { reason: { code: 'MR_NO_REPLY' } },
          { value: 2 },
          { reason: { code: 'MR_PROCESSING_FAILED', cause: { message: 'too much' } } },
        ]);
      },
      { processing: 'at-least-once' },
    ));

  test('when a policy gives the event up: its error', () =>
    withBench(async ({ app, clock }) => {
      let tries = 0;
      const fails = (n: number): number => {
        if (n === 0) throw Object.assign(new RangeError('no zeros'), { code: 'E_ZERO' });
        return n;
      };
      const skips = app.each('skips', numbers(app, 'a'), fails, { onError: 'skip' });
      const letters = app.agent(
        'letters',
        numbers(app, 'b'),
        async function* (stream) {
          for await (const n of stream) {
            yield `before ${n}`;
            tries++;
            fails(n);
          }
        },
        { onError: retry({ times: 2, backoff: 50 }).orElse(deadLetter('dead')) },
      );
      await app.start();
      for (const ask of [() => skips.ask(0), () => letters.ask(0)])
        await expect(after<unknown>(clock, ask())).rejects.toMatchObject({
          code: 'MR_PROCESSING_FAILED',
          message: expect.stringMatching(/given the event up: RangeError: no zeros/u),
          details: { name: 'RangeError', code: 'E_ZERO' },
          cause: { name: 'RangeError', message: 'no zeros', code: 'E_ZERO' },
        });
      expect(tries).toBe(3);
      expect(await after(clock, Promise.all([skips.ask(1), letters.ask(1)]))).toEqual([
        1,
        'before 1',
      ]);
    }));

  test('a try that fails leaves no answer behind; the one that succeeds does', () =>
    withBench(async ({ app, clock }) => {
      const left = { agent: 2, each: 2 };
      const agent = app.agent(
        'agent',
        numbers(app, 'a'),
        async function* (stream) {
          for await (const n of stream) {
            yield `${n} with ${left.agent} left`;
            if (left.agent-- > 0) throw new Error('again');
          }
        },
        { onError: retry({ times: 5 }) },
      );
      const each = app.each(
        'each',
        numbers(app, 'b'),
        (n) => {
          if (left.each-- > 0) throw new Error('again');
          return n;
        },
        { onError: retry({ times: 5 }), sinks: [() => undefined] },
      );
      await app.start();
      expect(await after(clock, agent.ask(1))).toBe('1 with 0 left');
      expect(await after(clock, each.ask(1))).toBe(1);
    }));

  test('a result that cannot be sent is an error of who asked, not of the agent', () =>
    withBench(
      async ({ app, clock }) => {
        const seen: unknown[] = [];
        const agent = app.each(
          'agent',
          numbers(app),
          (n) => (n === 0 ? () => 1 : n === 1 ? 'x'.repeat(3_000) : n),
          { sinks: [(value) => void seen.push(value)] },
        );
        await app.start();
        await expect(after(clock, agent.ask(0))).rejects.toMatchObject({
          code: 'MR_PROCESSING_FAILED',
          cause: { code: 'MR_ENCODE_FAILED' },
        });
        await expect(after(clock, agent.ask(1))).rejects.toMatchObject({
          cause: { code: 'MR_RECORD_TOO_LARGE' },
        });
        expect(await after(clock, agent.ask(2))).toBe(2);
        expect(seen).toHaveLength(3);
      },
      { maxRecordBytes: 1_024 },
    ));

  test('within the timeout: by default 30 s, and nothing is left of the question', () =>
    withBench(async ({ app, clock }) => {
      const agent = app.each('agent', numbers(app), (n) => n);
      const asked = agent.ask(1);
      const brief = agent.ask(1, { timeout: '2s' });
      const told = [asked, brief].map(async (one) => {
        const error: unknown = await one.catch((reason: unknown) => reason);
        return [error, clock.monotonic()] as const;
      });
      for (let i = 0; i < 31; i++) await clock.advance(1_000);
      const [long, short] = await Promise.all(told);
      expect(short).toMatchObject([{ code: 'MR_TIMEOUT', retryable: true }, 2_000]);
      expect(long).toMatchObject([
        { message: expect.stringMatching(/agent agent did not answer within 30000 ms/u) },
        30_000,
      ]);
      await clock.advance(2_000);
      expect(clock.timers).toBe(0);
      // Both are still processed, and nobody minds their answers.
      const running = await app.start();
      await running.settled();
      expect(running.stats.events).toBe(2);
      expect(await after(clock, agent.ask(3))).toBe(3);
    }));

  test('when its signal aborts, before or after it was sent', () =>
    withBench(async ({ app, clock }) => {
      const source = numbers(app);
      const agent = app.each('agent', source, (n) => n);
      await expect(agent.ask(1, { signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: 'MR_ABORTED',
      });
      const abort = new AbortController();
      const asked = agent.ask(2, { signal: abort.signal });
      asked.catch(() => undefined);
      await turns(clock);
      abort.abort();
      await expect(asked).rejects.toMatchObject({ code: 'MR_ABORTED' });
      expect(await valuesOf(source)).toEqual([2]);
    }));

  test('when the app is closed; it can be asked again after that', async () => {
    const { app, clock } = bench('shop', { broker: 'memory:closed-and-asked' });
    const agent = app.each('agent', numbers(app), (n) => n);
    const asked = agent.ask(1);
    asked.catch(() => undefined);
    await turns(clock);
    await app.close();
    await expect(asked).rejects.toMatchObject({ code: 'MR_CLOSED' });
    await app.start();
    expect(await after(clock, agent.ask(2))).toBe(2);
    await app.close();
  });

  test('when the value is refused: as by send', () =>
    withBench(async ({ app, clock }) => {
      const agent = app.each('agent', { value: z.number() }, (n) => n);
      await expect(agent.ask('x' as never)).rejects.toMatchObject({ code: 'MR_SCHEMA_VIOLATION' });
      await clock.advance(2_000);
      expect(clock.timers).toBe(0);
    }));

  test('no more than 10,000 questions are open', () =>
    withBench(async ({ app }) => {
      const agent = app.each('agent', numbers(app), (n) => n);
      const abort = new AbortController();
      const { signal } = abort;
      const open = Array.from({ length: 10_000 }, (_, n) => agent.ask(n, { signal }));
      const settled = Promise.allSettled(open);
      await expect(agent.ask(0)).rejects.toMatchObject({ code: 'MR_OVERFLOW', retryable: true });
      abort.abort();
      await settled;
      const last = agent.ask(0);
      last.catch(() => undefined);
      await app.close();
      await expect(last).rejects.toMatchObject({ code: 'MR_CLOSED' });
    }));
});

describe('who may ask', () => {
  test('not code that processes an event exactly once: it would wait for its own commit', () =>
    withBench(async ({ app }) => {
      const source = numbers(app, 'source', 1);
      const other = app.each('other', { value: z.number() }, (n) => n + 1);
      const heard: unknown[] = [];
      const told = moment();
      app.each('agent', source, async (n) => {
        heard.push(await other.ask(n).catch((error: unknown) => error));
        await other.cast(n);
      });
      source
        .stream()
        .map((n) => other.ask(n).catch((error: unknown) => error))
        .sink((error) => {
          heard.push(error);
          told.come();
        });
      const running = await app.start();
      await source.send(1);
      await told.reached;
      await running.settled();
      expect(heard).toMatchObject([
        { code: 'MR_ARGUMENT_INVALID' },
        { code: 'MR_ARGUMENT_INVALID' },
      ]);
      expect(String(heard[0])).toMatch(/would wait for its own commit/u);
    }));

  test('at-least-once an agent may ask another one', () =>
    withBench(
      async ({ app, clock }) => {
        const other = app.each('other', { value: z.number() }, (n) => n + 1);
        const agent = app.agent('agent', { value: z.number() }, async function* (stream) {
          for await (const n of stream) yield [n, await other.ask(n)];
        });
        await app.start();
        expect(await after(clock, agent.ask(1))).toEqual([1, 2]);
      },
      { processing: 'at-least-once' },
    ));

  test('jobs of the app', () =>
    withBench(async ({ app, clock }) => {
      const agent = app.each('agent', { value: z.number() }, (n) => n + 1);
      const answers: number[] = [];
      app.task(async ({ signal }) => {
        answers.push(await agent.ask(1, { signal }), ...(await agent.join([2, 3], { signal })));
      });
      await app.start();
      for (let i = 0; answers.length === 0; i++) {
        expect(i).toBeLessThan(1_000);
        await clock.advance(10);
      }
      expect(answers).toEqual([2, 3, 4]);
    }));

  test('nobody asks an agent that cannot answer', () =>
    withBench(async ({ app }) => {
      const silent = app.agent('silent', { value: z.number() }, async (stream) => {
        for await (const n of stream) void n;
      });
      const behind = app.each(
        'behind',
        numbers(app)
          .stream()
          .groupBy((n) => `${n}`, { name: 'n' }),
        (n) => n,
      );
      const channel = app.each('channel', app.channel<number>(), (n) => n);
      const ask = (agent: unknown): Promise<unknown> =>
        (agent as { ask(value: number): Promise<unknown> }).ask(1);
      await expect(ask(silent)).rejects.toThrow(/never yields/u);
      await expect(ask(behind)).rejects.toThrow(/reads a stream with operators/u);
      await expect(ask(channel)).rejects.toThrow(/reads a channel/u);
      await expect(ask(silent)).rejects.toMatchObject({ code: 'MR_ARGUMENT_INVALID' });
    }));
});

describe('the topic for answers', () => {
  test('is there when an app is started whose agents may answer, and belongs to it', () =>
    withBench(async ({ app }) => {
      app.each('agent', numbers(app), (n) => n);
      await app.start();
      const broker = await app['~parts']().broker();
      expect(await broker.describeTopic('shop-replies')).toMatchObject({
        owner: 'shop',
        keep: { retentionMs: 600_000 },
      });
    }));

  test('is not there for an app whose agents cannot', () =>
    withBench(async ({ app }) => {
      app.agent('agent', numbers(app), async (stream) => {
        for await (const n of stream) void n;
      });
      await app.start();
      const broker = await app['~parts']().broker();
      expect(await broker.describeTopic('shop-replies')).toBe(undefined);
    }));

  test('its name is taken', () =>
    withBench(async ({ app }) => {
      expect(() => app.topic('shop-replies')).toThrow(
        expect.objectContaining({ code: 'MR_NAME_TAKEN' }),
      );
      expect(() => app.each('replies', { value: z.number() }, (n) => n)).toThrow(
        /agents of app shop answer in/u,
      );
    }));

  test('questions of others, and of nobody, are passed over', () =>
    withBench(async ({ app, clock }) => {
      const source = numbers(app, 'numbers', 1);
      const agent = app.each('agent', source, (n) => n);
      const running = await app.start();
      const question = { 'mr-asked-agent': 'agent', 'mr-correlation-id': 'x-1' };
      for (const to of ['', 'other-replies/1', 'shop-replies', 'shop-replies/8', 'shop-replies/-1'])
        await source.send(1, { headers: { ...question, 'mr-reply-to': to } });
      await source.send(2, {
        headers: {
          ...question,
          'mr-reply-to': 'shop-replies/1',
          'mr-correlation-id': 'y'.repeat(101),
        },
      });
      // One that nobody waits for is answered all the same.
      await source.send(3, { headers: { ...question, 'mr-reply-to': 'shop-replies/1' } });
      await running.settled();
      const broker = await app['~parts']().broker();
      let answers = 0;
      for (let partition = 0; partition < 8; partition++)
        answers += (await broker.bounds('shop-replies', partition)).end;
      expect(answers).toBe(1);
      expect(await after(clock, agent.ask(4))).toBe(4);
    }));

  test('a reader that was away for too long goes on with what there is', () =>
    withBench(async ({ app, clock }) => {
      const agent = app.each('agent', numbers(app), (n) => n);
      const sought: number[] = [];
      app['~replace']({
        open: async () => {
          const broker = await openBroker('memory:', { clock, random: seededRandom(1) });
          const open = broker.reader.bind(broker);
          broker.reader = (topic, partition, from) => {
            const reader = open(topic, partition, from);
            if (topic !== 'shop-replies') return reader;
            const next = reader.next.bind(reader);
            const seek = reader.seek.bind(reader);
            reader.next = () => {
              reader.next = next;
              throw new MillraceError('MR_OFFSET_LOST', 'the test has deleted it');
            };
            reader.seek = (offset) => {
              sought.push(offset);
              seek(offset);
            };
            return reader;
          };
          return broker;
        },
      });
      await app.start();
      expect(await after(clock, agent.ask(7))).toBe(7);
      expect(sought).toEqual([0]);
    }));

  test('when it cannot be read, open questions fail, and the next one is asked anew', () =>
    withBench(async ({ app, clock }) => {
      const agent = app.each('agent', numbers(app), (n) => n);
      let broken = true;
      app['~replace']({
        open: async () => {
          const broker = await openBroker('memory:', { clock, random: seededRandom(1) });
          const open = broker.reader.bind(broker);
          broker.reader = (topic, partition, from) => {
            const reader = open(topic, partition, from);
            if (topic === 'shop-replies' && broken)
              reader.next = () => {
                throw new MillraceError('MR_IO', 'the test has broken it', { domain: 'external' });
              };
            return reader;
          };
          return broker;
        },
      });
      await app.start();
      await expect(after(clock, agent.ask(1))).rejects.toMatchObject({ code: 'MR_IO' });
      broken = false;
      expect(await after(clock, agent.ask(2))).toBe(2);
    }));
});
