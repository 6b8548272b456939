/**
 * Appending, reading, receipt times, truncation.
 *
 * @module
 */
import assert from 'node:assert/strict';

import { controlFrame, FrameBuilder } from '../../../broker/frame-builder.ts';
import type { FrameView } from '../../../broker/frame-view.ts';
import {
  append,
  decode,
  fails,
  frameOf,
  framesOf,
  readAll,
  textAt,
  topicSpec,
  values,
  START_MS,
  type Cases,
  type LogCases,
} from './bench.ts';

export const logCases: LogCases = {
  'records come back in order, with offsets without gaps': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    const first = await append(broker, 't', 0, 'a', 'b');
    const second = await append(broker, 't', 0, 'c');
    assert.deepEqual([first.baseOffset, second.baseOffset], [0, 2]);
    assert.deepEqual(await broker.bounds('t', 0), { start: 0, end: 3 });
    assert.deepEqual(await readAll(broker, 't', 0), [
      [0, 'a'],
      [1, 'b'],
      [2, 'c'],
    ]);
  },
  'frames of one append go to their partitions, in their order': async ({ broker }) => {
    await broker.createTopic(topicSpec('t', { partitions: 2 }));
    await broker.createTopic(topicSpec('u'));
    await append(broker, 't', 1, 'x');
    const placed = await broker.append([
      { topic: 't', partition: 1, frame: frameOf('a', 'b') },
      { topic: 'u', partition: 0, frame: frameOf('c') },
      { topic: 't', partition: 1, frame: frameOf('d') },
      { topic: 't', partition: 0, frame: frameOf('e') },
    ]);
    assert.deepEqual(
      placed?.map(({ baseOffset }) => baseOffset),
      [1, 0, 3, 0],
    );
    assert.deepEqual(values(await readAll(broker, 't', 1)), ['x', 'a', 'b', 'd']);
    assert.deepEqual(values(await readAll(broker, 't', 0)), ['e']);
    assert.deepEqual(values(await readAll(broker, 'u', 0)), ['c']);
  },
  'appends under way at once keep the order of their calls': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    const texts = Array.from({ length: 50 }, (_, i) => `v${i}`);
    const placed = await Promise.all(texts.map((text) => append(broker, 't', 0, text)));
    assert.deepEqual(
      placed.map(({ baseOffset }) => baseOffset),
      texts.map((_, i) => i),
    );
    assert.deepEqual(values(await readAll(broker, 't', 0)), texts);
  },
  'a bad append leaves no trace': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    const good = { topic: 't', partition: 0, frame: frameOf('a') };
    const other = { ...good, frame: frameOf('b') };
    await fails(broker.append([good, { ...other, topic: 'no' }]), 'MR_UNKNOWN_TOPIC');
    await fails(broker.append([good, { ...other, partition: 1 }]), 'MR_ARGUMENT_INVALID');
    await fails(broker.append([good, good]), 'MR_ARGUMENT_INVALID');
    const broken = { bytes: Buffer.alloc(100), count: 1 };
    await fails(broker.append([good, { ...good, frame: broken }]), 'MR_ARGUMENT_INVALID');
    const miscounted = { bytes: frameOf('b').bytes, count: 2 };
    await fails(broker.append([good, { ...good, frame: miscounted }]), 'MR_ARGUMENT_INVALID');
    assert.deepEqual(await broker.bounds('t', 0), { start: 0, end: 0 });
    assert.deepEqual(await broker.append([]), []);
    assert.equal((await broker.append([good]))?.[0]?.baseOffset, 0);
    assert.deepEqual(await readAll(broker, 't', 0), [[0, 'a']]);
  },
  'a reader starts and seeks in the middle of a frame': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    await append(broker, 't', 0, 'a', 'b', 'c');
    await append(broker, 't', 0, 'd', 'e');
    const reader = broker.reader('t', 0, 1);
    assert.equal(reader.offset, 1);
    assert.equal((await reader.next())?.baseOffset, 0);
    assert.equal(reader.offset, 3);
    assert.equal((await reader.next())?.baseOffset, 3);
    assert.equal(reader.offset, 5);
    assert.equal(await reader.next(), undefined);
    for (const [offset, base] of [
      [4, 3],
      [2, 0],
      [0, 0],
      [3, 3],
    ] as const) {
      reader.seek(offset);
      assert.equal(reader.offset, offset);
      assert.equal((await reader.next())?.baseOffset, base);
    }
    assert.throws(() => reader.seek(-1), { code: 'MR_ARGUMENT_INVALID' });
  },
  'a reader at the end goes on when there is more': async ({ broker, reopen }) => {
    await broker.createTopic(topicSpec('t'));
    const other = await reopen();
    const reader = broker.reader('t', 0, 0);
    assert.equal(await reader.next(), undefined);
    for (let i = 0; i < 5; i++) {
      await append(i % 2 === 0 ? broker : other, 't', 0, `v${i}`);
      const view = await reader.next();
      assert.equal(view?.baseOffset, i);
      assert.equal(await reader.next(), undefined);
      assert.equal(reader.offset, i + 1);
    }
  },
  'a reader beyond the end waits for its offset': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    await append(broker, 't', 0, 'a');
    const reader = broker.reader('t', 0, 4);
    assert.equal(await reader.next(), undefined);
    await append(broker, 't', 0, 'b', 'c');
    assert.equal(await reader.next(), undefined);
    await append(broker, 't', 0, 'd', 'e', 'f');
    assert.equal((await reader.next())?.baseOffset, 3);
    assert.equal(reader.offset, 6);
  },
  'two readers do not disturb each other': async ({ broker }) => {
    await broker.createTopic(topicSpec('t', { partitions: 2 }));
    await append(broker, 't', 0, 'a');
    await append(broker, 't', 0, 'b');
    await append(broker, 't', 1, 'c');
    const one = broker.reader('t', 0, 0);
    const two = broker.reader('t', 0, 0);
    const three = broker.reader('t', 1, 0);
    const first = await one.next();
    assert.equal((await one.next())?.baseOffset, 1);
    assert.equal((await two.next())?.baseOffset, 0);
    assert.equal((await three.next())?.end, 1);
    assert.equal((await two.next())?.baseOffset, 1);
    assert.equal(textAt(first as FrameView, 0), 'a', 'a view outlives the next read');
  },
  'keys, headers, timestamps and missing values are kept': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    for (const text of [true, false]) {
      const builder = new FrameBuilder({ text, maxRecordBytes: 1 << 20 });
      builder.add(5, Buffer.from('k'), Buffer.from('"v"'), { a: 'ü', b: Uint8Array.of(0, 255) });
      builder.add(-7, null, null);
      builder.add(8_640_000_000_000_000, Buffer.alloc(0), Buffer.from('0'), {});
      await broker.append([{ topic: 't', partition: 0, frame: builder.build() }]);
    }
    for (const from of [0, 3]) {
      const view = (await broker.reader('t', 0, from).next()) as FrameView;
      assert.equal(view.text, from === 0);
      assert.deepEqual(
        [0, 1, 2].map((i) => view.timestamp(i)),
        [5, -7, 8_640_000_000_000_000],
      );
      assert.deepEqual(
        [0, 1, 2].map((i) => decode(view.key(i))),
        ['k', null, ''],
      );
      assert.deepEqual(
        [0, 1, 2].map((i) => decode(view.value(i))),
        ['"v"', null, '0'],
      );
      assert.deepEqual(Object.keys(view.headers(0) ?? {}), ['a', 'b']);
      const headers = view.headers(0) as Record<string, Uint8Array>;
      assert.equal(decode(headers['a'] ?? null), 'ü');
      assert.deepEqual([...(headers['b'] ?? [])], [0, 255]);
      assert.equal(view.headers(1), null);
    }
  },
  'control frames take one offset and keep what they say': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    await append(broker, 't', 0, 'a');
    const frame = controlFrame({ upstream: 3, streamTime: 99 }, true);
    await broker.append([{ topic: 't', partition: 0, frame }]);
    const after = await append(broker, 't', 0, 'b');
    assert.equal(after.baseOffset, 2);
    const reader = broker.reader('t', 0, 1);
    const view = (await reader.next()) as FrameView;
    assert.deepEqual(
      [view.control, view.idle, view.count, view.upstream, view.streamTime, view.baseOffset],
      [true, true, 1, 3, 99, 1],
    );
    assert.equal(textAt((await reader.next()) as FrameView, 0), 'b');
  },
  'frames of several MiB': async ({ broker }) => {
    await broker.createTopic(topicSpec('t', { partitions: 2 }));
    const builder = new FrameBuilder({ text: false, maxRecordBytes: 16 << 20 });
    const big = Buffer.alloc(5 << 20, 'x');
    for (let partition = 0; partition < 2; partition++) {
      builder.add(1, null, big);
      await broker.append([{ topic: 't', partition, frame: builder.build() }]);
      await append(broker, 't', partition, 'after');
    }
    const reader = broker.reader('t', 1, 0);
    assert.ok(big.equals(((await reader.next()) as FrameView).value(0) as Uint8Array));
    assert.equal(textAt((await reader.next()) as FrameView, 0), 'after');
  },
  'truncation deletes whole frames and lost offsets are an error': async ({ broker }) => {
    await broker.createTopic(topicSpec('t', { partitions: 2 }));
    for (const texts of [['a', 'b'], ['c'], ['d', 'e', 'f']])
      await append(broker, 't', 0, ...texts);
    await append(broker, 't', 1, 'other');
    const early = broker.reader('t', 0, 0);
    const late = broker.reader('t', 0, 3);
    assert.equal(await broker.truncate('t', 0, 0), 0);
    assert.equal(await broker.truncate('t', 0, 1), 0);
    assert.equal(await broker.truncate('t', 0, 2), 2);
    assert.equal(await broker.truncate('t', 0, 5), 3);
    assert.equal(await broker.truncate('t', 0, 1), 3, 'the start never goes back');
    assert.deepEqual(await broker.bounds('t', 0), { start: 3, end: 6 });
    const error = await fails(async () => await early.next(), 'MR_OFFSET_LOST');
    const { topic, partition, offset, start, lost } = error['details'] as Record<string, unknown>;
    assert.deepEqual([topic, partition, offset, start, lost], ['t', 0, 0, 3, 3]);
    assert.equal(early.offset, 0, 'it stays where it is until it is told');
    early.seek(3);
    assert.equal((await early.next())?.end, 6);
    assert.equal((await late.next())?.end, 6);
    assert.equal(await broker.truncate('t', 0, Number.MAX_SAFE_INTEGER), 6);
    assert.deepEqual(await broker.bounds('t', 0), { start: 6, end: 6 });
    assert.equal(await broker.reader('t', 0, 6).next(), undefined);
    assert.equal(
      (await append(broker, 't', 0, 'g')).baseOffset,
      6,
      'offsets are never given twice',
    );
    assert.deepEqual(values(await readAll(broker, 't', 1)), ['other']);
    for (const before of [-1, 0.5, Number.NaN])
      await fails(broker.truncate('t', 0, before), 'MR_ARGUMENT_INVALID');
  },
  'truncation of many and of large frames ends': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    await broker.append(framesOf(2500, 'small'));
    await broker.append(framesOf(7, 'x'.repeat(1 << 20)));
    await broker.append(framesOf(3, 'kept'));
    assert.equal(await broker.truncate('t', 0, 2507), 2507);
    assert.deepEqual(values(await readAll(broker, 't', 0, 2507)), ['kept', 'kept', 'kept']);
  },
};

/** Of brokers that live by our clock. */
export const receiptCases: Cases = {
  'receipt times never go backwards': async ({ broker, clock }) => {
    await broker.createTopic(topicSpec('t', { partitions: 2 }));
    assert.equal((await append(broker, 't', 0, 'a')).receivedAt, START_MS);
    clock.jump(5000);
    assert.equal((await append(broker, 't', 0, 'b')).receivedAt, START_MS + 5000);
    clock.jump(-50_000);
    assert.equal((await append(broker, 't', 0, 'c')).receivedAt, START_MS + 5000);
    assert.equal((await append(broker, 't', 1, 'd')).receivedAt, START_MS - 45_000);
    clock.jump(50_001);
    assert.equal((await append(broker, 't', 0, 'e')).receivedAt, START_MS + 5001);
    const reader = broker.reader('t', 0, 0);
    const times: number[] = [];
    for (let view = await reader.next(); view !== undefined; view = await reader.next())
      times.push(view.receivedAt);
    assert.deepEqual(times, [START_MS, START_MS + 5000, START_MS + 5000, START_MS + 5001]);
  },
};
