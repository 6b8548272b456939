/** Laws of failures: each is told where it should be, once, and changes nothing for the others. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../src/core/clock.ts';
import { deadLetter, retry } from '../../../src/stream/policy.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { into } from '../helpers.ts';
import { after, delayed, settle } from './values.ts';

const bad = (value: number): boolean => value % 3 === 0;

describe('errors', () => {
  test.each([false, true])(
    'tells of each value that fails, and changes nothing (behind onError: %s)',
    async (skips) => {
      await fc.assert(
        fc.asyncProperty(delayed, async (events) => {
          const clock = new VirtualClock();
          const run = async (
            watched: boolean,
          ): Promise<{ out: number[]; rejected: boolean[]; told: [number, string, string][] }> => {
            const source = new Stream<(typeof events)[number]>({ clock });
            const told: [number, string, string][] = [];
            const head: Stream<(typeof events)[number]> = skips ? source.onError('skip') : source;
            if (watched)
              head.errors.sink(({ value, error, node }) =>
                told.push([value.value, (error as Error).message, node]),
              );
            const out = into(
              head.map(
                async ({ value, delayMs }) => {
                  await after(clock, delayMs, undefined);
                  if (bad(value)) throw new Error(`bad ${value}`);
                  return value;
                },
                { name: 'picky' },
              ),
            );
            const work = Promise.allSettled(events.map(async (event) => source.emit(event)));
            await settle(clock, work);
            await settle(clock, source.close());
            return { out, told, rejected: (await work).map(({ status }) => status === 'rejected') };
          };
          const [watched, plain] = [await run(true), await run(false)];
          const values = events.map(({ value }) => value);
          expect(watched.told).toEqual(
            values.filter(bad).map((value) => [value, `bad ${value}`, 'picky']),
          );
          expect(watched.out).toEqual(values.filter((value) => !bad(value)));
          expect(watched.rejected).toEqual(values.map((value) => !skips && bad(value)));
          expect([plain.out, plain.rejected]).toEqual([watched.out, watched.rejected]);
        }),
        { numRuns: 40 },
      );
    },
  );
});

describe('onError', () => {
  test('dead letters: every value comes out once, here or there', async () => {
    await fc.assert(
      fc.asyncProperty(delayed, fc.boolean(), async (events, awaited) => {
        const clock = new VirtualClock();
        const source = new Stream<(typeof events)[number]>({ clock });
        const letters = new Stream<{ value: unknown; error: unknown; node: string }>({ clock });
        const dead: number[] = [];
        letters.sink(({ value }) => void dead.push((value as (typeof events)[number]).value));
        const out = into(
          source.onError(deadLetter(letters)).map(({ value, delayMs }) => {
            if (bad(value)) throw new Error('bad');
            return after(clock, delayMs, value);
          }),
        );
        await settle(
          clock,
          awaited
            ? source.emitAll(events)
            : Promise.all(events.map(async (event) => source.emit(event))),
        );
        await settle(clock, source.close());
        const values = events.map(({ value }) => value);
        expect([out, dead]).toEqual([values.filter((value) => !bad(value)), values.filter(bad)]);
      }),
      { numRuns: 40 },
    );
  });

  test('retry: as often as it says, in order, and then it is told', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(4), { maxLength: 12 }),
        fc.integer({ min: 1, max: 3 }),
        async (failures, times) => {
          const clock = new VirtualClock();
          const source = new Stream<{ id: number; fails: number }>({ clock });
          const attempts = failures.map(() => 0);
          const out = into(
            source.onError(retry({ times, backoff: 5 })).map(({ id, fails }) => {
              attempts[id] = (attempts[id] ?? 0) + 1;
              if ((attempts[id] ?? 0) <= fails) throw new Error(`attempt ${attempts[id]}`);
              return id;
            }),
          );
          const told: boolean[] = [];
          for (const [id, fails] of failures.entries()) {
            const emitted = (async () => source.emit({ id, fails }))();
            const outcome = Promise.allSettled([emitted]);
            await settle(clock, outcome);
            told.push((await outcome)[0]?.status === 'rejected');
          }
          expect(told).toEqual(failures.map((fails) => fails > times));
          expect(attempts).toEqual(failures.map((fails) => Math.min(fails, times) + 1));
          expect(out).toEqual([...failures.keys()].filter((id) => (failures[id] ?? 0) <= times));
          expect(clock.timers).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });
});
