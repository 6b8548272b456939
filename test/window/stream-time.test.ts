import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Random } from '../../src/core/random.ts';
import { seededRandom } from '../../src/core/random.ts';
import { repartitionTime, sourceTime, TaskTime } from '../../src/window/stream-time.ts';
import type { InputTime, SavedInputTime } from '../../src/window/stream-time.ts';
import { closesAt, lastStart } from '../../src/window/assign.ts';
import { tumblingWindow } from '../../src/window/definition.ts';

const seed = fc.integer({ min: 0, max: 2 ** 31 });

/** As a commit stores it. */
const stored = (saved: SavedInputTime): SavedInputTime =>
  JSON.parse(JSON.stringify(saved)) as SavedInputTime;

describe('a source', () => {
  test('has reached the greatest event time', () => {
    const time = sourceTime('t');
    expect(time.now).toBe(-Infinity);
    const seen = [5, 3, 9, 9, -4].map((timestamp) => {
      time.observe(timestamp);
      return time.now;
    });
    expect(seen).toEqual([5, 5, 9, 9, 9]);
  });

  test('knows times before 1970', () => {
    const time = sourceTime('t');
    time.observe(-5_000);
    expect(time.now).toBe(-5_000);
    expect(time.save()).toEqual({ topic: 't', time: -5_000 });
  });

  test('has no upstream tasks to hear from', () => {
    const time = sourceTime('t');
    time.heard(0, 1_000, false);
    expect(time.now).toBe(-Infinity);
  });

  test('ignores what is not a time', () => {
    const time = sourceTime('t');
    time.observe(7);
    time.observe(Number.NaN);
    expect(time.now).toBe(7);
  });

  test('saves that nothing is known', () => {
    const saved = stored(sourceTime('t').save());
    expect(saved).toEqual({ topic: 't', time: null });
    const time = sourceTime('t');
    time.restore(saved);
    expect(time.now).toBe(-Infinity);
  });
});

describe('a repartition topic', () => {
  test('has reached nothing until every upstream task has spoken', () => {
    const time = repartitionTime('r', 3);
    time.heard(0, 100, false);
    time.heard(2, 50, false);
    expect(time.now).toBe(-Infinity);
    time.heard(1, 70, false);
    expect(time.now).toBe(50);
  });

  test('is not moved by its events', () => {
    const time = repartitionTime('r', 1);
    time.observe(1_000);
    expect(time.now).toBe(-Infinity);
  });

  test('has reached the least of its upstream tasks', () => {
    const time = repartitionTime('r', 2);
    time.heard(0, 10, false);
    time.heard(1, 20, false);
    time.heard(0, 30, false);
    expect(time.now).toBe(20);
    time.heard(1, 30, false);
    expect(time.now).toBe(30);
  });

  test('does not wait for idle tasks', () => {
    const time = repartitionTime('r', 3);
    time.heard(0, 10, false);
    time.heard(1, 40, false);
    time.heard(2, -Infinity, true);
    expect(time.now).toBe(10);
    time.heard(0, 10, true);
    expect(time.now).toBe(40);
  });

  test('when all are idle, the greatest has been reached', () => {
    const time = repartitionTime('r', 3);
    time.heard(0, 10, true);
    expect(time.now).toBe(-Infinity);
    time.heard(1, 40, true);
    time.heard(2, 30, true);
    expect(time.now).toBe(40);
  });

  test('all idle and nothing ever known: nothing is known', () => {
    const time = repartitionTime('r', 2);
    time.heard(0, -Infinity, true);
    time.heard(1, -Infinity, true);
    expect(time.now).toBe(-Infinity);
    expect(stored(time.save())).toEqual({
      topic: 'r',
      time: null,
      upstream: [
        [0, null, true],
        [1, null, true],
      ],
    });
  });

  test('does not go back when an idle task wakes up behind the others', () => {
    const time = repartitionTime('r', 2);
    time.heard(0, 10, true);
    time.heard(1, 40, false);
    expect(time.now).toBe(40);
    time.heard(0, 15, false);
    expect(time.now).toBe(40);
    time.heard(1, 60, false);
    expect(time.now).toBe(40);
    time.heard(0, 50, false);
    expect(time.now).toBe(50);
  });

  test('a task that says less than before is held to what it said', () => {
    const time = repartitionTime('r', 2);
    time.heard(0, 40, false);
    time.heard(0, 20, false);
    time.heard(1, 60, false);
    expect(time.now).toBe(40);
  });

  test('ignores tasks that it does not have, and what is not a time', () => {
    const time = repartitionTime('r', 2);
    time.heard(0, 10, false);
    time.heard(1, 10, false);
    time.heard(-1, 1_000, false);
    time.heard(2, 1_000, true);
    time.heard(0, Number.NaN, false);
    expect(time.now).toBe(10);
  });

  test('restores what a smaller or larger set of upstream tasks saved', () => {
    const three = repartitionTime('r', 3);
    for (const [task, at] of [10, 20, 30].entries()) three.heard(task, at, false);
    const two = repartitionTime('r', 2);
    two.restore(stored(three.save()));
    expect(two.now).toBe(10);
    two.heard(0, 25, false);
    expect(two.now).toBe(20);
    const four = repartitionTime('r', 4);
    four.restore(stored(three.save()));
    four.heard(0, 25, false);
    expect(four.now).toBe(10);
    four.heard(3, 22, false);
    expect(four.now).toBe(20);
  });
});

/** Something that happens to the inputs of a task. */
type Step =
  | { readonly kind: 'observe'; readonly input: number; readonly time: number }
  | {
      readonly kind: 'heard';
      readonly input: number;
      readonly upstream: number;
      readonly time: number;
      readonly idle: boolean;
    }
  | { readonly kind: 'idle'; readonly input: number; readonly idle: boolean }
  | { readonly kind: 'advance' };

const INPUTS = 3;
const UPSTREAM = 3;
const time = fc.oneof(fc.integer({ min: -50, max: 50 }), fc.constant(-Infinity));
const inputIndex = fc.nat({ max: INPUTS - 1 });
const happening: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('observe' as const), input: inputIndex, time }),
  fc.record({
    kind: fc.constant('heard' as const),
    input: inputIndex,
    upstream: fc.nat({ max: UPSTREAM - 1 }),
    time,
    idle: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('idle' as const), input: inputIndex, idle: fc.boolean() }),
  fc.constant({ kind: 'advance' as const }),
);

const history = fc.array(happening, { maxLength: 80, size: 'max' });

/** The first input is a source, the others are repartition topics. */
function makeInputs(): InputTime[] {
  return [sourceTime('s'), repartitionTime('r1', UPSTREAM), repartitionTime('r2', UPSTREAM)];
}

function apply(task: TaskTime, step: Step): void {
  if (step.kind === 'advance') task.advance();
  else if (step.kind === 'idle') task.setIdle(step.input, step.idle);
  else if (step.kind === 'observe') task.inputs[step.input]?.observe(step.time);
  else task.inputs[step.input]?.heard(step.upstream, step.time, step.idle);
}

describe('save and restore', () => {
  test('an input that was saved and restored goes on as one that never stopped', () => {
    fc.assert(
      fc.property(history, fc.nat({ max: 60 }), (steps, at) => {
        for (let i = 0; i < INPUTS; i++) {
          const never = makeInputs()[i] as InputTime;
          let stopped = makeInputs()[i] as InputTime;
          for (const [n, step] of steps.entries()) {
            if (n === at) {
              const saved = stored(stopped.save());
              stopped = makeInputs()[i] as InputTime;
              stopped.restore(saved);
              expect(stored(stopped.save())).toEqual(saved);
            }
            for (const each of [never, stopped]) {
              if (step.kind === 'observe') each.observe(step.time);
              if (step.kind === 'heard') each.heard(step.upstream, step.time, step.idle);
            }
            expect(stopped.now).toBe(never.now);
          }
        }
      }),
    );
  });

  test('a task too, at any moment, even between what an input heard and the next advance', () => {
    fc.assert(
      fc.property(history, fc.nat({ max: 60 }), (steps, at) => {
        const never = new TaskTime(makeInputs());
        let stopped = new TaskTime(makeInputs());
        const idle = new Map<number, boolean>();
        for (const [n, step] of steps.entries()) {
          if (n === at) {
            const now = Number.isFinite(stopped.now) ? stopped.now : null;
            const saved = stopped.inputs.map((input) => stored(input.save()));
            const inputs = makeInputs();
            inputs.forEach((input, i) => input.restore(saved[i] as SavedInputTime));
            stopped = new TaskTime(inputs);
            stopped.restore(now);
            // Whether an input is at its end is found out again, not saved.
            for (const [input, isIdle] of idle) stopped.setIdle(input, isIdle);
          }
          if (step.kind === 'idle') idle.set(step.input, step.idle);
          apply(never, step);
          apply(stopped, step);
          expect(stopped.now).toBe(never.now);
        }
        expect(stopped.advance()).toBe(never.advance());
      }),
    );
  });

  test('windows between the saved time and what the inputs know are not skipped', () => {
    // The commit took its time before the frame ended, the frame said more. Restored, the task still stands where it closed windows up to.
    const input = repartitionTime('r', 1);
    const task = new TaskTime([input]);
    input.heard(0, 100, false);
    task.advance();
    input.heard(0, 500, false);
    const restored = repartitionTime('r', 1);
    restored.restore(stored(input.save()));
    const after = new TaskTime([restored]);
    after.restore(task.now);
    expect(after.now).toBe(100);
    expect(after.advance()).toBe(500);
  });
});

describe('a task', () => {
  test('knows nothing without inputs, and before any has spoken', () => {
    expect(new TaskTime([]).advance()).toBe(-Infinity);
    const task = new TaskTime([sourceTime('a'), sourceTime('b')]);
    expect(task.now).toBe(-Infinity);
    expect(task.advance()).toBe(-Infinity);
    task.restore(null);
    expect(task.now).toBe(-Infinity);
  });

  test('with one input goes as far as that, idle or not', () => {
    const input = sourceTime('a');
    const task = new TaskTime([input]);
    input.observe(10);
    expect(task.now).toBe(-Infinity);
    expect(task.advance()).toBe(10);
    task.setIdle(0, true);
    input.observe(20);
    expect(task.advance()).toBe(20);
  });

  test('goes as far as the least of its inputs', () => {
    const [a, b] = [sourceTime('a'), sourceTime('b')];
    const task = new TaskTime([a, b]);
    a.observe(100);
    expect(task.advance()).toBe(-Infinity);
    b.observe(10);
    expect(task.advance()).toBe(10);
    b.observe(200);
    expect(task.advance()).toBe(100);
  });

  test('does not wait for an idle input, and is not put back by one that wakes up', () => {
    const [a, b] = [sourceTime('a'), sourceTime('b')];
    const task = new TaskTime([a, b]);
    a.observe(100);
    task.setIdle(1, true);
    expect(task.advance()).toBe(100);
    task.setIdle(1, false);
    b.observe(10);
    expect(task.advance()).toBe(100);
    a.observe(300);
    expect(task.advance()).toBe(100);
    b.observe(150);
    expect(task.advance()).toBe(150);
  });

  test('with all inputs idle goes as far as the greatest', () => {
    const [a, b] = [sourceTime('a'), sourceTime('b')];
    const task = new TaskTime([a, b]);
    a.observe(100);
    b.observe(10);
    task.setIdle(0, true);
    task.setIdle(1, true);
    expect(task.advance()).toBe(100);
  });

  test('never goes backwards, whatever happens', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const task = new TaskTime(makeInputs());
        let before = -Infinity;
        for (const step of steps) {
          apply(task, step);
          for (const now of [task.now, task.advance()]) {
            expect(now).toBeGreaterThanOrEqual(before);
            before = now;
          }
        }
      }),
    );
  });
});

/** What an upstream task commits to one partition of a repartition topic. */
interface SentFrame {
  readonly upstream: number;
  readonly timestamps: readonly number[];
  readonly streamTime: number;
  readonly idle: boolean;
}

/**
 * Upstream tasks read their own parts of a day in order, at their own speed, and route events to partitions at random. Each commit sends every
 * partition a frame with its events, or at times only word of the stream time.
 */
function run(random: Random, upstreamTasks: number, disorderMs: number): SentFrame[][] {
  const partitions = 1 + random.below(3);
  const topics: SentFrame[][] = Array.from({ length: partitions }, () => []);
  const tasks = Array.from({ length: upstreamTasks }, () => {
    const slice = Array.from({ length: random.below(120) }, () => random.below(1_000) - 500);
    // In order, but for at most `disorderMs`.
    const events = slice
      .map((timestamp) => ({ timestamp, at: timestamp + random.below(disorderMs + 1) }))
      .toSorted((a, b) => a.at - b.at);
    return {
      events: events.map(({ timestamp }) => timestamp),
      at: 0,
      now: -Infinity,
      done: false,
      batch: 1 + random.below(40),
    };
  });
  while (tasks.some(({ done }) => !done)) {
    const upstream = random.below(upstreamTasks);
    const task = tasks[upstream] as (typeof tasks)[number];
    if (task.done) continue;
    const frames: number[][] = topics.map(() => []);
    for (const timestamp of task.events.slice(task.at, task.at + task.batch)) {
      task.now = Math.max(task.now, timestamp);
      frames[random.below(partitions)]?.push(timestamp);
    }
    task.at += task.batch;
    // At its end for good: it says so, with or after its last events.
    task.done = task.at >= task.events.length;
    frames.forEach((timestamps, partition) => {
      const streamTime = task.now;
      if (timestamps.length > 0 || random.below(4) > 0 || task.done)
        topics[partition]?.push({ upstream, timestamps, streamTime, idle: task.done });
    });
  }
  return topics;
}

/** Counts events that come for a closed window, as a task behind the topic would: what a frame says is true behind its records. */
function lateEvents(
  frames: readonly SentFrame[],
  upstreamTasks: number,
  size: number,
  grace: number,
): { late: number; seen: number; end: number } {
  const window = tumblingWindow(size, { grace, retention: grace });
  const input = repartitionTime('r', upstreamTasks);
  const task = new TaskTime([input]);
  let late = 0;
  let seen = 0;
  for (const { upstream, timestamps, streamTime, idle } of frames) {
    for (const timestamp of timestamps) {
      input.observe(timestamp);
      task.advance();
      seen++;
      if (closesAt(window, lastStart(window, timestamp)) <= task.now) late++;
    }
    input.heard(upstream, streamTime, idle);
    task.advance();
  }
  return { late, seen, end: task.now };
}

describe('behind a groupBy', () => {
  test('no event is late while each upstream task is in order, however differently fast they are', () => {
    fc.assert(
      fc.property(seed, fc.integer({ min: 1, max: 6 }), (from, upstreamTasks) => {
        const random = seededRandom(from);
        const size = 1 + random.below(60);
        const grace = random.below(2) * random.below(30);
        for (const frames of run(random, upstreamTasks, 0)) {
          const { late } = lateEvents(frames, upstreamTasks, size, grace);
          expect(late).toBe(0);
        }
      }),
    );
  });

  test('nor while no upstream task is more out of order than the grace', () => {
    fc.assert(
      fc.property(seed, fc.integer({ min: 1, max: 6 }), (from, upstreamTasks) => {
        const random = seededRandom(from);
        const size = 1 + random.below(60);
        const grace = random.below(100);
        for (const frames of run(random, upstreamTasks, grace))
          expect(lateEvents(frames, upstreamTasks, size, grace).late).toBe(0);
      }),
    );
  });

  test('when all are at their end, stream time has reached the greatest event time', () => {
    fc.assert(
      fc.property(seed, fc.integer({ min: 1, max: 6 }), (from, upstreamTasks) => {
        const topics = run(seededRandom(from), upstreamTasks, 20);
        const greatest = Math.max(...topics.flat().flatMap(({ timestamps }) => timestamps));
        for (const frames of topics)
          expect(lateEvents(frames, upstreamTasks, 10, 0).end).toBe(greatest);
      }),
    );
  });

  test('the largest event time seen, as on a source, would lose most of them', () => {
    // Four parts of one day, each in order, read one after the other.
    const late = [0, 1, 2, 3].flatMap(() => Array.from({ length: 100 }, (_, i) => i * 10));
    const window = tumblingWindow(10, { grace: 20, retention: 20 });
    const naive = sourceTime('r');
    let lost = 0;
    for (const timestamp of late) {
      naive.observe(timestamp);
      if (closesAt(window, lastStart(window, timestamp)) <= naive.now) lost++;
    }
    expect(lost).toBeGreaterThan(280);
    const frames = [0, 1, 2, 3].map((upstream) => ({
      upstream,
      timestamps: late.slice(0, 100),
      streamTime: 990,
      idle: false,
    }));
    expect(lateEvents(frames, 4, 10, 20)).toEqual({ late: 0, seen: 400, end: 990 });
  });
});
