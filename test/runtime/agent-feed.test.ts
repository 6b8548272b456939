/** The queue between a task and a body, by itself. */
import { describe, expect, test } from 'vitest';

import { VirtualClock } from '../../src/core/clock.ts';
import type { EventCell, Flight } from '../../src/core/event.ts';
import { AgentFeed } from '../../src/runtime/agent-feed.ts';
import type { Offer } from '../../src/runtime/agent-feed.ts';
import { newEvent } from '../../src/runtime/task-life.ts';
import type { ProcessingCell } from '../../src/table/processing.ts';

function made() {
  const clock = new VirtualClock();
  const cell: ProcessingCell = {
    tables: undefined as never,
    send: undefined as never,
    event: null,
  };
  const finished: unknown[] = [];
  let wants = 0;
  const feed = new AgentFeed(
    clock,
    cell,
    () => wants++,
    ({ value }) => finished.push(value),
  );
  const settled: string[] = [];
  const event = (offset: number): EventCell & { flight: Flight } => ({
    ...newEvent(0),
    offset,
    flight: { queues: 0, delivered: false, withdrawn: false, streamTime: 0 },
  });
  const offer = (value: number): EventCell & { flight: Flight } => {
    const from = event(value);
    feed.offer(value, from).then(
      () => settled.push(`${value} finished`),
      (error: unknown) => settled.push(`${value} ${(error as Error).message}`),
    );
    return from;
  };
  return { clock, cell, feed, finished, settled, event, offer, wants: () => wants };
}

const values = (batch: readonly Offer[] | undefined): unknown => batch?.map(({ value }) => value);

async function ticks(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

describe('what waits', () => {
  test('comes in its order, and is finished when the body asks for the next', async () => {
    const { feed, finished, settled, offer, cell } = made();
    offer(1);
    offer(2);
    expect((await feed.next())?.value).toBe(1);
    expect(cell.event?.offset).toBe(1);
    await ticks();
    expect(settled).toEqual([]);
    expect((await feed.next())?.value).toBe(2);
    await ticks();
    expect([finished, settled]).toEqual([[1], ['1 finished']]);
    const third = feed.next();
    expect(cell.event).toBe(null);
    offer(3);
    expect((await third)?.value).toBe(3);
    feed.end();
    expect(await feed.next()).toBe(undefined);
    expect(finished).toEqual([1, 2, 3]);
  });

  test('can be taken back; what the body has cannot', async () => {
    const { feed, settled, offer } = made();
    const events = [1, 2, 3, 4].map(offer);
    await feed.next();
    expect(events.map(({ flight: { queues, delivered } }) => [queues, delivered])).toEqual([
      [1, true],
      [1, false],
      [1, false],
      [1, false],
    ]);
    for (const at of [1, 3]) (events[at] as (typeof events)[0]).flight.withdrawn = true;
    feed.sweep();
    await ticks();
    // Nobody does anything for them any more; whoever has withdrawn them knows that they are not finished.
    expect(settled).toEqual(['2 finished', '4 finished']);
    expect((await feed.next())?.value).toBe(3);
  });

  test('does not come at all if it was taken back on its way', async () => {
    const { feed, event } = made();
    const from = event(1);
    from.flight.withdrawn = true;
    await feed.offer(1, from);
    expect(from.flight.queues).toBe(0);
    const other: EventCell = {
      ...event(2),
      flight: {
        queues: 0,
        delivered: false,
        withdrawn: false,
        streamTime: 0,
        onQueued() {
          this.withdrawn = true;
        },
      },
    };
    await feed.offer(2, other);
    const next = feed.next();
    feed.end();
    expect(await next).toBe(undefined);
  });

  test('fails with the body that fails for good', async () => {
    const { feed, settled, offer } = made();
    [1, 2, 3, 4, 5].forEach(offer);
    await feed.take(2, undefined);
    feed.again(feed.takeUnfinished());
    await feed.take(2, undefined);
    await feed.take(1, undefined);
    feed.again(feed.takeUnfinished());
    await ticks();
    settled.length = 0;
    feed.fail(new Error('broken'));
    await ticks();
    expect(settled).toEqual(['3 broken', '4 broken', '5 broken']);
  });
});

describe('groups', () => {
  test('of what is there when it is time, or when the task is in a hurry', async () => {
    const { clock, feed, offer } = made();
    let group = feed.take(3, 100);
    await clock.advance(500);
    offer(1);
    await clock.advance(99);
    offer(2);
    await clock.advance(1);
    expect(values(await group)).toEqual([1, 2]);
    group = feed.take(3, 100);
    offer(3);
    feed.barrier(true);
    expect(values(await group)).toEqual([3]);
    group = feed.take(3, undefined);
    offer(4);
    offer(5);
    await ticks();
    expect(values(await group)).toEqual([4, 5]);
    feed.barrier(false);
    group = feed.take(2, 50);
    [6, 7, 8].forEach(offer);
    expect(values(await group)).toEqual([6, 7]);
    // The third has waited for a while.
    await clock.advance(50);
    group = feed.take(2, 50);
    await clock.advance(0);
    expect(values(await group)).toEqual([8]);
    expect(clock.timers).toBe(0);
  });

  test('time runs on while what waits is taken back and comes again', async () => {
    const { clock, feed, offer } = made();
    const group = feed.take(10, 100);
    let again = [1, 2].map(offer);
    for (let i = 0; i < 9; i++) {
      await clock.advance(10);
      for (const { flight } of again) flight.withdrawn = true;
      feed.sweep();
      again = [1, 2].map(offer);
    }
    await clock.advance(10);
    expect(values(await group)).toEqual([1, 2]);
    const next = feed.take(10, 100);
    for (const each of [3, 4].map(offer)) each.flight.withdrawn = true;
    feed.sweep();
    // It is time while nothing is there.
    await clock.advance(200);
    [3, 4, 5].forEach(offer);
    expect(values(await next)).toEqual([3, 4, 5]);
  });

  test('that failed comes again as it was, in front of all others', async () => {
    const { feed, offer } = made();
    [1, 2, 3, 4, 5].forEach(offer);
    const first = await feed.take(2, undefined);
    const effects = first?.map(({ event }) => event?.effects);
    expect(effects?.[0]).toBe(effects?.[1]);
    feed.again(feed.takeUnfinished());
    const second = await feed.take(3, undefined);
    expect(values(second)).toEqual([1, 2]);
    expect(second?.[0]?.event?.effects).not.toBe(effects?.[0]);
    feed.again(feed.takeUnfinished());
    expect((await feed.next())?.value).toBe(1);
    expect((await feed.next())?.value).toBe(2);
    expect(values(await feed.take(3, undefined))).toEqual([3, 4, 5]);
  });

  test('need room', async () => {
    const { feed, wants } = made();
    expect(feed.wanted).toBe(0);
    void feed.take(500, undefined);
    expect([feed.wanted, wants()]).toEqual([1_000, 1]);
    feed.takeUnfinished();
    void feed.take(100, undefined);
    expect([feed.wanted, wants()]).toEqual([1_000, 1]);
  });
});

describe('by hand', () => {
  test('one by one, in any order, and once', async () => {
    const { feed, finished, settled, offer, cell } = made();
    feed.manual = true;
    [1, 2, 3].forEach(offer);
    const [a, b, c] = [await feed.next(), await feed.next(), await feed.next()] as Offer[];
    expect(feed.resting).toBe(false);
    void feed.next();
    expect(feed.resting).toBe(true);
    expect(feed.wanted).toBe(8);
    feed.acknowledge(b as Offer);
    feed.acknowledge(b as Offer);
    expect(cell.event?.offset).toBe(3);
    expect(feed.refuse(c as Offer)).toEqual([c]);
    expect(feed.refuse(c as Offer)).toEqual([]);
    expect(cell.event).toBe(null);
    expect([feed.has(a as Offer), feed.has(b as Offer), feed.has(c as Offer)]).toEqual([
      true,
      false,
      false,
    ]);
    await ticks();
    expect([finished, settled]).toEqual([[2], ['2 finished']]);
  });

  test('at the end the body hears of it, and what it keeps is given up', async () => {
    const { feed, settled, offer } = made();
    feed.manual = true;
    const events = [1, 2].map(offer);
    await feed.next();
    const second = (await feed.next()) as Offer;
    const third = feed.next();
    feed.drain();
    expect(await third).toBe(undefined);
    expect(await feed.next()).toBe(undefined);
    expect(feed.drained).toBe(true);
    feed.acknowledge(second);
    feed.giveUp();
    await ticks();
    expect(settled).toEqual(['2 finished', '1 finished']);
    expect(events.map(({ flight }) => flight.withdrawn)).toEqual([true, false]);
  });

  test('no more is wanted than a body may hold', async () => {
    const { feed, event } = made();
    feed.manual = true;
    for (let n = 0; n < 60_000; n++) {
      void feed.offer(n, event(n));
      await feed.take(1, undefined);
    }
    expect(feed.wanted).toBe(100_000);
  });
});
