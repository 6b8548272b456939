import { describe, expect, test } from 'vitest';

import { assert, CoPartitionError, messageOf, MillraceError } from '../../src/core/errors.ts';

describe('MillraceError', () => {
  test('has a code, and defaults that blame the caller and promise nothing', () => {
    const error = new MillraceError('MR_CLOSED', 'it is closed');
    expect(error).toMatchObject({
      name: 'MillraceError',
      code: 'MR_CLOSED',
      message: 'it is closed',
      domain: 'user',
      retryable: false,
      details: {},
    });
    expect('cause' in error).toBe(false);
  });

  test('keeps cause, domain, retryable and details', () => {
    const cause = new Error('disk');
    const details = { path: '/x' };
    const error = new MillraceError('MR_DISK_FULL', 'full', {
      cause,
      details,
      domain: 'external',
      retryable: true,
    });
    expect(error.cause).toBe(cause);
    expect(error).toMatchObject({ domain: 'external', retryable: true, details });
  });

  test('is recognised by its code, also from another copy of the package', () => {
    expect(MillraceError.is(new CoPartitionError('text', { topic: 't' }))).toBe(true);
    expect(MillraceError.is(Object.assign(new Error('other copy'), { code: 'MR_IO' }))).toBe(true);
    expect(MillraceError.is(Object.assign(new Error('node'), { code: 'ENOENT' }))).toBe(false);
    for (const value of [new Error('plain'), { code: 'MR_IO' }, 'MR_IO', null, undefined])
      expect(MillraceError.is(value)).toBe(false);
  });

  test('CoPartitionError has its own name and code', () => {
    const error = new CoPartitionError('text', { topic: 't' });
    expect(error).toBeInstanceOf(MillraceError);
    expect(error).toMatchObject({ name: 'CoPartitionError', code: 'MR_CO_PARTITION' });
  });
});

test('messageOf never throws', () => {
  expect(messageOf(new Error('text'))).toBe('text');
  expect(messageOf('text')).toBe('text');
  expect(messageOf(undefined)).toBe('undefined');
  expect(messageOf(Symbol('s'))).toBe('Symbol(s)');
  expect(messageOf(Object.create(null))).toContain('object');
});

test('assert throws an internal error with its details', () => {
  expect(() => assert(true, 'fine')).not.toThrow();
  expect(() => assert(false, 'offsets went back', { offset: 3 })).toThrow(
    expect.objectContaining({
      code: 'MR_INTERNAL',
      domain: 'internal',
      details: { offset: 3 },
      message: expect.stringContaining('offsets went back') as string,
    }),
  );
});
