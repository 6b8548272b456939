import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { json } from '../../src/codec/json.ts';
import { errorOf, expectError, fuzzDecode } from './support.ts';

describe('round trip', () => {
  test('every JSON value comes back, through bytes and through text', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        const plain: unknown = JSON.parse(JSON.stringify(value));
        expect(json.decode(json.encode(value))).toEqual(plain);
        expect(JSON.parse(json.encodeText(value))).toEqual(plain);
        expect(Buffer.from(json.encode(value)).toString()).toBe(json.encodeText(value));
      }),
    );
  });

  test('lone surrogates survive: JSON escapes them', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)) }),
        (value) => {
          expect(json.decode(json.encode(value))).toBe(value);
        },
      ),
    );
  });

  test('U+FFFD is text like any other', () => {
    expect(json.decode(json.encode('a\u{fffd}b'))).toBe('a\u{fffd}b');
  });

  test('__proto__ and constructor are data', () => {
    const text = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';
    const value = json.decode(Buffer.from(text)) as object;
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect('polluted' in value).toBe(false);
    expect(json.encodeText(value)).toBe(text);
  });

  test('decodes views into larger buffers, of either class', () => {
    const buffer = Buffer.from('xx{"a":1}yy');
    expect(json.decode(buffer.subarray(2, 9))).toEqual({ a: 1 });
    expect(json.decode(new Uint8Array(buffer).subarray(2, 9))).toEqual({ a: 1 });
  });
});

describe('encode', () => {
  const circular: Record<string, unknown> = {};
  circular['self'] = circular;
  let deep: unknown[] = [];
  for (let i = 0; i < 200_000; i++) deep = [deep];
  const cases: readonly [string, unknown][] = [
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a bigint', 1n],
    ['a bigint inside', { a: [1n] }],
    ['a cycle', circular],
    ['too deep', deep],
    [
      'toJSON that throws',
      {
        toJSON: () => {
          throw new Error('no');
        },
      },
    ],
    [
      'toJSON that throws nothing useful',
      {
        toJSON: () => {
          throw Object.create(null);
        },
      },
    ],
    ['toJSON to undefined', { toJSON: () => undefined }],
  ];
  test.each(cases)('refuses %s', (_, value) => {
    expectError(
      'MR_ENCODE_FAILED',
      () => json.encode(value),
      /cannot be written as JSON: .*msgpack/,
    );
    expectError('MR_ENCODE_FAILED', () => json.encodeText(value));
  });

  test('keeps the cause', () => {
    expect(errorOf(() => json.encode(1n)).cause).toBeInstanceOf(TypeError);
  });
});

describe('decode', () => {
  test.each(['', '{', '{"a":}', 'undefined', "{'a':1}", '[1,]', '1 2', 'NaN', '\u{feff}1', '"\t"'])(
    'refuses %j and quotes it',
    (text) => {
      const error = errorOf(() => json.decode(Buffer.from(text)));
      expect(error.code).toBe('MR_DECODE_FAILED');
      expect(error.cause).toBeInstanceOf(SyntaxError);
      expect(error.message).toContain(text.replaceAll('\t', '·'));
    },
  );

  test('refuses what is not UTF-8, which would otherwise change in silence', () => {
    expectError(
      'MR_DECODE_FAILED',
      () => json.decode(Uint8Array.of(0x22, 0xff, 0x22)),
      'not UTF-8',
    );
    expectError('MR_DECODE_FAILED', () => json.decode(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)));
  });

  test('quotes at most 80 characters', () => {
    const { message } = errorOf(() => json.decode(Buffer.from(`{"secret":"${'😀'.repeat(500)}`)));
    const quoted = message.slice(message.indexOf('{'));
    expect(quoted.length).toBeLessThanOrEqual(80);
    expect(quoted.isWellFormed()).toBe(true);
  });

  test('20,000 hostile inputs', () => {
    fuzzDecode(json, [
      json.encode({ a: [1, 'é', null], __proto__: 1, b: { c: true } }),
      json.encode('x'),
    ]);
  });
});
