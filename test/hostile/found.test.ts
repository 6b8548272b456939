/** What mangled inputs have found, one test for each. */
import { expect, test } from 'vitest';

import { FrameBuilder, controlFrame } from '../../src/broker/frame-builder.ts';
import { FrameView } from '../../src/broker/frame-view.ts';
import { place, writeHeader } from '../../src/broker/frame.ts';
import { decodeMessage } from '../../src/broker/groups/messages.ts';
import { decodeRow, encodeRow } from '../../src/broker/log/rows.ts';
import { jsonOf, plain } from '../../src/cli/plain.ts';
import { showRecord } from '../../src/cli/records.ts';
import { cut, widthOf } from '../../src/cli/text.ts';
import { excerpt } from '../../src/codec/excerpt.ts';
import { json } from '../../src/codec/json.ts';
import { sample } from '../../src/codec/sample.ts';
import { scrubText } from '../../src/log/scrub.ts';
import { decodeMeta } from '../../src/runtime/meta.ts';
import { defectOfPage, sealPage } from '../../src/state/page.ts';
import { readRow } from '../../src/state/row-key.ts';

const DEEP = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
const corrupt = expect.objectContaining({ code: 'MR_CORRUPT' }) as Error;

function open(bytes: Buffer): FrameView {
  place(bytes, 0, 0);
  return FrameView.open(bytes, 't', 0, 0);
}

test('a control frame takes one offset: with none its reader would stay there for ever', () => {
  expect(open(controlFrame({ upstream: 0, streamTime: 5 }, false).bytes).end).toBe(1);
  for (const count of [0, 2, 0xffff_ffff]) {
    const { bytes } = controlFrame({ upstream: 0, streamTime: 5 }, false);
    writeHeader(bytes, count, 8, 5, 5, null);
    expect(() => open(bytes)).toThrow(corrupt);
  }
});

test('headers whose lengths do not add up are a damaged frame, not a RangeError in the handler that looks at them', () => {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: 1_000 });
  builder.add(0, null, Buffer.from('value'), { trace: 'abc' });
  const { bytes, count } = builder.build();
  const headersAt = bytes.indexOf('trace') - 3;
  for (const [at, value] of [
    [headersAt, 2],
    [headersAt + 1, 0xff],
    [headersAt + 2, 0xff],
    [headersAt + 8, 0xff],
    [headersAt + 8, 1],
  ] as const) {
    const copy = Buffer.from(bytes);
    copy[at] = value;
    writeHeader(copy, count, copy.readUInt16LE(60), 0, 0, null);
    expect(() => open(copy), `${value} at ${at}`).toThrow(corrupt);
  }
  expect(open(bytes).headers(0)).toMatchObject({ trace: Buffer.from('abc') });
});

test('a page whose lengths do not add up is damaged although its checksum is right', () => {
  const key = Buffer.from('from here on');
  for (const lengths of [
    [1, 0, 200, 0, 0, 0, 0],
    [1, 0, 1, 0, 200, 0, 0],
    [255, 255],
  ]) {
    const page = sealPage(
      key,
      Buffer.concat([Buffer.alloc(4), Buffer.from(lengths), Buffer.alloc(20)]),
    );
    expect(defectOfPage(key, page)).toBe('its lengths do not add up');
  }
});

test('row keys, rows and meta that are none', () => {
  for (const bytes of [[], [3], [1, 97], [1, 97, 9, 0], [1, 97, 1, 0], [0, 2, 1, 2, 3]])
    expect(() => readRow(Uint8Array.from(bytes))).toThrow(corrupt);
  for (const text of ['', '{', 'null', '5', '"text"'])
    expect(() => decodeMeta(Buffer.from(text), 'a/0')).toThrow(corrupt);
  for (const head of [null, 5, 'text'])
    expect(() => decodeRow(encodeRow(head as never), () => 'a row')).toThrow(corrupt);
});

test('the error that a peer sends has a text of a bounded length', () => {
  const refusal = (message: string): Buffer =>
    Buffer.concat([Buffer.of(5, 0, 0, 0, 0), Buffer.from(`{"code":"MR_IO","message":${message}}`)]);
  for (const message of ['{"toString":1,"valueOf":1}', DEEP, '5', 'null'])
    expect(() => decodeMessage(refusal(message))).toThrow(
      expect.objectContaining({ code: 'MR_ARGUMENT_INVALID' }),
    );
  const message = decodeMessage(refusal(JSON.stringify('x'.repeat(1_000_000))));
  expect(message.type === 'refusal' && message.error.message.length).toBe(16_384);
});

test('a record that is nested too deep to print is shown as bytes, and the next one is shown', () => {
  const value = Buffer.from(DEEP);
  const record = { topic: 't', partition: 0, offset: 0, timestamp: 0, receivedAt: 0 };
  const reading = { codec: json, keyCodec: undefined, check: undefined };
  const shown = showRecord({ ...record, key: null, value, headers: null }, reading);
  expect(shown.value).toEqual({ $base64: value.toString('base64') });
  expect(shown.error).toMatch(/nested deeper than 500 levels/);
  expect(() => plain(json.decode(value))).toThrow(
    expect.objectContaining({ code: 'MR_ENCODE_FAILED' }),
  );
  const fine = `${'['.repeat(500)}${']'.repeat(500)}`;
  expect(jsonOf(json.decode(Buffer.from(fine)))).toBe(fine);
});

test('the excerpt of a value with very many members looks at few of them', () => {
  const names = Array.from({ length: 80_000 }, (_, i) => `name${i}`);
  const wide = Object.fromEntries(names.map((name) => [name, 1]));
  const kept = sample({ wide, again: [wide, new Map([[1, wide]]), new Set([wide])] }) as object;
  let members = 0;
  JSON.stringify(kept, (_name, value: unknown) => (members++, value));
  expect(members).toBeLessThan(300);
  expect(excerpt(wide)).toBe(
    excerpt(Object.fromEntries(names.slice(0, 50).map((name) => [name, 1]))),
  );
  class Odd {
    a = 1;
    get b(): never {
      throw new Error('read');
    }
  }
  const small = { a: [1, { b: new Odd() }], c: new Map([['d', new Set([5])]]) };
  expect(sample(small)).toBe(small);
  expect(excerpt({ wide, odd: 1 })).toMatch(/^\{ wide: \{ name0: 1,/);
  Object.defineProperty(wide, 'early', { enumerable: true, get: () => expect.unreachable() });
  expect(sample(wide) === wide).toBe(false);
});

test('closing characters behind a URL are left out, however many there are', () => {
  expect(scrubText('see (kafka://me:pass@host/x).')).toBe('see (kafka://***@host/x).');
  const brackets = ')'.repeat(10_000);
  expect(scrubText(`a://host${brackets}x`)).toContain('a://host');
  expect(scrubText(`a://host${brackets}`)).toBe(`a://host${brackets}`);
});

test('the width of a text is looked at as far as it matters', () => {
  const long = '\u{65e5}'.repeat(100_000);
  expect(widthOf(long, 10)).toBe(12);
  expect(widthOf('\u{65e5}'.repeat(5), 10)).toBe(10);
  expect(cut(long, 10)).toBe('\u{65e5}\u{65e5}\u{65e5}\u{65e5}…');
});
