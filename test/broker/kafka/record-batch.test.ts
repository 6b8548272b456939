import fc from 'fast-check';
import { expect, test } from 'vitest';

import { loadKafka } from '../../../src/broker/kafka/library.ts';
import {
  BatchWriter,
  readBatches,
  readRecords,
  wholeBatch,
} from '../../../src/broker/kafka/record-batch.ts';
import type { BatchHeader, BatchOrigin } from '../../../src/broker/kafka/record-batch.ts';

const library = await loadKafka();
const { crc32c } = library;

const PLAIN: BatchOrigin = {
  producerId: -1n,
  producerEpoch: -1,
  baseSequence: -1,
  transactional: false,
};

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const records = fc.array(
  fc.record({
    timestamp: fc.oneof(
      fc.integer(),
      fc.maxSafeInteger(),
      fc.constantFrom(0, -1, 2 ** 31, 2 ** 52, -(2 ** 52), Number.MAX_SAFE_INTEGER),
    ),
    key: fc.option(bytes),
    value: fc.option(bytes),
    headers: fc.array(fc.tuple(fc.string({ maxLength: 20 }), bytes), { maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 50 },
);

function write(
  batch: typeof records extends fc.Arbitrary<infer T> ? T : never,
  origin = PLAIN,
): Buffer {
  const writer = new BatchWriter();
  for (const { timestamp, key, value, headers } of batch)
    writer.add(
      timestamp,
      key,
      value,
      headers.map(([name, content]) => [Buffer.from(name), content]),
    );
  return writer.finish(origin, crc32c);
}

function readOne(batch: Buffer): BatchHeader {
  const [header] = readBatches(batch, 't[0]', crc32c);
  return header as BatchHeader;
}

test('what is written is read', () => {
  fc.assert(
    fc.property(records, (batch) => {
      // The distance of two times must be exact.
      const first = batch[0]?.timestamp ?? 0;
      fc.pre(batch.every(({ timestamp }) => Number.isSafeInteger(timestamp - first)));
      const written = write(batch);
      expect(wholeBatch(written)).toBe(true);
      const header = readOne(written);
      expect(header.count).toBe(batch.length);
      expect(header.maxTimestamp).toBe(Math.max(...batch.map(({ timestamp }) => timestamp)));
      const read = readRecords(header, header.records, 't[0]');
      expect(read).toEqual(
        batch.map(({ timestamp, key, value, headers }, offset) => ({
          offset,
          timestamp,
          key,
          value,
          headers: headers.length === 0 ? null : headers,
        })),
      );
    }),
  );
});

test('the library reads what is written, and its batches are read', () => {
  const written = write(
    [
      {
        timestamp: 1_700_000_000_000,
        key: Buffer.from('k'),
        value: Buffer.from('v'),
        headers: [['h', Buffer.from('x')]],
      },
      { timestamp: 1_700_000_000_005, key: null, value: null, headers: [] },
    ],
    { producerId: 77n, producerEpoch: 3, baseSequence: 12, transactional: true },
  );
  const theirs = library.readRecordsBatch(library.Reader.from(written));
  expect([theirs.producerId, theirs.producerEpoch, theirs.firstSequence]).toEqual([77n, 3, 12]);
  expect([theirs.attributes, theirs.lastOffsetDelta, theirs.maxTimestamp]).toEqual([
    0x10,
    1,
    1_700_000_000_005n,
  ]);
  expect(
    theirs.records.map(({ key, value, timestampDelta }) => [key, value, timestampDelta]),
  ).toEqual([
    [Buffer.from('k'), Buffer.from('v'), 0n],
    [null, null, 5n],
  ]);

  const { buffer } = library.createRecordsBatch(
    [{ topic: 't', key: Buffer.from('k'), value: Buffer.from('v'), timestamp: 5n }],
    { producerId: -1n, producerEpoch: -1 },
  );
  const header = readOne(buffer);
  expect(readRecords(header, header.records, 't[0]')).toEqual([
    { offset: 0, timestamp: 5, key: Buffer.from('k'), value: Buffer.from('v'), headers: null },
  ]);
});

test('batches that are compressed are read by their bits, and what does not get smaller is not compressed', () => {
  for (const name of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const { bitmask, compressSync, decompressSync } = library.compressionsAlgorithms[name];
    const writer = new BatchWriter();
    const compressor = { bits: bitmask, compress: compressSync };
    for (let i = 0; i < 100; i++) writer.add(i, null, Buffer.from('the same again and again'), []);
    const header = readOne(writer.finish(PLAIN, crc32c, compressor));
    expect(header.attributes & 7).toBe(bitmask);
    expect(readRecords(header, decompressSync(header.records), 't[0]').at(-1)?.timestamp).toBe(99);
    writer.add(1, null, Buffer.from('x'), []);
    expect(readOne(writer.finish(PLAIN, crc32c, compressor)).attributes).toBe(0);
  }
});

test('a batch that is cut off is left out', () => {
  const batch = write([{ timestamp: 1, key: null, value: Buffer.from('x'), headers: [] }]);
  const two = Buffer.concat([batch, batch]);
  for (let length = batch.length; length < two.length; length++)
    expect(readBatches(two.subarray(0, length), 't[0]', crc32c)).toHaveLength(1);
  for (let length = 0; length < batch.length; length++)
    expect([
      wholeBatch(batch.subarray(0, length)),
      readBatches(batch.subarray(0, length), 't[0]'),
    ]).toEqual([false, []]);
});

test('a flipped bit is found', () => {
  const batch = write([{ timestamp: 1, key: null, value: Buffer.from('value'), headers: [] }]);
  for (let at = 17; at < batch.length; at++) {
    const flipped = Buffer.from(batch);
    flipped[at] = (flipped[at] as number) ^ 1;
    expect(() => readBatches(flipped, 't[0]', crc32c)).toThrow(
      expect.objectContaining({ code: 'MR_CORRUPT' }),
    );
  }
});

test('lengths that do not fit are an error, never a read beyond the batch', () => {
  fc.assert(
    fc.property(records, fc.nat(), fc.nat({ max: 255 }), (batch, at, byte) => {
      const written = write(batch);
      const place = 61 + (at % (written.length - 61));
      written[place] = byte;
      const [header] = readBatches(written, 't[0]') as [BatchHeader];
      try {
        const read = readRecords(header, header.records, 't[0]');
        for (const { key, value } of read)
          expect((key?.length ?? 0) + (value?.length ?? 0)).toBeLessThanOrEqual(written.length);
      } catch (error) {
        expect(error).toMatchObject({ code: 'MR_CORRUPT' });
      }
    }),
  );
});

test('an older format is refused by name', () => {
  const batch = write([{ timestamp: 1, key: null, value: null, headers: [] }]);
  batch[16] = 1;
  expect(() => readBatches(batch, 't[0]')).toThrow(
    expect.objectContaining({ code: 'MR_VERSION_UNSUPPORTED' }),
  );
});
