/** Random events, random commits, random deaths: the results are those of a plain model. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Topic } from '../../src/app/topic.ts';
import type { ClosedWindow, WindowedTable } from '../../src/table/windowed-table.ts';
import type { Table } from '../../src/table/table.ts';
import { rowsOf, valuesOf } from '../app/support.ts';
import { advancing, Disk, Hand, turns } from './hand.ts';
import type { Process } from './hand.ts';

const PARTITIONS = 3;
const SIZE = 10;
const GRACE = 15;

/** Keys that have gone wrong somewhere before. */
const KEYS = ['a', 'b', '__proto__', 'constructor', '', 'ü'];

interface Event {
  readonly n: number;
  readonly key: string;
  readonly time: number;
}

type Closed = ClosedWindow<string, number>;

interface Everything {
  readonly hand: Hand;
  readonly events: Topic<string, Event>;
  readonly copies: Topic<string, Event>;
  readonly echoes: Topic<string, number>;
  readonly closed: Topic<string, Closed>;
  readonly perDigit: Table<number, number, number>;
  readonly perWindow: WindowedTable<string, number, number>;
  readonly totals: Table<string, number, number>;
}

/** Copies events, counts them per last digit, counts them per key and window behind a groupBy, and adds up closed windows per key. */
function everything(process: Process): Everything {
  const hand = new Hand(process);
  const events = hand.topic<Event>('events', {
    partitions: PARTITIONS,
    timestamp: ({ time }) => time,
  });
  const copies = hand.topic<Event>('copies', { partitions: 1 });
  const echoes = hand.topic<number>('echoes', { partitions: 2 });
  const closed = hand.topic<Closed>('closed', { partitions: 1 });
  const perDigit = hand.table<number, number>('per-digit', () => 0);
  const perWindow = hand.windows<number>('per-window', () => 0, SIZE, { grace: GRACE });
  const totals = hand.table<number>('totals', () => 0);
  events.stream().sink(copies);
  events
    .stream()
    .groupBy(({ n }) => n % 10, { name: 'digit' })
    .update(perDigit, (count) => count + 1);
  const byKey = events.stream().groupBy('key');
  byKey.update(perWindow, (count) => count + 1);
  perWindow.closed().sink(closed);
  perWindow
    .closed()
    .groupBy(({ window }) => `from ${window.start}`, { name: 'start' })
    .update(totals, (sum, { value }) => sum + value);
  hand.each(
    'echo',
    events.stream().filter(({ n }) => n % 2 === 0),
    async ({ n }) => {
      await process.clock.turn();
      return n;
    },
    echoes,
  );
  return { hand, events, copies, echoes, closed, perDigit, perWindow, totals };
}

/** What happens to one process. */
interface Life {
  /** Events that are sent while it lives. */
  readonly events: readonly {
    readonly key: number;
    readonly jitter: number;
    readonly partition: number;
  }[];
  /** How often the clock turns before it dies. */
  readonly turns: number;
  readonly every: number;
  readonly checkpointEntries: number;
  /** The commit that fails, counted from its birth, and how. */
  readonly fault: readonly [at: number, fail: 'io-before' | 'io-after' | 'disk-full'];
}

const life: fc.Arbitrary<Life> = fc.record({
  events: fc.array(
    fc.record({
      key: fc.nat(KEYS.length - 1),
      // Never more than grace behind the latest event of its partition.
      jitter: fc.nat(GRACE),
      partition: fc.nat(PARTITIONS - 1),
    }),
    { maxLength: 25 },
  ),
  turns: fc.nat(25),
  every: fc.integer({ min: 1, max: 20 }),
  checkpointEntries: fc.integer({ min: 1, max: 30 }),
  fault: fc.tuple(
    fc.nat(30),
    fc.constantFrom('io-before' as const, 'io-after' as const, 'disk-full' as const),
  ),
});

describe('whatever dies when', () => {
  test('every result is there once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 5 }), async (lives) => {
        const disk = new Disk();
        const sent: Event[] = [];
        const latest = Array.from({ length: PARTITIONS }, () => 1_000);
        for (const { events, turns: count, every, checkpointEntries, fault } of lives) {
          const process = await disk.open();
          const app = everything(process);
          const worker = await app.hand.worker({ every, checkpointEntries });
          let commits = 0;
          const faults = (): { fail: (typeof fault)[1] } | undefined =>
            commits++ === fault[0] ? { fail: fault[1] } : undefined;
          const ended = worker.run();
          ended.catch(() => undefined);
          worker.settled().catch(() => undefined);
          for (const { key, jitter, partition } of events) {
            latest[partition] = (latest[partition] as number) + 3;
            const event = {
              n: sent.length,
              key: KEYS[key] as string,
              time: latest[partition] - jitter,
            };
            await app.events.send(event, { key: event.key, partition });
            sent.push(event);
          }
          disk.faults = faults;
          await turns(disk.clock, count);
          process.crash();
          disk.faults = undefined;
        }
        const process = await disk.open();
        const app = everything(process);
        // One event far ahead in every partition closes all windows before it.
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const event = { n: sent.length, key: 'end', time: 1_000_000 };
          await app.events.send(event, { key: 'end', partition });
          sent.push(event);
        }
        const worker = await app.hand.worker();
        const ended = worker.run();
        ended.catch(() => undefined);
        await advancing(disk.clock, worker.settled());
        // The agent and the repartitions have nobody left to wait for.
        await disk.clock.advance(5_000);
        await advancing(disk.clock, worker.settled());
        expect(worker.stats.late).toEqual({});
        await advancing(disk.clock, worker.stop(60_000));
        await check(app, sent);
      }),
      { numRuns: 30 },
    );
  }, 30_000);
});

async function check(app: Everything, sent: readonly Event[]): Promise<void> {
  const byNumber = (a: Event, b: Event): number => a.n - b.n;
  expect((await valuesOf(app.events)).toSorted(byNumber)).toEqual(sent);
  expect((await valuesOf(app.copies)).toSorted(byNumber)).toEqual(sent);
  expect((await valuesOf(app.echoes)).toSorted((a, b) => a - b)).toEqual(
    sent.map(({ n }) => n).filter((n) => n % 2 === 0),
  );
  expect(await rowsOf(app.perDigit)).toEqual(tally(sent, ({ n }) => n % 10));
  const windows = tally(
    sent.filter(({ key }) => key !== 'end'),
    ({ key, time }) => `${key}@${time - (time % SIZE)}`,
  );
  const closed = (await valuesOf(app.closed)).filter(({ key }) => key !== 'end');
  // Each once, so the list is as long as the map.
  expect(closed).toHaveLength(windows.size);
  expect(
    new Map(closed.map(({ key, window, value }) => [`${key}@${window.start}`, value])),
  ).toEqual(windows);
  expect(await rowsOf(app.totals)).toEqual(
    tally(
      sent.filter(({ key }) => key !== 'end'),
      ({ time }) => `from ${time - (time % SIZE)}`,
    ),
  );
}

function tally<K>(events: readonly Event[], keyOf: (event: Event) => K): Map<K, number> {
  const counts = new Map<K, number>();
  for (const event of events) counts.set(keyOf(event), (counts.get(keyOf(event)) ?? 0) + 1);
  return counts;
}
