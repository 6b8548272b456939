import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { frameReader, Splitter } from '../../src/connectors/splitter.ts';
import { codeOf } from '../stream/helpers.ts';

function splitter(delimiter: string | Uint8Array, maxBytes = 1_000, keep = true): Splitter {
  return new Splitter({ delimiter, maxBytes, keep, what: 'a line', option: 'maxLineBytes' });
}

/** What a splitter makes of a text that comes in chunks of these sizes, over and over. */
function cut(text: string, sizes: readonly number[], delimiter: string, keep = true): string[] {
  const bytes = Buffer.from(text);
  const each = splitter(delimiter, 1_000, keep);
  const frames: string[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    for (const frame of each.push(bytes.subarray(at, at + size))) frames.push(frame.toString());
    at += size;
  }
  const rest = each.rest();
  return rest === undefined ? frames : [...frames, rest.toString()];
}

test('where chunks end makes no difference', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('\n', 'ab', 'aab', 'abab'),
      fc.string({ unit: fc.constantFrom('a', 'b', '\n', 'é'), maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 }),
      (delimiter, text, sizes) => {
        const parts = text.split(delimiter);
        const last = parts.pop() as string;
        const whole = parts.map((part) => part + delimiter);
        expect(cut(text, sizes, delimiter)).toEqual(last === '' ? whole : [...whole, last]);
        expect(cut(text, sizes, delimiter, false)).toEqual(last === '' ? parts : [...parts, last]);
      },
    ),
  );
});

test('without an encoding values are copies: what becomes of a chunk later is none of their business', () => {
  const chunk = Buffer.from('one\ntwo\n');
  const values = [...splitter('\n').push(chunk).map(frameReader(undefined))];
  chunk.fill(0);
  expect(values.map(String)).toEqual(['one\n', 'two\n']);
});

test('a frame that is too long is refused when it is, not when it ends', () => {
  const each = splitter('\n', 4);
  expect([...each.push(Buffer.from('abc\nab'))].map(String)).toEqual(['abc\n']);
  expect(codeOf(() => [...each.push(Buffer.from('cde'))])).toBe('MR_RECORD_TOO_LARGE');
  expect(codeOf(() => [...splitter('\n', 4).push(Buffer.from('abcde\n'))])).toBe(
    'MR_RECORD_TOO_LARGE',
  );
});

test('frames before one that is too long are given first', () => {
  const frames: string[] = [];
  expect(
    codeOf(() => {
      for (const frame of splitter('\n', 4).push(Buffer.from('a\nb\nabcdefg')))
        frames.push(frame.toString());
    }),
  ).toBe('MR_RECORD_TOO_LARGE');
  expect(frames).toEqual(['a\n', 'b\n']);
});

test.each([[''], [new Uint8Array(0)], ['x'.repeat(1_025)], [7 as unknown as string]])(
  'refuses the delimiter %j',
  (delimiter) => {
    expect(codeOf(() => splitter(delimiter))).toBe('MR_OPTION_INVALID');
  },
);
