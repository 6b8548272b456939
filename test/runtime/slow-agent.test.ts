/** An agent that is slower than its input must still commit in time: the interval counts, not the backlog. */
import { expect, test } from 'vitest';

import { unchecked } from '../../src/index.ts';
import { bench, close } from '../app/support.ts';

test('a slow agent with a backlog commits at the interval', async () => {
  const { app, clock } = bench('slow', { commit: { interval: 100 } });
  try {
    const topic = app.topic('topic', { value: unchecked<number>(), partitions: 1 });
    app.each('agent', topic, async (_, _event, context) => {
      await context.sleep(40);
    });
    for (let n = 0; n < 50; n++) await topic.send(n);
    const running = await app.start();
    for (let ms = 0; ms < 1_000; ms += 20) await clock.advance(20);
    const { events, committed, commits } = running.stats;
    expect(events).toBeGreaterThanOrEqual(20);
    expect(events).toBeLessThan(30);
    expect(commits).toBeGreaterThanOrEqual(5);
    // What a crash would repeat: what came in about one interval.
    expect(events - committed).toBeLessThanOrEqual(6);
  } finally {
    const closing = close(app);
    for (let i = 0; i < 100; i++) await clock.advance(40);
    await closing;
  }
});
