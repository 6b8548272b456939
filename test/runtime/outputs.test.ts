/** What a task sends: where it goes, how much is held back, what repartition topics are told of its time. */
import { describe, expect, test } from 'vitest';

import type { Outgoing } from '../../src/broker/broker.ts';
import { FrameView } from '../../src/broker/frame-view.ts';
import { json } from '../../src/codec/json.ts';
import { keyRef } from '../../src/codec/key.ts';
import { Effects } from '../../src/core/effects.ts';
import type { EventCell } from '../../src/core/event.ts';
import type { TopicFormat } from '../../src/runtime/format.ts';
import { TaskOutputs } from '../../src/runtime/outputs.ts';
import { headerTexts } from '../faults/header-texts.ts';

function formatOf(topic: string, partitions: number): TopicFormat {
  return {
    topic,
    partitions,
    codec: json,
    keyCodec: undefined,
    checkIn: undefined,
    checkOut: undefined,
    checkKey: undefined,
    timestamp: undefined,
    maxRecordBytes: 1 << 20,
  };
}

const anywhere = { explicitTime: false, partition: undefined, effects: null };

function eventAt(timestamp: number, raw: Uint8Array | null = null): EventCell {
  return {
    topic: 't',
    partition: 0,
    offset: 0,
    timestamp,
    key: null,
    headers: null,
    raw: raw === null ? null : { valueAt: () => raw },
    effects: null,
    flight: null,
  };
}

/** What was sent as `partition: values`, and `partition time idle` for control frames. */
function shown(outgoing: readonly Outgoing[]): string[] {
  return outgoing.map(({ partition, frame }) => {
    const view = FrameView.open(frame.bytes, 't', partition, 0);
    if (view.control) return `${partition} ${view.streamTime}${view.idle ? ' idle' : ''}`;
    const values = Array.from({ length: view.count }, (_, i) =>
      Buffer.from(view.value(i) as Uint8Array).toString(),
    );
    return `${partition}: ${values.join(' ')}${view.upstream < 0 ? '' : ` by ${view.upstream} at ${view.streamTime}`}`;
  });
}

describe('topics', () => {
  test('records of a key meet, those without a key go to the number of the task', () => {
    const outputs = new TaskOutputs(5);
    const format = formatOf('t', 4);
    for (let n = 0; n < 4; n++) outputs.send(format, n, null, 0, null, anywhere);
    outputs.send(format, 9, null, 0, null, { ...anywhere, partition: 3 });
    expect(shown(outputs.take(0, false))).toEqual(['1: 0 1 2 3', '3: 9']);
    for (let n = 0; n < 4; n++) outputs.send(format, n, keyRef('k'), 0, null, anywhere);
    const [only, ...rest] = outputs.take(0, false);
    expect(rest).toEqual([]);
    expect(only?.frame.count).toBe(4);
    expect(outputs.take(0, false)).toEqual([]);
  });

  test('bytes are counted until they are taken, also those of frames that are closed', () => {
    const outputs = new TaskOutputs(0);
    const format = formatOf('t', 1);
    const text = 'x'.repeat(20_000);
    expect(outputs.bytes).toBe(0);
    for (let n = 1; n <= 5; n++) {
      outputs.send(format, text, keyRef('k'), 0, null, anywhere);
      expect(outputs.bytes).toBeGreaterThan(n * 20_000);
      expect(outputs.bytes).toBeLessThan(n * 20_000 + 100);
    }
    const frames = outputs.take(0, false);
    expect(frames.map(({ frame }) => frame.count)).toEqual([2, 2, 1]);
    expect(outputs.bytes).toBe(0);
  });

  test('what is refused is not counted', () => {
    const outputs = new TaskOutputs(0);
    const format = formatOf('t', 1);
    expect(() => outputs.send(format, undefined, null, 0, null, anywhere)).toThrow(
      expect.objectContaining({ code: 'MR_ENCODE_FAILED' }),
    );
    expect(() => outputs.send(format, 1, null, 0, null, { ...anywhere, partition: 1 })).toThrow(
      expect.objectContaining({ code: 'MR_ARGUMENT_INVALID' }),
    );
    expect(outputs.bytes).toBe(0);
    expect(outputs.take(0, false)).toEqual([]);
  });
});

test('what waits for the success of its event is what it was when it was sent', () => {
  const outputs = new TaskOutputs(0);
  const format = formatOf('t', 1);
  const effects = new Effects();
  const value = { n: 1 };
  const headers = { a: 'b' };
  outputs.send(format, value, null, 0, headers, { ...anywhere, effects });
  value.n = 2;
  headers.a = 'x'.repeat(2 ** 21);
  expect(outputs.bytes).toBe(0);
  effects.settle();
  const [sent, ...more] = outputs.take(0, false);
  expect(more).toEqual([]);
  const view = FrameView.open((sent as Outgoing).frame.bytes, 't', 0, 0);
  expect([view.json(), headerTexts(view.headers(0) ?? {})]).toEqual([[{ n: 1 }], { a: 'b' }]);
});

describe('repartition topics', () => {
  test('every partition learns the time of the task, with its records or without', () => {
    const outputs = new TaskOutputs(2);
    const write = outputs.feed(formatOf('t', 3), 0, false);
    write('a', keyRef('k'), eventAt(5));
    const first = shown(outputs.take(7, false));
    expect(first).toHaveLength(3);
    expect(first.filter((line) => line.endsWith('"a" by 2 at 7'))).toHaveLength(1);
    expect(first.filter((line) => /^\d 7$/u.test(line))).toHaveLength(2);
    // No news, nothing said.
    expect(outputs.take(7, false)).toEqual([]);
    expect(shown(outputs.take(8, false))).toEqual(['0 8', '1 8', '2 8']);
    // Nothing is known yet: nothing to say.
    expect(new TaskOutputs(0).take(-Infinity, false)).toEqual([]);
  });

  test('idleness is told once, and taken back by the next news', () => {
    const outputs = new TaskOutputs(0);
    const write = outputs.feed(formatOf('t', 2), 0, false);
    expect(outputs.needsIdleMark()).toBe(true);
    expect(shown(outputs.take(-Infinity, true))).toEqual(['0 -Infinity idle', '1 -Infinity idle']);
    expect(outputs.needsIdleMark()).toBe(false);
    expect(outputs.take(-Infinity, true)).toEqual([]);
    write('a', keyRef('k'), eventAt(5));
    const told = shown(outputs.take(5, false));
    expect(told).toHaveLength(2);
    expect(told.join()).not.toMatch(/idle/u);
    expect(outputs.needsIdleMark()).toBe(true);
  });

  test('what closed windows may still send holds the time back', () => {
    const outputs = new TaskOutputs(0);
    outputs.feed(formatOf('t', 1), 25, false);
    expect(shown(outputs.take(100, false))).toEqual(['0 75']);
  });

  test('stored bytes are passed on as they are', () => {
    const outputs = new TaskOutputs(0);
    const write = outputs.feed(formatOf('t', 1), 0, true);
    write({ any: 'thing' }, keyRef('k'), eventAt(0, Buffer.from('"stored"')));
    write({ any: 'thing' }, keyRef('k'), eventAt(0));
    expect(shown(outputs.take(1, false))).toEqual(['0: "stored" {"any":"thing"} by 0 at 1']);
    expect(outputs.feeds).toBe(true);
  });

  test('a task without them is never idle', () => {
    expect(new TaskOutputs(0).needsIdleMark()).toBe(false);
    expect(new TaskOutputs(0).feeds).toBe(false);
  });
});
