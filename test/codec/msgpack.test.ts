import { isDeepStrictEqual } from 'node:util';

import * as fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';

import { MAX_DEPTH, msgpack } from '../../src/codec/msgpack.ts';
import { errorOf, expectError, fuzzDecode, text } from './support.ts';

const roundTrip = (value: unknown): unknown => msgpack.decode(msgpack.encode(value));

/** Everything that the codec carries, nested. */
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text,
    fc.integer(),
    fc.double().map((n) => (n === 0 ? 0 : n)),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.bigInt(),
    fc.constantFrom(0n, 5n, -5n, 2n ** 53n, 2n ** 63n, -(2n ** 63n) - 1n, 2n ** 64n, 10n ** 400n),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array(),
    fc.array(tie('any')),
    fc.dictionary(text, tie('any')).map((object) => Object.fromEntries(Object.entries(object))),
    fc.array(fc.tuple(tie('any'), tie('any'))).map((entries) => new Map(entries)),
    fc.array(tie('any')).map((members) => new Set(members)),
  ),
})).any;

describe('round trip', () => {
  test('everything that it takes comes back', () => {
    fc.assert(
      fc.property(value, (any) => {
        // Not toStrictEqual: it takes a member called `constructor` for the class.
        expect(isDeepStrictEqual(roundTrip(any), any)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  test.each<[string, unknown]>([
    ['small bigint', 1n],
    ['bigint beside numbers', { a: 1, b: [1n, -1n] }],
    ['undefined members', { a: undefined, b: [undefined, null] }],
    ['nested maps', new Map<unknown, unknown>([[new Map([[1, 2n]]), new Set([new Date(5)])]])],
    ['a map in an object in an array', [{ m: new Map([['k', { d: new Date(-1) }]]) }]],
    ['numbers beyond 32 bit', [2 ** 32, -(2 ** 31) - 1, Number.MAX_SAFE_INTEGER, 1e300, 0.1]],
    ['not finite', [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]],
    [
      'dates at the edges',
      [0, -1, 1.7e12 + 7, 4_294_967_296_001, 17_179_869_184_123, -8.64e15, 8.64e15].map(
        (ms) => new Date(ms),
      ),
    ],
    ['an invalid date', new Date(Number.NaN)],
    [
      'a long text with a byte order mark',
      { [`\u{feff}${'k'.repeat(99)}`]: `\u{feff}${'v'.repeat(99)}` },
    ],
    ['a wide object', Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i]))],
    [
      'names of Object.prototype',
      { hasOwnProperty: 1, toJSON: 2, constructor: 3, toString: 4, valueOf: 5 },
    ],
  ])('%s', (_, any) => {
    expect(roundTrip(any)).toStrictEqual(any);
  });

  test('members called __proto__ stay own data', () => {
    const source = '{"__proto__":{"polluted":1},"__proto_":2,"list":[{"__proto__":3}]}';
    const back = roundTrip(JSON.parse(source)) as object;
    expect(JSON.stringify(back)).toBe(source);
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
    expect('polluted' in back).toBe(false);
  });

  test('what comes back changed, as documented', () => {
    expect(roundTrip(-0)).toBe(0);
    expect(roundTrip(Buffer.from([1, 2]))).toStrictEqual(new Uint8Array([1, 2]));
    expect(roundTrip(Object.assign(Object.create(null) as object, { a: 1 }))).toStrictEqual({
      a: 1,
    });
  });

  test('does not change what it encodes', () => {
    const inner = Object.freeze({ big: 1n, map: Object.freeze(new Map([[1, 2n]])) });
    const outer = Object.freeze([Object.freeze([inner]), inner]);
    expect(roundTrip(outer)).toStrictEqual(outer);
    expect(inner.big).toBe(1n);
  });
});

describe("results are the caller's to keep", () => {
  test('encodings do not share memory', () => {
    const first = msgpack.encode({ a: 'first' });
    const copy = first.slice();
    for (let i = 0; i < 1_000; i++) msgpack.encode({ b: `other ${i}` });
    expect(first).toEqual(copy);
    expect(first.buffer.byteLength).toBe(first.length);
  });

  test('bytes in a decoded value are copies, of a plain Uint8Array', () => {
    const encoded = Buffer.from(msgpack.encode({ list: [new Uint8Array([1, 2, 3])] }));
    const decoded = msgpack.decode(encoded) as { list: Uint8Array[] };
    encoded.fill(0);
    expect(decoded.list[0]).toStrictEqual(new Uint8Array([1, 2, 3]));
  });

  test('encoding within encoding, by a getter', () => {
    const outer = {
      before: 'a'.repeat(100),
      get inner() {
        return msgpack.decode(msgpack.encode({ deep: [1, new Map([[1, 1n]])] }));
      },
      after: 'b',
    };
    expect(roundTrip(outer)).toStrictEqual({
      before: outer.before,
      inner: { deep: [1, new Map([[1, 1n]])] },
      after: 'b',
    });
  });
});

describe('in place', () => {
  const encodeInto = (any: unknown, target: Buffer, at: number): number | undefined =>
    msgpack.encodeInto?.(any, target, at);

  test('encodes the bytes of encode, or says that there is no room', () => {
    fc.assert(
      fc.property(value, fc.nat(40), (any, at) => {
        const bytes = msgpack.encode(any);
        const target = Buffer.alloc(4 * bytes.length + 1_000, 0xee);
        expect(encodeInto(any, target, at)).toBe(at + bytes.length);
        expect(target.subarray(0, at)).toEqual(Buffer.alloc(at, 0xee));
        expect(new Uint8Array(target.subarray(at, at + bytes.length))).toEqual(bytes);
        expect(encodeInto(any, target.subarray(0, at + bytes.length - 1), at)).toBe(-1);
      }),
    );
  });

  test('decodes what decode makes of a part', () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (many) => {
        const parts = many.map((any) => msgpack.encode(any));
        const all = Buffer.concat([Buffer.from('before'), ...parts, Buffer.from('after')]);
        let at = 6;
        for (const [i, part] of parts.entries()) {
          const back = msgpack.decodeAt?.(all, at, at + part.length);
          expect(isDeepStrictEqual(back, many[i])).toBe(true);
          at += part.length;
        }
      }),
    );
  });

  test('has the errors of encode and decode', () => {
    const target = Buffer.alloc(1_000);
    for (const any of [() => 1, { a: [Symbol('s')] }, 'a\u{d800}', new Map([[1, new Error('x')]])])
      expectError('MR_ENCODE_FAILED', () => encodeInto(any, target, 0), /cannot be written/);
    const bytes = Buffer.from('00c100', 'hex');
    expectError('MR_DECODE_FAILED', () => msgpack.decodeAt?.(bytes, 1, 2), /these 1 bytes/);
    expectError('MR_DECODE_FAILED', () => msgpack.decodeAt?.(bytes, 0, 2), /more bytes follow/);
    expect(msgpack.decodeAt?.(bytes, 2, 3)).toBe(0);
  });

  test('a getter that encodes, decodes or throws', () => {
    const target = Buffer.alloc(1_000);
    let calm = false;
    const odd = {
      a: 1,
      get b() {
        if (calm) throw new Error('not now');
        return [msgpack.decode(msgpack.encode({ a: 'x'.repeat(99), b: 2 }))];
      },
      c: 3,
    };
    for (let i = 0; i < 100; i++) {
      calm = false;
      const end = encodeInto(odd, target, 7) ?? 0;
      expect(msgpack.decode(target.subarray(7, end))).toEqual({
        a: 1,
        b: [{ a: 'x'.repeat(99), b: 2 }],
        c: 3,
      });
      calm = true;
      expectError('MR_ENCODE_FAILED', () => encodeInto(odd, target, 7), 'not now');
      expectError('MR_ENCODE_FAILED', () => msgpack.encode(odd), 'not now');
    }
  });

  test.each([4_000, 4_096, 20_000, 300_000, 1_048_570])('values of %d bytes', (length) => {
    for (const any of [
      { text: 'x'.repeat(length) },
      { list: Array.from({ length: length / 10 }, () => 1) },
    ]) {
      expect(isDeepStrictEqual(roundTrip(any), any)).toBe(true);
      const encoded = msgpack.encode(any);
      expect(encoded.buffer.byteLength).toBe(encoded.length);
    }
  });
});

describe('encode', () => {
  class Point {
    x = 1;
  }
  const circular: unknown[] = [];
  circular.push({ circular });
  const circularMap = new Map<unknown, unknown>();
  circularMap.set('self', circularMap);
  test.each<[string, unknown, RegExp]>([
    ['a function', { f: () => 1 }, /function/],
    ['a symbol', [Symbol('s')], /symbol/],
    ['an instance of a class', { at: new Point() }, /a Point in it, .* convert it to plain data/],
    ['an error', new Error('x'), /Error/],
    ['a regular expression', /x/, /RegExp/],
    ['another typed array', new Float64Array(2), /Float64Array/],
    ['an ArrayBuffer', new ArrayBuffer(2), /ArrayBuffer/],
    ['a promise', Promise.resolve(1), /Promise/],
    ['a URL', new URL('https://example.org'), /URL/],
    ['a lone surrogate', 'a\u{d800}', /surrogate/],
    ['a lone surrogate in a name', { 'a\u{dfff}': 1 }, /surrogate/],
    ['a cycle', circular, /contains itself/],
    ['a cycle of maps', circularMap, /contains itself/],
    [
      'a getter that throws',
      {
        get a(): never {
          throw new Error('no such row');
        },
      },
      /no such row/,
    ],
  ])('refuses %s', (_, any, message) => {
    expectError('MR_ENCODE_FAILED', () => msgpack.encode(any), message);
    expect(roundTrip({ after: 1 })).toEqual({ after: 1 });
  });

  test.each<[string, (inner: unknown) => unknown]>([
    ['arrays', (inner) => [inner]],
    ['objects', (inner) => ({ inner })],
    ['maps', (inner) => new Map([['inner', inner]])],
    ['map keys', (inner) => new Map([[inner, 1]])],
    ['sets', (inner) => new Set([inner])],
    ['odd objects', (inner) => Object.fromEntries([['__proto__', inner]])],
  ])('takes %s of MAX_DEPTH levels and not one more', (_, wrap) => {
    let nested: unknown = 1;
    for (let i = 0; i < MAX_DEPTH; i++) nested = wrap(nested);
    expect(() => roundTrip(nested)).not.toThrow();
    expectError('MR_ENCODE_FAILED', () => msgpack.encode(wrap(nested)), 'deeper than 100');
  });
});

describe('decode', () => {
  const hex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, 'hex'));

  test.each<[string, string]>([
    ['nothing', ''],
    ['trailing bytes', 'c0c0'],
    ['a trailing byte after a map', '81a16101ff'],
    ['a cut text', 'a56162'],
    ['a cut map', '82a16101'],
    ['an array of 4 billion', 'ddffffffff'],
    ['a map of 4 billion', 'dfffffffff'],
    ['a text of 4 billion', 'dbffffffff61'],
    ['bytes of 4 billion', 'c6ffffffff61'],
    ['the never used byte', 'c1'],
    ['the never used byte inside', '91c1'],
    ['an unknown extension', 'c7010500'],
    ['an error', 'd4650093a5'.concat('4572726f72a178c0')],
    ['a regular expression', 'd4780092a178a0'],
    ['a typed array of doubles', 'c709740800000000000000f03f'.slice(0, 26)],
    ['a reference', 'd66900000001c0'],
    ['a pointer', 'd67000000001'],
    ['a box of a map that is no array', 'd44d0001'],
    ['a box of a map with a key alone', 'd44d009101'],
    ['a bigint of other text', 'd44e00a3307866'],
    ['a bigint of no text', 'd44e0001'],
    ['a member whose name is a number', 'd44f00920102'],
    ['a text of wrong bytes', 'd45000c401ff'],
    ['a box as an extension with content', 'c7014d00'],
    ['an object as a key of an object', '818001'],
  ])('refuses %s', (_, digits) => {
    expectError('MR_DECODE_FAILED', () => msgpack.decode(hex(digits)), /not a msgpack value/);
    expect(roundTrip([1])).toEqual([1]);
  });

  test('refuses arrays nested a million deep without ending the process', () => {
    expectError('MR_DECODE_FAILED', () => msgpack.decode(new Uint8Array(1_000_000).fill(0x91)));
    const nested = new Uint8Array(MAX_DEPTH + 2).fill(0x91);
    nested[MAX_DEPTH + 1] = 1;
    expectError('MR_DECODE_FAILED', () => msgpack.decode(nested), 'deeper than 100');
    expect(msgpack.decode(nested.subarray(1))).toBeInstanceOf(Array);
  });

  test('reads what other programs write', () => {
    const other = new Packr({ useRecords: false, variableMapSize: true });
    expect(msgpack.decode(other.pack({ a: [1, 'x', null, true, 1.5] }))).toEqual({
      a: [1, 'x', null, true, 1.5],
    });
    expect(msgpack.decode(hex('cf0000018bcfe56800'))).toBe(0x18bcfe56800);
    expect(msgpack.decode(hex('d3fffffffffffffffe'))).toBe(-2);
    expect(msgpack.decode(hex('cfffffffffffffffff'))).toBe(2n ** 64n - 1n);
    expect(msgpack.decode(hex('8101a178'))).toEqual({ 1: 'x' });
  });

  test('renames a foreign __proto__ key and pollutes nothing', () => {
    const decoded = msgpack.decode(hex('81a95f5f70726f746f5f5f81a17801')) as object;
    expect(decoded).toStrictEqual({ __proto_: { x: 1 } });
    expect('x' in decoded).toBe(false);
  });

  test('the error shows the first bytes, not the value', () => {
    const error = errorOf(() => msgpack.decode(new Uint8Array(5_000).fill(0xc1)));
    expect(error.message).toMatch(/5000 bytes .* begin with (c1){39}…$/);
    expect(error.details).toEqual({ codec: 'msgpack', bytes: 5_000 });
  });

  test('20,000 hostile inputs', () => {
    const seeds = [
      { date: 978_310_800_000, delay: 14, distance: 405, origin: 'SAN', destination: 'LAX' },
      [1, -1, 1.5, 'é', null, undefined, true, 10n ** 30n, new Date(5), new Uint8Array(3)],
      new Map<unknown, unknown>([[1, new Set(['a', { b: [1n] }])]]),
      JSON.parse('{"__proto__":[1,{"constructor":2}]}') as unknown,
      'x'.repeat(200),
    ].map((any) => msgpack.encode(any));
    fuzzDecode(msgpack, seeds, (any) => {
      // Whatever was accepted is a value that the codec carries, unless a text in it is not well-formed.
      expect(() => msgpack.encode(any)).not.toThrow();
    });
  });
});
