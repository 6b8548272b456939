/** Frames give back what was put in, and no damage to their bytes goes unnoticed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { isFrame, MAX_KEY_BYTES, place } from '../../src/broker/frame.ts';
import { controlFrame, FrameBuilder } from '../../src/broker/frame-builder.ts';
import { FrameView } from '../../src/broker/frame-view.ts';
import type { Codec } from '../../src/codec/codec.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { seededRandom, type Random } from '../../src/core/random.ts';
import type { Headers } from '../../src/core/types.ts';
import { headerTexts } from '../faults/header-texts.ts';

const MAX_TIME = 8_640_000_000_000_000;

interface Item {
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly headers: Headers | null;
}

const timestamps = fc.oneof(
  fc.integer({ min: 1_000_000_000_000, max: 1_000_000_100_000 }),
  fc.integer({ min: -MAX_TIME, max: MAX_TIME }),
  fc.constantFrom(0, MAX_TIME, -MAX_TIME, 0xffff_ffff, 0x1_0000_0000),
);
const bytes = fc.uint8Array({ maxLength: 60 });
const texts = fc.string({ unit: 'binary', maxLength: 12 });
const headers = fc.option(
  fc.dictionary(fc.oneof(texts, fc.constant('constructor')), fc.oneof(texts, bytes), {
    maxKeys: 4,
    noNullPrototype: true,
  }),
);
const item: fc.Arbitrary<Item> = fc.record({
  timestamp: timestamps,
  key: fc.option(bytes),
  headers,
});
const origins = fc.option(
  fc.record({ upstream: fc.nat({ max: 65_534 }), streamTime: fc.integer() }),
);

function builder(text: boolean, maxRecordBytes = 1 << 20): FrameBuilder {
  return new FrameBuilder({ text, maxRecordBytes });
}

function open(frame: { readonly bytes: Buffer }, baseOffset = 0): FrameView {
  return FrameView.open(frame.bytes, 't', 0, baseOffset);
}

/** Headers as they come back: values as bytes. */
function stored(given: Headers | null): [string, number[]][] {
  return Object.entries(given ?? {}).map(([name, value]) => [
    // What UTF-8 cannot carry comes back as U+FFFD.
    Buffer.from(name).toString(),
    [...(typeof value === 'string' ? Buffer.from(value) : value)],
  ]);
}

function expectItem(view: FrameView, i: number, expected: Item): void {
  expect(view.timestamp(i)).toBe(expected.timestamp);
  const key = view.key(i);
  expect(key === null ? null : [...key]).toEqual(expected.key === null ? null : [...expected.key]);
  expect(view.keyStart(i) === -1).toBe(expected.key === null);
  const wanted = Object.fromEntries(stored(expected.headers));
  const found = Object.fromEntries(stored(view.headers(i)));
  expect(found).toEqual(wanted);
}

describe('what is put in comes out', () => {
  test('binary values', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(item, fc.option(bytes)), { minLength: 1, maxLength: 80 }),
        fc.maxSafeNat(),
        timestamps,
        origins,
        (items, baseOffset, receivedAt, origin) => {
          const built = builder(false);
          for (const [{ timestamp, key, headers: own }, value] of items)
            built.add(timestamp, key, value, own);
          const frame = built.build(origin);
          expect(isFrame(frame)).toBe(true);
          place(frame.bytes, baseOffset, receivedAt);
          const view = open(frame, baseOffset);
          expect([view.baseOffset, view.count, view.receivedAt]).toEqual([
            baseOffset,
            items.length,
            receivedAt,
          ]);
          expect(view.end).toBe(baseOffset + items.length);
          expect([view.text, view.control, view.idle]).toEqual([false, false, false]);
          expect([view.upstream, view.streamTime]).toEqual(
            origin === null ? [-1, -Infinity] : [origin.upstream, origin.streamTime],
          );
          const times = items.map(([{ timestamp }]) => timestamp);
          expect(view.leastTimestamp).toBe(Math.min(...times));
          expect(view.greatestTimestamp).toBe(Math.max(...times));
          for (const [i, [expected, value]] of items.entries()) {
            expectItem(view, i, expected);
            const got = view.value(i);
            expect(got === null ? null : [...got]).toEqual(value === null ? null : [...value]);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('JSON texts, one by one and all at once', () => {
    const json = fc.option(fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' }), {
      nil: undefined,
      freq: 4,
    });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(item, json, fc.boolean()), { minLength: 1, maxLength: 60 }),
        (items) => {
          const built = builder(true);
          for (const [{ timestamp, key, headers: own }, value, asBytes] of items) {
            const text = value === undefined ? null : JSON.stringify(value);
            if (asBytes) built.add(timestamp, key, text === null ? null : Buffer.from(text), own);
            else built.addText(timestamp, key, text, own);
          }
          const view = open(built.build());
          expect(view.text).toBe(true);
          expect(view.json()).toEqual(
            items.map(([, value]) =>
              value === undefined ? null : (JSON.parse(JSON.stringify(value)) as unknown),
            ),
          );
          for (const [i, [expected, value]] of items.entries()) {
            expectItem(view, i, expected);
            const got = view.value(i);
            expect(got === null ? null : Buffer.from(got).toString()).toEqual(
              value === undefined ? null : JSON.stringify(value),
            );
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('values that a codec writes in place, small and large', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ item, length: fc.nat({ max: 3_000 }) }), {
          minLength: 1,
          maxLength: 30,
        }),
        (items) => {
          const built = builder(false);
          const plain: Codec<unknown> = {
            name: 'plain',
            encode: (value) => msgpack.encode(value),
            decode: (value) => msgpack.decode(value),
          };
          const codecs = [msgpack, plain];
          items.forEach(({ item: { timestamp, key, headers: given }, length }, i) => {
            const codec = codecs[i % 2] as Codec<unknown>;
            built.addValue(timestamp, key, codec, { text: 'x'.repeat(length), i }, given);
          });
          const view = open(built.build());
          items.forEach(({ item: expected, length }, i) => {
            expectItem(view, i, expected);
            const value = view.bytes.subarray(view.valueStart(i), view.valueEnd(i));
            expect(msgpack.decode(value)).toEqual({ text: 'x'.repeat(length), i });
          });
        },
      ),
    );
  });

  test('values of which one adds others while it is written', () => {
    for (const others of [1, 200]) {
      const built = builder(false);
      const sender = {
        before: 'b',
        get sent() {
          for (let i = 0; i < others; i++) built.addValue(i, null, msgpack, { i });
          return others;
        },
        after: 'a',
      };
      built.addValue(0, null, msgpack, 'first');
      built.addValue(7, null, msgpack, sender);
      built.addValue(8, null, msgpack, 'last');
      const view = open(built.build());
      const values = Array.from({ length: view.count }, (_, i) =>
        msgpack.decode(view.value(i) as Uint8Array),
      );
      const sent = Array.from({ length: others }, (_, i) => ({ i }));
      expect(values).toEqual(['first', ...sent, { before: 'b', sent: others, after: 'a' }, 'last']);
    }
  });

  test('a value that builds the frame while it is written', () => {
    const built = builder(false);
    let frame: { readonly bytes: Buffer } | undefined;
    built.addValue(0, null, msgpack, 'first');
    built.addValue(1, null, msgpack, {
      get built() {
        frame ??= built.build();
        return true;
      },
    });
    expect(msgpack.decode(open(frame as { bytes: Buffer }).value(0) as Uint8Array)).toBe('first');
    const view = open(built.build());
    expect([view.count, msgpack.decode(view.value(0) as Uint8Array)]).toEqual([1, { built: true }]);
  });

  test('more records than the builder begins with, and a builder used again', () => {
    const built = builder(true);
    for (const count of [1, 1000, 65]) {
      for (let i = 0; i < count; i++) built.addText(i, Buffer.from(`k${i}`), `"${i}"`);
      expect(built.count).toBe(count);
      const view = open(built.build());
      expect([built.count, built.bytes]).toEqual([0, 0]);
      expect(view.count).toBe(count);
      expect(view.json()[count - 1]).toBe(`${count - 1}`);
      expect(Buffer.from(view.key(count - 1) as Uint8Array).toString()).toBe(`k${count - 1}`);
    }
  });

  test('headers that begin late in a frame', () => {
    const built = builder(false);
    built.add(1, null, null);
    built.add(1, null, null, { a: 'b' });
    built.add(1, null, null);
    const view = open(built.build());
    expect([0, 1, 2].map((i) => stored(view.headers(i)))).toEqual([[], [['a', [98]]], []]);
  });

  test('headers that are refused, or only checked, leave nothing behind', () => {
    const built = builder(false);
    const refused = (wrong: object): void =>
      expect(() => built.add(1, null, null, wrong as Headers)).toThrow(
        expect.objectContaining({ code: 'MR_ARGUMENT_INVALID' }),
      );
    refused({ a: 'b', wrong: 5 });
    built.add(1, null, null);
    built.check(1, null, 0, { only: 'looked at' });
    built.add(1, null, null, { a: 'é'.repeat(100) });
    refused({ b: 'x'.repeat(2_000), ['n'.repeat(256)]: 'y' });
    built.add(1, null, null);
    built.add(1, null, null, {});
    built.add(1, null, null, { c: Uint8Array.of(1, 2), d: 'x'.repeat(2_000) });
    const view = open(built.build());
    const found = Array.from({ length: view.count }, (_, i) => view.headers(i));
    expect(found.map((each) => each && headerTexts(each))).toEqual([
      null,
      { a: 'é'.repeat(100) },
      null,
      null,
      { c: '\u0001\u0002', d: 'x'.repeat(2_000) },
    ]);
    // The next frame begins with none.
    built.add(1, null, null);
    expect(open(built.build()).headers(0)).toBe(null);
  });

  test('headers are those of the time when they were checked', () => {
    const built = builder(false);
    const binary = Uint8Array.of(1);
    const given: Record<string, string | Uint8Array> = { a: 'b', binary };
    const kept = built.check(1, null, 0, given);
    built.add(1, null, null, given);
    given['a'] = 'c';
    binary[0] = 2;
    built.add(1, null, null, kept);
    built.add(1, null, null, given);
    const view = open(built.build());
    expect([0, 1, 2].map((i) => stored(view.headers(i)))).toEqual([
      [
        ['a', [98]],
        ['binary', [1]],
      ],
      [
        ['a', [98]],
        ['binary', [1]],
      ],
      [
        ['a', [99]],
        ['binary', [2]],
      ],
    ]);
  });

  test('header names that mean something to objects', () => {
    const own = JSON.parse('{"__proto__":"x","constructor":"y"}') as Headers;
    const built = builder(false);
    built.add(1, null, null, own);
    const found = open(built.build()).headers(0) as Headers;
    expect(Object.keys(found)).toEqual(['__proto__', 'constructor']);
    expect(Object.getPrototypeOf(found)).toBeNull();
  });

  test('control frames', () => {
    for (const idle of [true, false]) {
      const frame = controlFrame({ upstream: 7, streamTime: 123 }, idle);
      place(frame.bytes, 41, 5);
      const view = open(frame, 41);
      expect([view.control, view.idle, view.count, view.end]).toEqual([true, idle, 1, 42]);
      expect([view.upstream, view.streamTime, view.receivedAt]).toEqual([7, 123, 5]);
    }
  });
});

describe('limits', () => {
  const fails = (code: string, call: () => unknown): void => {
    expect(call).toThrow(expect.objectContaining({ code }) as Error);
  };

  test('records up to maxRecordBytes, and nothing added by one that is larger', () => {
    for (const text of [false, true]) {
      const built = builder(text, 10);
      const value = Buffer.from('"12345"');
      built.add(1, Buffer.from('abc'), value);
      fails('MR_RECORD_TOO_LARGE', () => built.add(1, Buffer.from('abcd'), value));
      fails('MR_RECORD_TOO_LARGE', () => built.add(1, null, value, { a: '' }));
      fails('MR_RECORD_TOO_LARGE', () => built.addValue(1, null, msgpack, '0123456789'));
      fails('MR_RECORD_TOO_LARGE', () => built.addValue(1, null, msgpack, '0'.repeat(9_999)));
      fails('MR_ENCODE_FAILED', () => built.addValue(1, null, msgpack, [1, () => 2]));
      if (text) fails('MR_RECORD_TOO_LARGE', () => built.addText(1, null, '"üüüüü"'));
      expect(built.count).toBe(1);
      const view = open(built.build());
      expect([...(view.value(0) as Uint8Array)]).toEqual([...value]);
    }
  });

  test('keys up to MAX_KEY_BYTES', () => {
    const built = builder(false);
    built.add(1, Buffer.alloc(MAX_KEY_BYTES, 'k'), null);
    fails('MR_KEY_INVALID', () => built.add(1, Buffer.alloc(MAX_KEY_BYTES + 1), null));
    expect(open(built.build()).key(0)?.length).toBe(MAX_KEY_BYTES);
  });

  test('whole timestamps only', () => {
    const built = builder(false);
    for (const timestamp of [Number.NaN, Infinity, -Infinity, 0.5, 2 ** 53])
      fails('MR_TIMESTAMP_INVALID', () => built.add(timestamp, null, null));
    expect(built.count).toBe(0);
  });

  test('header names up to 255 bytes, 65,535 headers', () => {
    const built = builder(false);
    built.add(1, null, null, { ['ü'.repeat(127)]: '' });
    fails('MR_ARGUMENT_INVALID', () => built.add(1, null, null, { ['ü'.repeat(128)]: '' }));
    const many = Object.fromEntries(Array.from({ length: 65_536 }, (_, i) => [`h${i}`, '']));
    fails('MR_ARGUMENT_INVALID', () => built.add(1, null, null, many));
    expect(built.count).toBe(1);
    open(built.build());
  });

  test('no empty frames', () => {
    fails('MR_INTERNAL', () => builder(false).build());
  });

  test('isFrame tells frames from other bytes', () => {
    const built = builder(false);
    built.add(1, null, null);
    const frame = built.build();
    expect(isFrame(frame)).toBe(true);
    expect(isFrame({ ...frame, count: 2 })).toBe(false);
    expect(isFrame({ bytes: frame.bytes.subarray(0, 63), count: 1 })).toBe(false);
    expect(isFrame({ bytes: frame.bytes.subarray(0, -1), count: 1 })).toBe(false);
    expect(isFrame({ bytes: Buffer.alloc(200), count: 0 })).toBe(false);
  });
});

describe('damage', () => {
  test('50,000 mangled frames are refused, or are what they were', () => {
    const random = seededRandom(7);
    const frames = Array.from({ length: 40 }, (_, i) => randomFrame(random, i));
    let refused = 0;
    for (let i = 0; i < 50_000; i++) {
      const frame = frames[random.below(frames.length)] as Sample;
      const other = frames[random.below(frames.length)] as Sample;
      const mangled = mangle(frame.bytes, other.bytes, random);
      try {
        const view = FrameView.open(mangled, 'topic', 3, frame.baseOffset);
        // A frame may be spliced into itself.
        if (contentOf(view) !== frame.content) throw new Error(`frame ${i} was read as another`);
      } catch (error) {
        if (!MillraceError.is(error) || error.code !== 'MR_CORRUPT') throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(45_000);
  });

  test('the error names the place and what is wrong', () => {
    const built = builder(false);
    built.add(1, null, Buffer.from('value'));
    const { bytes: whole } = built.build();
    place(whole, 12, 0);
    const wrong = (change: (copy: Buffer) => Uint8Array, text: RegExp): void => {
      const copy = change(Buffer.from(whole));
      expect(() => FrameView.open(copy, 'orders', 3, 12)).toThrow(
        expect.objectContaining({
          code: 'MR_CORRUPT',
          domain: 'external',
          details: { topic: 'orders', partition: 3, offset: 12 },
          message: expect.stringMatching(/offset 12 of orders\[3\]/) as string,
        }) as Error,
      );
      expect(() => FrameView.open(copy, 'orders', 3, 12)).toThrow(text);
    };
    const flip =
      (at: number) =>
      (copy: Buffer): Buffer => {
        copy[at] = (copy[at] as number) ^ 4;
        return copy;
      };
    wrong((copy) => copy.subarray(0, 20), /fewer than a header/);
    wrong(flip(0), /mark of a frame/);
    wrong(flip(30), /checksum of its header/);
    wrong((copy) => copy.subarray(0, -1), /length/);
    wrong(flip(70), /checksum of its records/);
    expect(() => FrameView.open(whole, 'orders', 3, 13)).toThrow(/begins at offset 12/);
    expect(FrameView.open(new Uint8Array(whole), 'orders', 3, 12).count).toBe(1);
  });
});

interface Sample {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  readonly content: string;
}

function randomFrame(random: Random, i: number): Sample {
  const baseOffset = i * 100 + random.below(100);
  const frame =
    i % 10 === 9 ? controlFrame({ upstream: 1, streamTime: i }, false) : records(random);
  place(frame.bytes, baseOffset, 1000 + i);
  return {
    bytes: frame.bytes,
    baseOffset,
    content: contentOf(FrameView.open(frame.bytes, 'topic', 3, baseOffset)),
  };
}

function records(random: Random): { readonly bytes: Buffer; readonly count: number } {
  const text = random.below(2) === 0;
  const built = builder(text);
  for (let i = random.below(20); i >= 0; i--)
    built.add(
      random.below(3) === 0 ? MAX_TIME : i,
      random.below(4) === 0 ? null : Buffer.from(random.name(random.below(20))),
      random.below(4) === 0 ? null : Buffer.from(JSON.stringify(random.name(random.below(40)))),
      random.below(3) === 0 ? { [random.name()]: random.name() } : null,
    );
  return built.build();
}

/** Everything that a reader can ask for. */
function contentOf(view: FrameView): string {
  const { baseOffset, count, receivedAt, streamTime, upstream, control, idle, text } = view;
  const head = { baseOffset, count, receivedAt, streamTime, upstream, control, idle, text };
  const all = control
    ? []
    : Array.from({ length: count }, (_, i) => [
        view.timestamp(i),
        view.key(i),
        view.value(i),
        stored(view.headers(i)),
      ]);
  return JSON.stringify([head, all, text ? view.json() : null]);
}

function mangle(whole: Buffer, other: Buffer, random: Random): Buffer {
  const copy = Buffer.from(whole);
  switch (random.below(7)) {
    case 0: // one bit
      copy[random.below(copy.length)]! ^= 1 << random.below(8);
      return copy;
    case 1: // several bytes
      for (let i = random.below(8); i >= 0; i--)
        copy[random.below(copy.length)] = random.below(256);
      return copy;
    case 2: // cut short
      return copy.subarray(0, random.below(copy.length));
    case 3: // something behind it
      return Buffer.concat([copy, other.subarray(0, 1 + random.below(other.length))]);
    case 4: {
      // two frames spliced
      const at = random.below(copy.length);
      return Buffer.concat([copy.subarray(0, at), other.subarray(Math.min(at, other.length))]);
    }
    case 5: // a page of zeros
      return copy.fill(0, random.below(copy.length));
    default: // nothing of it
      return Buffer.from(Array.from({ length: random.below(300) }, () => random.below(256)));
  }
}
