import { expect, test } from 'vitest';

import { isTooFarAhead, tooFarAhead } from '../../src/window/future.ts';

test.each([
  [1_000, 1_000, 0, false],
  [1_001, 1_000, 0, true],
  [1_500, 1_000, 500, false],
  [1_501, 1_000, 500, true],
  [-5, 1_000, 0, false],
  [Number.MAX_SAFE_INTEGER, 1_000, Infinity, false],
])('%d at %d with maxFuture %d: %s', (timestamp, now, maxFutureMs, ahead) => {
  expect(isTooFarAhead(timestamp, now, maxFutureMs)).toBe(ahead);
});

test('the error has topic, time and what to do', () => {
  const error = tooFarAhead('clicks', 5_000, 1_000, 100);
  expect(error).toMatchObject({
    code: 'MR_TIMESTAMP_INVALID',
    retryable: false,
    details: { topic: 'clicks', timestamp: 5_000, maxFutureMs: 100 },
  });
  expect(error.message).toMatch(/of topic clicks is of 5000, 4000 ms ahead of the clock/u);
});
