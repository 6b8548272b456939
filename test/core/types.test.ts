import { expect, test } from 'vitest';

import { isPromise } from '../../src/core/types.ts';

test('isPromise takes anything with a then', () => {
  // oxlint-disable-next-line unicorn/no-thenable -- the thing itself is under test
  for (const yes of [Promise.resolve(), { then: () => undefined }])
    expect(isPromise(yes)).toBe(true);
  // oxlint-disable-next-line unicorn/no-thenable -- the thing itself is under test
  for (const no of [undefined, null, 1, 'then', { then: 1 }, {}, () => 1])
    expect(isPromise(no)).toBe(false);
});
