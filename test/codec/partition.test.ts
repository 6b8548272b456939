import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { encodeKey } from '../../src/codec/key.ts';
import { murmur2, partitionOf } from '../../src/codec/partition.ts';

// The vectors of Kafka's own UtilsTest.testMurmur2.
test.each<[string, number]>([
  ['21', -973_932_308],
  ['foobar', -790_332_482],
  ['a-little-bit-long-string', -985_981_536],
  ['a-little-bit-longer-string', -1_486_304_829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58_897_971],
  ['abc', 479_470_107],
])('murmur2 of %s is that of the Java client', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash);
  expect(murmur2(new Uint8Array(Buffer.from(`xx${text}`)).subarray(2))).toBe(hash);
});

test('murmur2 is a signed 32-bit integer for every input', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(murmur2(bytes) | 0).toBe(murmur2(bytes));
    }),
  );
});

test('a string key goes where the Java client sends it', () => {
  expect(partitionOf(encodeKey('foobar'), 8)).toBe((-790_332_482 & 0x7fff_ffff) % 8);
  expect(partitionOf(encodeKey('21'), 1_000)).toBe((-973_932_308 & 0x7fff_ffff) % 1_000);
});

test('partitions are in range and all of them are used', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.integer({ min: 1, max: 1_024 }),
      (key, partitions) => {
        const partition = partitionOf(encodeKey(key), partitions);
        expect(Number.isInteger(partition) && partition >= 0 && partition < partitions).toBe(true);
        expect(partitionOf(encodeKey(key), 1)).toBe(0);
      },
    ),
  );
  const used = Array.from({ length: 1_000 }, (_, i) => partitionOf(encodeKey(i), 16));
  expect(new Set(used).size).toBe(16);
});
