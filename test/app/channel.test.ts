/** Channels: readers with queues of their own, back-pressure, streams, and agents that read them. */
import { describe, expect, test } from 'vitest';

import { Channel } from '../../src/app/channel.ts';
import { deadLetter, retry, systemClock, unchecked } from '../../src/index.ts';
import type { App } from '../../src/index.ts';
import { bench, close, keyed, moment, turns, valuesOf, withApp } from './support.ts';

function channel<T>(capacity?: number): Channel<T> {
  const clock = systemClock();
  return new Channel<T>({ capacity }, () => clock);
}

const settle = (): Promise<void> => turns(systemClock());

/** Whether a promise has settled by now. */
async function settledNow(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const mark = (): void => {
    settled = true;
  };
  promise.then(mark, mark);
  await settle();
  return settled;
}

describe('readers', () => {
  test('each has every value, in order', async () => {
    const ch = channel<number | undefined>();
    const [one, two] = [ch.iterate(), ch.iterate()];
    for (const value of [1, undefined, 3]) await ch.put(value);
    for (const reader of [one, two])
      for (const value of [1, undefined, 3])
        expect(await reader.next()).toEqual({ done: false, value });
  });

  test('what is put while nobody reads waits for the first one', async () => {
    const ch = channel<number>(2);
    await ch.put(1);
    await ch.put(2);
    const third = ch.put(3);
    expect(await settledNow(third)).toBe(false);
    const reader = ch.iterate();
    expect(await reader.next()).toMatchObject({ value: 1 });
    await third;
    expect(await reader.next()).toMatchObject({ value: 2 });
    const late = ch.iterate();
    await ch.put(4);
    expect(await reader.next()).toMatchObject({ value: 3 });
    expect(await reader.next()).toMatchObject({ value: 4 });
    expect(await late.next()).toMatchObject({ value: 4 });
  });

  test('put waits for the slowest; leaving it lets it go', async () => {
    const ch = channel<number>(1);
    const [slow, fast] = [ch.iterate(), ch.iterate()];
    await ch.put(1);
    await fast.next();
    const second = ch.put(2);
    expect(await settledNow(second)).toBe(false);
    expect(await fast.next()).toMatchObject({ value: 2 });
    await slow.return?.();
    await second;
    await ch.put(3);
    expect(await fast.next()).toMatchObject({ value: 3 });
    expect(await slow.next()).toMatchObject({ done: true });
  });

  test('signals end a put and a wait; nothing is lost by that', async () => {
    const ch = channel<number>(1);
    await ch.put(1);
    const abort = new AbortController();
    const put = ch.put(2, { signal: abort.signal });
    abort.abort();
    await expect(put).rejects.toMatchObject({ code: 'MR_ABORTED' });
    const reader = ch.iterate();
    expect(await reader.next()).toMatchObject({ value: 1 });
    const leaving = new AbortController();
    const other = ch.iterate({ signal: leaving.signal });
    const waiting = other.next();
    leaving.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'MR_ABORTED' });
    await ch.put(3);
    expect(await reader.next()).toMatchObject({ value: 3 });
  });

  test('for await, left by break: what comes then waits for the next reader', async () => {
    const ch = channel<number>();
    for (const n of [1, 2, 3]) await ch.put(n);
    for await (const n of ch) {
      expect(n).toBe(1);
      break;
    }
    await ch.put(4);
    for await (const n of ch) {
      expect(n).toBe(4);
      break;
    }
  });

  test('a capacity that is none', () => {
    for (const capacity of [0, 1.5, -1])
      expect(() => channel(capacity)).toThrow(
        expect.objectContaining({ code: 'MR_OPTION_INVALID' }),
      );
  });
});

describe('as a stream', () => {
  test('of this process: it reads once somebody listens', async () => {
    const ch = channel<number>();
    await ch.put(1);
    const stream = ch.stream();
    await ch.put(2);
    const seen: string[] = [];
    stream.map((n) => `a${n}`).sink((text) => seen.push(text));
    await ch.put(3);
    await settle();
    expect(seen).toEqual(['a1', 'a2', 'a3']);
    const other: number[] = [];
    ch.stream().sink((n) => other.push(n));
    await settle();
    await ch.put(4);
    await settle();
    expect([seen.at(-1), other]).toEqual(['a4', [4]]);
  });

  test('slow operators push back', async () => {
    const ch = channel<number>(1);
    const go = moment();
    const seen: number[] = [];
    ch.stream().sink(async (n) => {
      await go.reached;
      seen.push(n);
    });
    await settle();
    await ch.put(1);
    await settle();
    await ch.put(2);
    const third = ch.put(3);
    expect(await settledNow(third)).toBe(false);
    go.come();
    await third;
    await settle();
    expect(seen).toEqual([1, 2, 3]);
  });

  test('operators wait on the clock of the app', () =>
    withApp(async ({ app, clock }) => {
      const ch = app.channel<number>();
      const groups: number[][] = [];
      ch.stream()
        .take(10, { within: '1s' })
        .sink((group) => groups.push(group));
      await settle();
      await ch.put(1);
      await settle();
      await ch.put(2);
      await clock.advance(1_000);
      expect(groups).toEqual([[1, 2]]);
    }));
});

describe('as a sink', () => {
  test('of streams and agents in tasks, and of streams of the process', () =>
    withApp(async ({ app }) => {
      const ch = app.channel<string>();
      const source = app.topic('source', { ...keyed<number>(), partitions: 1 });
      source
        .stream()
        .map((n) => `stream ${n}`)
        .sink(ch);
      app.each('agent', source, (n) => `agent ${n}`, { sinks: [ch] });
      const running = await app.start();
      await source.send(1, { key: 'k' });
      await running.settled();
      const reader = ch.iterate();
      const seen: string[] = [];
      for (let i = 0; i < 2; i++) seen.push(String((await reader.next()).value));
      expect(seen.toSorted()).toEqual(['agent 1', 'stream 1']);
    }));

  test('a task that ends does not wait for room', () =>
    withApp(async ({ app, clock }) => {
      const ch = app.channel<number>({ capacity: 1 });
      const source = app.topic('source', { ...keyed<number>(), partitions: 1 });
      app.each('agent', source, (n) => n, { sinks: [ch] });
      const running = await app.start();
      await source.send(1, { key: 'k' });
      await source.send(2, { key: 'k' });
      await turns(clock, 50);
      const stopped = running.stop().catch((error: unknown) => error);
      for (let i = 0; i < 100; i++) await clock.advance(1_000);
      expect(await stopped).toMatchObject({ code: expect.stringMatching(/^MR_/u) });
    }));
});

describe('agents', () => {
  test('run in this process while the app does; what they yield goes to their sinks', () =>
    withApp(async ({ app, clock }) => {
      const ch = app.channel<number>({ capacity: 64 });
      const target = app.topic('target', { value: unchecked<string>(), partitions: 1 });
      const out = app.channel<string>();
      const heard: string[] = [];
      const agent = app.agent(
        'agent',
        ch,
        async function* (stream, context) {
          for await (const [i, n] of stream.filter((value) => value > 0).enumerate()) {
            await context.sleep(10);
            yield `${context.task.partition} ${i} ${n}`;
          }
        },
        { sinks: [target, out, (text) => void heard.push(text)] },
      );
      // Before the app runs it waits.
      await ch.put(1);
      await agent.cast(-1);
      expect(agent.info()).toEqual({ name: 'agent', instances: 0 });
      const running = await app.start();
      await ch.put(2);
      for (let i = 0; i < 20; i++) await clock.advance(10);
      expect(heard).toEqual(['0 0 1', '0 1 2']);
      expect(await valuesOf(target)).toEqual(heard);
      expect((await out.iterate().next()).value).toBe('0 0 1');
      expect(agent.info()).toEqual({ name: 'agent', instances: 1 });
      await running.stop();
      expect(agent.info()).toEqual({ name: 'agent', instances: 0 });
      // And after it: until the next start.
      await ch.put(3);
      await app.start();
      for (let i = 0; i < 20; i++) await clock.advance(10);
      expect(heard.slice(2)).toEqual(['0 0 3']);
    }));

  test('each: several at once, with what there is to know of an event', () =>
    withApp(async ({ app, clock }) => {
      const ch = app.channel<number>();
      const go = moment();
      const seen: unknown[] = [];
      app.each(
        'agent',
        ch,
        async (n, event) => {
          const { key, topic, timestamp, headers } = event;
          seen.push([n, key, topic, timestamp, headers]);
          await go.reached;
          try {
            event.forward({ name: 'somewhere' });
          } catch (error) {
            seen.push((error as { code: string }).code);
          }
        },
        { concurrency: 3 },
      );
      const running = await app.start();
      for (let n = 0; n < 5; n++) await ch.put(n);
      await turns(clock);
      expect(seen).toEqual([0, 1, 2].map((n) => [n, null, '', 1_000_000, {}]));
      go.come();
      await turns(clock);
      expect(seen).toHaveLength(10);
      expect(seen).toContain('MR_SEND_OUTSIDE');
      await running.stop();
    }));

  test('groups, events and acknowledgement by hand', () =>
    withApp(async ({ app, clock }) => {
      const [a, b, c] = [app.channel<number>(), app.channel<number>(), app.channel<number>()];
      const seen: unknown[] = [];
      app.agent('groups', a, async (stream) => {
        for await (const group of stream.take(3, { within: '1s' })) seen.push(group);
      });
      app.agent(
        'events',
        b,
        async (stream) => {
          for await (const event of stream.events({ ack: 'manual' })) {
            seen.push(event.value);
            if (event.value === 1) event.nack('one');
            else event.ack();
          }
        },
        { onError: 'skip' },
      );
      app.agent('items', c, async (stream) => {
        for await (const item of stream.map((n) => n * 2).items()) {
          seen.push([item, stream.event?.offset]);
        }
      });
      const running = await app.start();
      for (let n = 0; n < 5; n++) await a.put(n);
      await turns(clock);
      expect(seen).toEqual([[0, 1, 2]]);
      await clock.advance(1_000);
      expect(seen.splice(0)).toEqual([
        [0, 1, 2],
        [3, 4],
      ]);
      await b.put(1);
      await b.put(2);
      await turns(clock);
      expect(seen.splice(0)).toEqual([1, 2]);
      await c.put(3);
      await turns(clock);
      expect(seen).toEqual([[[null, 6], 0n]]);
      await running.stop();
    }));

  test('tables are outside of their reach; sends go straight to the broker', () =>
    withApp(async ({ app, clock }) => {
      const ch = app.channel<number>();
      const counts = app.table('counts', { default: () => 0 });
      const target = app.topic('target', { value: unchecked<number>() });
      const seen: unknown[] = [];
      app.each('agent', ch, async (n, _event, context) => {
        for (const table of [counts, context.table(counts)])
          try {
            table.get('a');
          } catch (error) {
            seen.push((error as { code: string }).code);
          }
        seen.push((await target.send(n)).offset);
      });
      const running = await app.start();
      await ch.put(7);
      await turns(clock);
      expect(seen).toEqual(['MR_TABLE_OUTSIDE', 'MR_TABLE_OUTSIDE', 0n]);
      expect(await valuesOf(target)).toEqual([7]);
      await running.stop();
    }));

  test('policies: retry, skip, and what fails for good ends the worker', () =>
    withApp(async ({ app, clock, warnings }) => {
      const [a, b] = [app.channel<number>(), app.channel<number>()];
      const seen: string[] = [];
      app.agent(
        'bold',
        a,
        async function* (stream) {
          for await (const n of stream) {
            seen.push(`${n}`);
            if (n === 1) throw new RangeError('one');
            yield n;
          }
        },
        { onError: retry({ times: 2, backoff: 50 }).orElse('skip') },
      );
      app.each('strict', b, (n) => {
        throw new RangeError(`not ${n}`);
      });
      const running = await app.start();
      await a.put(1);
      await a.put(2);
      for (let i = 0; i < 50; i++) await clock.advance(10);
      expect(seen).toEqual(['1', '1', '1', '2']);
      expect(warnings).toContain('agent bold skipped a value of its channel');
      await b.put(3);
      await expect(running.done).rejects.toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        message: 'agent strict failed with a value of its channel: not 3',
        cause: { message: 'not 3' },
      });
    }));

  test('a body that ends although its stream goes on', () =>
    withApp(async ({ app }) => {
      const ch = app.channel<number>();
      app.agent('short', ch, async (stream) => {
        for await (const n of stream) if (n > 0) break;
      });
      const running = await app.start();
      await ch.put(1);
      await expect(running.done).rejects.toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        message: expect.stringMatching(/ended although its stream goes on/u),
      });
    }));

  test('dead letters are refused when it is declared', async () => {
    const { app } = bench('shop', { onError: deadLetter('dead') });
    try {
      expect(() => app.each('agent', app.channel<number>(), (n) => n)).toThrow(/no records/u);
      app.each('other', app.channel<number>(), (n) => n, { onError: 'skip' });
      expect(() =>
        app.each('third', app.channel<number>(), (n) => n, { onError: deadLetter('x') }),
      ).toThrow(expect.objectContaining({ code: 'MR_OPTION_INVALID' }));
    } finally {
      await close(app);
    }
  });

  test('a key for a value of a channel is refused', () =>
    withApp(async ({ app }) => {
      const agent = app.each('agent', app.channel<number>(), (n) => n);
      await expect(agent.cast(1, { key: 'k' })).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
      });
    }));
});

describe('stopping', () => {
  const slow = (
    app: App,
  ): { seen: number[]; go: () => void; ch: Channel<number>; aborted: () => boolean } => {
    const ch = app.channel<number>();
    const seen: number[] = [];
    const gate = moment();
    let signal: AbortSignal | undefined;
    app.each('agent', ch, async (n, _event, context) => {
      ({ signal } = context);
      await gate.reached;
      seen.push(n);
    });
    return { seen, go: gate.come, ch, aborted: () => signal?.aborted === true };
  };

  test('waits for the value under way; the others wait for the next start', () =>
    withApp(async ({ app, clock }) => {
      const { seen, go, ch } = slow(app);
      const running = await app.start();
      for (const n of [1, 2, 3]) await ch.put(n);
      await turns(clock);
      const stopped = running.stop();
      await turns(clock);
      expect(seen).toEqual([]);
      go();
      await stopped;
      expect(seen).toEqual([1]);
      await app.start();
      await turns(clock);
      expect(seen).toEqual([1, 2, 3]);
    }));

  test('but not for ever: the signal of the context aborts, and a warning says so', () =>
    withApp(async ({ app, clock, warnings }) => {
      const { ch, aborted } = slow(app);
      const running = await app.start();
      await ch.put(1);
      await turns(clock);
      const stopped = running.stop();
      await clock.advance(9_000);
      expect(aborted()).toBe(false);
      await clock.advance(2_000);
      await stopped;
      expect(aborted()).toBe(true);
      expect(warnings.join()).toMatch(
        /agent agent had 1 values of its channel under way 10000 ms after/u,
      );
    }));
});
