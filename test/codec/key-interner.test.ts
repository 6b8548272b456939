import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { json } from '../../src/codec/json.ts';
import { encodeKey, KeyInterner, keyRef } from '../../src/codec/key.ts';
import { seededRandom } from '../../src/core/random.ts';
import { expectError, text } from './support.ts';

const key = fc.oneof(text, fc.double({ noNaN: true }), fc.bigInt(), fc.boolean(), fc.uint8Array());

/** `encoded` in the middle of other bytes, of one class or the other. */
function framed(encoded: Uint8Array, buffer: boolean): [Uint8Array, number, number] {
  const frame = buffer
    ? Buffer.alloc(encoded.length + 10, 0xee)
    : new Uint8Array(encoded.length + 10);
  frame.set(encoded, 5);
  return [frame, 5, 5 + encoded.length];
}

describe('ref', () => {
  test('is what keyRef makes, and the same object for equal keys', () => {
    const interner = new KeyInterner();
    fc.assert(
      fc.property(key, fc.boolean(), (value, buffer) => {
        const expected = keyRef(value);
        const ref = interner.ref(...framed(encodeKey(value), buffer));
        expect([ref.key, ref.id]).toEqual([expected.key, expected.id]);
        expect(Buffer.compare(ref.bytes, expected.bytes)).toBe(0);
        expect(interner.ref(...framed(encodeKey(value), !buffer))).toBe(ref);
      }),
      { numRuns: 500 },
    );
  });

  test('tells keys apart that differ in any byte, or only in length', () => {
    const interner = new KeyInterner();
    const keys = [
      '',
      'a',
      'aa',
      'aaa',
      'aaaa',
      'aaaaa',
      'a\0',
      'a\0\0',
      'a\0\0\0',
      'a\0\0\0\0',
      'b',
      'ab',
      'ba',
      'abcd',
      'abce',
      'abcde',
      'abcdf',
    ];
    for (let round = 0; round < 3; round++)
      for (const each of keys)
        expect(interner.ref(...framed(encodeKey(each), true)).key).toBe(each);
  });

  test.each([1, 2, 3, 64])('a capacity of %d is right for more keys than that', (capacity) => {
    const interner = new KeyInterner(capacity);
    const random = seededRandom(capacity);
    for (let i = 0; i < 20_000; i++) {
      const value = `key-${random.below(500)}`;
      const ref = interner.ref(...framed(encodeKey(value), i % 2 === 0));
      if (ref.key !== value || ref.id !== value) throw new Error(`${value} came back as ${ref.id}`);
    }
  });

  test('keeps a working set far below its capacity', () => {
    const interner = new KeyInterner(4_096);
    const frames = Array.from({ length: 300 }, (_, i) => framed(encodeKey(`airport-${i}`), true));
    const first = frames.map((frame) => interner.ref(...frame));
    const again = frames.map((frame) => interner.ref(...frame));
    expect(again.filter((ref, i) => ref !== first[i]).length).toBeLessThan(10);
  });

  test('is right where no key comes back, and keeps a working set again when they do', () => {
    const interner = new KeyInterner(4_096);
    const once = (n: number): void => {
      const ref = interner.ref(...framed(encodeKey(`payment-${n}`), true));
      if (ref.id !== `payment-${n}`) throw new Error(`${n} came back as ${ref.id}`);
    };
    for (let n = 0; n < 100_000; n++) once(n);
    const frames = Array.from({ length: 300 }, (_, i) => framed(encodeKey(`airport-${i}`), true));
    for (let round = 0; round < 300; round++) for (const frame of frames) interner.ref(...frame);
    const first = frames.map((frame) => interner.ref(...frame));
    const again = frames.map((frame) => interner.ref(...frame));
    expect(again.filter((ref, i) => ref !== first[i]).length).toBeLessThan(30);
  });

  test('keeps nothing of the bytes that it was given', () => {
    const interner = new KeyInterner();
    const [frame, from, to] = framed(encodeKey('ATL'), true);
    const ref = interner.ref(frame, from, to);
    frame.fill(0x78);
    const expected = keyRef('ATL');
    expect([ref.key, ref.id, [...ref.bytes]]).toEqual([
      expected.key,
      expected.id,
      [...expected.bytes],
    ]);
    expect(interner.ref(frame, from, to).key).toBe('xxx');
  });

  test('long keys are right, if not kept', () => {
    const interner = new KeyInterner();
    const long = 'x'.repeat(8_192);
    expect(interner.ref(...framed(encodeKey(long), true)).key).toBe(long);
    for (const length of [511, 512, 513])
      expect(interner.ref(...framed(encodeKey('y'.repeat(length)), false)).id).toHaveLength(length);
  });

  test('malformed keys throw at every time', () => {
    const interner = new KeyInterner();
    for (let i = 0; i < 3; i++)
      expectError('MR_DECODE_FAILED', () => interner.ref(Uint8Array.of(0xff, 0xfe), 0, 2));
  });
});

describe('with a decode of its own', () => {
  test('id and bytes are the canonical ones of the decoded key', () => {
    const interner = new KeyInterner(16, (bytes) => json.decode(bytes));
    const frame = Buffer.from('"ATL"{"b":1,"a":2}{"a":2,"b":1} 7 ');
    expect(interner.ref(frame, 0, 5)).toEqual(keyRef('ATL'));
    expect(interner.ref(frame, 0, 5)).toBe(interner.ref(frame, 0, 5));
    expect(interner.ref(frame, 5, 18)).toEqual(keyRef({ a: 2, b: 1 }));
    expect(interner.ref(frame, 18, 31).id).toBe(interner.ref(frame, 5, 18).id);
    expect(interner.ref(frame, 31, 34)).toEqual(keyRef(7));
  });

  test('what it throws and gives is checked', () => {
    const interner = new KeyInterner(16, (bytes) => json.decode(bytes));
    expectError('MR_DECODE_FAILED', () => interner.ref(Buffer.from('{'), 0, 1));
    expectError('MR_KEY_INVALID', () => interner.ref(Buffer.from('null'), 0, 4));
  });
});

describe('of', () => {
  test('is what keyRef makes, and the same object for equal strings', () => {
    const interner = new KeyInterner();
    fc.assert(
      fc.property(key, (value) => {
        expect(interner.of(value)).toEqual(keyRef(value));
        if (typeof value === 'string') expect(interner.of(value)).toBe(interner.of(value));
      }),
    );
    expectError('MR_KEY_INVALID', () => interner.of(null));
    expectError('MR_KEY_INVALID', () => interner.of('\u{d800}'));
  });

  test('stays right when there are more strings than it keeps', () => {
    const interner = new KeyInterner(4);
    for (let i = 0; i < 100; i++) expect(interner.of(`k${i % 7}`).id).toBe(`k${i % 7}`);
  });
});

test.each([0, -1, 1.5, Number.NaN, 2 ** 21])('refuses a capacity of %s', (capacity) => {
  expectError('MR_ARGUMENT_INVALID', () => new KeyInterner(capacity));
});
