import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  canonicalKey,
  compareKeyIds,
  decodeKey,
  encodeKey,
  keyBytesOfId,
  keyId,
  keyIdAt,
  keyRef,
  keyRefFromBytes,
  keyRefOfId,
  MAX_KEY_BYTES,
} from '../../src/codec/key.ts';
import { errorOf, expectError, fuzzDecode, text } from './support.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const order = (a: Uint8Array, b: Uint8Array): number => Math.sign(Buffer.compare(a, b));
const compare = <T>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);

const number = fc
  .oneof(
    fc.double({ noNaN: true }),
    fc.integer(),
    fc.constantFrom(
      0,
      -0,
      5e-324,
      -5e-324,
      Number.MAX_VALUE,
      -Number.MAX_VALUE,
      Infinity,
      -Infinity,
    ),
  )
  .map((n) => (n === 0 ? 0 : n));
const bigint = fc.oneof(
  fc.bigInt(),
  fc.bigInt({ min: -300n, max: 300n }),
  fc
    .tuple(fc.integer({ min: 0, max: 1_100 }), fc.bigInt({ min: -2n, max: 2n }), fc.boolean())
    .map(([bits, add, negative]) => (negative ? -1n : 1n) * (2n ** BigInt(bits) + add)),
);
const data = fc
  .oneof(
    fc.dictionary(text, fc.jsonValue(), { maxKeys: 4 }),
    fc.array(fc.jsonValue(), { maxLength: 4 }),
  )
  .filter((value) => {
    try {
      encodeKey(value);
      return true;
    } catch {
      return false; // lone surrogates
    }
  });
const key = fc.oneof(text, number, bigint, fc.boolean(), fc.uint8Array(), data);

describe('format', () => {
  test.each<[unknown, string]>([
    ['', ''],
    ['ATL', '41544c'],
    ['é', 'c3a9'],
    ['\0', '007300'],
    ['\0n', '0073006e'],
    [0, '006e8000000000000000'],
    [-0, '006e8000000000000000'],
    [1, '006ebff0000000000000'],
    [-1, '006e400fffffffffffff'],
    [Infinity, '006efff0000000000000'],
    [0n, '006980'],
    [1n, '00698101'],
    [-1n, '00697efe'],
    [256n, '0069820100'],
    [true, '0074'],
    [false, '0066'],
    [new Uint8Array([0, 255]), '006200ff'],
    [new Uint8Array(0), '0062'],
    [{ b: [1, null], a: 'x' }, `006a${Buffer.from('{"a":"x","b":[1,null]}').toString('hex')}`],
    [[], '006a5b5d'],
    [{}, '006a7b7d'],
  ])('%o', (value, digits) => {
    expect(hex(encodeKey(value))).toBe(digits);
    expect(decodeKey(Buffer.from(digits, 'hex'))).toEqual(value === 0 ? 0 : value);
  });

  test('is stored under the name key', () => {
    expect(canonicalKey.name).toBe('key');
    expect(canonicalKey.decode(canonicalKey.encode('x'))).toBe('x');
  });
});

describe('identity', () => {
  test('every key comes back', () => {
    fc.assert(
      fc.property(key, (value) => {
        expect(decodeKey(encodeKey(value))).toEqual(
          typeof value === 'object' && !(value instanceof Uint8Array)
            ? (JSON.parse(JSON.stringify(value)) as unknown)
            : value,
        );
      }),
      { numRuns: 500 },
    );
  });

  test('keys of different kinds are different keys', () => {
    const kinds = [
      1,
      '1',
      1n,
      true,
      'true',
      false,
      [1],
      ['1'],
      { 1: 1 },
      new Uint8Array([1]),
      new Uint8Array([0x31]),
      '\u{1}',
      '\0',
      '[1]',
      '\0n',
    ];
    expect(new Set(kinds.map((kind) => hex(encodeKey(kind)))).size).toBe(kinds.length);
    expect(new Set(kinds.map((kind) => keyRef(kind).id)).size).toBe(kinds.length);
  });

  test('the order of members does not matter, at any depth', () => {
    expect(encodeKey({ a: 1, b: { c: 2, d: 3 } })).toEqual(encodeKey({ b: { d: 3, c: 2 }, a: 1 }));
    expect(encodeKey([1, 2])).not.toEqual(encodeKey([2, 1]));
    fc.assert(
      fc.property(fc.dictionary(text, fc.integer()), (object) => {
        const turned = Object.fromEntries(Object.entries(object).toReversed());
        expect(encodeKey(turned)).toEqual(encodeKey(object));
      }),
    );
  });

  test('ids are equal exactly when the bytes are', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        const [x, y] = [keyRef(a), keyRef(b)];
        expect(x.id === y.id).toBe(order(x.bytes, y.bytes) === 0);
      }),
      { numRuns: 500 },
    );
  });

  test('names of Object.prototype are keys like others', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(decodeKey(encodeKey(name))).toBe(name);
      expect(keyRef(name).id).toBe(name);
    }
    const object = JSON.parse('{"constructor":1,"__proto__":{"x":2}}') as object;
    const back = decodeKey(encodeKey(object)) as object;
    expect(JSON.stringify(back)).toBe('{"__proto__":{"x":2},"constructor":1}');
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
  });
});

describe('order', () => {
  test('numbers sort as their bytes do', () => {
    fc.assert(
      fc.property(number, number, (a, b) => {
        expect(order(encodeKey(a), encodeKey(b))).toBe(compare(a, b));
      }),
      { numRuns: 1_000 },
    );
  });

  test('bigints sort as their bytes do', () => {
    fc.assert(
      fc.property(bigint, bigint, (a, b) => {
        expect(order(encodeKey(a), encodeKey(b))).toBe(compare(a, b));
      }),
      { numRuns: 1_000 },
    );
    const edges = [0, 8, 1_000, 1_008, 1_016, 4_096, 60_000].flatMap((bits) => [
      2n ** BigInt(bits) - 1n,
      2n ** BigInt(bits),
    ]);
    const sorted = [...edges.map((edge) => -edge), ...edges].toSorted(compare);
    const encoded = sorted.map((edge) => encodeKey(edge));
    expect(encoded.toSorted(order)).toEqual(encoded);
    expect(encoded.map((bytes) => decodeKey(bytes))).toEqual(sorted);
  });

  test('strings sort by code point', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
        const points = (value: string): number[] =>
          Array.from(value, (point) => point.codePointAt(0) ?? 0);
        const [x, y] = [points(a), points(b)];
        const at = x.findIndex((point, i) => point !== y[i]);
        const expected = at < 0 ? compare(x.length, y.length) : compare(x[at] ?? -1, y[at] ?? -1);
        expect(order(encodeKey(a), encodeKey(b))).toBe(expected);
      }),
    );
  });
});

describe('refused keys', () => {
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  test.each<[string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['NaN', Number.NaN],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a lone surrogate', 'a\u{d800}'],
    ['a lone surrogate inside', { a: ['\u{dc00}'] }],
    ['a lone surrogate as a name', { '\u{dc00}': 1 }],
    ['a date', new Date(0)],
    ['a map', new Map()],
    ['a class', new URL('https://example.org')],
    ['another typed array', new Float64Array(1)],
    ['undefined inside', { a: undefined }],
    ['a hole', Array.from({ length: 1 })],
    ['NaN inside', [Number.NaN]],
    ['an infinity inside', { a: -Infinity }],
    ['a bigint inside', [1n]],
    ['bytes inside', [new Uint8Array(1)]],
    ['a date inside', { at: new Date(0) }],
    ['a function inside', [() => 1]],
    ['a cycle', circular],
  ])('%s', (_, value) => {
    expectError('MR_KEY_INVALID', () => encodeKey(value), 'cannot be a key');
    expectError('MR_KEY_INVALID', () => keyRef(value));
  });

  test.each<[string, (bytes: number) => unknown]>([
    ['strings', (bytes) => 'x'.repeat(bytes)],
    [
      'strings of two bytes each',
      (bytes) => `${'é'.repeat(Math.floor(bytes / 2))}${'x'.repeat(bytes % 2)}`,
    ],
    ['strings that start with U+0000', (bytes) => `\0${'x'.repeat(bytes - 3)}`],
    ['bytes', (bytes) => new Uint8Array(bytes - 2)],
    ['bigints', (bytes) => 2n ** BigInt(8 * (bytes - 5)) - 1n],
    ['negative bigints', (bytes) => 1n - 2n ** BigInt(8 * (bytes - 5))],
    ['objects', (bytes) => ({ a: 'x'.repeat(bytes - 10) })],
  ])('%s of 65,533 encoded bytes are the longest', (_, make) => {
    expect(MAX_KEY_BYTES).toBe(65_000);
    const longest = make(MAX_KEY_BYTES);
    expect(encodeKey(longest)).toHaveLength(MAX_KEY_BYTES);
    expect(decodeKey(encodeKey(longest))).toEqual(longest);
    expectError('MR_KEY_INVALID', () => encodeKey(make(MAX_KEY_BYTES + 1)), /65000|65001/);
  });

  test('the error of a long key names the length and the limit', () => {
    expect(errorOf(() => encodeKey('é'.repeat(40_000)))).toMatchObject({
      message: expect.stringContaining('80000 encoded bytes is longer than 65000') as string,
      details: { bytes: 80_000, maxBytes: 65_000 },
    });
    expectError('MR_KEY_INVALID', () => encodeKey('x'.repeat(1e7)), '10000000');
    expectError('MR_KEY_INVALID', () => encodeKey(2n ** 1_000_000n));
  });

  test('8 KB keys are fine', () => {
    const url = `https://example.org/${'path/'.repeat(1_640)}`;
    expect(decodeKey(encodeKey(url))).toBe(url);
  });
});

describe('refused bytes', () => {
  test.each([
    ['a lone 0', '00'],
    ['an unknown tag', '0078'],
    ['text that needs no tag', '007361'],
    ['empty text with a tag', '0073'],
    ['bytes that are not UTF-8', 'ff'],
    ['tagged text that is not UTF-8', '007300ff'],
    ['a short number', '006e80'],
    ['a long number', '006e800000000000000000'],
    ['NaN', '006efff8000000000000'],
    ['negative NaN', '006e0007ffffffffffff'],
    ['-0', '006e7fffffffffffffff'],
    ['a boolean with payload', '007400'],
    ['a bigint without payload', '0069'],
    ['a bigint with leading zeros', '0069820001'],
    ['a bigint that is too short', '00698201'],
    ['a bigint that is too long', '0069810101'],
    ['a short bigint with a long head', '0069ff000101'],
    ['a head that is cut', '0069ff00'],
    ['-0n', '00697f'],
    ['JSON of a number', '006a31'],
    ['JSON of null', `006a${Buffer.from('null').toString('hex')}`],
    ['JSON with spaces', `006a${Buffer.from('[1, 2]').toString('hex')}`],
    ['JSON with members out of order', `006a${Buffer.from('{"b":1,"a":2}').toString('hex')}`],
    ['JSON with a member twice', `006a${Buffer.from('{"a":1,"a":2}').toString('hex')}`],
    ['JSON with 1.0', `006a${Buffer.from('[1.0]').toString('hex')}`],
    ['JSON with a lone surrogate', `006a${Buffer.from(String.raw`["\ud800"]`).toString('hex')}`],
    ['JSON that is cut', '006a5b'],
    [
      'JSON that is nested too deep',
      `006a${Buffer.from('['.repeat(40) + ']'.repeat(40)).toString('hex')}`,
    ],
    [
      'JSON that is nested endlessly',
      `006a${Buffer.from('['.repeat(30_000) + ']'.repeat(30_000)).toString('hex')}`,
    ],
  ])('%s', (_, digits) => {
    expectError('MR_DECODE_FAILED', () => decodeKey(Buffer.from(digits, 'hex')), 'not a key');
  });

  test('more than 65,533 of them', () => {
    expectError('MR_DECODE_FAILED', () => decodeKey(new Uint8Array(65_001).fill(0x61)));
  });

  test('20,000 hostile inputs: what is accepted is what encodeKey writes', () => {
    const seeds = [
      'ATL',
      '\0x',
      1.5,
      -7,
      10n ** 20n,
      -3n,
      2n ** 1_020n,
      true,
      new Uint8Array(3),
      { a: [1, 'é'] },
    ];
    fuzzDecode(
      { decode: decodeKey },
      seeds.map((seed) => encodeKey(seed)),
      (value, bytes) => {
        expect(hex(encodeKey(value))).toBe(hex(bytes));
      },
    );
  });
});

describe('references', () => {
  test('have key, id and bytes', () => {
    expect(keyRef('ATL')).toEqual({
      key: 'ATL',
      id: 'ATL',
      bytes: new Uint8Array(Buffer.from('ATL')),
    });
    expect(keyRef(1).id).toBe('\0n\u{bf}\u{f0}\0\0\0\0\0\0');
    expect(keyRef('\0').id).toBe('\0s\0');
    expect(Object.is(keyRef(-0).key, 0)).toBe(true);
    expect(keyId(encodeKey('é'), 'é')).toBe('é');
  });

  test('from a key and from its bytes are the same', () => {
    fc.assert(
      fc.property(key, (value) => {
        const [a, b] = [keyRef(value), keyRefFromBytes(encodeKey(value))];
        expect([b.key, b.id, hex(b.bytes)]).toEqual([a.key, a.id, hex(a.bytes)]);
      }),
      { numRuns: 500 },
    );
  });

  test('from an id are the same too, and an id gives the bytes back', () => {
    fc.assert(
      fc.property(key, fc.uint8Array({ maxLength: 5 }), (value, prefix) => {
        const expected = keyRef(value);
        const bytes = Buffer.concat([prefix, expected.bytes, prefix]);
        expect(keyIdAt(bytes, prefix.length, bytes.length - prefix.length)).toBe(expected.id);
        expect(hex(keyBytesOfId(expected.id))).toBe(hex(expected.bytes));
        expect(hex(keyBytesOfId(expected.id, prefix))).toBe(hex(prefix) + hex(expected.bytes));
        const ref = keyRefOfId(expected.id);
        expect([ref.key, ref.id, hex(ref.bytes)]).toEqual([
          expected.key,
          expected.id,
          hex(expected.bytes),
        ]);
        if (!(value instanceof Uint8Array)) expect(ref.key).toBe(ref.key);
      }),
      { numRuns: 500 },
    );
  });

  test('sort by their ids as by their bytes', () => {
    const wide = fc.oneof(
      key,
      fc.string({ unit: 'binary', minLength: 1, maxLength: 3 }),
      fc.constantFrom(
        '\u{e000}',
        '\u{ffff}',
        '\u{10000}',
        '\u{10ffff}',
        '\u{d7ff}',
        'a\u{10000}',
        'a\u{ffff}',
      ),
    );
    fc.assert(
      fc.property(wide, wide, (x, y) => {
        const [left, right] = [keyRef(x), keyRef(y)];
        expect(Math.sign(compareKeyIds(left.id, right.id))).toBe(order(left.bytes, right.bytes));
      }),
      { numRuns: 2_000 },
    );
  });

  test('cannot be changed from outside', () => {
    const object = { list: [1] };
    const ref = keyRef(object);
    object.list.push(2);
    expect(ref.key).toEqual({ list: [1] });
    expect(Object.isFrozen(ref.key)).toBe(true);
    expect(Object.isFrozen((ref.key as typeof object).list)).toBe(true);

    const bytes = new Uint8Array([1, 2]);
    const ofBytes = keyRef(bytes);
    bytes[0] = 9;
    (ofBytes.key as Uint8Array)[1] = 9;
    expect(ofBytes.key).toEqual(new Uint8Array([1, 2]));

    const encoded = Buffer.from('ATL');
    const ofEncoded = keyRefFromBytes(encoded);
    encoded.fill(0x78);
    expect(hex(ofEncoded.bytes)).toBe('41544c');
  });
});
