/** What recorded runs of streamz' sources gave, in virtual time: the same values, at the same times. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { textFile } from '../../src/connectors/files/text-file.ts';
import { filenames } from '../../src/connectors/files/filenames.ts';
import { periodic } from '../../src/connectors/periodic.ts';
import { sleep, VirtualClock } from '../../src/core/clock.ts';
import { Stream } from '../../src/stream/stream.ts';
import { asleep, pass, until, withDirectory } from './support.ts';

type Timed = [atMs: number, value: unknown];

/** How far a time may be from the recorded one: there they are real. */
const toleranceMs = 45;

function expectTimed(found: readonly Timed[], recorded: readonly Timed[]): void {
  expect(found.map(([, value]) => value)).toEqual(recorded.map(([, value]) => value));
  for (const [i, [atMs]] of recorded.entries())
    expect(Math.abs((found[i]?.[0] ?? Infinity) - atMs)).toBeLessThanOrEqual(toleranceMs);
}

function recorder(clock: VirtualClock, workMs = 0) {
  const found: Timed[] = [];
  const sink = async (value: unknown): Promise<void> => {
    found.push([clock.monotonic(), value]);
    if (workMs > 0) await sleep(clock, workMs);
  };
  return { found, sink };
}

describe('recorded sources', () => {
  test('source: from_iterable waits for a slow sink', async () => {
    const clock = new VirtualClock();
    const { found, sink } = recorder(clock, 100);
    Stream.from([0, 1, 2]).sink(sink);
    await clock.advance(300);
    expectTimed(found, [
      [4, 0],
      [104, 1],
      [205, 2],
    ]);
  });

  test('source: from_periodic(0.05) slow sink 100', async () => {
    const clock = new VirtualClock();
    const { found, sink } = recorder(clock, 100);
    let n = 0;
    const source = periodic(() => n++, { interval: 50, clock });
    source.sink(sink);
    await clock.advance(390);
    expectTimed(found, [
      [7, 0],
      [158, 1],
      [312, 2],
    ]);
    const closed = source.close();
    await clock.advance(100);
    await closed;
    expect(clock.timers).toBe(0);
  });

  test('source: from_textfile', async () => {
    await withDirectory(async (directory) => {
      const clock = new VirtualClock();
      const { found, sink } = recorder(clock);
      const path = join(directory, 'lines.txt');
      writeFileSync(path, 'one\ntwo\npart');
      const source = textFile(path, { pollInterval: 50, clock });
      source.sink(sink);
      await pass(clock, 120);
      appendFileSync(path, 'ial\nthree\nrest');
      await pass(clock, 180);
      expectTimed(found, [
        [1, 'one\n'],
        [1, 'two\n'],
        [175, 'partial\n'],
        [175, 'three\n'],
      ]);
      await source.close();
      expect(clock.timers).toBe(0);
    });
  });

  test('source: from_textfile from_end', async () => {
    await withDirectory(async (directory) => {
      const clock = new VirtualClock();
      const { found, sink } = recorder(clock);
      const path = join(directory, 'lines.txt');
      writeFileSync(path, 'old1\nold2\n');
      const source = textFile(path, { pollInterval: 50, fromEnd: true, clock });
      source.sink(sink);
      await pass(clock, 120);
      appendFileSync(path, 'new1\nnew2\n');
      await pass(clock, 180);
      expectTimed(found, [
        [153, 'new1\n'],
        [153, 'new2\n'],
      ]);
      await source.close();
    });
  });

  test('source: filenames glob', async () => {
    await withDirectory(async (directory) => {
      const clock = new VirtualClock();
      const { found, sink } = recorder(clock);
      for (const name of ['b.csv', 'a.csv', 'x.txt']) writeFileSync(join(directory, name), '');
      const source = filenames(join(directory, '*.csv'), { pollInterval: 50, clock });
      source.map((name) => basename(name)).sink(sink);
      await pass(clock, 120);
      writeFileSync(join(directory, 'c.csv'), '');
      await pass(clock, 180);
      expectTimed(found, [
        [1, 'a.csv'],
        [1, 'b.csv'],
        [168, 'c.csv'],
      ]);
      await source.close();
    });
  });
});

test('a source that is asleep is stopped at once', async () => {
  const clock = new VirtualClock();
  const source = periodic(() => 1, { interval: '7d', clock });
  let seen = 0;
  source.sink(() => void seen++);
  await until(() => seen === 1);
  await asleep(clock);
  await source.close();
  expect(clock.timers).toBe(0);
});
