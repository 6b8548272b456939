import { describe, expect, test } from 'vitest';

import { validName } from '../../src/core/names.ts';

describe('validName', () => {
  test.each([
    'a',
    '7',
    'orders',
    'Orders-2.retry_1',
    'a.b.c',
    'x'.repeat(128),
    'console',
    'com',
    'com10',
    'a-',
    'a_',
    'constructor',
  ])('takes %s', (name) => {
    expect(validName('topic', name)).toBe(name);
  });

  test.each<unknown>([
    '',
    'x'.repeat(129),
    '.',
    '..',
    '.hidden',
    'a..b',
    'a.',
    '-a',
    '_a',
    '__proto__',
    'a b',
    ' a',
    'a ',
    'a\n',
    'a\0',
    'a/b',
    String.raw`a\b`,
    '../../etc/passwd',
    '/etc/passwd',
    'C:',
    'a:b',
    'a*',
    'a?b',
    'a"b',
    '<script>',
    '$where',
    '%00',
    'é',
    'ａ',
    '日本',
    '😀',
    '\u{d800}',
    '\u{202e}abc',
    'con',
    'CON',
    'nul.txt',
    'Aux.log',
    'prn',
    'com1',
    'LPT9.x',
    undefined,
    null,
    7,
    {},
    ['a'],
    Symbol('a'),
    Object.create(null),
  ])('refuses hostile name %#', (name) => {
    expect(() => validName('topic', name as string)).toThrow(
      expect.objectContaining({
        code: 'MR_NAME_INVALID',
        details: { what: 'topic' },
        message: expect.stringContaining('is not a valid topic name') as string,
      }),
    );
  });

  test('does not repeat an endless name in its error', () => {
    expect(() => validName('table', 'x'.repeat(1e6))).toThrow(/^.{0,400}$/s);
  });
});
