import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/core/clock.ts';
import { nextProgress, stallOf } from '../../src/runtime/progress.ts';
import type { Progress, TaskSight } from '../../src/runtime/progress.ts';

/** Looks at a task every second of virtual time. */
class Watch {
  readonly clock = new VirtualClock();
  #progress: Progress | undefined;

  async sees(sight: Partial<TaskSight>, seconds = 1): Promise<string | undefined> {
    let stall: string | undefined;
    for (let i = 0; i < seconds; i++) {
      const nowMs = this.clock.monotonic();
      const seen = { lag: 120, position: 4711, excused: false, ...sight };
      this.#progress = nextProgress(this.#progress, seen, nowMs);
      stall = stallOf('orders/3', this.#progress, {
        nowMs,
        stallAfterMs: 60_000,
        doing: 'orders/3@4711',
      });
      await this.clock.advance(1000);
    }
    return stall;
  }
}

describe('a task', () => {
  it('is stalled when it has something to do and does not move', async () => {
    const watch = new Watch();
    expect(await watch.sees({}, 60)).toBe(undefined);
    expect(await watch.sees({})).toBe(
      'task orders/3 has not moved for 60000 ms: it stands at position 4711 with 120 records to go, last at orders/3@4711; look for a promise in its handlers that never settles, give what they wait for a limit, or allow more than 60000 ms',
    );
  });

  it('that moves slowly is not stalled', async () => {
    const watch = new Watch();
    for (let position = 0; position < 5; position++)
      expect(await watch.sees({ position }, 60)).toBe(undefined);
  });

  it('that had nothing to do begins to count when it has', async () => {
    const watch = new Watch();
    expect(await watch.sees({ lag: 0 }, 600)).toBe(undefined);
    expect(await watch.sees({ lag: 1 }, 60)).toBe(undefined);
    expect(await watch.sees({ lag: 1 })).toContain('with 1 record to go');
  });

  it('that is excused begins to count when it no longer is', async () => {
    const watch = new Watch();
    expect(await watch.sees({}, 50)).toBe(undefined);
    expect(await watch.sees({ excused: true }, 600)).toBe(undefined);
    expect(await watch.sees({}, 60)).toBe(undefined);
    expect(await watch.sees({})).toContain('has not moved for 60000 ms');
  });

  it('that is stalled and moves is no longer', async () => {
    const watch = new Watch();
    expect(await watch.sees({}, 100)).toBeDefined();
    expect(await watch.sees({ position: 4712 }, 60)).toBe(undefined);
  });
});
