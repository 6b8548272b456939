/** What an agent's stream and its events offer besides values: passing on, views, tables, and the end of all that with the event. */
import { describe, expect, test } from 'vitest';

import { bytes, deadLetter, json, unchecked } from '../../src/index.ts';
import type { StreamEvent } from '../../src/index.ts';
import { partitionOf } from '../../src/codec/partition.ts';
import { encodeKey } from '../../src/codec/key.ts';
import { paced, sendAll, upTo } from './paced.ts';
import { keyed, recordsOf, rowsOf, valuesOf } from './support.ts';

/** JSON that nobody else would write in this way. */
const spaced = {
  name: 'json',
  encode: (value: unknown) => Buffer.from(`  ${JSON.stringify(value)} `),
  decode: (encoded: Uint8Array) => json.decode(encoded),
};

describe('forward', () => {
  test.each(['each', 'agent'] as const)(
    'in an %s: the stored bytes, with key, time and headers',
    (kind) =>
      paced({}, async (it) => {
        const source = it.app.topic('source', {
          key: unchecked<string>(),
          value: unchecked<{ n: number }>(),
          codec: spaced,
          partitions: 4,
        });
        const out = it.app.topic('out', {
          key: unchecked<string>(),
          value: unchecked<Uint8Array>(),
          codec: bytes,
          partitions: 3,
        });
        if (kind === 'each') it.app.each('pass', source, (_, event) => event.forward(out));
        else
          it.app.agent(
            'pass',
            source.stream().map((value) => Object.assign({}, value, { changed: true })),
            async (stream) => {
              for await (const event of stream.events()) event.forward(out);
            },
          );
        const keys = upTo(8).map((n) => `key ${n}`);
        for (const [n, key] of keys.entries())
          await source.send({ n }, { key, timestamp: 5_000 + n, headers: { trace: `t${n}` } });
        await source.send({ n: 8 }, { partition: 3, timestamp: 9_000 } as never);
        await it.start();
        await it.settled();
        await it.stop();
        const records = await recordsOf(out);
        expect(records).toHaveLength(9);
        for (const { key, value, headers, timestamp, partition } of records) {
          const n = timestamp === 9_000 ? 8 : timestamp - 5_000;
          expect(Buffer.from(value).toString()).toBe(`  {"n":${n}} `);
          if (n === 8) {
            expect(key).toBe(null);
            expect(partition).toBe(0);
            continue;
          }
          expect(key).toBe(`key ${n}`);
          expect(Buffer.from(headers['trace'] as Uint8Array).toString()).toBe(`t${n}`);
          expect(partition).toBe(partitionOf(encodeKey(`key ${n}`), 3));
        }
      }),
  );

  test('is undone when the event fails', () =>
    paced({ onError: deadLetter('dead') }, async (it) => {
      const topic = it.numbers();
      const out = it.app.topic('out', { ...keyed<number>(), partitions: 1 });
      const fail = (n: number): void => {
        if (n === 1) throw new Error('one');
      };
      it.app.each('each', topic, (n, event) => {
        event.forward(out);
        fail(n);
      });
      it.app.agent('agent', topic, async (stream) => {
        for await (const event of stream.events()) {
          event.forward(out);
          fail(event.value);
        }
      });
      await sendAll(topic, [0, 1, 2]);
      await it.start();
      await it.settled();
      expect((await valuesOf(out)).toSorted((a, b) => Number(a) - Number(b))).toEqual([0, 0, 2, 2]);
    }));

  test.each(['each', 'agent'] as const)(
    'in an %s: not for an event that is over, and never in silence',
    (kind) =>
      paced({}, async (it) => {
        const topic = it.numbers();
        const out = it.app.topic('out', { ...keyed<number>(), partitions: 1 });
        const errors: unknown[] = [];
        let before: StreamEvent<number, string> | undefined;
        const late = (event: StreamEvent<number, string>): void => {
          try {
            before?.forward(out);
          } catch (error) {
            errors.push(error);
          }
          before = event;
        };
        if (kind === 'each') it.app.each('late', topic, (_, event) => late(event));
        else
          it.app.agent('late', topic, async (stream) => {
            for await (const event of stream.events()) late(event);
          });
        await sendAll(topic, upTo(4));
        await it.start();
        await it.settled();
        const refused = { code: 'MR_SEND_OUTSIDE', details: { topic: 'out' } };
        expect(errors).toMatchObject([refused, refused, refused]);
        expect(await valuesOf(out)).toEqual([]);
      }),
  );
});

describe('the stream of a body', () => {
  test('enumerate begins anew with the body; items and events go with their values', () =>
    paced({ onError: 'skip' }, async (it) => {
      const topic = it.numbers();
      const seen: unknown[] = [];
      it.app.agent('counting', topic, async (stream) => {
        for await (const [i, [key, n]] of stream
          .filter((value) => value % 2 === 0)
          .map(async (value) => await Promise.resolve(value * 10))
          .items()
          .enumerate(7)) {
          seen.push([i, key, n, stream.event?.value, stream.event?.offset]);
          if (n === 40) throw new Error('forty');
        }
      });
      await sendAll(topic, upTo(9), (n) => `k${n}`);
      await it.start();
      await it.settled();
      expect(seen).toEqual([
        [7, 'k0', 0, 0, 0n],
        [8, 'k2', 20, 2, 2n],
        [9, 'k4', 40, 4, 4n],
        [7, 'k6', 60, 6, 6n],
        [8, 'k8', 80, 8, 8n],
      ]);
      expect(it.running.stats).toMatchObject({ events: 9, skipped: 1 });
    }));

  test('several loops over it, one after the other', () =>
    paced({}, async (it) => {
      const topic = it.numbers();
      const seen: unknown[] = [];
      it.app.agent('loops', topic, async (stream) => {
        for await (const n of stream) {
          seen.push(`first ${n}`);
          if (n === 1) break;
        }
        for await (const pair of stream.take(2)) {
          seen.push(pair);
          if (pair.includes(3)) break;
        }
        for await (const event of stream.events()) seen.push(`event ${event.value}`);
      });
      await sendAll(topic, upTo(6));
      await it.start();
      await it.settled();
      expect(seen).toEqual(['first 0', 'first 1', [2, 3], 'event 4', 'event 5']);
    }));
});

describe('tables', () => {
  test('context.table works where the code is called from elsewhere', () =>
    paced({}, async (it) => {
      const topic = it.numbers();
      const sums = it.app.table('sums', { default: () => 0 });
      // A library that calls back from outside of any event.
      const jobs: (() => void)[] = [];
      let over = false;
      const library = (async () => {
        for (;;) {
          await it.clock.turn();
          for (const job of jobs.splice(0)) job();
          if (over) return;
        }
      })();
      const errors: unknown[] = [];
      it.app.each(
        'calling',
        topic,
        async (n, { key }, context) => {
          const mine = context.table(sums);
          await new Promise<void>((resolve) => {
            jobs.push(() => {
              try {
                sums.update(key, (sum) => sum + 1_000);
              } catch (error) {
                errors.push(error);
              }
              mine.update(key, (sum) => sum + n);
              resolve();
            });
          });
        },
        { concurrency: 4 },
      );
      await sendAll(topic, upTo(10), (n) => `k${n % 3}`);
      await it.start();
      await it.settled();
      over = true;
      await library;
      await it.stop();
      expect(errors).toHaveLength(10);
      expect(errors[0]).toMatchObject({ code: 'MR_TABLE_OUTSIDE' });
      expect(await rowsOf(sums)).toEqual(
        new Map([
          ['k0', 18],
          ['k1', 12],
          ['k2', 15],
        ]),
      );
    }));

  test.each([
    { kind: 'each', concurrency: 1 },
    { kind: 'each', concurrency: 4 },
    { kind: 'agent', concurrency: 1 },
    { kind: 'agent', concurrency: 4 },
  ] as const)(
    '$kind, concurrency $concurrency: what floats on behind the event may not write',
    ({ kind, concurrency }) =>
      paced({ commit: { interval: 10 } }, async (it) => {
        const topic = it.numbers();
        const sums = it.app.table('sums', { default: () => 0 });
        const out = it.app.topic('out', { ...keyed<number>(), partitions: 1 });
        const errors: unknown[] = [];
        const work = async (
          key: string,
          context: { table: <T extends object>(table: T) => T },
        ): Promise<void> => {
          sums.update(key, (sum) => sum + 1);
          const mine = context.table(sums);
          void (async () => {
            await new Promise<void>((resolve) => void it.clock.setTimer(25, resolve));
            for (const write of [
              () => sums.set(key, 1_000),
              () => void mine.update(key, (sum) => sum + 1_000),
              () => sums.delete(key),
            ])
              try {
                write();
              } catch (error) {
                errors.push(error);
              }
            await out.send(1, { key }).catch((error: unknown) => errors.push(error));
          })();
          await it.clock.turn();
        };
        if (kind === 'each')
          it.app.each('floating', topic, async (_, { key }, context) => await work(key, context), {
            concurrency,
          });
        else
          it.app.agent(
            'floating',
            topic,
            async (stream, context) => {
              for await (const [key] of stream.items()) await work(key, context);
            },
            { concurrency },
          );
        await sendAll(topic, [1, 2, 3, 4], (n) => `k${n}`);
        await it.start();
        await it.for(100);
        await it.settled();
        await it.stop();
        const codes = errors.map((error) => (error as { code: string }).code);
        expect(codes.filter((code) => code === 'MR_TABLE_OUTSIDE')).toHaveLength(12);
        expect(codes.filter((code) => code === 'MR_SEND_OUTSIDE')).toHaveLength(4);
        expect([...(await rowsOf(sums)).values()]).toEqual([1, 1, 1, 1]);
        expect(await valuesOf(out)).toEqual([]);
      }),
  );

  test('several at once: the own row may be read and written, others only updated', () =>
    paced({ onError: 'skip' }, async (it) => {
      const topic = it.numbers();
      const sums = it.app.table('sums', { default: () => 0 });
      const errors: unknown[] = [];
      it.app.each(
        'several',
        topic,
        async (n, { key }, { sleep }) => {
          const before = sums.get(key);
          await sleep(n % 7);
          sums.set(key, before + 1);
          sums.update('total', (sum) => sum + 1);
          try {
            sums.set('total', 0);
          } catch (error) {
            errors.push(error);
          }
        },
        { concurrency: 16 },
      );
      await sendAll(topic, upTo(100), (n) => `k${n % 5}`);
      await it.start();
      await it.settled();
      await it.stop();
      expect(errors).toHaveLength(100);
      expect(errors[0]).toMatchObject({ code: 'MR_ARGUMENT_INVALID' });
      expect(await rowsOf(sums)).toEqual(
        new Map([...upTo(5).map((k) => [`k${k}`, 20] as const), ['total', 100] as const]),
      );
    }));
});
