import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { general } from '../../../src/codec/msgpack/general.ts';
import { MAX_DEPTH, NOT_PLAIN } from '../../../src/codec/msgpack/plain.ts';
import { Reader } from '../../../src/codec/msgpack/reader.ts';
import { fuzzDecode } from '../support.ts';
import { ENOUGH, numbers, ofOneShape, plainValue, same, texts } from './support.ts';

const reference = general();
const packed = (value: unknown): Uint8Array => Uint8Array.from(reference.write(value));
const hex = (digits: string): Uint8Array => Uint8Array.from(Buffer.from(digits, 'hex'));

/** What msgpackr makes of `bytes`; {@link NOT_PLAIN} where it throws. */
function wanted(bytes: Uint8Array): unknown {
  try {
    return reference.read(bytes);
  } catch {
    return NOT_PLAIN;
  }
}

/** Reads `bytes` by themselves and among others, and compares with msgpackr if there is an answer. */
function read(reader: Reader, bytes: Uint8Array): unknown {
  const value = reader.read(bytes);
  for (const around of [0x00, 0xa1, 0xff]) {
    const frame = new Uint8Array(bytes.length + 30).fill(around);
    frame.set(bytes, 10);
    const among = reader.readAt(frame.subarray(5), 5, 5 + bytes.length);
    if (!same(among, value)) throw new Error('a value depends on what is around it');
  }
  if (value !== NOT_PLAIN && !same(value, wanted(bytes)))
    throw new Error(`${Buffer.from(bytes).toString('hex')} is not what was read`);
  return value;
}

describe('values', () => {
  test('are those of msgpackr', () => {
    const reader = new Reader();
    fc.assert(
      fc.property(plainValue, (value) => {
        read(reader, packed(value));
      }),
      { numRuns: 500 },
    );
  });

  test('of one shape are those of msgpackr, before and after it is compiled', () => {
    const reader = new Reader();
    fc.assert(
      fc.property(ofOneShape, (objects) => {
        for (const object of objects) read(reader, packed(object));
      }),
      { numRuns: 60 },
    );
  });

  test('of every form are read, not left to msgpackr', () => {
    const reader = new Reader();
    const tree = {
      n: [...numbers],
      t: [...texts],
      o: { a: { b: [] }, c: {} },
      rest: [null, true, false],
    };
    for (let i = 0; i < ENOUGH; i++) expect(same(read(reader, packed(tree)), tree)).toBe(false);
    // All but -0, which is written as 0.
    const there = read(reader, packed(tree)) as typeof tree;
    expect(there).toEqual({ ...tree, n: numbers.map((n) => (n === 0 ? 0 : n)) });
  });

  test.each<[string, string, unknown]>([
    ['a float of 32 bits', 'ca3fc00000', 1.5],
    ['-0 as a double', 'cb8000000000000000', -0],
    ['an unsigned integer of 64 bits', 'cf001fffffffffffff', 2 ** 53 - 1],
    ['a negative one', 'd3ffe0000000000000', -(2 ** 53)],
    ['a small integer in a long form', 'cf0000000000000001', 1],
    ['-1 in 64 bits', 'd3ffffffffffffffff', -1],
    ['a text in a long form', 'db0000000161', 'a'],
    ['an array in a long form', 'dd0000000101', [1]],
    ['a map in a long form', 'de0001a16101', { a: 1 }],
    ['a name in a long form', '81d9016101', { a: 1 }],
    ['doubled names', '83a16101a16202a16103', { a: 3, b: 2 }],
    ['names that look like numbers', '83a16201a13202a13103', { 1: 3, 2: 2, b: 1 }],
    ['undefined', 'd40000', undefined],
    ['a time', 'd6ff3b9aca00', new Date(1e12)],
    ['a time with nanoseconds', 'd7ff00000ffc3b9aca00', new Date(1e12)],
    [
      'a time beyond 32 bits of seconds',
      'd7ff0000000300000001',
      new Date((3 * 2 ** 32 + 1) * 1_000),
    ],
  ])('of other programs: %s', (_, digits, value) => {
    const reader = new Reader();
    for (let i = 0; i < ENOUGH; i++) expect(read(reader, hex(digits))).toStrictEqual(value);
  });

  test.each<[string, string]>([
    ['an integer beyond the safe range', 'cf0020000000000001'],
    ['a negative one', 'd3ffdfffffffffffff'],
    ['a key that is a number', '8101a178'],
    ['a key __proto__', '81a95f5f70726f746f5f5f01'],
    ['a map in 32 bits', 'df00000001a16101'],
    ['bytes', 'c4020102'],
    ['a box', 'd44e00a131'],
    ['text of wrong bytes', 'a2c328'],
    ['text with a byte order mark', 'a4efbbbf61'],
    ['an unknown extension', 'd60100000000'],
    ['a time before 1970', 'c70cff00000000ffffffffffffffff'],
    ['a map that is cut', '82a16101'],
    ['trailing bytes', '81a1610100'],
    ['nothing', ''],
    ['an array of 4 billion', 'ddffffffff'],
    ['a text of 4 billion', 'dbffffffff61'],
  ])('leaves %s to msgpackr', (_, digits) => {
    expect(read(new Reader(), hex(digits))).toBe(NOT_PLAIN);
  });

  test('of one short text are one string, whatever is around it', () => {
    const reader = new Reader();
    const pairs = Array.from({ length: 5_000 }, (_, i) => [`k${i % 700}`, `t${i % 13}\0`]);
    for (const pair of pairs) expect(read(reader, packed(pair))).toEqual(pair);
    // Texts whose bytes are alike: only length and place differ.
    const alike = [
      '',
      '\0',
      '\0\0',
      '\0\0\0\0',
      '\0\0\0\0\0',
      'a',
      'a\0',
      '\0a',
      'abcd',
      'abcd\0',
      'abcd\u0004',
      'abcd\0\0\0\0',
    ];
    for (const each of [...alike, ...alike.toReversed()])
      expect(read(reader, packed(each))).toBe(each);
  });
});

describe('shapes', () => {
  test('that begin alike are told apart', () => {
    const reader = new Reader();
    for (let i = 0; i < 500; i++) {
      const kind = i % 12;
      const object = {
        type: kind,
        at: i,
        ...(kind % 2 === 0 ? { x: 1 } : { y: [2] }),
        [`k${kind}`]: i / 2,
      };
      expect(read(reader, packed(object))).toStrictEqual(object);
      const shorter = { type: kind, at: i };
      expect(read(reader, packed(shorter))).toStrictEqual(shorter);
    }
  });

  test('are not taken for others with the same number of bytes', () => {
    const reader = new Reader();
    for (let i = 0; i < ENOUGH; i++) read(reader, packed({ abc: 1, defg: 2 }));
    for (const other of [
      { abd: 1, defg: 2 },
      { abc: 1, dfeg: 2 },
      { abc: 1, defg: 2, h: 3 },
      { abc: 1 },
      { defg: 1, abc: 2 },
    ])
      expect(read(reader, packed(other))).toStrictEqual(other);
  });

  test('that are nowhere to be found cost no more than reading twice', () => {
    // Each level would be read once for each shape that it resembles, which no test would live to see.
    const reader = new Reader();
    for (let kind = 0; kind < 8; kind++)
      for (let i = 0; i < ENOUGH; i++) read(reader, packed({ a: {}, [`b${kind}`]: 1 }));
    let nested: object = {};
    for (let i = 0; i < MAX_DEPTH - 1; i++) nested = { a: nested, c: 1 };
    expect(reader.read(packed(nested))).toEqual(nested);
  });
});

describe('limits', () => {
  test('nesting', () => {
    const reader = new Reader();
    const lists = new Uint8Array(MAX_DEPTH + 1).fill(0x91);
    lists[MAX_DEPTH] = 1;
    expect(reader.read(lists)).toBeInstanceOf(Array);
    expect(reader.read(new Uint8Array([0x91, ...lists]))).toBe(NOT_PLAIN);
    expect(reader.read(new Uint8Array(1_000_000).fill(0x91))).toBe(NOT_PLAIN);
    expect(
      reader.read(
        Uint8Array.from({ length: 300_000 }, (_, i) => [0x81, 0xa1, 0x61][i % 3] as number),
      ),
    ).toBe(NOT_PLAIN);
  });

  test('messages longer than what is copied', () => {
    const reader = new Reader();
    for (const length of [2_000, 2_040, 2_048, 2_050, 5_000, 100_000]) {
      const value = { a: 'x'.repeat(length), b: 1.5 };
      for (let i = 0; i < ENOUGH; i++) expect(read(reader, packed(value))).toEqual(value);
    }
  });
});

describe('hostile bytes', () => {
  const seeds = [
    { date: 978_310_800_000, delay: 14, distance: 405, origin: 'SAN', destination: 'LAX' },
    {
      type: 'a',
      where: { lat: 1.5, lon: -2.5 },
      tags: ['x', 'yy', 'é'.repeat(9)],
      at: new Date(5),
    },
    [
      1,
      -1,
      300,
      -300,
      70_000,
      -70_000,
      1.5,
      'x'.repeat(40),
      null,
      undefined,
      true,
      new Date(5_000),
    ],
    Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`member${i}`, i * 1_000])),
    { 10: 'a', 9: 'b', name: 'ten bytes!', inner: { 1: { 2: [] } } },
  ].map((value) => packed(value));
  const taught = (): Reader => {
    const reader = new Reader();
    for (let i = 0; i < ENOUGH; i++) for (const seed of seeds) read(reader, seed);
    return reader;
  };

  test('cut anywhere, and with any byte changed', () => {
    const reader = taught();
    for (const seed of seeds) {
      for (let end = 0; end < seed.length; end++)
        expect(read(reader, seed.subarray(0, end))).toBe(NOT_PLAIN);
      for (let at = 0; at < seed.length; at++)
        for (const byte of [0x00, 0x7f, 0x81, 0x91, 0xa3, 0xc1, 0xcb, 0xd9, 0xff]) {
          const bytes = Uint8Array.from(seed);
          bytes[at] = byte;
          read(reader, bytes);
        }
    }
  });

  test('20,000 of them: what is read is what msgpackr reads', () => {
    const reader = taught();
    fuzzDecode({ decode: (bytes) => read(reader, bytes) }, seeds);
  });
});
