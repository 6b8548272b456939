/** Windowed tables give what others have recorded. */
import { expect, test } from 'vitest';

import { msgpack } from '../../src/codec/msgpack.ts';
import { DELETE } from '../../src/stream/delete.ts';
import type { Change } from '../../src/stream/operator.ts';
import type { Table } from '../../src/table/table.ts';
import type { ClosedWindow, WindowedTable } from '../../src/table/windowed-table.ts';
import { tableOn, TaskBench } from './task-bench.ts';
import vectors from './vectors.json' with { type: 'json' };

type Counts = WindowedTable<string, number, number>;

function counting(bench: TaskBench): Table<string, number, number> {
  return tableOn(bench.host, 'counts', () => 0).table;
}

/** Rows of a table by the start of their window, with the key in front of it where several are asked for. */
function rowsOf(bench: TaskBench, keys = false): Record<string, unknown> {
  const store = bench.state.windowed('counts', msgpack);
  const rows: Record<string, unknown> = {};
  for (const start of store.starts(-Infinity, Infinity))
    for (const [ref, value] of store.rows(start))
      rows[keys ? `${String(ref.key)}@${start}` : start] = value;
  return rows;
}

test.each([
  ['tumbling', vectors.faust.tumbling, undefined],
  ['hopping', vectors.faust.hopping, vectors.faust.hopping.step],
] as const)('Faust: current, delta and now of %s windows', async (_, vector, step) => {
  const bench = new TaskBench();
  const table = counting(bench);
  const options = { grace: '1d', retention: '2d' } as const;
  const counts: Counts =
    step === undefined
      ? table.tumbling(vector.size, options)
      : table.hopping(vector.size, step, options);
  for (const { time, value, now, delta } of vector.steps)
    await bench.event('k', time, () => {
      counts.update('k', (n) => n + 1);
      expect(counts.current('k')).toBe(value);
      expect(counts.now('k')).toBe(now);
      for (const [back, before] of Object.entries(delta))
        expect(counts.delta('k', Number(back))).toBe(before);
    });
  expect(rowsOf(bench)).toEqual(vector.final);
});

test('Faust: to delete a row deletes it in all windows of the event', async () => {
  const { size, step, steps, deletedAt, left } = vectors.faust.hopping;
  const bench = new TaskBench();
  const counts = counting(bench).hopping(size, step, { grace: '1d', retention: '2d' });
  bench.update(counts, (n: number) => n + 1);
  for (const { time } of steps) await bench.send(counts, 'k', time);
  await bench.event('k', deletedAt, () => counts.update('k', () => DELETE));
  expect(rowsOf(bench)).toEqual(left);
});

test('Faust: relative to a field', async () => {
  const { size, eventTime, fieldTimes, final } = vectors.faust.relativeToField;
  const bench = new TaskBench();
  const counts = counting(bench).tumbling(size, { grace: '1d', retention: '2d' });
  bench.update(
    counts,
    (n) => n + 1,
    undefined,
    (time: number) => time,
  );
  for (const time of fieldTimes) await bench.send(counts, 'k', eventTime, time);
  expect(rowsOf(bench)).toEqual(final);
});

test('Faust: windows close once, in order, and are gone after their retention', async () => {
  const { size, expires, now, writes, closed, left } = vectors.faust.windowClose;
  const bench = new TaskBench();
  const counts = counting(bench).tumbling(size, { grace: expires, retention: expires });
  bench.update(counts, (_, value: number) => value);
  const seen: unknown[] = [];
  bench.closed(counts, (value) => {
    const { key, window, value: row } = value as ClosedWindow<string, number>;
    seen.push([key, window.start, row]);
  });
  for (const [key, time, value] of writes) await bench.send(counts, key, time as number, value);
  await bench.send(counts, 'clock', now, 0);
  await bench.commit();
  await bench.commit();
  expect(seen).toEqual(closed);
  expect(rowsOf(bench, true)).toEqual({ ...left, [`clock@${now}`]: 0 });
});

test('Kafka Streams: final time windows', async () => {
  const { size, grace, times, raw, final } = vectors.kafkaStreams;
  const bench = new TaskBench();
  const counts = counting(bench).tumbling(size, { grace });
  const changes: unknown[] = [];
  bench.update(
    counts,
    (n) => n + 1,
    (change) => {
      const { window, value } = change as Change<string, number>;
      changes.push([window?.start, value]);
    },
  );
  const seen: unknown[] = [];
  bench.closed(counts, (value) => {
    const { window, value: n } = value as ClosedWindow<string, number>;
    seen.push([window.start, n]);
  });
  for (const time of times) await bench.send(counts, 'k', time);
  await bench.commit();
  expect(changes).toEqual(raw);
  expect(seen).toEqual(final);
  expect(bench.late.get('counts')).toBe(1);
});

test('Quix Streams: the sum of a window', async () => {
  const { size, in: values, advance, out } = vectors.quix;
  const bench = new TaskBench();
  const counts = counting(bench).tumbling(size);
  bench.update(counts, (sum, value: number) => sum + value);
  const seen: unknown[] = [];
  bench.closed(counts, (value) => {
    const { window, value: sum } = value as ClosedWindow<string, number>;
    seen.push({ ...window, value: sum });
  });
  for (const [time, value] of values) await bench.send(counts, 'k', time as number, value);
  await bench.commit();
  expect(seen).toEqual([]);
  await bench.send(counts, 'k', advance, 0);
  await bench.commit();
  expect(seen).toEqual(out);
});
