/** Laws of operators that take no time: each against its model, in every way that values can come and go. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { codeOf, into } from '../helpers.ts';
import { laws, rest, steps } from './laws.ts';
import type { Law } from './laws.ts';
import { after, allAnswered, delayed, numbers, settle, small } from './values.ts';

const all = laws.map((law): [string, Law] => [law.name, law]);
const stateful = all.filter(([, law]) => law.stateful === true);
const keyOf = (x: number): number => Math.abs(x % 2);
const runs = { numRuns: 30 };

describe.each(all)('%s', (_, law) => {
  test('gives what its model gives, value by value, and the rest at close', async () => {
    await fc.assert(
      fc.asyncProperty(numbers, small, async (values, n) => {
        const source = new Stream<number>();
        const out = into(law.build(source, n));
        const expected = steps(law, values, n);
        for (const [i, value] of values.entries()) {
          expect(source.emit(value)).toBeUndefined();
          expect(out).toEqual(expected.slice(0, i + 1).flat());
        }
        await source.drain();
        expect(out).toEqual(expected.flat());
        await source.close();
        expect(out).toEqual([...expected.flat(), ...rest(law, values, n)]);
        expect(codeOf(() => source.emit(1))).toBe('MR_CLOSED');
      }),
      runs,
    );
  });

  test('gives the same from an iterable, at once and in time', async () => {
    await fc.assert(
      fc.asyncProperty(numbers, small, async (values, n) => {
        const expected = [...steps(law, values, n).flat(), ...rest(law, values, n)];
        expect(await law.build(Stream.from(values), n).toArray()).toEqual(expected);
        const slowly = (async function* () {
          for (const value of values) yield await Promise.resolve(value);
        })();
        expect(await law.build(Stream.from(slowly), n).toArray()).toEqual(expected);
      }),
      { numRuns: 15 },
    );
  });

  test('gives the same between slow functions, awaited or not, whatever is under way at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        delayed,
        small,
        fc.boolean(),
        small,
        async (events, n, awaited, concurrency) => {
          const clock = new VirtualClock();
          const source = new Stream<(typeof events)[number]>({ clock });
          const seen: unknown[] = [];
          const slow = source.map(({ value, delayMs }) => after(clock, delayMs, value), {
            concurrency,
          });
          let takes = 0;
          law.build(slow, n).sink((value) => {
            seen.push(value);
            takes = (takes + 3) % 5;
            return after(clock, takes - 2, undefined);
          });
          const values = events.map(({ value }) => value);
          await settle(
            clock,
            awaited
              ? source.emitAll(events)
              : Promise.all(events.map(async (event) => source.emit(event))),
          );
          await settle(clock, source.drain());
          expect(seen).toEqual(steps(law, values, n).flat());
          await settle(clock, source.close());
          expect(seen).toEqual([...steps(law, values, n).flat(), ...rest(law, values, n)]);
          expect(clock.timers).toBe(0);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('a value that fails behind it fails alone', async () => {
    await fc.assert(
      fc.asyncProperty(numbers, small, fc.boolean(), async (values, n, later) => {
        const source = new Stream<number>();
        const seen: unknown[] = [];
        const bad = (value: unknown): boolean => JSON.stringify(value).length % 3 === 0;
        law.build(source, n).sink((value) => {
          seen.push(value);
          if (!bad(value)) return later ? Promise.resolve() : undefined;
          if (later) return Promise.reject(new Error('behind'));
          throw new Error('behind');
        });
        const expected = steps(law, values, n);
        const failed: boolean[] = [];
        for (const value of values)
          try {
            await source.emit(value);
            failed.push(false);
          } catch {
            failed.push(true);
          }
        expect(failed).toEqual(expected.map((outputs) => outputs.some(bad)));
        expect(new Set(seen.map((value) => JSON.stringify(value)))).toEqual(
          new Set(
            expected
              .flatMap((outputs) => upToFirst(outputs, bad, law, later))
              .map((value) => JSON.stringify(value)),
          ),
        );
      }),
      runs,
    );
  });

  test('destroyed at any moment it lets go of everything', async () => {
    await fc.assert(
      fc.asyncProperty(delayed, small, fc.nat(30), async (events, n, atMs) => {
        const clock = new VirtualClock();
        const source = new Stream<number>({ clock });
        const operator = law.build(source, n);
        const seen = into(operator);
        const behind = operator.iterate();
        const over = behind.next();
        const emits = events.map(({ value, delayMs }) =>
          after(clock, delayMs * 8, undefined) === undefined ? source.emit(value) : undefined,
        );
        await clock.advance(atMs);
        source.destroy();
        const count = seen.length;
        expect(codeOf(() => source.emit(1))).toBe('MR_CLOSED');
        await allAnswered(emits);
        await behind.return?.();
        await over;
        await clock.advance(50);
        expect([seen.length, clock.timers]).toEqual([count, 0]);
      }),
      { numRuns: 10 },
    );
  });
});

/** Of the outputs of one value those that are sent: behind one that fails, the elements that follow it and, if it fails at once, other branches stay away. */
function upToFirst(
  outputs: readonly unknown[],
  bad: (value: unknown) => boolean,
  { name }: Law,
  later: boolean,
): readonly unknown[] {
  const at = outputs.findIndex(bad);
  const stops = name === 'flatten' || (name.startsWith('union') && !later);
  return at < 0 || !stops ? outputs : outputs.slice(0, at + 1);
}

describe.each(stateful)('%s keeps a state', (_, law) => {
  test('for each key of a keyed stream', async () => {
    await fc.assert(
      fc.asyncProperty(numbers, small, async (values, n) => {
        const source = new Stream<number>();
        const out = into(law.build(source.groupBy(keyOf, { name: 'parity' }), n).items());
        const seen = new Map<number, number[]>();
        const expected: [number, unknown][] = [];
        for (const value of values) {
          const key = keyOf(value);
          const same = [...(seen.get(key) ?? []), value];
          seen.set(key, same);
          for (const output of law.step(same, n)) expected.push([key, output]);
          expect(source.emit(value)).toBeUndefined();
          expect(out).toEqual(expected);
        }
        await source.close();
        const left = [...seen].flatMap(([key, same]) =>
          rest(law, same, n).map((output): [number, unknown] => [key, output]),
        );
        const byText = (a: unknown, b: unknown): number =>
          JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
        expect(out.slice(expected.length).toSorted(byText)).toEqual(left.toSorted(byText));
      }),
      runs,
    );
  });

  test.each([false, true])(
    'that a snapshot takes to another graph at any point (keyed: %s)',
    async (keyed) => {
      await fc.assert(
        fc.asyncProperty(
          numbers,
          fc.nat(24),
          small,
          fc.boolean(),
          async (values, at, n, fromSource) => {
            const declare = (): {
              source: Stream<number>;
              operator: Stream<unknown, unknown>;
              out: unknown[];
            } => {
              const source = new Stream<number>();
              const operator: Stream<unknown, unknown> = keyed
                ? law.build(source.groupBy(keyOf, { name: 'parity' }), n)
                : law.build(source, n);
              return { source, operator, out: into(operator) };
            };
            const [whole, first, second] = [declare(), declare(), declare()];
            for (const value of values) void whole.source.emit(value);
            for (const value of values.slice(0, at)) void first.source.emit(value);
            const sent = first.out.length;
            const bytes = fromSource ? first.source.snapshot() : first.operator.snapshot();
            // Whatever becomes of the first one, the snapshot stays what it was.
            for (const value of values) void first.source.emit(value);
            if (fromSource) second.source.restore(bytes);
            else if (!law.name.includes('partition of pairs')) second.operator.restore(bytes);
            else return;
            for (const value of values.slice(at)) void second.source.emit(value);
            await Promise.all([whole.source.close(), second.source.close()]);
            expect(second.out).toEqual(whole.out.slice(sent));
          },
        ),
        runs,
      );
    },
  );

  test.each([false, true])('that peek shows and does not change (keyed: %s)', async (keyed) => {
    await fc.assert(
      fc.asyncProperty(numbers, small, fc.integer({ min: 0, max: 3 }), async (values, n, key) => {
        const source = new Stream<number>();
        const plain = new Stream<number>();
        const declare = (from: Stream<number>): Stream<unknown, unknown> =>
          keyed ? law.build(from.groupBy(keyOf, { name: 'parity' }), n) : law.build(from, n);
        const operator = declare(source);
        const [out, untouched] = [into(operator), into(declare(plain))];
        for (const value of values) {
          spoil(keyed ? operator.peek(key) : operator.peek());
          void source.emit(value);
          void plain.emit(value);
          spoil(keyed ? operator.peek(keyOf(value)) : operator.peek());
        }
        await Promise.all([source.close(), plain.close()]);
        expect(out).toEqual(untouched);
      }),
      { numRuns: 20 },
    );
  });
});

/** Changes what it is given in every way it can. */
function spoil(state: unknown): void {
  if (typeof state !== 'object' || state === null) return;
  if (Array.isArray(state)) state.splice(0, state.length, 'spoilt');
  else if (state instanceof Map || state instanceof Set) state.clear();
  else for (const name of Object.keys(state)) Reflect.set(state, name, 'spoilt');
}
