/** Everything of millrace that reads bytes or texts which somebody else may have written. */
import { crc32 } from 'node:zlib';

import { InvalidArgumentError } from 'commander';
import * as z from 'zod';

import { internalName } from '../../src/broker/checks.ts';
import { FrameBuilder, controlFrame } from '../../src/broker/frame-builder.ts';
import { FrameView } from '../../src/broker/frame-view.ts';
import { HEADER_BYTES, MAGIC, place, readPlace } from '../../src/broker/frame.ts';
import {
  decodeMessage,
  encodeAnswer,
  encodeAsk,
  encodeHello,
  encodePoke,
  encodeRefusal,
} from '../../src/broker/groups/messages.ts';
import { placeOf as socketPlaceOf } from '../../src/broker/groups/socket-places.ts';
import { decodeGarbage } from '../../src/broker/log/expiry.ts';
import {
  decodeEnds,
  decodeRow,
  encodeEnds,
  encodeRow,
  frameKey,
  homeOf,
  offsetOfKey,
  textKey,
} from '../../src/broker/log/rows.ts';
import { placeOf } from '../../src/broker/open.ts';
import { from, header, jsonValue, limit, timestamp, wholeNumber } from '../../src/cli/args.ts';
import { storedCodec } from '../../src/cli/codecs.ts';
import { recordLine, showRecord } from '../../src/cli/records.ts';
import { cut, printable } from '../../src/cli/text.ts';
import { base64 } from '../../src/codec/base64.ts';
import { bytes } from '../../src/codec/bytes.ts';
import { canonicalJson, frozenJson } from '../../src/codec/canonical-json.ts';
import type { Codec } from '../../src/codec/codec.ts';
import { excerpt, excerptText } from '../../src/codec/excerpt.ts';
import { gzip } from '../../src/codec/gzip.ts';
import { json } from '../../src/codec/json.ts';
import { decodeKey, encodeKey, KeyInterner, MAX_KEY_BYTES } from '../../src/codec/key.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { float64, int32 } from '../../src/codec/numbers.ts';
import { decodeBigInt, decodeNumber, encodeBigInt, encodeNumber } from '../../src/codec/ordered.ts';
import { pipe } from '../../src/codec/pipe.ts';
import { validator } from '../../src/codec/schema.ts';
import { decodeUtf8 } from '../../src/codec/text.ts';
import { utf8 } from '../../src/codec/utf8.ts';
import { durationMs, type Duration } from '../../src/core/duration.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { validName } from '../../src/core/names.ts';
import { redactUrl } from '../../src/core/redact.ts';
import type { KvReader } from '../../src/kv/kv.ts';
import { scrub, scrubText } from '../../src/log/scrub.ts';
import { decodeFrame, type TopicFormat } from '../../src/runtime/format.ts';
import { decodeMeta, encodeMeta } from '../../src/runtime/meta.ts';
import { CheckpointReader, headValue, longValue } from '../../src/state/checkpoint-rows.ts';
import { PageWriter } from '../../src/state/page-writer.ts';
import {
  expiredRow,
  keyedRow,
  readRow,
  rowPrefixes,
  windowedRow,
} from '../../src/state/row-key.ts';
import { decodeAnswer, decodeQuestion, encodeQuestion } from '../../src/table/question.ts';
import { Bogus, type Target } from './attack.ts';

const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  12.5,
  'text',
  'Größe',
  [],
  {},
  [1, 2, [3, [4, {}]]],
  { origin: 'ATL', delay: -3, tags: ['a', 'b'], at: 1_600_000_000_000 },
  Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`name${i}`, i * 1_000])),
  JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
];
const RICH: readonly unknown[] = [
  ...VALUES,
  undefined,
  1n << 70n,
  new Date(1_600_000_000_123),
  new Map<unknown, unknown>([
    ['a', 1],
    [{ b: 2 }, new Set([1, 'x'])],
  ]),
  Uint8Array.of(1, 2, 3),
  '\u{feff}mark',
  { deep: { deep: { deep: [new Date(0), new Map()] } } },
];
const KEYS: readonly unknown[] = [
  '',
  'ATL',
  '\0nul',
  0,
  -1.5,
  Infinity,
  1n << 90n,
  -5n,
  true,
  false,
  Uint8Array.of(0, 1, 255),
  { a: 1, b: ['x', null, true] },
  [1, 'two', { three: 3 }],
];

/** A decoder, held to re-encoding what it accepts without an error of any other kind. */
function codecTarget<T>(codec: Codec<T>, values: readonly T[]): Target {
  return {
    name: `codec ${codec.name}`,
    corpus: values.map((value) => codec.encode(value)),
    run(input) {
      const value = codec.decode(input);
      codec.encode(value);
    },
  };
}

const codecs: readonly Target[] = [
  codecTarget(json, VALUES),
  codecTarget(msgpack, RICH),
  codecTarget(utf8, ['', 'text', 'Größe \u{1f600}']),
  codecTarget(bytes, [Uint8Array.of(), Uint8Array.of(1, 2, 3)]),
  codecTarget(base64, [Uint8Array.of(), Uint8Array.of(1, 2, 3), Buffer.alloc(100, 7)]),
  codecTarget(int32, [0, -1, 2 ** 31 - 1]),
  codecTarget(float64, [0, -1.5, Number.NaN]),
  codecTarget(gzip, [Buffer.from('text'), Buffer.alloc(2_000, 1)]),
  codecTarget(pipe(json, gzip), VALUES),
  codecTarget(pipe(msgpack, gzip, base64), RICH),
  {
    name: 'msgpack among others',
    corpus: RICH.map((value) => msgpack.encode(value)),
    run(input) {
      // As in a frame: what lies in front of and behind the value is not part of it.
      const memory = Buffer.concat([Buffer.alloc(9, 0x91), input, Buffer.alloc(9, 0x91)]);
      msgpack.decodeAt?.(memory, 9, 9 + input.length);
    },
  },
  {
    name: 'key bytes',
    corpus: KEYS.map((key) => encodeKey(key)),
    run(input) {
      const key = decodeKey(input);
      // One key has one form in bytes, or a row could hide behind another.
      if (!input.equals(encodeKey(key))) throw new Bogus('a key has two forms');
    },
  },
  {
    name: 'key interner',
    corpus: KEYS.map((key) => encodeKey(key)),
    run: interned,
  },
  {
    name: 'schema',
    mixed: true,
    corpus: VALUES.map((value) => json.encode(value)),
    run: (input) => void checked(json.decode(input)),
  },
];

/** An error that the codec of keys, which is the only one to call these, turns into one of millrace. */
const plainError = (error: unknown): boolean =>
  error instanceof SyntaxError || (error instanceof Error && error.constructor === Error);

/** Bytes that sort as what they mean: one form for each, and the order of all that are known is that of the bytes. */
function orderedTarget<T extends number | bigint>(
  name: string,
  values: readonly T[],
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): Target {
  const known = values.map((value) => ({ value, bytes: encode(value) }));
  return {
    name,
    corpus: known.map(({ bytes: each }) => each),
    typed: plainError,
    run(input) {
      const value = decode(input);
      if (!input.equals(encode(value))) throw new Bogus('a value has two forms');
      if (!Object.is(decode(encode(value)), value)) throw new Bogus('it comes back as another');
      for (const other of known)
        if (Buffer.compare(input, other.bytes) !== orderOf(value, other.value))
          throw new Bogus(`it sorts wrongly beside ${other.value}`);
    },
  };
}

function orderOf(a: number | bigint, b: number | bigint): -1 | 0 | 1 {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

const NUMBERS: readonly number[] = [
  ...[-Infinity, -Number.MAX_VALUE, -1.5, -1, -Number.MIN_VALUE, 0],
  ...[Number.MIN_VALUE, 2 ** -1022, 0.1, 1, 255, 256, 2 ** 53, Number.MAX_VALUE, Infinity],
];
const INTEGERS: readonly bigint[] = [
  0n,
  ...[1n, 127n, 128n, 255n, 256n, 1n << 90n, 1n << 1_007n, 1n << 1_008n, 1n << 20_000n],
].flatMap((value) => (value === 0n ? [value] : [value, -value]));

/** Whether two values of JSON are the same but for the order of members; -0 is 0. */
function sameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && sameJson(left[name], right[name]))
  );
}

const OBJECTS: readonly object[] = [...VALUES, ...KEYS].filter(
  (value) => typeof value === 'object' && value !== null && !(value instanceof Uint8Array),
) as object[];

const keyCodecs: readonly Target[] = [
  orderedTarget('ordered number', NUMBERS, encodeNumber, decodeNumber),
  orderedTarget('ordered bigint', INTEGERS, encodeBigInt, decodeBigInt),
  {
    name: 'ordered, from any number',
    corpus: NUMBERS.map((value) => float64.encode(value)),
    typed: plainError,
    run(input) {
      const values = Array.from({ length: Math.min(8, input.length >> 3) }, (_, i) =>
        input.readDoubleLE(i * 8),
      ).filter((value) => !Number.isNaN(value));
      for (const value of values)
        if (decodeNumber(encodeNumber(value)) !== value) throw new Bogus(`${value} is another`);
      const [a, b] = values;
      if (a !== undefined && b !== undefined)
        if (Buffer.compare(encodeNumber(a), encodeNumber(b)) !== orderOf(a, b))
          throw new Bogus(`${a} and ${b} sort wrongly`);
      const magnitude = BigInt(`0x0${input.toString('hex', 0, 300)}`);
      for (const value of [magnitude, -magnitude])
        if (decodeBigInt(encodeBigInt(value)) !== value) throw new Bogus(`${value} is another`);
    },
  },
  {
    name: 'canonical JSON',
    corpus: OBJECTS.map((value) => Buffer.from(canonicalJson(value, 10_000))),
    typed: plainError,
    run(input) {
      const text = decodeUtf8(input);
      if (text === undefined) throw refused('no text');
      const value = frozenJson(text);
      if (canonicalJson(value, text.length) !== text) throw new Bogus('a value has two texts');
      if (!Object.isFrozen(value)) throw new Bogus('it can be changed');
    },
  },
  {
    name: 'canonical JSON of any value',
    mixed: true,
    corpus: VALUES.map((value) => json.encode(value)),
    typed: plainError,
    run(input) {
      const value = json.decode(input);
      if (typeof value !== 'object' || value === null) throw refused('no object');
      const text = canonicalJson(value, MAX_KEY_BYTES);
      if (!sameJson(frozenJson(text), value)) throw new Bogus('it comes back as another');
      const turned = Array.isArray(value)
        ? value
        : Object.fromEntries(Object.entries(value).toReversed());
      if (canonicalJson(turned, MAX_KEY_BYTES) !== text)
        throw new Bogus('the order of members makes a difference');
    },
  },
];

const interner = new KeyInterner(64);
function interned(input: Buffer): void {
  const ref = interner.ref(input, 0, input.length);
  if (!input.equals(ref.bytes)) throw new Bogus('the reference is one of another key');
}

const checked = validator(
  z.object({ origin: z.string(), delay: z.number().int(), tags: z.array(z.string()).optional() }),
  'a value',
);

const PLACE = { topic: 't', partition: 0, baseOffset: 7, home: homeOf(3, 0) };
/** Partition 1 of the same topic, and the same partition of another. */
const ELSEWHERE: readonly number[] = [homeOf(3, 1), homeOf(4, 0), 0];

function frames(): Buffer[] {
  const made: Buffer[] = [];
  for (const text of [true, false])
    for (const headers of [null, { trace: 'abc', ['__proto__']: Uint8Array.of(1) }])
      for (const wide of [0, 2 ** 40]) {
        const builder = new FrameBuilder({ text, maxRecordBytes: 1 << 20 });
        for (const [i, value] of VALUES.entries())
          if (text)
            builder.addText(i * wide, i % 3 === 0 ? null : encodeKey(i), json.encodeText(value));
          else
            builder.add(
              i * wide,
              encodeKey(`k${i}`),
              i % 4 === 0 ? null : msgpack.encode(value),
              headers,
            );
        made.push(builder.build(wide === 0 ? null : { upstream: 3, streamTime: wide }).bytes);
      }
  made.push(controlFrame({ upstream: 1, streamTime: 5 }, true).bytes);
  for (const each of made) place(each, PLACE.baseOffset, 1_600_000_000_000, PLACE.home);
  return made;
}

const written = frames();
/** Frames without a fault that stand at the same offset of other partitions. */
const foreign: readonly Buffer[] = ELSEWHERE.flatMap((home) =>
  written.map((frame) => {
    const copy = Buffer.from(frame);
    place(copy, PLACE.baseOffset, 1_600_000_000_000, home);
    return copy;
  }),
);
const jsonFormat = formatOf(json);
const msgpackFormat = formatOf(msgpack);

function formatOf(codec: Codec<unknown>): TopicFormat {
  return {
    topic: PLACE.topic,
    partitions: 1,
    codec,
    keyCodec: undefined,
    checkIn: undefined,
    checkOut: undefined,
    checkKey: undefined,
    timestamp: undefined,
    maxRecordBytes: 1 << 20,
  };
}

function resealFrame(input: Buffer): Buffer {
  if (input.length < HEADER_BYTES) return input;
  const copy = Buffer.from(input);
  copy.writeUInt32LE(MAGIC, 0);
  copy.writeUInt32LE(crc32(copy.subarray(HEADER_BYTES)), 8);
  copy.writeUInt32LE(copy.length - HEADER_BYTES, 12);
  place(copy, PLACE.baseOffset, 1, PLACE.home);
  return copy;
}

/** All that a reader does with a frame. */
function readFrame(input: Buffer): FrameView {
  const { topic, partition, baseOffset, home } = PLACE;
  const view = FrameView.open(input, topic, partition, baseOffset, home);
  if (!(view.end > view.baseOffset))
    throw new Bogus('a frame without an end: its reader would never pass it');
  if (view.control) {
    if (view.count !== 1) throw new Bogus('a control frame of many offsets');
    return view;
  }
  if (view.count * 10 > input.length) throw new Bogus('more records than bytes');
  for (let i = 0; i < view.count; i++) {
    view.timestamp(i);
    within(input, view.key(i));
    within(input, view.value(i));
    for (const value of Object.values(view.headers(i) ?? {})) within(input, value as Uint8Array);
  }
  const { values } = decodeFrame(view.text ? jsonFormat : msgpackFormat, view);
  if (values.length !== view.count) throw new Bogus('values were lost');
  return view;
}

function within(memory: Buffer, part: Uint8Array | null): void {
  if (part === null || part.length === 0) return;
  const at = part.byteOffset - memory.byteOffset;
  if (part.buffer !== memory.buffer || at < 0 || at + part.length > memory.length)
    throw new Bogus('bytes beyond the frame were read');
}

function readWritten(input: Buffer): void {
  readFrame(input);
  if (!written.some((frame) => frame.equals(input)))
    throw new Bogus('a frame that nobody has written here');
}

const frameTargets: readonly Target[] = [
  { name: 'frame as it is', corpus: written, run: readWritten },
  { name: 'frame of another partition', mixed: true, corpus: foreign, run: readWritten },
  {
    name: 'frame, checksums right',
    corpus: written,
    run: (input) => void readFrame(resealFrame(input)),
  },
  {
    name: 'frame header',
    corpus: written,
    reseal: resealFrame,
    run(input) {
      if (readPlace(input, PLACE.home) === undefined) throw refused('no header');
    },
  },
];

const EMPTY = Buffer.alloc(0);
const prefixes = rowPrefixes('orders');
const rowKeys = [
  keyedRow(prefixes, encodeKey('ATL')),
  windowedRow(prefixes, -3_600_000, encodeKey(5)),
  windowedRow(prefixes, 1_600_000_000_000, encodeKey({ a: 1 })),
  expiredRow(prefixes, 3_600_000),
];

function pages(): Buffer[] {
  const writer = new PageWriter();
  const rows = Array.from({ length: 200 }, (_, i) =>
    keyedRow(prefixes, encodeKey(`key${1_000 + i}`)),
  );
  let at = 0;
  for (const [i, row] of rows.entries()) {
    writer.put(Buffer.concat(rows), at, at + row.length, Buffer.alloc(i % 90, i));
    at += row.length;
  }
  return writer.take(EMPTY).map(({ bytes: page }) => sealRow(EMPTY, page));
}

/** The checksum of a row in table `state`, whose key is `key` behind the address. */
function sealRow(key: Uint8Array, value: Buffer): Buffer {
  if (value.length < 4) return value;
  const copy = Buffer.from(value);
  copy.writeUInt32LE(crc32(copy.subarray(4), crc32(key)), 0);
  return copy;
}

/** A store that holds this row of a checkpoint and nothing else. */
function storeOf(kind: number, rest: Uint8Array, value: Uint8Array): KvReader {
  const key = Buffer.concat([Buffer.of(0, 0, 0, 1, kind), rest]);
  return {
    get: () => value,
    range: () => [{ key, value }],
  };
}

const stateTargets: readonly Target[] = [
  {
    name: 'checkpoint page',
    corpus: pages(),
    reseal: (input) => sealRow(EMPTY, input),
    run(input) {
      for (const { page } of new CheckpointReader(storeOf(1, EMPTY, input), 1).pages()) {
        if (page.count * 6 > input.length) throw new Bogus('more rows than bytes');
        for (let i = 0; i < page.count; i++) {
          within(input, page.key(i));
          within(input, page.rawValue(i));
        }
        page.lowerBound(rowKeys[0] as Buffer);
        page.rowBytes(0, page.count);
      }
    },
  },
  {
    name: 'checkpoint head',
    corpus: [headValue({ position: 5, writes: 2 })],
    reseal: (input) => sealRow(EMPTY, input),
    run: (input) => void new CheckpointReader(storeOf(0, EMPTY, input), 1).head(),
  },
  {
    name: 'checkpoint long row',
    corpus: [longValue(EMPTY, rowKeys[0] as Buffer, Buffer.from('value'))],
    reseal: (input) => sealRow(EMPTY, input),
    run(input) {
      for (const [key, value] of new CheckpointReader(storeOf(2, EMPTY, input), 1).longRows()) {
        within(input, key);
        within(input, value);
      }
    },
  },
  { name: 'row key', corpus: rowKeys, run: (input) => void readRow(input) },
  {
    name: 'meta of a task',
    corpus: [
      encodeMeta({
        format: 1,
        time: 5,
        inputs: [],
        events: 3,
        skipped: 0,
        deadLettered: 0,
        lost: 0,
        late: { orders: 1 },
        tables: ['orders'],
        done: { orders: [4, 6] },
        closed: {},
      }),
    ],
    run: (input) => void decodeMeta(input, 'a/0'),
  },
];

const logTargets: readonly Target[] = [
  {
    name: 'row of the log',
    corpus: [
      encodeRow({ version: 2 }),
      encodeRow({ epoch: 1, positions: [] }, Buffer.from('meta')),
    ],
    reseal: (input) => sealLog(input),
    run: (input) => void decodeRow(input, () => 'a row'),
  },
  {
    name: 'key of a frame',
    corpus: [frameKey(3, 0, 7), frameKey(0xffff_ffff, 1_023, 2 ** 52)],
    run(input) {
      const offset = offsetOfKey(input);
      if (!(offset >= 0) || !input.subarray(6).equals(frameKey(0, 0, offset).subarray(6)))
        throw new Bogus('an offset has two keys');
    },
  },
  {
    name: 'note of what to delete',
    corpus: [encodeRow({ topics: [1, 2], states: [3] }), encodeRow({ topics: [], states: [] })],
    reseal: (input) => sealLog(input),
    run: (input) => void decodeGarbage(textKey('garbage:a'), input),
  },
  {
    name: 'ends of a partition',
    corpus: [encodeEnds({ start: 0, end: 9, receivedAt: 1, bytes: 700, sparseBelow: 0 })],
    reseal: (input) => sealLog(input),
    run: (input) => void decodeEnds(input, () => 'the ends'),
  },
];

function sealLog(input: Buffer): Buffer {
  if (input.length < 4) return input;
  const copy = Buffer.from(input);
  copy.writeUInt32LE(crc32(copy.subarray(4)), 0);
  return copy;
}

const messageTargets: readonly Target[] = [
  {
    name: 'message on a socket',
    corpus: [
      encodeHello(),
      encodePoke('poke', 'group'),
      encodePoke('poked', 'changes'),
      encodeAsk({ id: 5, group: 'app.1', task: 'orders/0', question: Buffer.from('question') }),
      encodeAnswer(6, Buffer.from('answer')),
      encodeRefusal(7, new MillraceError('MR_NO_OWNER', 'nobody', { details: { task: 'a/0' } })),
      encodeRefusal(8, new Error('of another kind')),
    ],
    run(input) {
      const message = decodeMessage(input);
      if (message.type === 'refusal' && typeof message.error.message !== 'string')
        throw new Bogus('an error without a text');
    },
  },
  {
    name: 'question about a table',
    corpus: [
      encodeQuestion({ table: 'orders', key: encodeKey('ATL'), window: undefined }),
      encodeQuestion({ table: 'orders', key: encodeKey('ATL'), window: { start: 5 } }),
      encodeQuestion({ table: 'orders', key: encodeKey(1), window: { current: { stepMs: 60 } } }),
    ],
    run(input) {
      const { key } = decodeQuestion(input);
      decodeKey(key);
    },
  },
  {
    name: 'answer about a table',
    corpus: VALUES.map((value) => Buffer.concat([Buffer.of(1), json.encode(value)])),
    run: (input) => void decodeAnswer(input, json),
  },
];

/** A parser of a text. */
function textTarget(
  name: string,
  corpus: readonly string[],
  run: (text: string) => unknown,
): Target {
  return {
    name,
    corpus: corpus.map((text) => Buffer.from(text)),
    run: (input) => void run(input.toString('utf8')),
    mixed: true,
    typed: (error) => error instanceof InvalidArgumentError,
  };
}

const NAMES = ['orders', 'a.b-c_d', 'CON', 'nul.txt', '..', 'x'.repeat(128), '__proto__', 'é'];
const URLS = [
  'file:./data',
  'file:/abs/data',
  'file:///abs/d%61ta',
  'file://user:pass@host/x',
  'memory:',
  'memory:name',
  'kafka://user:pass@host:9092/topic?x=1',
  'mongodb+srv://u:p@h/db?a=b#c',
];

const textTargets: readonly Target[] = [
  textTarget('URL of a broker', URLS, placeOf),
  textTarget('URL in a log line', [...URLS, `a://${')'.repeat(5_000)}x`], (text) => [
    redactUrl(text),
    scrubText(`cannot open ${text}.`),
  ]),
  textTarget('field of a log line', ['text', ...URLS], (text) =>
    scrub({ [text]: { text }, at: [text] }),
  ),
  textTarget('name', NAMES, (text) => validName('topic', text)),
  textTarget('internal name', NAMES, (text) => internalName('group', text)),
  textTarget('duration', ['500ms', '10s', '1.5h', '7d', '1e9s', '-1s'], (text) =>
    durationMs(text as Duration, 'grace'),
  ),
  textTarget(
    'address of a socket',
    [
      'dir:0123456789abcdef',
      'tmp:/tmp/millrace-1-0123456789abcdef/0123456789abcdef',
      'pipe:0123abcd',
    ],
    (text) => socketPlaceOf('/data', text),
  ),
  textTarget('argument: number', ['0', '17', '9007199254740991', '1e3', '-1'], wholeNumber(0)),
  textTarget('argument: limit', ['1', 'all', '10'], limit),
  textTarget('argument: time', ['1600000000000', '2026-11-21T10:00:00Z', '-5'], timestamp),
  textTarget('argument: from', ['start', 'end', '12', '2026-11-21', '2026-11-21T10:00:00Z'], from),
  textTarget('argument: header', ['a=b', '__proto__=x', '=', 'a'], (text) =>
    header(text, { x: 'y' }),
  ),
  textTarget('argument: JSON', ['{"a":[1,2,{}]}', '"text"', '[[]]'], jsonValue),
  textTarget(
    'codec of a stored topic',
    ['json', 'json+gzip', 'bytes+gzip+base64', 'a+b'],
    storedCodec,
  ),
  textTarget('text for a terminal', ['text', '\u001b[31mred', '\u202eabc', '👩‍👩‍👧'], (text) => {
    if (/[\p{Cc}\u202e]/u.test(printable(text))) throw new Bogus('control characters');
    cut(text, 20);
  }),
  {
    name: 'record for a terminal',
    corpus: VALUES.map((value) => json.encode(value)),
    run(input) {
      const record = {
        ...{ topic: 't', partition: 0, offset: 1, timestamp: 2, receivedAt: 3 },
        ...{ key: input, value: input, headers: { trace: input } },
      };
      for (const codec of [json, msgpack, undefined])
        recordLine(showRecord(record, { codec, keyCodec: undefined, check: undefined }));
    },
  },
  {
    name: 'value in an error',
    corpus: VALUES.map((value) => json.encode(value)),
    run(input) {
      let value: unknown = input;
      try {
        value = json.decode(input);
      } catch {
        // Bytes are a value, too.
      }
      if (excerpt(value).length > 80 || excerptText(input).length > 80)
        throw new Bogus('a long excerpt');
    },
  },
];

/** All targets. */
export const targets: readonly Target[] = [
  ...frameTargets,
  ...codecs,
  ...keyCodecs,
  ...stateTargets,
  ...logTargets,
  ...messageTargets,
  ...textTargets,
];

function refused(text: string): MillraceError {
  return new MillraceError('MR_CORRUPT', text, { domain: 'external' });
}
