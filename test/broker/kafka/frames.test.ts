import { expect, test } from 'vitest';

import { controlFrame, FrameBuilder } from '../../../src/broker/frame-builder.ts';
import type { FrameView } from '../../../src/broker/frame-view.ts';
import type { Frame } from '../../../src/broker/frame.ts';
import { committedBatches } from '../../../src/broker/kafka/committed.ts';
import { addFrame, framesOf } from '../../../src/broker/kafka/frames.ts';
import { loadKafka } from '../../../src/broker/kafka/library.ts';
import { BatchWriter, readBatches, readRecords } from '../../../src/broker/kafka/record-batch.ts';
import type { BatchHeader, BatchRecord } from '../../../src/broker/kafka/record-batch.ts';

const { crc32c } = await loadKafka();
const PLAIN = { producerId: -1n, producerEpoch: -1, baseSequence: -1, transactional: false };
const PLACE = { topic: 't', partition: 0, receivedAt: 42 };

function recordsOf(...frames: readonly Frame[]): BatchRecord[] {
  const writer = new BatchWriter();
  for (const frame of frames) addFrame(writer, frame, frames.length > 1);
  const [batch] = readBatches(writer.finish(PLAIN, crc32c), 't[0]') as [BatchHeader];
  return readRecords(batch, batch.records, 't[0]');
}

function frameWith(text: boolean, upstream: number | null, ...values: (string | null)[]): Frame {
  const builder = new FrameBuilder({ text, maxRecordBytes: 1000 });
  for (const [i, value] of values.entries())
    builder.add(i, Buffer.from(`k${i}`), value === null ? null : Buffer.from(value), {
      n: `${i}`,
    });
  return builder.build(upstream === null ? null : { upstream, streamTime: 7.5 });
}

const facts = (view: FrameView): unknown[] => [
  view.baseOffset,
  view.count,
  view.text,
  view.control,
  view.idle,
  view.upstream,
  view.streamTime,
  view.receivedAt,
];

test('frames of one batch come back as they were', () => {
  const records = recordsOf(
    frameWith(false, null, 'a', 'b'),
    frameWith(true, null, '1', null, '{"x":2}'),
    frameWith(true, 3, '5'),
    controlFrame({ upstream: 4, streamTime: 99 }, true),
    frameWith(false, 0, 'c'),
  );
  const views = framesOf(records, PLACE);
  expect(views.map(facts)).toEqual([
    [0, 2, false, false, false, -1, -Infinity, 42],
    [2, 3, true, false, false, -1, -Infinity, 42],
    [5, 1, true, false, false, 3, 7.5, 42],
    [6, 1, false, true, true, 4, 99, 42],
    [7, 1, false, false, false, 0, 7.5, 42],
  ]);
  expect(views[1]?.json()).toEqual([1, null, { x: 2 }]);
  expect(views[1]?.value(1)).toBe(null);
  // The mark is not the user's.
  expect(Object.keys(views[1]?.headers(2) ?? {})).toEqual(['n']);
});

test('a frame that says nothing beside its records has no mark', () => {
  const [first, last] = recordsOf(frameWith(false, null, 'a', 'b'));
  expect([first?.headers, last?.headers]).toEqual([
    [['n', Buffer.from('0')]],
    [['n', Buffer.from('1')]],
  ]);
});

test('frames are cut where compaction has left gaps', () => {
  const records = recordsOf(frameWith(true, 3, '0', '1', '2', '3', '4'));
  const left = records.filter(({ offset }) => offset !== 1 && offset !== 2);
  expect(framesOf(left, PLACE).map((view) => [view.baseOffset, view.count, view.text])).toEqual([
    [0, 1, false],
    [3, 2, true],
  ]);
  const noMark = records.slice(0, 4);
  expect(framesOf(noMark, PLACE).map(facts)).toEqual([
    [0, 4, false, false, false, -1, -Infinity, 42],
  ]);
  expect(framesOf([], PLACE)).toEqual([]);
});

test('records of others are read as they are', () => {
  const other = (headers: BatchRecord['headers']): BatchRecord => ({
    offset: 9,
    timestamp: 5,
    key: null,
    value: Buffer.from('not [json'),
    headers,
  });
  const [view] = framesOf(
    [
      other([
        ['twice', Buffer.from('1')],
        ['twice', Buffer.from('2')],
        ['empty', null],
        ['millrace', Buffer.from('their own')],
        ['millrace', null],
        ['millrace', Buffer.alloc(0)],
      ]),
    ],
    PLACE,
  ) as [FrameView];
  expect(view.headers(0)).toEqual({
    twice: Buffer.from('2'),
    empty: Buffer.alloc(0),
    millrace: Buffer.alloc(0),
  });
  expect([view.text, view.upstream, view.baseOffset]).toEqual([false, -1, 9]);
});

test('what was aborted is left out, however its transactions lie', () => {
  const batch = (
    baseOffset: number,
    producerId: bigint,
    kind: 'plain' | 'data' | 'commit' | 'abort',
  ): BatchHeader => {
    const marker = Buffer.from([0, 0, 0, kind === 'commit' ? 1 : 0]);
    const writer = new BatchWriter();
    writer.add(0, marker, null, []);
    const [header] = readBatches(writer.finish(PLAIN, crc32c), 't[0]') as [BatchHeader];
    const attributes = { plain: 0, data: 0x10, commit: 0x30, abort: 0x30 }[kind];
    return { ...header, baseOffset, lastOffset: baseOffset, producerId, attributes };
  };
  const batches = [
    batch(10, 1n, 'data'),
    batch(11, 2n, 'data'),
    batch(12, 1n, 'abort'),
    batch(13, 1n, 'data'),
    batch(14, 3n, 'plain'),
    batch(15, 1n, 'commit'),
    batch(16, 1n, 'data'),
    batch(17, 2n, 'commit'),
    batch(18, 1n, 'abort'),
    batch(19, 4n, 'data'),
  ];
  const aborted = [
    { producerId: 1n, firstOffset: 16 },
    { producerId: 1n, firstOffset: 3 },
    { producerId: 4n, firstOffset: 19 },
  ];
  expect(committedBatches(batches, aborted, 't[0]').map(({ baseOffset }) => baseOffset)).toEqual([
    11, 13, 14,
  ]);
  expect(committedBatches(batches.slice(0, 2), [], 't[0]')).toHaveLength(2);
});
