import { inspect } from 'node:util';

import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { excerptFlat } from '../../src/codec/excerpt-flat.ts';
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

test('flat objects look as all others do', () => {
  const primitive = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.string({ maxLength: 100 }),
    fc.double(),
    fc.integer(),
    fc.constantFrom(null, undefined, true, false, -0, Number.NaN, 1e21),
    fc.bigInt(),
  );
  const name = fc.oneof(
    fc.stringMatching(/^[A-Za-z_]\w{0,4}$/),
    fc.string({ maxLength: 3 }),
    fc.constantFrom('__proto__', 'constructor', 'toString', '7'),
  );
  const flat = fc.dictionary(name, primitive, { noNullPrototype: true, maxKeys: 6 });
  let shown = 0;
  fc.assert(
    fc.property(fc.oneof(flat, fc.anything()), (value) => {
      const found = excerptFlat(value, MAX_EXCERPT);
      if (found === undefined) return;
      const whole = inspect(value, { breakLength: Infinity, compact: true });
      if (found.length > MAX_EXCERPT) expect(whole.startsWith(found)).toBe(true);
      else expect(found).toBe(whole);
      expectOneShortLine(excerpt(value));
      shown++;
    }),
    { numRuns: 2_000 },
  );
  expect(shown).toBeGreaterThan(100);
  expect(excerpt({ n: 1, text: 'x'.repeat(70), more: 2 })).toBe(
    `{ n: 1, text: '${'x'.repeat(64)}…`,
  );
});

test('nothing of a flat value is run', () => {
  const run = (): never => {
    throw new Error('it was run');
  };
  const traps = new Proxy({}, { ownKeys: run, getPrototypeOf: run, getOwnPropertyDescriptor: run });
  const getter = Object.defineProperty({ a: 1 }, 'b', { get: run, enumerable: true });
  for (const value of [traps, getter, { [Symbol.toStringTag]: 'x' }])
    expect(excerptFlat(value, MAX_EXCERPT)).toBeUndefined();
});
