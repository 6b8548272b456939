import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { excerpt, excerptHex, excerptText, MAX_EXCERPT } from '../../src/codec/excerpt.ts';

function expectOneShortLine(text: string): void {
  expect(text.length).toBeLessThanOrEqual(MAX_EXCERPT);
  expect(text.isWellFormed()).toBe(true);
  expect(text).not.toMatch(/[\p{Cc}\u{2028}\u{2029}]/u);
}

test('values and bytes of every kind fit on a short line', () => {
  fc.assert(
    fc.property(
      fc.anything({
        withBigInt: true,
        withMap: true,
        withNullPrototype: true,
        withTypedArray: true,
      }),
      (value) => {
        expectOneShortLine(excerpt(value));
      },
    ),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      expectOneShortLine(excerptText(bytes));
      expectOneShortLine(excerptHex(bytes));
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      expectOneShortLine(excerpt(text));
      expectOneShortLine(excerptText(Buffer.from(text)));
    }),
  );
});

test('short ones are whole, long ones end with an ellipsis', () => {
  expect(excerpt({ a: [1, 'x'] })).toBe("{ a: [ 1, 'x' ] }");
  expect(excerptText(Buffer.from('{"a":1}'))).toBe('{"a":1}');
  expect(excerptHex(Uint8Array.of(0xc1, 0))).toBe('c100');
  expect(excerpt('x'.repeat(500))).toMatch(/^'x{78}…$/);
  expect(excerptText(Buffer.from('😀'.repeat(90)))).toMatch(/…$/);
  expect(excerptHex(new Uint8Array(500))).toMatch(/^(00){39}…$/);
});

test('proxies that throw are described', () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  expectOneShortLine(excerpt(proxy));
});
