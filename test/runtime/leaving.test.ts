/** A worker that ends while the disk is full cannot give its tasks back; they must not be nobody's for a whole lease. */
import { expect, test } from 'vitest';

import { Disk, Hand } from './hand.ts';
import type { Process } from './hand.ts';
import type { Worker } from '../../src/runtime/worker.ts';

interface Two {
  readonly disk: Disk;
  readonly first: Process;
  readonly older: Worker;
  readonly newer: Worker;
  readonly warnings: readonly string[];
}

/** Two workers that share two tasks, with leases of a minute; the disk is full when the first one is told to stop. */
async function stoppedOnFullDisk(): Promise<Two> {
  const disk = new Disk();
  const start = async (process: Process): Promise<{ hand: Hand; worker: Worker }> => {
    const hand = new Hand(process);
    const numbers = hand.topic<number>('numbers', { partitions: 2 });
    numbers.stream().sink(() => undefined);
    return { hand, worker: await hand.worker() };
  };
  const first = await disk.open();
  const { hand, worker: older } = await start(first);
  const running = older.run();
  const { worker: newer } = await start(await disk.open());
  newer.run().catch(() => undefined);
  for (let i = 0; i < 10; i++) await disk.clock.advance(1_000);
  expect([older.stats.tasks.length, newer.stats.tasks.length]).toEqual([1, 1]);
  disk.faults = () => ({ fail: 'disk-full' });
  await older.stop(1_000);
  await running;
  expect(hand.warnings).toEqual([
    expect.stringMatching(/^group hand: the tasks could not be given back: .*; it is tried again/u),
  ]);
  return { disk, first, older, newer, warnings: hand.warnings };
}

test('they are given back as soon as the disk has space again', async () => {
  const { disk, newer, warnings } = await stoppedOnFullDisk();
  for (let i = 0; i < 10; i++) await disk.clock.advance(1_000);
  expect(newer.stats.tasks).toHaveLength(1);
  disk.faults = undefined;
  await disk.clock.advance(1_000);
  await disk.clock.advance(10);
  expect(newer.stats.tasks).toHaveLength(2);
  expect(warnings).toHaveLength(1);
  await newer.crash();
});

test('they are taken at once when its process ends, since nobody listens at its address any more', async () => {
  const { disk, first, newer } = await stoppedOnFullDisk();
  await first.broker.close();
  disk.faults = undefined;
  await disk.clock.advance(1_000);
  await disk.clock.advance(10);
  expect(newer.stats.tasks).toHaveLength(2);
  await newer.crash();
});

test('it is not tried for longer than the lease, after which others free the tasks', async () => {
  const { disk, newer } = await stoppedOnFullDisk();
  let tries = 0;
  disk.faults = () => {
    tries++;
    return { fail: 'disk-full' };
  };
  await newer.crash();
  for (let i = 0; i < 120; i++) await disk.clock.advance(1_000);
  expect(tries).toBeLessThanOrEqual(120);
  expect(disk.clock.timers).toBe(0);
});
