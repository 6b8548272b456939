import fc from 'fast-check';
import { expect, test } from 'vitest';

import { loadKafka } from '../../../src/broker/kafka/library.ts';
import {
  decodeAssigned,
  decodeSubscription,
  encodeAssigned,
  encodeSubscription,
} from '../../../src/broker/kafka/membership-wire.ts';

const { Reader } = await loadKafka();
const data = Buffer.from('ours');

test('subscriptions and assignments are read as they were written', () => {
  const subscription = { topics: ['a', 'bü'], data };
  expect(decodeSubscription(encodeSubscription(subscription))).toEqual(subscription);
  const assigned = {
    partitions: [
      { topic: 'a', partition: 3 },
      { topic: 'a', partition: 0 },
      { topic: 'b', partition: 1 },
    ],
    data,
  };
  expect(decodeAssigned(encodeAssigned(assigned))).toEqual(assigned);
  expect(decodeAssigned(new Uint8Array(0))).toEqual({ partitions: [], data: new Uint8Array(0) });
});

test('they have the form of other consumers', () => {
  const subscription = Reader.from(encodeSubscription({ topics: ['a'], data }));
  expect(subscription.readInt16()).toBe(0);
  expect(subscription.readArray((reader) => reader.readString(false), false, false)).toEqual(['a']);
  expect(subscription.readBytes(false)).toEqual(data);
  const assigned = Reader.from(
    encodeAssigned({ partitions: [{ topic: 'a', partition: 7 }], data }),
  );
  expect(assigned.readInt16()).toBe(0);
  expect(
    assigned.readArray(
      (reader) => [
        reader.readString(false),
        reader.readArray((inner) => inner.readInt32(), false, false),
      ],
      false,
      false,
    ),
  ).toEqual([['a', [7]]]);
});

test('what others have sent is refused or read, and never hangs', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      for (const decode of [decodeSubscription, decodeAssigned])
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: 'MR_CORRUPT' });
        }
    }),
  );
});
