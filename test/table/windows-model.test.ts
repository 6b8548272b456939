/** Windowed tables against a plain fold over all events, with commits, failures and deaths in between. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { msgpack } from '../../src/codec/msgpack.ts';
import type { LateEvent } from '../../src/table/late.ts';
import type { ClosedWindow, WindowedTable } from '../../src/table/windowed-table.ts';
import { tableOn, TaskBench } from './task-bench.ts';

/** Rows are lists of the numbers of the events that they took, so that order and repetition show. */
type Ids = readonly number[];

interface Shape {
  readonly size: number;
  /** `undefined`: windows do not overlap. */
  readonly step: number | undefined;
  readonly grace: number;
  readonly retention: number;
}

type Step =
  | { readonly step: 'event'; readonly key: string; readonly time: number }
  | { readonly step: 'commit' | 'failingCommit' | 'crash' };

interface Outcome {
  /** Rows by `key@start`. */
  readonly rows: Record<string, Ids>;
  readonly closed: readonly string[];
  readonly late: number;
}

const shape: fc.Arbitrary<Shape> = fc
  .record({
    size: fc.integer({ min: 1, max: 20 }),
    step: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
    grace: fc.integer({ min: 0, max: 25 }),
    more: fc.integer({ min: 0, max: 40 }),
  })
  .map(({ size, step, grace, more }) => ({
    size,
    step: step === undefined ? undefined : Math.min(step, size),
    grace,
    retention: grace + more,
  }));

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        step: fc.constant('event' as const),
        key: fc.constantFrom('a', 'b', 'c'),
        time: fc.integer({ min: -40, max: 80 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc
        .constantFrom<'commit' | 'failingCommit' | 'crash'>('commit', 'failingCommit', 'crash')
        .map((step) => ({ step })),
    },
  ),
  { maxLength: 60 },
);

/** Steps whose times go on slowly, as a stream that is a little out of order. */
const slowSteps: fc.Arbitrary<Step[]> = steps.map((all) =>
  all.map((step, i) => (step.step === 'event' ? { ...step, time: i + (step.time % 12) } : step)),
);

/** What should be there at the end: all windows of all events, one after the other. */
function modelOf(windows: Shape, events: readonly { key: string; time: number }[]): Outcome {
  const { size, grace, retention } = windows;
  const step = windows.step ?? size;
  const all = new Map<string, Ids>();
  let late = 0;
  let streamTime = -Infinity;
  events.forEach(({ key, time }, id) => {
    streamTime = Math.max(streamTime, time);
    for (let start = Math.floor((time - size) / step) * step; start <= time; start += step) {
      if (time < start || time >= start + size) continue;
      if (start + size + grace <= streamTime) late++;
      else all.set(`${key}@${start}`, [...(all.get(`${key}@${start}`) ?? []), id]);
    }
  });
  const endOf = (name: string): number => Number(name.slice(name.indexOf('@') + 1)) + size;
  const rows = [...all];
  return {
    rows: Object.fromEntries(rows.filter(([name]) => endOf(name) + retention >= streamTime)),
    closed: rows
      .filter(([name]) => endOf(name) + grace <= streamTime)
      .map(([name, ids]) => `${name}=${ids.join()}`)
      .toSorted(),
    late,
  };
}

/** The same in a table. Events that were not committed when the task died come again. */
async function outcomeOf(given: Shape, all: readonly Step[]): Promise<Outcome> {
  const bench = new TaskBench();
  const out = { closed: [] as string[], late: 0 };
  const nothing = () => ({ closed: [] as string[], late: 0, starts: new Map<string, number>() });
  let pending = nothing();
  const { table } = tableOn<Ids>(bench.host, 'table', () => []);
  const { size, step, ...lengths } = given;
  const options = {
    ...lengths,
    onLate: (event: LateEvent<string>) => {
      pending.late += event.windows;
    },
  };
  const windows: WindowedTable<string, Ids, Ids> =
    step === undefined ? table.tumbling(size, options) : table.hopping(size, step, options);
  bench.update(windows, (ids, id: number) => [...ids, id]);
  bench.closed(windows, (value) => {
    const { key, window, value: ids } = value as ClosedWindow<string, Ids>;
    expect(window.start).toBeGreaterThanOrEqual(pending.starts.get(key) ?? -Infinity);
    pending.starts.set(key, window.start);
    pending.closed.push(`${key}@${window.start}=${ids.join()}`);
  });
  const commit = async (): Promise<void> => {
    await bench.commit();
    out.closed.push(...pending.closed);
    out.late += pending.late;
    pending = nothing();
  };

  const events = all.filter((any) => any.step === 'event');
  let done = 0;
  let committed = 0;
  let seen = 0;
  const goOn = async (): Promise<void> => {
    for (; done < seen; done++) {
      const { key, time } = events[done] as { key: string; time: number };
      await bench.send(windows, key, time, done);
    }
  };
  for (const one of all) {
    if (one.step === 'event') {
      seen++;
    } else if (one.step === 'commit') {
      await commit();
      committed = done;
    } else {
      if (one.step === 'failingCommit') await bench.close();
      bench.crash();
      pending = nothing();
      done = committed;
    }
    await goOn();
  }
  await commit();
  const { state } = bench;
  expect(bench.late.get('table') ?? 0).toBe(out.late);
  const store = state.windowed('table', msgpack);
  const rows: Record<string, Ids> = {};
  for (const start of store.starts(-Infinity, Infinity))
    for (const [ref, ids] of store.rows(start)) rows[`${String(ref.key)}@${start}`] = ids as Ids;
  return { rows, closed: out.closed.toSorted(), late: out.late };
}

test('any events, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(shape, steps, async (one, all) => {
      const events = all.filter((step) => step.step === 'event');
      expect(await outcomeOf(one, all)).toEqual(modelOf(one, events));
    }),
    { numRuns: 300 },
  );
});

test('events that are a little out of order', async () => {
  await fc.assert(
    fc.asyncProperty(shape, slowSteps, async (one, all) => {
      const events = all.filter((step) => step.step === 'event');
      expect(await outcomeOf(one, all)).toEqual(modelOf(one, events));
    }),
    { numRuns: 300 },
  );
});
