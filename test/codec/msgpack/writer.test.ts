import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { general } from '../../../src/codec/msgpack/general.ts';
import { MAX_DEPTH, NOT_PLAIN } from '../../../src/codec/msgpack/plain.ts';
import { NO_ROOM, Writer } from '../../../src/codec/msgpack/writer.ts';
import { ENOUGH, numbers, ofOneShape, plainValue, texts } from './support.ts';

const reference = general();
const room = Buffer.alloc(4_194_304);

/** The bytes that are written, compared with those of msgpackr; {@link NOT_PLAIN} for none. */
function write(writer: Writer, value: unknown): string | typeof NOT_PLAIN {
  const end = writer.write(value, room, 0, room.length);
  if (typeof end !== 'number') {
    expect(end).toBe(NOT_PLAIN);
    return NOT_PLAIN;
  }
  const bytes = room.toString('hex', 0, end);
  expect(bytes).toBe(Buffer.from(reference.write(value)).toString('hex'));
  return bytes;
}

describe('bytes', () => {
  test('are those of msgpackr', () => {
    const writer = new Writer();
    fc.assert(
      fc.property(plainValue, (value) => {
        write(writer, value);
      }),
      { numRuns: 500 },
    );
  });

  test('of one shape are those of msgpackr, before and after it is compiled', () => {
    const writer = new Writer();
    fc.assert(
      fc.property(ofOneShape, (objects) => {
        for (const object of objects) write(writer, object);
      }),
      { numRuns: 60 },
    );
  });

  test('of every form are written, not left to msgpackr', () => {
    const writer = new Writer();
    const tree = {
      n: numbers,
      t: texts,
      o: { a: { b: [] }, c: {} },
      rest: [null, undefined, true, false, new Date(0), new Date(1), new Date(1.7e12 + 7)],
      many: Array.from({ length: 70_000 }, (_, i) => i),
      wide: Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, i])),
      // A hole is written like undefined.
      holes: Object.assign([], { 2: 1 }),
    };
    for (let i = 0; i < ENOUGH; i++) expect(write(writer, tree)).toBeTypeOf('string');
    for (const each of [...numbers, ...texts, ...tree.rest])
      expect(write(writer, each)).toBeTypeOf('string');
  });

  test('of objects that begin alike', () => {
    const writer = new Writer();
    for (let i = 0; i < 500; i++) {
      const kind = i % 12;
      write(writer, {
        type: kind,
        at: i,
        ...(kind % 2 === 0 ? { x: 1 } : { y: [2] }),
        [`k${kind}`]: i,
      });
      write(writer, { type: kind, at: i });
      write(writer, { at: i, type: kind });
      write(writer, {});
    }
  });

  test('of members that are inherited, hidden or symbols are not written', () => {
    const writer = new Writer();
    const parent = Object.prototype as unknown as Record<string, unknown>;
    const object = Object.defineProperty({ a: 1, [Symbol('s')]: 2 }, 'hidden', { value: 3 });
    for (let i = 0; i < ENOUGH; i++) expect(write(writer, object)).toBe('81a16101');
    try {
      parent['polluted'] = 1;
      expect(write(writer, object)).toBe('81a16101');
    } finally {
      delete parent['polluted'];
    }
  });
});

describe('leaves to msgpackr', () => {
  class Point {
    x = 1;
  }
  test.each<[string, unknown]>([
    ['a bigint', 1n],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a Map', new Map()],
    ['a Set', new Set()],
    ['bytes', new Uint8Array(1)],
    ['a Buffer', Buffer.alloc(1)],
    ['an instance of a class', new Point()],
    ['an object without a prototype', Object.create(null)],
    ['an invalid date', new Date(Number.NaN)],
    ['a time before 1970', new Date(-1)],
    ['a time after 2106', new Date(1_000 * 2 ** 32)],
    ['a text __proto__', '__proto__'],
    ['a name __proto__', JSON.parse('{"__proto__":1}')],
    ['a byte order mark', '\u{feff}'],
    ['a byte order mark before much', `\u{feff}${'x'.repeat(99)}`],
    ['a lone surrogate', 'a\u{d800}'],
    ['a lone surrogate in a long text', `${'é'.repeat(99)}\u{dfff}`],
  ])('%s', (_, value) => {
    const writer = new Writer();
    expect(write(writer, value)).toBe(NOT_PLAIN);
    for (let i = 0; i < ENOUGH; i++) expect(write(writer, { a: 1, b: [value] })).toBe(NOT_PLAIN);
    for (let i = 0; i < ENOUGH; i++) write(writer, { a: 1, b: 2 });
    expect(write(writer, { a: 1, b: value })).toBe(NOT_PLAIN);
    expect(write(writer, { a: 1, b: 2 })).toBe('82a16101a16202');
  });

  test('what is nested too deep, and cycles', () => {
    const writer = new Writer();
    let nested: unknown = 1;
    for (let i = 0; i < MAX_DEPTH; i++) nested = i % 2 === 0 ? [nested] : { nested };
    expect(write(writer, nested)).toBeTypeOf('string');
    expect(write(writer, [nested])).toBe(NOT_PLAIN);
    const cycle: unknown[] = [];
    cycle.push(cycle);
    expect(write(writer, cycle)).toBe(NOT_PLAIN);
    expect(write(writer, nested)).toBeTypeOf('string');
  });
});

test('writes within its room only, and says when that does not suffice', () => {
  const writer = new Writer();
  const value = {
    date: 978_310_800_000,
    name: 'né',
    long: 'x'.repeat(50),
    list: [1, 1e3, { a: null }],
    at: new Date(7),
  };
  for (let i = 0; i < ENOUGH; i++) write(writer, value);
  const bytes = Buffer.from(reference.write(value));
  // Room is taken for the longest number and text.
  const most = bytes.length + 200;
  for (let size = 0; size <= most; size++) {
    const target = Buffer.alloc(size + 20, 0xee);
    const end = writer.write(value, target, 10, 10 + size);
    expect(target.subarray(0, 10).every((byte) => byte === 0xee)).toBe(true);
    expect(target.subarray(10 + size).every((byte) => byte === 0xee)).toBe(true);
    if (size < bytes.length) expect(end).toBe(NO_ROOM);
    if (end === NO_ROOM) expect(size).toBeLessThan(most);
    else expect(target.subarray(10, end as number).equals(bytes)).toBe(true);
  }
});
