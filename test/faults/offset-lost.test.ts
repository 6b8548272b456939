/** An app that sleeps over a weekend while retention deletes what it has not read: it is told, and never goes on as if nothing were missing. */
import { expect, test } from 'vitest';

import { App, unchecked, VirtualClock } from '../../src/index.ts';
import type { AppOptions, Running, Table, Topic } from '../../src/index.ts';
import { withDirectory } from '../broker/log-over.ts';

const HOUR_MS = 3_600_000;
const PARTITIONS = 2;

interface Counting {
  readonly app: App;
  readonly visits: Topic<string, number>;
  readonly counts: Table<string, number, number>;
}

function counting(id: string, clock: VirtualClock, options: AppOptions): Counting {
  const app = new App(id, { clock, ...options });
  const visits = app.topic('visits', {
    key: unchecked<string>(),
    value: unchecked<number>(),
    partitions: PARTITIONS,
    retention: '2d',
  });
  const counts = app.table('counts', { default: () => 0 });
  visits.stream().update(counts, (n) => n + 1);
  return { app, visits, counts };
}

/** Moves time until `done` has settled. */
async function advancing<T>(clock: VirtualClock, done: Promise<T>): Promise<T> {
  let settled = false;
  const mark = (): void => {
    settled = true;
  };
  done.then(mark, mark);
  // In small steps: the disk does not know this clock, and a deadline must not pass while it works.
  for (let i = 0; !settled && i < 1_000_000; i++) await clock.advance(1);
  return await done;
}

test('a weekend under a retention of two days', async () => {
  await withDirectory(async (directory) => {
    const clock = new VirtualClock(Date.UTC(2026, 0, 2, 12));
    const broker = `file:${directory}` as const;
    const until = async <T>(done: Promise<T>): Promise<T> => await advancing(clock, done);
    // It comes to work before anything is deleted.
    const awake = counting('awake', clock, { broker });
    const asleep = counting('asleep', clock, { broker });
    let sent = 0;
    const visit = async (): Promise<void> => {
      const n = sent++;
      await until(awake.visits.send(n, { key: `k${n % 10}` }));
    };
    const settle = async (running: Running): Promise<void> => await until(running.settled());

    for (let i = 0; i < 100; i++) await visit();
    const before = await until(asleep.app.start());
    await settle(before);
    await until(before.stop());
    await until(asleep.app.close());

    // Three days, and ten visits an hour.
    for (let hour = 0; hour < 72; hour++) {
      for (let i = 0; i < 10; i++) await visit();
      await clock.advance(HOUR_MS);
    }
    const open = await until(awake.app.start());
    await settle(open);
    const store = await awake.app['~parts']().broker();
    await until(store.maintain());
    const bounds = await Promise.all(
      Array.from({ length: PARTITIONS }, (_, partition) => store.bounds('visits', partition)),
    );
    const kept = bounds.reduce((sum, { start, end }) => sum + end - start, 0);
    expect(kept).toBeGreaterThan(400);
    expect(kept).toBeLessThan(sent - 100);

    const refused: unknown = await until(
      asleep.app.start().then(
        () => undefined,
        (error: unknown) => error,
      ),
    );
    expect(refused).toMatchObject({
      code: 'MR_OFFSET_LOST',
      message: expect.stringMatching(
        /task visits\/\d stopped at offset \d+ of visits\[\d\], but the topic begins at \d+ by now: \d+ records were deleted/u,
      ) as string,
    });
    const { lost, offset, start } = (refused as { details: Record<string, number> }).details;
    expect(lost).toBe(Number(start) - Number(offset));
    expect(lost).toBeGreaterThan(0);
    await until(asleep.app.close());
    expect(await countOf(asleep)).toBe(100);
    await until(asleep.app.close());

    const skipping = counting('asleep', clock, { broker, onOffsetLost: 'skip' });
    const after = await until(skipping.app.start());
    await settle(after);
    const missing = sent - 100 - kept;
    expect(after.stats).toMatchObject({ lost: missing, events: 100 + kept });
    await until(after.stop());
    expect(await countOf(skipping)).toBe(100 + kept);
    await until(skipping.app.close());

    expect(open.stats).toMatchObject({ lost: 0, events: sent });
    await until(open.stop());
    await until(awake.app.close());
    process.stdout.write(
      `offset-lost: ${sent} visits, ${missing} deleted while the app slept: refused at start, then counted as lost\n`,
    );
  });
});

async function countOf({ counts }: Counting): Promise<number> {
  let sum = 0;
  for await (const [, count] of counts.snapshot()) sum += count;
  return sum;
}
