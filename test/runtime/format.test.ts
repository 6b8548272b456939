/** Records of a topic: written one by one, read frame by frame. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import { FrameView } from '../../src/broker/frame-view.ts';
import type { Codec } from '../../src/codec/codec.ts';
import { json } from '../../src/codec/json.ts';
import { keyRef } from '../../src/codec/key.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { addRecord, decodeFrame, isText } from '../../src/runtime/format.ts';
import type { TopicFormat } from '../../src/runtime/format.ts';

function formatOf(options: Partial<TopicFormat> = {}): TopicFormat {
  return {
    topic: 'topic',
    partitions: 1,
    codec: json,
    keyCodec: undefined,
    checkIn: undefined,
    checkOut: undefined,
    checkKey: undefined,
    timestamp: undefined,
    maxRecordBytes: 1_000,
    ...options,
  };
}

function builderOf(format: TopicFormat): FrameBuilder {
  return new FrameBuilder({ text: isText(format), maxRecordBytes: format.maxRecordBytes });
}

function viewOf(builder: FrameBuilder): FrameView {
  return FrameView.open(builder.build().bytes, 'topic', 0, 0);
}

describe.each<[string, Codec<unknown>]>([
  ['json', json],
  ['msgpack', msgpack],
])('%s', (_, codec) => {
  test('what was added is read', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { minLength: 1, maxLength: 20 }), (values) => {
        const format = formatOf({ codec, maxRecordBytes: 1 << 20 });
        const builder = builderOf(format);
        for (const value of values) addRecord(builder, format, value, null, 5, false, null);
        const decoded = decodeFrame(format, viewOf(builder));
        expect(decoded.errors).toBeUndefined();
        // Both codecs keep everything that JSON does, which is all but -0.
        expect(decoded.values).toEqual(JSON.parse(JSON.stringify(values)) as unknown);
      }),
    );
  });
});

describe('a frame with a bad record', () => {
  const frameOf = (...texts: string[]): FrameView => {
    const builder = new FrameBuilder({ text: false, maxRecordBytes: 1_000 });
    for (const text of texts) builder.add(0, null, Buffer.from(text));
    return viewOf(builder);
  };
  const double = formatOf({
    checkOut: (value) => {
      if (typeof value !== 'number') throw new MillraceError('MR_SCHEMA_VIOLATION', 'no number');
      return value * 2;
    },
  });

  test.each<[string[], (number | string)[]]>([
    [
      ['1', '2', 'bad', '4'],
      [2, 4, 'MR_DECODE_FAILED', 8],
    ],
    [['bad'], ['MR_DECODE_FAILED']],
    [
      ['1', '"two"', '3'],
      [2, 'MR_SCHEMA_VIOLATION', 6],
    ],
    [
      ['1', '"two"', 'bad'],
      [2, 'MR_SCHEMA_VIOLATION', 'MR_DECODE_FAILED'],
    ],
    [
      ['1', 'bad', '"two"'],
      [2, 'MR_DECODE_FAILED', 'MR_SCHEMA_VIOLATION'],
    ],
  ])('%j: the others are good', (texts, expected) => {
    const { values, errors } = decodeFrame(double, frameOf(...texts));
    expect(texts.map((_, i) => errors?.get(i)?.code ?? values[i])).toEqual(expected);
  });

  test('what another codec throws is wrapped', () => {
    const broken: Codec<unknown> = {
      name: 'broken',
      encode: () => new Uint8Array(),
      decode: () => {
        throw new RangeError('no idea');
      },
    };
    const decoded = decodeFrame(formatOf({ codec: broken }), frameOf('1'));
    expect(decoded.errors?.get(0)).toMatchObject({
      code: 'MR_DECODE_FAILED',
      message: 'a record of topic topic is not valid broken: no idea',
      cause: { message: 'no idea' },
    });
  });
});

describe('a record that is refused adds nothing', () => {
  test.each<[string, Partial<TopicFormat>, unknown, number, string]>([
    ['no JSON', {}, undefined, 0, 'MR_ENCODE_FAILED'],
    ['no time', {}, 1, 0.5, 'MR_TIMESTAMP_INVALID'],
    ['a time too far away', {}, 1, 2 ** 51 + 2, 'MR_TIMESTAMP_INVALID'],
    ['no time from the value', { timestamp: () => Number.NaN }, 1, 0, 'MR_TIMESTAMP_INVALID'],
    ['too large', {}, 'x'.repeat(1_000), 0, 'MR_RECORD_TOO_LARGE'],
    ['no msgpack', { codec: msgpack }, [1, Symbol('s')], 0, 'MR_ENCODE_FAILED'],
    ['too large for msgpack', { codec: msgpack }, 'x'.repeat(1_000), 0, 'MR_RECORD_TOO_LARGE'],
    [
      'a violation',
      {
        checkIn: () => {
          throw new MillraceError('MR_SCHEMA_VIOLATION', 'never');
        },
      },
      1,
      0,
      'MR_SCHEMA_VIOLATION',
    ],
  ])('%s', (_, options, value, time, code) => {
    const format = formatOf(options);
    const builder = builderOf(format);
    expect(() => addRecord(builder, format, value, keyRef('k'), time, false, null)).toThrow(
      expect.objectContaining({ code }),
    );
    expect([builder.count, builder.bytes]).toEqual([0, 0]);
    const good = formatOf({ codec: format.codec });
    addRecord(builder, good, 'good', keyRef('k'), 0, true, null);
    expect(decodeFrame(good, viewOf(builder)).values).toEqual(['good']);
  });
});

test('a bad record among those that are decoded in place', () => {
  const format = formatOf({ codec: msgpack });
  const builder = builderOf(format);
  addRecord(builder, format, { n: 1 }, null, 0, false, null);
  builder.add(0, null, Buffer.from([0xcb, 1, 2]));
  builder.add(0, null, null);
  addRecord(builder, format, { n: 2 }, null, 0, false, null);
  const { values, errors } = decodeFrame(format, viewOf(builder));
  expect(values).toEqual([{ n: 1 }, undefined, null, { n: 2 }]);
  expect([...(errors ?? [])].map(([i, { code }]) => [i, code])).toEqual([[1, 'MR_DECODE_FAILED']]);
});

test('the timestamp is that of the checked value, unless it is given', () => {
  const format = formatOf({
    checkIn: (value) => Number(value),
    timestamp: (value) => (value as number) * 10,
  });
  const builder = builderOf(format);
  addRecord(builder, format, '5', null, 7, false, null);
  addRecord(builder, format, '5', null, 7, true, null);
  const view = viewOf(builder);
  expect([view.timestamp(0), view.timestamp(1)]).toEqual([50, 7]);
  // Stored is what was given, not what the check made of it.
  expect(decodeFrame(formatOf(), view).values).toEqual(['5', '5']);
});
