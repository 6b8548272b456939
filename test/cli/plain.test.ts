/** Values as JSON, and codecs by name. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { storedCodec } from '../../src/cli/codecs.ts';
import { jsonOf, plain } from '../../src/cli/plain.ts';
import { float64, gzip, json, msgpack, pipe, utf8 } from '../../src/index.ts';

test('what JSON has no form for becomes an object that says what it is', () => {
  const value = {
    bytes: new Uint8Array([1, 2, 255]),
    big: 12n,
    date: new Date(0),
    never: new Date(Number.NaN),
    map: new Map<unknown, unknown>([['a', 1n]]),
    set: new Set([1, new Date(0)]),
    numbers: [1.5, Number.NaN, -Infinity],
    nothing: undefined,
  };
  expect(JSON.parse(jsonOf(value))).toEqual({
    bytes: { $base64: 'AQL/' },
    big: { $bigint: '12' },
    date: { $date: '1970-01-01T00:00:00.000Z' },
    never: { $date: null },
    map: { $map: [['a', { $bigint: '1' }]] },
    set: { $set: [1, { $date: '1970-01-01T00:00:00.000Z' }] },
    numbers: [1.5, { $number: 'NaN' }, { $number: '-Infinity' }],
    nothing: null,
  });
});

test('a member called __proto__ is data', () => {
  expect(JSON.stringify(plain(JSON.parse('{"__proto__":{"a":1}}')))).toBe('{"__proto__":{"a":1}}');
});

test('JSON stays as it is', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const same: unknown = JSON.parse(JSON.stringify(value));
      expect(JSON.parse(jsonOf(same))).toEqual(same);
    }),
  );
});

test.each([json, msgpack, utf8, float64, pipe(json, gzip), pipe(msgpack, gzip)])(
  'the codec $name is found by its name',
  (codec) => {
    const found = storedCodec(codec.name);
    expect(found?.name).toBe(codec.name);
  },
);

test.each(['rows', 'avro', 'json+zip', 'gzip+json', ''])('%j is nobody’s', (name) => {
  expect(storedCodec(name)).toBeUndefined();
});
