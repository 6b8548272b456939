/** Events that a body acknowledges by hand: what is committed, what comes again, and what never waits for itself. */
import { describe, expect, test } from 'vitest';

import { deadLetter, retry } from '../../src/index.ts';
import type { AppOptions, StreamEvent, Topic } from '../../src/index.ts';
import { paced, sendAll, upTo } from './paced.ts';
import type { Paced } from './paced.ts';
import { keyed, rowsOf, valuesOf } from './support.ts';

const atLeastOnce: AppOptions = { processing: 'at-least-once', commit: { interval: 100 } };

type Event = StreamEvent<number, string>;

/** An agent that hands its events to the test. */
function collecting(
  it: Paced,
  options: { onError?: ReturnType<typeof deadLetter> } = {},
): {
  readonly topic: Topic<string, number>;
  readonly events: Event[];
} {
  const topic = it.numbers();
  const events: Event[] = [];
  it.app.agent(
    'collector',
    topic,
    async (stream) => {
      for await (const event of stream.events({ ack: 'manual' })) events.push(event);
    },
    options,
  );
  return { topic, events };
}

const valuesOfAll = (events: readonly Event[]): number[] => events.map(({ value }) => value);

describe('acknowledgement', () => {
  test('moves the position over those in front only, in whatever order it comes', () =>
    paced(atLeastOnce, async (it) => {
      const { topic, events } = collecting(it);
      await sendAll(topic, upTo(10));
      await it.start();
      await it.for(200);
      expect(valuesOfAll(events)).toEqual(upTo(10));
      for (const [n, position] of [
        [2, 0],
        [0, 1],
        [0, 1],
        [5, 1],
        [1, 3],
        [9, 3],
        [4, 3],
        [3, 6],
      ] as const) {
        events[n]?.ack();
        await it.for(200);
        expect(10 - (await it.running.lag())).toBe(position);
      }
      for (const n of [6, 7, 8]) events[n]?.ack();
      await it.settled();
      expect(await it.running.lag()).toBe(0);
      // It is over long since.
      for (const event of events) {
        event.ack();
        event.nack();
      }
      await it.settled();
      expect(events).toHaveLength(10);
    }));

  test('every 1,000 events does not wait for a commit every 500', () =>
    paced({ ...atLeastOnce, commit: { every: 500, interval: '1h' } }, async (it) => {
      const topic = it.numbers();
      let held: Event[] = [];
      let seen = 0;
      it.app.agent('thousands', topic, async (stream) => {
        for await (const event of stream.events({ ack: 'manual' })) {
          seen++;
          held.push(event);
          if (held.length < 1_000) continue;
          for (const each of held) each.ack();
          held = [];
        }
      });
      await sendAll(topic, upTo(3_500));
      await it.start();
      await it.until(() => seen === 3_500);
      await it.for(100);
      expect(await it.running.lag()).toBe(500);
      for (const each of held) each.ack();
      await it.settled();
    }));

  test('that never comes holds the position, and no more than a bounded number of events behind it', () =>
    paced(
      { ...atLeastOnce, commit: { every: 100, interval: 100 }, stallAfter: '5m' },
      async (it) => {
        const topic = it.numbers();
        let seen = 0;
        it.app.agent('forgetful', topic, async (stream) => {
          for await (const event of stream.events({ ack: 'manual' })) {
            seen++;
            if (event.value !== 3) event.ack();
          }
        });
        await sendAll(topic, upTo(5_000));
        await it.start();
        await it.for(5_000);
        expect(seen).toBe(103);
        expect(await it.running.lag()).toBe(4_997);
        expect(await it.failure()).toMatchObject({
          code: 'MR_STALLED',
          details: { topic: 'numbers', offset: 3 },
        });
      },
    ));

  test('may take its time on a quiet topic', () =>
    paced({ ...atLeastOnce, stallAfter: '1m' }, async (it) => {
      const { topic, events } = collecting(it);
      await sendAll(topic, [1, 2, 3]);
      await it.start();
      await it.for(600_000);
      for (const event of events) event.ack();
      await it.settled();
    }));

  test('of some that came together is that of them all', () =>
    paced(atLeastOnce, async (it) => {
      const topic = it.numbers();
      const dead = it.app.topic('dead', { ...keyed<number>(), partitions: 1 });
      const groups: number[][] = [];
      it.app.agent(
        'groups',
        topic,
        async (stream) => {
          for await (const group of stream.noack().take(3)) {
            groups.push(group);
            if (group.includes(4)) stream.event?.nack(new Error('not this one'));
            else stream.event?.ack();
          }
        },
        { onError: deadLetter(dead) },
      );
      await sendAll(topic, upTo(9));
      await it.start();
      await it.settled();
      expect(groups).toEqual([
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
      ]);
      expect(await valuesOf(dead)).toEqual([3, 4, 5]);
    }));
});

describe('refusal', () => {
  test('is for the policy: tried again, then a dead letter', () =>
    paced(atLeastOnce, async (it) => {
      const topic = it.numbers();
      const dead = it.app.topic('dead', { ...keyed<number>(), partitions: 1 });
      const sums = it.app.table('sums', { default: () => 0 });
      const tries: number[] = [];
      it.app.agent(
        'strict',
        topic,
        async (stream) => {
          for await (const event of stream.events({ ack: 'manual' })) {
            tries.push(event.value);
            sums.update(event.key, (sum) => sum + event.value);
            if (event.value % 2 === 0) event.ack();
            else event.nack(new Error('odd'));
          }
        },
        { onError: retry({ times: 2, backoff: 50 }).orElse(deadLetter(dead)) },
      );
      await sendAll(topic, [2, 3, 4], String);
      await it.start();
      await it.settled();
      expect(tries.toSorted((a, b) => a - b)).toEqual([2, 3, 3, 3, 4]);
      expect(await valuesOf(dead)).toEqual([3]);
      await it.stop();
      expect(await rowsOf(sums)).toEqual(
        new Map([
          ['2', 2],
          ['4', 4],
        ]),
      );
    }));

  test('ends what may be done on behalf of the event', () =>
    paced({ ...atLeastOnce, onError: 'skip' }, async (it) => {
      const topic = it.numbers();
      const out = it.app.topic('out', { ...keyed<number>(), partitions: 1 });
      const sums = it.app.table('sums', { default: () => 0 });
      const errors: unknown[] = [];
      const tryTo = (what: () => void): void => {
        try {
          what();
        } catch (error) {
          errors.push(error);
        }
      };
      it.app.agent('late', topic, async (stream) => {
        for await (const event of stream.events({ ack: 'manual' })) {
          if (event.value === 1) event.nack();
          else event.ack();
          tryTo(() => sums.set(event.key, 1));
          tryTo(() => event.forward(out));
        }
      });
      await sendAll(topic, [1, 2]);
      await it.start();
      await it.settled();
      expect(errors).toMatchObject(
        ['MR_TABLE_OUTSIDE', 'MR_SEND_OUTSIDE', 'MR_TABLE_OUTSIDE', 'MR_SEND_OUTSIDE'].map(
          (code) => ({ code }),
        ),
      );
      await it.stop();
      expect(await rowsOf(sums)).toEqual(new Map());
      expect(await valuesOf(out)).toEqual([]);
      expect(it.running.stats).toMatchObject({ skipped: 1 });
    }));

  test('of an event on whose changes one that is held beside it has built ends the worker', () =>
    paced({ ...atLeastOnce, onError: 'skip' }, async (it) => {
      const topic = it.numbers();
      const sums = it.app.table('sums', { default: () => 0 });
      let held: Event[] = [];
      it.app.agent('threes', topic, async (stream) => {
        for await (const event of stream.events({ ack: 'manual' })) {
          sums.update(event.key, (sum) => sum + 10 ** event.value);
          held.push(event);
          if (event.value % 3 !== 2) continue;
          const [first, second, third] = held;
          held = [];
          second?.nack();
          first?.ack();
          third?.ack();
        }
      });
      await sendAll(topic, upTo(6));
      await it.start();
      expect(await it.failure()).toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        details: { offset: 1 },
        message: expect.stringContaining('has built on that') as string,
      });
    }));

  test('of an event whose row another has changed since is settled alone where the body lets it', () =>
    paced({ ...atLeastOnce, onError: 'skip' }, async (it) => {
      const topic = it.numbers();
      const sums = it.app.table('sums', { default: () => 0 });
      let held: Event[] = [];
      const settle = (): void => {
        const all = held;
        held = [];
        for (const event of all) {
          if (event.value % 3 === 1) event.nack();
          else event.ack();
        }
      };
      it.app.agent('some', topic, async (stream, { sleep }) => {
        for await (const event of stream.events({ ack: 'manual' })) {
          sums.update(event.key, (sum) => sum + 10 ** event.value);
          held.push(event);
          void sleep(50).then(settle, () => undefined);
        }
      });
      await sendAll(topic, upTo(6));
      await it.start();
      await it.settled();
      await it.stop();
      expect(await rowsOf(sums)).toEqual(new Map([['k', 101_101]]));
    }));

  test('a body that throws has failed with all that it has not acknowledged', () =>
    paced({ ...atLeastOnce, onError: retry({ times: 1 }).orElse('skip') }, async (it) => {
      const topic = it.numbers();
      const sums = it.app.table('sums', { default: () => 0 });
      let failed = false;
      it.app.agent('thrower', topic, async (stream) => {
        const held: Event[] = [];
        for await (const event of stream.events({ ack: 'manual' })) {
          sums.update(event.key, (sum) => sum + event.value);
          held.push(event);
          if (event.value === 3 && !failed) {
            failed = true;
            held[0]?.ack();
            throw new Error('once');
          }
          if (event.value >= 3) for (const each of held) each.ack();
        }
      });
      await sendAll(topic, [1, 2, 3, 4]);
      await it.start();
      await it.settled();
      await it.stop();
      expect(it.running.stats.skipped).toBe(0);
      expect(await rowsOf(sums)).toEqual(new Map([['k', 10]]));
    }));
});

describe('at a stop', () => {
  test('the body hears that there is no more, and what it does not acknowledge comes again', () =>
    paced({ ...atLeastOnce, broker: 'memory:' }, async (it) => {
      const topic = it.numbers();
      const seen: number[][] = [];
      it.app.agent('last', topic, async (stream) => {
        const mine: Event[] = [];
        seen.push([]);
        for await (const event of stream.events({ ack: 'manual' })) {
          mine.push(event);
          seen.at(-1)?.push(event.value);
        }
        // All but the last two.
        for (const event of mine.slice(0, -2)) event.ack();
      });
      await sendAll(topic, upTo(10));
      await it.start();
      await it.for(200);
      const before = it.clock.monotonic();
      await it.stop();
      expect(it.clock.monotonic() - before).toBeLessThan(1_000);
      await it.start();
      await it.for(200);
      expect(seen).toEqual([upTo(10), [8, 9]]);
      await it.stop();
    }));

  test('a body that holds on to its events is waited for until the deadline', () =>
    paced(atLeastOnce, async (it) => {
      const topic = it.numbers();
      const events: Event[] = [];
      it.app.agent('holder', topic, async (stream, { signal }) => {
        for await (const event of stream.events({ ack: 'manual' })) {
          events.push(event);
          if (event.value === 1)
            await new Promise((resolve) => signal.addEventListener('abort', resolve));
        }
      });
      await sendAll(topic, upTo(3));
      await it.start();
      await it.for(200);
      await expect(it.wait(it.running.stop({ deadline: '2s' }))).rejects.toMatchObject({
        code: 'MR_STOP_TIMEOUT',
      });
    }));
});

describe('exactly-once', () => {
  test.each(["events({ ack: 'manual' })", 'noack()'])('refuses %s, whatever the policy', (call) =>
    paced({ onError: 'skip' }, async (it) => {
      const topic = it.numbers();
      it.app.agent('manual', topic, async (stream) => {
        for await (const _ of call === 'noack()'
          ? stream.noack()
          : stream.events({ ack: 'manual' }));
      });
      await sendAll(topic, upTo(3));
      await it.start();
      expect(await it.failure()).toMatchObject({
        code: 'MR_PROCESSING_FAILED',
        cause: { code: 'MR_OPTION_INVALID' },
        message: expect.stringContaining(call) as string,
      });
    }),
  );
});
