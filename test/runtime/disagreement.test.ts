/** A worker whose declarations differ from those that its group works by: it says so, once, and takes over when it can. */
import { expect, test } from 'vitest';

import { Disk, Hand } from './hand.ts';
import type { Process } from './hand.ts';

/** Numbers, summed; `newer` has another agent as well. */
function declared(process: Process, newer: boolean): Hand {
  const hand = new Hand(process);
  const numbers = hand.topic<number>('numbers', { partitions: 2 });
  numbers.stream().update(
    hand.table('sums', () => 0),
    (sum, n) => sum + n,
  );
  if (newer) hand.each('log', numbers.stream(), () => undefined);
  return hand;
}

test('it warns once, with what differs and what to do, and not any more when it has taken over', async () => {
  const disk = new Disk();
  const older = await declared(await disk.open(), false).worker();
  const running = older.run();
  const next = declared(await disk.open(), true);
  const newer = await next.worker();
  newer.run().catch(() => undefined);
  for (let i = 0; i < 20; i++) await disk.clock.advance(1_000);

  expect(newer.stats.tasks).toEqual([]);
  expect(next.warnings).toEqual([
    `group hand: this worker waits and gets no tasks, since member ${older.member} (process ${process.pid}) was started with other declarations. What differs here:
  + agent-log, which reads numbers
Stop the others, and this worker takes over. If this is the older program, stop it instead.`,
  ]);

  const stopping = older.stop(60_000);
  for (let i = 0; i < 5; i++) await disk.clock.advance(1_000);
  await stopping;
  await running;
  for (let i = 0; i < 5; i++) await disk.clock.advance(1_000);
  expect(newer.stats.tasks).toEqual(['agent-log/0', 'agent-log/1', 'numbers/0', 'numbers/1']);
  expect(next.warnings).toHaveLength(1);
  await newer.crash();
});

test('it warns of what it lacks, too, while it is loaded', async () => {
  const disk = new Disk();
  const newer = await declared(await disk.open(), true).worker();
  newer.run().catch(() => undefined);
  const last = declared(await disk.open(), false);
  const older = await last.worker();
  older.run().catch(() => undefined);
  for (let i = 0; i < 3; i++) await disk.clock.advance(1_000);
  expect(last.warnings).toEqual([
    expect.stringContaining('\n  - agent-log, which reads numbers\n'),
  ]);
  await newer.crash();
  await older.crash();
});
