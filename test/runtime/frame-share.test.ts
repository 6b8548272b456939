/** Frames that several tasks read: who decodes them, and for how long they are kept. */
import { expect, test } from 'vitest';

import { FrameShare } from '../../src/runtime/frame-share.ts';

/** A share of one topic, and what was decoded, by partition and base offset. */
function made() {
  const share = new FrameShare(new Set(['shared']));
  const decoded: string[] = [];
  const read = (baseOffset: number, count = 1, partition = 0, topic = 'shared'): unknown =>
    share.decoded(topic, partition, { baseOffset, count }, () => {
      decoded.push(`${topic}[${partition}] ${baseOffset}`);
      return { values: [`value ${baseOffset}`], errors: undefined };
    }).values;
  return { share, read, decoded };
}

test('the first one decodes, the others take it over', () => {
  const { read, decoded } = made();
  const first = read(0);
  expect(first).toEqual(['value 0']);
  expect(read(0)).toBe(first);
  expect(read(0)).toBe(first);
  expect(decoded).toEqual(['shared[0] 0']);
});

test('partitions have frames of their own', () => {
  const { read, decoded } = made();
  read(0, 1, 0);
  read(0, 1, 1);
  read(0, 1, 0);
  expect(decoded).toEqual(['shared[0] 0', 'shared[1] 0']);
});

test('a topic that one task reads is not kept', () => {
  const { read, decoded } = made();
  read(0, 1, 0, 'own');
  read(0, 1, 0, 'own');
  expect(decoded).toEqual(['own[0] 0', 'own[0] 0']);
});

test('tasks that take turns find all of many small frames', () => {
  const { read, decoded } = made();
  for (let round = 0; round < 3; round++) for (let at = 0; at < 4_096; at++) read(at);
  expect(decoded).toHaveLength(4_096);
});

test('of larger ones the last are kept: at least four, however large', () => {
  const { read, decoded } = made();
  const offsets = [0, 1, 2, 3, 4, 5].map((i) => i * 4_000);
  for (const at of offsets) read(at, 4_000);
  decoded.length = 0;
  for (const at of offsets.slice(2)) read(at, 4_000);
  expect(decoded).toEqual([]);
  read(0, 4_000);
  // It has taken the place of the one that was decoded longest ago.
  for (const at of offsets.slice(3)) read(at, 4_000);
  expect(decoded).toEqual(['shared[0] 0']);
  read(8_000, 4_000);
  expect(decoded).toEqual(['shared[0] 0', 'shared[0] 8000']);
});

test('a frame that compaction has made smaller is another one', () => {
  const { read, decoded } = made();
  read(0, 10);
  expect(read(0, 7)).toEqual(['value 0']);
  read(0, 7);
  expect(decoded).toEqual(['shared[0] 0', 'shared[0] 0']);
  // The old one does not count any more: there is room for all but one of these.
  for (let at = 1; at <= 4_090; at++) read(at * 10);
  decoded.length = 0;
  read(20);
  expect(decoded).toEqual([]);
  read(0, 7);
  expect(decoded).toEqual(['shared[0] 0']);
});

test('what could not be decoded is tried again', () => {
  const { share, read, decoded } = made();
  const broken = (): never => {
    throw new Error('broken');
  };
  expect(() => share.decoded('shared', 0, { baseOffset: 0, count: 1 }, broken)).toThrow('broken');
  expect(read(0)).toEqual(['value 0']);
  expect(decoded).toEqual(['shared[0] 0']);
});
