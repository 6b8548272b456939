/** What of a URL may be shown. */
import { expect, test } from 'vitest';

import { redactUrl } from '../../src/core/redact.ts';

test.each([
  ['kafka://me:pass@host:1/x?sasl=pass#pass', 'kafka://***@host:1/x'],
  ['kafka://host:1?password=pass', 'kafka://host:1'],
  ['kafka://me:p@ss@host:1/x', 'kafka://***@host:1/x'],
  ['kafka://me:pass@host:1/x?sasl=p@ss', 'kafka:***'],
  ['kafka://me:1?pass@host', 'kafka:***'],
  ['mongodb://me:p/ss@host/db', 'mongodb:***'],
  ['mongodb://me:pass@a:1,b:2/db', 'mongodb:***'],
  ['//me:pass@host', '***'],
  ['file:./me@home', 'file:./me@home'],
  ['memory:x', 'memory:x'],
])('redactUrl(%j)', (url, redacted) => {
  expect(redactUrl(url)).toBe(redacted);
});
