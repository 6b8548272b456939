/** What connectors make of URLs. */
import { expect, test } from 'vitest';

import { credentialsOf, urlOf } from '../../src/connectors/options.ts';
import { codeOf } from '../stream/helpers.ts';

test.each([
  ['http://host', {}],
  ['http://me@host', { username: 'me' }],
  ['http://me:p%40s%3As@host', { username: 'me', password: 'p@s:s' }],
  ['http://:100%@host', { password: '100%' }],
])('user and password of %s', (url, expected) => {
  expect(credentialsOf(new URL(url))).toEqual(expected);
});

test('a URL of another kind is refused without telling secrets', () => {
  for (const url of ['ftp://me:pass@host/?a=pass', 'pass', 'http//me:pass@host', ''])
    try {
      urlOf('httpPost', url, ['http:', 'https:']);
      expect.unreachable();
    } catch (error) {
      expect(
        codeOf(() => {
          throw error;
        }),
      ).toBe('MR_URL_INVALID');
      if (url.includes('@')) expect(String(error)).not.toContain('pass');
    }
});
