import * as v from 'valibot';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';

import { json } from '../../src/codec/json.ts';
import { isCodec, isSchema, isUnchecked, unchecked, validator } from '../../src/codec/schema.ts';
import type { Schema } from '../../src/codec/schema.ts';
import { errorOf, expectError } from './support.ts';

const where = "a value of topic 'orders'";

/** A schema of the user's own. */
function own<T>(validate: (value: unknown) => never): Schema<T> {
  return { '~standard': { version: 1, vendor: 'own', validate } };
}

describe('validator', () => {
  test('zod: gives the output, defaults and transforms included', () => {
    const check = validator(
      z.object({ at: z.string().transform((at) => new Date(at)), n: z.number().default(7) }),
      where,
    );
    const output = check({ at: '2026-01-02T03:04:05Z' });
    expectTypeOf(output).toEqualTypeOf<{ at: Date; n: number }>();
    expect(output).toEqual({ at: new Date('2026-01-02T03:04:05Z'), n: 7 });
  });

  test('valibot: the same', () => {
    const check = validator(
      v.object({
        at: v.pipe(
          v.string(),
          v.transform((at) => new Date(at)),
        ),
        n: v.optional(v.number(), 7),
      }),
      where,
    );
    expect(check({ at: '2026-01-02T03:04:05Z' })).toEqual({
      at: new Date('2026-01-02T03:04:05Z'),
      n: 7,
    });
  });

  test.each<[string, Schema<unknown, unknown>]>([
    [
      'zod',
      z.object({ items: z.array(z.object({ price: z.number() })), 'first name': z.string() }),
    ],
    [
      'valibot',
      v.object({ items: v.array(v.object({ price: v.number() })), 'first name': v.string() }),
    ],
  ])('%s: issues name their paths', (_, schema) => {
    const error = errorOf(() =>
      validator(schema, where)({ items: [{ price: 1 }, { price: '2' }], 'first name': null }),
    );
    expect(error.code).toBe('MR_SCHEMA_VIOLATION');
    expect(error.message).toMatch(
      /^a value of topic 'orders' does not match its schema: items\[1\]\.price: .+; \["first name"\]: .+; the value is \{ items: /,
    );
    expect(error.details['issues']).toEqual([
      { path: 'items[1].price', message: expect.any(String) as string },
      { path: '["first name"]', message: expect.any(String) as string },
    ]);
    expect(error.details['where']).toBe(where);
  });

  test('who has passed a value finds the place, who has read it finds a short error', () => {
    const traced = errorOf(() => validator(z.number(), where)('x'));
    const untraced = errorOf(() => validator(z.number(), where, { traced: false })('x'));
    expect(traced.stack).toContain(`${traced.message}\n    at `);
    expect(untraced.stack).toMatch(/; the value is 'x'$/);
    const { code, message, details } = traced;
    expect(untraced).toMatchObject({ code, message, details });
    expect(new Error('any other').stack).toContain('\n    at ');
  });

  test('an issue of the value itself has no path', () => {
    expect(errorOf(() => validator(z.number(), where)('x')).message).toMatch(
      /schema: Invalid input/,
    );
  });

  test('paths of every kind of segment', () => {
    const path = ['a', 0, Symbol('s'), { key: 'b' }, { key: 3 }, 'é', '', '__proto__', 'x-y'];
    const schema = own(() => ({ issues: [{ message: 'no', path }] }) as never);
    expect(errorOf(() => validator(schema, where)(1)).details['issues']).toEqual([
      { path: 'a[0][Symbol(s)].b[3].é[""].__proto__["x-y"]', message: 'no' },
    ]);
  });

  test('shows five issues and counts the rest; keeps all of them in the details', () => {
    const schema = z.array(z.number());
    const error = errorOf(() => validator(schema, where)(Array.from({ length: 12 }, () => 'x')));
    expect(error.message).toContain('[4]: ');
    expect(error.message).not.toContain('[5]: ');
    expect(error.message).toContain('; and 7 more; the value is');
    expect(error.details['issues']).toHaveLength(12);
  });

  test('the text stays short for huge values and messages', () => {
    const schema = own(() => ({ issues: [{ message: 'm'.repeat(1e5) }] }) as never);
    expect(
      errorOf(() => validator(schema, where)({ text: 'y'.repeat(1e6) })).message.length,
    ).toBeLessThan(500);
  });

  test('a schema that throws is a violation with the cause', () => {
    const cause = new SyntaxError('no JSON');
    const schema = own(() => {
      throw cause;
    });
    const error = errorOf(() => validator(schema, where)('{'));
    expect(error).toMatchObject({ code: 'MR_SCHEMA_VIOLATION', cause });
    expect(error.message).toContain('its schema threw: no JSON; the value is');
  });

  test('what zod makes of a function that throws is explained', () => {
    const schema = z.string().transform((text): unknown => JSON.parse(text));
    expectError('MR_OPTION_INVALID', () => validator(schema, where)('{'), /something in it threw/);
  });

  test('a schema that answers with a promise is an error of the declaration', async () => {
    const schema = z.string().refine((text) => Promise.resolve(text !== ''));
    expectError(
      'MR_OPTION_INVALID',
      () => validator(schema, where)('x'),
      /zod.*must be synchronous/,
    );
    const rejecting = own(() => Promise.reject(new Error('nobody handles this')) as never);
    expectError('MR_OPTION_INVALID', () => validator(rejecting, where)('x'));
    // An unhandled rejection would fail the run.
    await new Promise((resolve) => setImmediate(resolve));
  });

  test('hostile values are described, not run', () => {
    const hostile = {
      get trap(): never {
        throw new Error('a getter ran');
      },
      toJSON: () => {
        throw new Error('toJSON ran');
      },
      [Symbol.for('nodejs.util.inspect.custom')]: () => {
        throw new Error('inspect ran');
      },
    };
    expectError(
      'MR_SCHEMA_VIOLATION',
      () => validator(z.number(), where)(hostile),
      /the value is \{/,
    );
  });
});

describe('unchecked', () => {
  test('is a schema, is recognised, and lets everything through as it is', () => {
    const schema = unchecked<{ id: string }>();
    expectTypeOf(schema).toEqualTypeOf<Schema<{ id: string }>>();
    expect(isSchema(schema)).toBe(true);
    expect(isUnchecked(schema)).toBe(true);
    expect(isUnchecked(z.any())).toBe(false);
    const value = { anything: 1 };
    expect(validator(schema, where)(value)).toBe(value);
    expect(schema['~standard'].validate(value)).toEqual({ value });
  });
});

describe('isSchema and isCodec', () => {
  test('tell schemas, codecs and everything else apart', () => {
    const callable = Object.assign(
      () => 1,
      own(() => ({ value: 1 }) as never),
    );
    for (const schema of [z.string(), v.string(), unchecked(), callable]) {
      expect(isSchema(schema)).toBe(true);
      expect(isCodec(schema)).toBe(false);
    }
    expect(isCodec(json)).toBe(true);
    expect(isSchema(json)).toBe(false);
    for (const neither of [
      null,
      undefined,
      1,
      'json',
      {},
      () => 1,
      { '~standard': null },
      { '~standard': { version: 2, validate: () => 1 } },
      { '~standard': { version: 1 } },
      { name: 'x', encode: () => 1 },
      { name: 1, encode: () => 1, decode: () => 1 },
    ]) {
      expect(isSchema(neither)).toBe(false);
      expect(isCodec(neither)).toBe(false);
    }
  });
});
