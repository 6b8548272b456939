/** One input of a task: frame by frame, record by record, from any position. */
import { describe, expect, test } from 'vitest';

import type { PartitionReader } from '../../src/broker/broker.ts';
import { controlFrame, FrameBuilder } from '../../src/broker/frame-builder.ts';
import { FrameView } from '../../src/broker/frame-view.ts';
import { place } from '../../src/broker/frame.ts';
import type { Frame } from '../../src/broker/frame.ts';
import { json } from '../../src/codec/json.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { TaskInput } from '../../src/runtime/input.ts';
import { newEvent } from '../../src/runtime/task-life.ts';
import { repartitionTime, sourceTime } from '../../src/window/stream-time.ts';
import type { InputTime } from '../../src/window/stream-time.ts';

/** A frame of JSON numbers, at event times of ten times as much. */
function frameOf(
  numbers: readonly (number | string)[],
  upstream?: [task: number, time: number],
): Frame {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: 1_000 });
  for (const n of numbers)
    builder.add(typeof n === 'number' ? n * 10 : 0, Buffer.from(`k${n}`), Buffer.from(String(n)));
  return builder.build(
    upstream === undefined ? null : { upstream: upstream[0], streamTime: upstream[1] },
  );
}

/** A reader over `frames` from `offset` on. With `later`, it answers with promises. */
function readerOf(frames: readonly Frame[], offset = 0, later = false): PartitionReader {
  let base = 0;
  const views = frames.map((frame) => {
    place(frame.bytes, base, 0);
    const view = FrameView.open(frame.bytes, 't', 0, base);
    base += frame.count;
    return view;
  });
  const reader = {
    offset,
    next() {
      const view = views.find(({ end }) => end > reader.offset);
      if (view !== undefined) reader.offset = view.end;
      return later ? Promise.resolve(view) : view;
    },
    seek(to: number) {
      reader.offset = to;
    },
  };
  return reader;
}

function inputOf(reader: PartitionReader, time: InputTime = sourceTime('t')): TaskInput {
  return new TaskInput({
    topic: 't',
    partition: 0,
    format: {
      topic: 't',
      partitions: 1,
      codec: json,
      keyCodec: undefined,
      checkIn: undefined,
      checkOut: undefined,
      checkKey: undefined,
      timestamp: undefined,
      maxRecordBytes: 1_000,
    },
    reader,
    time,
    receive: () => undefined,
  });
}

/** What is ready: `offset key=value`. */
function readAll(input: TaskInput): string[] {
  const event = newEvent(0);
  const found: string[] = [];
  while (input.fill()) {
    const value = input.load(event);
    found.push(`${event.offset} ${String(event.key?.key)}=${String(value)}`);
    input.done();
  }
  return found;
}

describe('records', () => {
  test('come one by one, with offset, key and time', () => {
    const input = inputOf(readerOf([frameOf([1, 2]), frameOf([3])]));
    expect(input.fill()).toBe(true);
    expect([input.ready, input.nextTimestamp, input.position, input.atEnd]).toEqual([
      ...[2, 10, 0, false],
    ]);
    expect(readAll(input)).toEqual(['0 k1=1', '1 k2=2', '2 k3=3']);
    expect([input.position, input.atEnd, input.ready, input.time.now]).toEqual([3, true, 0, 30]);
  });

  test.each([0, 1, 2, 3, 4])('from offset %d, in the middle of a frame or not', (offset) => {
    const all = ['0 k1=1', '1 k2=2', '2 k3=3', '3 k4=4'];
    const input = inputOf(readerOf([frameOf([1, 2, 3]), frameOf([4])], offset));
    expect(readAll(input)).toEqual(all.slice(offset));
    expect(input.position).toBe(4);
  });

  test('what is not done is ready again', () => {
    const input = inputOf(readerOf([frameOf([1, 2])]));
    const event = newEvent(0);
    for (let i = 0; i < 3; i++) {
      expect(input.fill()).toBe(true);
      expect(input.load(event)).toBe(1);
    }
    expect(input.position).toBe(0);
  });

  test('one that is bad is refused each time, and its neighbours are not', () => {
    const input = inputOf(readerOf([frameOf([1, 'bad'])]));
    const event = newEvent(0);
    input.fill();
    expect(input.load(event)).toBe(1);
    input.done();
    for (let i = 0; i < 2; i++) {
      expect(input.fill()).toBe(true);
      expect(() => input.load(event)).toThrow(
        expect.objectContaining({ code: 'MR_DECODE_FAILED' }),
      );
      expect([event.offset, event.key?.key]).toEqual([1, 'kbad']);
    }
    expect(input.position).toBe(1);
  });
});

describe('what frames say of their writers', () => {
  test('is true behind their records', () => {
    const time = repartitionTime('t', 2);
    const input = inputOf(
      readerOf([
        frameOf([1, 2], [0, 50]),
        controlFrame({ upstream: 1, streamTime: 40 }, false),
        controlFrame({ upstream: 1, streamTime: 40 }, true),
      ]),
      time,
    );
    const event = newEvent(0);
    input.fill();
    input.load(event);
    input.done();
    expect(time.now).toBe(-Infinity);
    input.fill();
    input.load(event);
    input.done();
    // The other one has not been heard of.
    expect(time.now).toBe(-Infinity);
    expect(input.fill()).toBe(false);
    expect(time.now).toBe(50);
    expect([input.position, input.atEnd]).toEqual([4, true]);
  });
});

describe('a reader that takes its time', () => {
  test('is asked once at a time', async () => {
    const input = inputOf(readerOf([frameOf([1]), frameOf([2])], 0, true));
    expect(input.fill()).toBe(false);
    const fetching = input.fetching;
    expect(fetching).toBeInstanceOf(Promise);
    expect(input.fill()).toBe(false);
    expect(input.fetching).toBe(fetching);
    await fetching;
    expect(input.fetching).toBeUndefined();
    expect(readAll(input)).toEqual(['0 k1=1']);
    await input.fetching;
    expect(readAll(input)).toEqual(['1 k2=2']);
    await input.fetching;
    expect([input.fill(), input.atEnd]).toEqual([false, true]);
  });

  test('and fails tells at the next look, and leaves no rejection behind', async () => {
    const failure = new MillraceError('MR_IO', 'the line is dead');
    const reader: PartitionReader = {
      offset: 0,
      next: () => Promise.reject(failure),
      seek: () => undefined,
    };
    const input = inputOf(reader);
    expect(input.fill()).toBe(false);
    await input.fetching;
    expect(() => input.fill()).toThrow(failure);
  });
});
