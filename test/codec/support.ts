/**
 * What the tests of codecs share.
 *
 * @module
 */
import * as fc from 'fast-check';
import { expect } from 'vitest';

import type { Codec } from '../../src/codec/codec.ts';
import { MillraceError } from '../../src/core/errors.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import { seededRandom } from '../../src/core/random.ts';

/** The MillraceError that `fn` throws. */
export function errorOf(fn: () => unknown): MillraceError {
  try {
    fn();
  } catch (error) {
    if (MillraceError.is(error)) return error;
    throw new Error('not a typed error', { cause: error });
  }
  throw new Error('nothing was thrown');
}

/** Expects a typed error with this code, and a message that fits on a screen. */
export function expectError(code: ErrorCode, fn: () => unknown, text?: string | RegExp): void {
  const error = errorOf(fn);
  expect(error.code).toBe(code);
  expect(error.message.length).toBeLessThan(700);
  if (text !== undefined) expect(error.message).toMatch(text);
}

/** Well-formed text of any script, with the odd cases that break codecs. */
export const text: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.constantFrom(
    '',
    '\0',
    '\0abc',
    '\u{feff}',
    `\u{feff}${'x'.repeat(100)}`,
    '\u{fffd}',
    '__proto__',
    'constructor',
    'toString',
    '😀',
    'é'.repeat(70),
    '\u{10ffff}',
  ),
);

/** Bytes of any kind: random ones, and encodings with some of their bytes changed, cut or added. */
function* hostileBytes(
  count: number,
  seeds: readonly Uint8Array[],
  seed: number,
): Generator<Uint8Array> {
  const random = seededRandom(seed);
  for (let i = 0; i < count; i++) {
    const from = seeds[random.below(seeds.length)];
    if (from === undefined || random.below(3) === 0) {
      yield Uint8Array.from({ length: random.below(40) }, () => random.below(256));
      continue;
    }
    const bytes = [...from];
    for (let changes = random.below(4); changes >= 0; changes--) {
      const at = random.below(bytes.length + 1);
      const change = random.below(3);
      if (change === 0) bytes.splice(at, 1);
      else bytes.splice(at, change - 1, random.below(256));
    }
    yield Uint8Array.from(bytes);
  }
}

/** Decodes `count` hostile inputs: values or `MR_DECODE_FAILED`, nothing else, and nobody's prototype changes. */
export function fuzzDecode(
  codec: Pick<Codec<unknown>, 'decode'>,
  seeds: readonly Uint8Array[],
  accepted: (value: unknown, bytes: Uint8Array) => void = () => undefined,
  count = 20_000,
): void {
  const shapes = (): unknown =>
    [Object.prototype, Array.prototype, Map.prototype, Function.prototype].map((prototype) =>
      Reflect.ownKeys(prototype),
    );
  const before = shapes();
  for (const bytes of hostileBytes(count, seeds, 0xbad)) {
    const copy = bytes.slice();
    let value: unknown;
    try {
      value = codec.decode(bytes);
    } catch (error) {
      if (
        MillraceError.is(error) &&
        error.code === 'MR_DECODE_FAILED' &&
        error.message.length < 700
      )
        continue;
      throw new Error(`untyped error for ${Buffer.from(copy).toString('hex')}`, { cause: error });
    }
    if (Buffer.compare(bytes, copy) !== 0) throw new Error('decode changed its input');
    accepted(value, bytes);
  }
  expect(shapes()).toEqual(before);
}
