/** Packages that may be missing. */
import { expect, test } from 'vitest';

import { MillraceError } from '../../src/core/errors.ts';
import { optionalPackage } from '../../src/core/optional-package.ts';

test('gives what is imported', async () => {
  const path = await optionalPackage('node:path', 'tests need', () => import('node:path'));
  expect(path.basename('/a/b')).toBe('b');
});

test('one that is missing is named, with what to do', async () => {
  const missing = optionalPackage(
    'no-such-package',
    'pictures need',
    () => Promise.reject(new Error('Cannot find package')),
    'use another format',
  );
  await expect(missing).rejects.toThrow(
    'no-such-package cannot be loaded, which pictures need; install it with npm install no-such-package, or use another format',
  );
  const error: unknown = await missing.catch((thrown: unknown) => thrown);
  expect(MillraceError.is(error) && [error.code, error.domain, error.details]).toEqual([
    'MR_DEPENDENCY_MISSING',
    'external',
    { package: 'no-such-package' },
  ]);
});
