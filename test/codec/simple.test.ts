import { deflateSync, gzipSync } from 'node:zlib';

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { base64 } from '../../src/codec/base64.ts';
import { bytes } from '../../src/codec/bytes.ts';
import type { Codec } from '../../src/codec/codec.ts';
import { gzip, gzipWith } from '../../src/codec/gzip.ts';
import { json } from '../../src/codec/json.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { float64, int32 } from '../../src/codec/numbers.ts';
import { pipe } from '../../src/codec/pipe.ts';
import { utf8 } from '../../src/codec/utf8.ts';
import { expectError, fuzzDecode, text } from './support.ts';

const hex = (encoded: Uint8Array): string => Buffer.from(encoded).toString('hex');

describe('utf8', () => {
  test('every well-formed text comes back, and is its UTF-8', () => {
    fc.assert(
      fc.property(text, (value) => {
        const encoded = utf8.encode(value);
        expect(hex(encoded)).toBe(Buffer.from(value).toString('hex'));
        expect(utf8.decode(encoded)).toBe(value);
      }),
    );
  });

  test.each([
    '\u{d800}',
    '\u{dc00}',
    'a\u{dbff}b',
    '\u{de00}\u{d83d}',
    `${'x'.repeat(30)}\u{d800}`,
  ])('refuses the lone surrogate in %j', (value) => {
    expectError('MR_ENCODE_FAILED', () => utf8.encode(value), /surrogate.*toWellFormed/);
  });

  test.each<unknown>([1, null, undefined, {}, Buffer.from('x')])('refuses %s', (value) => {
    expectError('MR_ENCODE_FAILED', () => utf8.encode(value as string), 'not a string');
  });

  test.each(['ff', 'c3', 'c080', 'eda080', 'f4908080', '61e282', '80'])(
    'refuses bytes %s',
    (digits) => {
      expectError('MR_DECODE_FAILED', () => utf8.decode(Buffer.from(digits, 'hex')), 'not UTF-8');
    },
  );

  test('20,000 hostile inputs: what is accepted encodes to the same bytes', () => {
    fuzzDecode(
      utf8,
      [utf8.encode('héllo 😀 \u{fffd}'), utf8.encode('\u{feff}x')],
      (value, encoded) => {
        expect(hex(utf8.encode(value as string))).toBe(hex(encoded));
      },
    );
  });
});

describe('bytes', () => {
  test('comes back as a copy, both ways', () => {
    const value = Buffer.from([1, 2, 3]);
    const encoded = bytes.encode(value);
    value[0] = 9;
    const decoded = bytes.decode(encoded);
    encoded[1] = 9;
    expect(decoded).toStrictEqual(new Uint8Array([1, 2, 3]));
  });

  test.each<unknown>(['text', [1], null, undefined, new ArrayBuffer(1), new Uint16Array(1)])(
    'refuses %s',
    (value) => {
      expectError('MR_ENCODE_FAILED', () => bytes.encode(value as Uint8Array), 'not a Uint8Array');
    },
  );
});

describe('numbers', () => {
  test('int32 is four bytes, big-endian', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (value) => {
        expect(int32.decode(int32.encode(value))).toBe(value);
      }),
    );
    expect([1, -1, 2 ** 31 - 1, -(2 ** 31)].map((value) => hex(int32.encode(value)))).toEqual([
      '00000001',
      'ffffffff',
      '7fffffff',
      '80000000',
    ]);
  });

  test.each<unknown>([
    2 ** 31,
    -(2 ** 31) - 1,
    0.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '1',
    1n,
    null,
    undefined,
  ])('int32 refuses %s', (value) => {
    expectError('MR_ENCODE_FAILED', () => int32.encode(value as number), 'an integer from');
  });

  test('float64 is eight bytes, every number comes back', () => {
    fc.assert(
      fc.property(fc.double(), (value) => {
        expect(float64.decode(float64.encode(value))).toBe(value);
      }),
    );
    expect(hex(float64.encode(1))).toBe('3ff0000000000000');
  });

  test.each<unknown>(['1', 1n, null, undefined, {}])('float64 refuses %s', (value) => {
    expectError('MR_ENCODE_FAILED', () => float64.encode(value as number), 'not a number');
  });

  test.each([0, 1, 3, 5, 7, 9])('neither takes %d bytes', (length) => {
    expectError('MR_DECODE_FAILED', () => int32.decode(new Uint8Array(length)), 'has 4 bytes');
    expectError('MR_DECODE_FAILED', () => float64.decode(new Uint8Array(length)), 'has 8 bytes');
  });

  test('20,000 hostile inputs', () => {
    for (const codec of [int32, float64]) fuzzDecode(codec, [codec.encode(7)]);
  });
});

describe('base64', () => {
  test('comes back, as the text that everyone writes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (value) => {
        const encoded = base64.encode(value);
        expect(Buffer.from(encoded).toString()).toBe(Buffer.from(value).toString('base64'));
        expect(base64.decode(encoded)).toStrictEqual(value);
      }),
    );
  });

  test.each([
    'A',
    'AA',
    'AAA',
    'AA==\n',
    ' AA==',
    'A_==',
    'A-==',
    'AB==',
    'AAB=',
    '=',
    '====',
    'é',
  ])('refuses %j', (encoded) => {
    expectError(
      'MR_DECODE_FAILED',
      () => base64.decode(Buffer.from(encoded)),
      'not canonical base64',
    );
  });

  test('20,000 hostile inputs: what is accepted encodes to the same text', () => {
    fuzzDecode(base64, [base64.encode(Buffer.from('hello'))], (value, encoded) => {
      expect(hex(base64.encode(value as Uint8Array))).toBe(hex(encoded));
    });
  });
});

describe('gzip', () => {
  test('comes back, and is shorter where there is something to gain', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (value) => {
        expect(gzip.decode(gzip.encode(value))).toStrictEqual(value);
      }),
      { numRuns: 50 },
    );
    expect(gzip.encode(new Uint8Array(100_000)).length).toBeLessThan(500);
  });

  test('refuses a bomb before it expands', () => {
    const bomb = gzipSync(new Uint8Array(65 * 2 ** 20));
    expect(bomb.length).toBeLessThan(100_000);
    expectError('MR_DECODE_FAILED', () => gzip.decode(bomb), 'more than maxBytes (67108864)');
  });

  test('has the same limit both ways', () => {
    const small = gzipWith({ maxBytes: 10 });
    expect(small.decode(small.encode(new Uint8Array(10)))).toHaveLength(10);
    expectError('MR_ENCODE_FAILED', () => small.encode(new Uint8Array(11)), 'maxBytes of 10');
    expectError(
      'MR_DECODE_FAILED',
      () => small.decode(gzip.encode(new Uint8Array(11))),
      'maxBytes',
    );
  });

  test('refuses what is not one intact member', () => {
    const whole = gzipSync('hello');
    const flipped = Buffer.from(whole);
    flipped[whole.length - 5]! ^= 1;
    for (const broken of [
      Buffer.alloc(0),
      Buffer.from('hello'),
      whole.subarray(0, -1),
      whole.subarray(0, 12),
      Buffer.concat([whole, Buffer.from('x')]),
      Buffer.concat([whole, Buffer.alloc(8)]),
      flipped,
      deflateSync('hello'),
    ])
      expectError('MR_DECODE_FAILED', () => gzip.decode(broken), 'not a gzip value');
    expectError('MR_ENCODE_FAILED', () => gzip.encode('text' as never));
  });

  test.each([
    { level: 0 },
    { level: 10 },
    { level: 1.5 },
    { maxBytes: 0 },
    { maxBytes: 2 ** 31 },
    { maxBytes: Number.NaN },
  ])('refuses the options %o', (options) => {
    expectError('MR_OPTION_INVALID', () => gzipWith(options));
  });

  test('2,000 hostile inputs', () => {
    fuzzDecode(gzip, [gzip.encode(Buffer.from('hello hello'))], undefined, 2_000);
  });
});

describe('pipe', () => {
  test('encodes in order and decodes in reverse', () => {
    const codec = pipe(json, gzip, base64);
    expect(codec.name).toBe('json+gzip+base64');
    expect('encodeText' in codec).toBe(false);
    const encoded = codec.encode({ a: [1, 'é'] });
    expect(Buffer.from(encoded).toString()).toMatch(/^H4sI/);
    expect(codec.decode(encoded)).toEqual({ a: [1, 'é'] });
    expect(json.decode(gzip.decode(base64.decode(encoded)))).toEqual({ a: [1, 'é'] });
  });

  test('of one codec is that codec', () => {
    expect(pipe(json)).toBe(json);
  });

  test('passes the errors of its links on', () => {
    const codec: Codec<unknown> = pipe(msgpack, gzip);
    expectError('MR_ENCODE_FAILED', () => codec.encode(Symbol('s')), 'msgpack');
    expectError('MR_DECODE_FAILED', () => codec.decode(Buffer.from('x')), 'gzip');
    expectError(
      'MR_DECODE_FAILED',
      () => codec.decode(gzip.encode(Uint8Array.of(0xc1))),
      'msgpack',
    );
  });
});
