/** Laws of operators that take time: against models that reckon with times of arrival. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sleep, VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { allAnswered, settle, small } from './values.ts';

/** Up to 64 of them are never a whole number of ms, so nothing falls together with an arrival; and sums of them are exact. */
const SPAN_MS = 10 + 1 / 64;
/** Apart from arrivals and from everything that is due so many spans after one. */
const ASIDE_MS = 1 / 128;

interface Arrival {
  readonly atMs: number;
  readonly value: number;
}
type Sent = [atMs: number, value: unknown];

const arrivals: fc.Arbitrary<Arrival[]> = fc
  .array(fc.tuple(fc.oneof(fc.constant(0), fc.nat(4), fc.nat(30)), fc.nat(6)), { maxLength: 16 })
  .map((drawn) => {
    let atMs = 0;
    return drawn.map(([gapMs, value]) => ({ atMs: (atMs += gapMs), value }));
  });

interface Timed {
  readonly name: string;
  readonly build: <K>(stream: Stream<number, K>, n: number) => Stream<unknown, K>;
  /** When what comes out if nobody waits for emits, the sink takes no time, and the stream is closed at the given time. */
  readonly model: (arrivals: readonly Arrival[], closeMs: number, n: number) => Sent[];
  /** Whether each value comes out, in order, alone or in arrays; else at least the last one comes out at last. */
  readonly complete: boolean;
}

/** Groups of up to `n` that also end when their time is up: the model of `take` and `partition` for one key. */
function groups(
  arrived: readonly Arrival[],
  closeMs: number,
  n: number,
): [Sent, cause: Arrival | undefined][] {
  const sent: [Sent, Arrival | undefined][] = [];
  let open: Arrival[] = [];
  const send = (atMs: number): void => {
    // At one time groups come in the order of the values that fill them, else as they were begun.
    const cause = open.length === n ? open.at(-1) : open[0];
    sent.push([[atMs, open.map(({ value }) => value)], cause]);
    open = [];
  };
  for (const arrival of arrived) {
    const [first] = open;
    if (first !== undefined && first.atMs + SPAN_MS < arrival.atMs) send(first.atMs + SPAN_MS);
    open.push(arrival);
    if (open.length === n) send(arrival.atMs);
  }
  const [first] = open;
  if (first !== undefined) send(Math.min(first.atMs + SPAN_MS, closeMs));
  return sent;
}

function windows(
  arrived: readonly Arrival[],
  closeMs: number,
  values: (arrivals: readonly Arrival[]) => number[],
): Sent[] {
  const sent: Sent[] = [];
  for (let i = 0; i * SPAN_MS < closeMs; i++)
    sent.push([
      i * SPAN_MS,
      values(arrived.filter(({ atMs }) => atMs < i * SPAN_MS && atMs >= (i - 1) * SPAN_MS)),
    ]);
  const left = values(arrived.filter(({ atMs }) => atMs >= (sent.length - 1) * SPAN_MS));
  return left.length > 0 ? [...sent, [closeMs, left]] : sent;
}

const key = (x: number): number => x % 3;

const timed: readonly Timed[] = [
  {
    name: 'delay',
    build: (s) => s.delay(SPAN_MS),
    model: (a) => a.map(({ atMs, value }) => [atMs + SPAN_MS, value]),
    complete: true,
  },
  {
    name: 'rateLimit',
    build: (s) => s.rateLimit(SPAN_MS),
    model: (a) => {
      let freeMs = 0;
      return a.map(({ atMs, value }) => {
        const turnMs = Math.max(atMs, freeMs);
        freeMs = turnMs + SPAN_MS;
        return [turnMs, value];
      });
    },
    complete: true,
  },
  {
    name: 'debounce',
    build: (s) => s.debounce(SPAN_MS),
    model: (a, closeMs) =>
      a.flatMap(({ atMs, value }, i): Sent[] => {
        const next = a[i + 1];
        const dueMs = atMs + SPAN_MS;
        if (next !== undefined) return dueMs < next.atMs ? [[dueMs, value]] : [];
        return [[Math.min(dueMs, closeMs), value]];
      }),
    complete: false,
  },
  {
    name: 'throttle',
    build: (s) => s.throttle(SPAN_MS),
    model: (a) => {
      let freeMs = 0;
      return a.flatMap(({ atMs, value }): Sent[] => {
        if (atMs < freeMs) return [];
        freeMs = atMs + SPAN_MS;
        return [[atMs, value]];
      });
    },
    complete: false,
  },
  {
    name: 'throttle with trailing',
    build: (s) => s.throttle(SPAN_MS, { trailing: true }),
    model: (a, closeMs) => {
      const sent: Sent[] = [];
      let freeMs = 0;
      let dropped: number | undefined;
      const trail = (untilMs: number): void => {
        while (dropped !== undefined && freeMs < untilMs) {
          sent.push([freeMs, dropped]);
          dropped = undefined;
          freeMs += SPAN_MS;
        }
      };
      for (const { atMs, value } of a) {
        trail(atMs);
        if (atMs < freeMs) dropped = value;
        else {
          sent.push([atMs, value]);
          freeMs = atMs + SPAN_MS;
        }
      }
      if (dropped !== undefined) sent.push([Math.min(freeMs, closeMs), dropped]);
      return sent;
    },
    complete: false,
  },
  {
    name: 'take within',
    build: (s, n) => s.take(n, { within: SPAN_MS }),
    model: (a, closeMs, n) => groups(a, closeMs, n).map(([sent]) => sent),
    complete: true,
  },
  {
    name: 'partition with a timeout',
    build: (s, n) => s.partition(n, { timeout: SPAN_MS }),
    model: (a, closeMs, n) => groups(a, closeMs, n).map(([sent]) => sent),
    complete: true,
  },
  {
    name: 'partition by key with a timeout',
    build: (s, n) => s.partition(n, { timeout: SPAN_MS, key }),
    model: (a, closeMs, n) =>
      [0, 1, 2]
        .flatMap((k) =>
          groups(
            a.filter(({ value }) => key(value) === k),
            closeMs,
            n,
          ),
        )
        .toSorted(
          ([[atMs], cause], [[otherMs], other]) =>
            atMs - otherMs || a.indexOf(cause as Arrival) - a.indexOf(other as Arrival),
        )
        .map(([sent]) => sent),
    complete: false,
  },
  {
    name: 'timedWindow',
    build: (s) => s.timedWindow(SPAN_MS),
    model: (a, closeMs) => windows(a, closeMs, (inside) => inside.map(({ value }) => value)),
    complete: true,
  },
  {
    name: 'timedWindowUnique, the last of each',
    build: (s) => s.timedWindowUnique(SPAN_MS, { keep: 'last' }),
    model: (a, closeMs) =>
      windows(a, closeMs, (inside) =>
        [...new Set(inside.map(({ value }) => value).toReversed())].toReversed(),
      ),
    complete: false,
  },
  {
    name: 'timedWindowUnique, the first of each key',
    build: (s) => s.timedWindowUnique(SPAN_MS, { key, keep: 'first' }),
    model: (a, closeMs) =>
      windows(a, closeMs, (inside) => {
        const values = inside.map(({ value }) => value);
        return values.filter((x, i) => values.findIndex((y) => key(y) === key(x)) === i);
      }),
    complete: false,
  },
];

describe.each(timed.map((law): [string, Timed] => [law.name, law]))('%s', (_, law) => {
  test('sends what its model sends, when its model does', async () => {
    await fc.assert(
      fc.asyncProperty(
        arrivals,
        small,
        fc.integer({ min: 1, max: 60 }),
        async (arrived, n, moreMs) => {
          const clock = new VirtualClock();
          const source = new Stream<number>({ clock });
          const sent: Sent[] = [];
          law.build(source, n).sink((value) => void sent.push([clock.monotonic(), value]));
          const emits: (void | Promise<void>)[] = [];
          for (const { atMs, value } of arrived)
            clock.setTimer(atMs, () => void emits.push(source.emit(value)));
          // A quarter: at no time when something else happens.
          const closeMs = (arrived.at(-1)?.atMs ?? 0) + moreMs + ASIDE_MS;
          await clock.advance(closeMs);
          await settle(clock, source.close());
          await allAnswered(emits);
          expect(sent).toEqual(law.model(arrived, closeMs, n));
          expect(clock.timers).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('loses nothing that it does not drop on purpose, however slow things are behind it', async () => {
    await fc.assert(
      fc.asyncProperty(
        arrivals,
        small,
        fc.integer({ min: -1, max: 25 }),
        fc.boolean(),
        fc.constantFrom('drain', 'close'),
        async (arrived, n, takesMs, awaited, end) => {
          const clock = new VirtualClock();
          const source = new Stream<number>({ clock });
          const seen: number[] = [];
          law.build(source, n).sink(async (value) => {
            seen.push(...([value].flat() as number[]));
            if (takesMs >= 0) await sleep(clock, takesMs);
          });
          const emits: (void | Promise<void>)[] = [];
          const loader = (async () => {
            for (const { atMs, value } of arrived) {
              if (atMs > clock.monotonic()) await sleep(clock, atMs - clock.monotonic());
              const emitted = source.emit(value);
              if (awaited) await emitted;
              else emits.push(emitted);
            }
          })();
          await settle(clock, loader);
          if (end === 'drain') {
            await settle(clock, source.drain());
            if (law.name === 'delay' || law.name === 'rateLimit')
              expect(seen).toEqual(arrived.map(({ value }) => value));
          }
          await settle(clock, source.close());
          await allAnswered(emits);
          const values = arrived.map(({ value }) => value);
          if (law.complete) expect(seen).toEqual(values);
          else if (law.name !== 'throttle' && !/key/u.test(law.name))
            expect(seen.slice(-1)).toEqual(values.slice(-1));
          expect(clock.timers).toBe(0);
        },
      ),
      { numRuns: 25 },
    );
  });

  test('destroyed at any moment it lets go of its timers and of who waits', async () => {
    await fc.assert(
      fc.asyncProperty(
        arrivals,
        small,
        fc.nat(100),
        fc.nat(25),
        async (arrived, n, atMs, takesMs) => {
          const clock = new VirtualClock();
          const source = new Stream<number>({ clock });
          const sent: Sent[] = [];
          let busy = 0;
          law.build(source, n).sink((value) => {
            sent.push([clock.monotonic(), value]);
            if (takesMs === 0) return undefined;
            busy += 1;
            return sleep(clock, takesMs).then(() => void (busy -= 1));
          });
          const emits: (void | Promise<void>)[] = [];
          const timers = arrived.map((arrival) =>
            clock.setTimer(arrival.atMs, () => void emits.push(source.emit(arrival.value))),
          );
          await clock.advance(atMs + ASIDE_MS);
          for (const timer of timers) timer.cancel();
          source.destroy();
          expect(clock.timers).toBe(busy);
          const count = sent.length;
          await clock.advance(100);
          await allAnswered(emits);
          expect([sent.length, clock.timers]).toEqual([count, 0]);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('a value that fails behind it is told once, and the others go on', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, small, async (arrived, n) => {
        const clock = new VirtualClock();
        const source = new Stream<number>({ clock });
        const sent: Sent[] = [];
        let failed = 0;
        law.build(source, n).sink((value) => {
          sent.push([clock.monotonic(), value]);
          if (JSON.stringify(value).includes('2')) {
            failed += 1;
            throw new Error('two');
          }
        });
        let rejected = 0;
        const tell = (): void => void (rejected += 1);
        for (const { atMs, value } of arrived)
          clock.setTimer(atMs, () => {
            Promise.resolve(value)
              .then((each) => source.emit(each))
              .catch(tell);
          });
        const closeMs = (arrived.at(-1)?.atMs ?? 0) + 100 + ASIDE_MS;
        await clock.advance(closeMs);
        await settle(clock, source.close()).catch(tell);
        expect(sent).toEqual(law.model(arrived, closeMs, n));
        // Of several failures between two questions the first is told.
        expect(rejected).toBeLessThanOrEqual(failed);
        expect(rejected > 0).toBe(failed > 0);
      }),
      { numRuns: 25 },
    );
  });
});

describe.each(
  timed
    .filter(({ name }) => name !== 'rateLimit' && name !== 'throttle')
    .map((law): [string, Timed] => [law.name, law]),
)('a snapshot of %s', (_, law) => {
  test.each([false, true])(
    'takes what is held to another graph at any moment (keyed: %s)',
    async (keyed) => {
      await fc.assert(
        fc.asyncProperty(arrivals, small, fc.nat(150), async (arrived, n, cutMs) => {
          const clock = new VirtualClock();
          const [first, second] = [0, 1].map(() => {
            const source = new Stream<number>({ clock });
            const seen: unknown[] = [];
            const built: Stream<unknown, unknown> = keyed
              ? law.build(source.groupBy(key, { name: 'rest' }), n)
              : law.build(source, n);
            built.sink((value) => void seen.push(value));
            return { source, seen };
          }) as [Declared, Declared];
          let on = first;
          for (const { atMs, value } of arrived)
            clock.setTimer(atMs, () => void on.source.emit(value));
          await clock.advance(cutMs + ASIDE_MS);
          const bytes = first.source.snapshot();
          first.source.destroy();
          second.source.restore(bytes);
          on = second;
          await clock.advance(1_000);
          await settle(clock, second.source.close());
          const values = arrived.map(({ value }) => value);
          const seen = [...first.seen, ...second.seen].flat() as number[];
          const keys = new Set(values.map(key));
          const ofKey = (all: number[], k: number): number[] =>
            all.filter((x) => !keyed || key(x) === k);
          for (const k of keys)
            if (law.complete) expect(ofKey(seen, k)).toEqual(ofKey(values, k));
            else if (!law.name.includes('key'))
              expect(ofKey(seen, k).slice(-1)).toEqual(ofKey(values, k).slice(-1));
          if (keyed || law.name.includes('key')) expect(new Set(seen.map(key))).toEqual(keys);
          expect(clock.timers).toBe(0);
        }),
        { numRuns: 40 },
      );
    },
  );
});

interface Declared {
  readonly source: Stream<number>;
  readonly seen: unknown[];
}

describe.each(
  timed.filter(({ name }) => name !== 'rateLimit').map((law): [string, Timed] => [law.name, law]),
)('%s on a keyed stream', (_, law) => {
  test('is for each key what it is for a stream of its own', async () => {
    await fc.assert(
      fc.asyncProperty(
        arrivals,
        small,
        fc.integer({ min: 1, max: 60 }),
        async (arrived, n, moreMs) => {
          const clock = new VirtualClock();
          const source = new Stream<number>({ clock });
          const keyOf = (x: number): string => (x % 2 === 0 ? 'even' : 'odd');
          const sent: Record<string, Sent[]> = { even: [], odd: [] };
          law
            .build(source.groupBy(keyOf, { name: 'parity' }), n)
            .items()
            // A window of all keys that have no values has none.
            .sink(([of, value]) => sent[of]?.push([clock.monotonic(), value]));
          for (const { atMs, value } of arrived)
            clock.setTimer(atMs, () => expect(source.emit(value)).toBeUndefined());
          const closeMs = (arrived.at(-1)?.atMs ?? 0) + moreMs + ASIDE_MS;
          await clock.advance(closeMs);
          await settle(clock, source.close());
          const expected = ['even', 'odd'].map((of) =>
            law
              .model(
                arrived.filter(({ value }) => keyOf(value) === of),
                closeMs,
                n,
              )
              .filter(([, value]) => !Array.isArray(value) || value.length > 0),
          );
          expect([sent['even'], sent['odd']]).toEqual(expected);
          expect(clock.timers).toBe(0);
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe('latest', () => {
  test('sends the newest when those behind are free, and never loses the last one', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, async (arrived) => {
        const clock = new VirtualClock();
        const source = new Stream<number>({ clock });
        const sent: Sent[] = [];
        source.latest().sink((value) => {
          sent.push([clock.monotonic(), value]);
          return sleep(clock, SPAN_MS);
        });
        for (const { atMs, value } of arrived)
          clock.setTimer(atMs, () => expect(source.emit(value)).toBeUndefined());
        const expected: Sent[] = [];
        let freeMs = 0;
        let kept: number | undefined;
        const catchUp = (untilMs: number): void => {
          if (kept === undefined || freeMs >= untilMs) return;
          expected.push([freeMs, kept]);
          freeMs += SPAN_MS;
          kept = undefined;
        };
        for (const { atMs, value } of arrived) {
          catchUp(atMs);
          if (atMs < freeMs) kept = value;
          else {
            expected.push([atMs, value]);
            freeMs = atMs + SPAN_MS;
          }
        }
        catchUp(Number.POSITIVE_INFINITY);
        await clock.advance(arrived.at(-1)?.atMs ?? 0);
        await settle(clock, source.close());
        expect(sent).toEqual(expected);
        expect(clock.timers).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});

describe('debounce', () => {
  test('in front of something slow: a value in place of one that waits for its turn has a quiet time of its own', async () => {
    const clock = new VirtualClock();
    const source = new Stream<number>({ clock });
    const sent: Sent[] = [];
    source.debounce(10).sink((value) => {
      sent.push([clock.monotonic(), value]);
      return sleep(clock, 50);
    });
    // 2 is due at 41 and waits for its turn at 60; then 3 comes, and is due at 68.
    for (const [atMs, value] of [
      [0, 1],
      [31, 2],
      [58, 3],
    ] as const)
      clock.setTimer(atMs, () => void source.emit(value));
    await clock.advance(200);
    await settle(clock, source.close());
    expect(sent).toEqual([
      [10, 1],
      [68, 3],
    ]);
  });
});
