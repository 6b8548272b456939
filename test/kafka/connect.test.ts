/**
 * Log-ins, certificates and what goes wrong with them: each an error that says what to do, and holds no password.
 */
import { inspect } from 'node:util';

import { expect, onTestFinished, test } from 'vitest';

import { MillraceError } from '../../src/core/errors.ts';
import { kafka, openLog } from './support.ts';

const started = kafka?.started ?? null;
const startedTest = test.skipIf(started === null);
const user = encodeURIComponent(started?.user.name ?? '');
const password = encodeURIComponent(started?.user.password ?? '');
const ca = encodeURIComponent(started?.caPath ?? '');

/** A token that the test broker takes: it asks for no signature. */
function token(): string {
  const part = (fields: object): string =>
    Buffer.from(JSON.stringify(fields)).toString('base64url');
  const seconds = Math.floor(Date.now() / 1000);
  return `${part({ alg: 'none' })}.${part({ sub: started?.user.name, iat: seconds - 10, exp: seconds + 600 })}.`;
}

for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'])
  for (const [kind, address, query] of [
    ['without TLS', started?.sasl, ''],
    ['with TLS', started?.saslTls, `&tls&ca=${ca}`],
  ])
    startedTest(`log-in with ${mechanism}, ${kind ?? ''}`, async () => {
      const secret = mechanism === 'oauthbearer' ? token() : password;
      const log = await openLog(
        `kafka://${user}:${secret}@${address ?? ''}?mechanism=${mechanism}${query ?? ''}`,
      );
      onTestFinished(() => log.close());
      expect(await log.describeTopic('nothing')).toBeUndefined();
      expect(log.url).toBe(`kafka://${address ?? ''}`);
    });

startedTest('TLS without a log-in', async () => {
  const log = await openLog(`kafka://${started?.tls ?? ''}?tls&ca=${ca}`);
  onTestFinished(() => log.close());
  expect(await log.topics()).toEqual([]);
});

/** Opens what cannot be opened. */
async function refused(url: string): Promise<MillraceError> {
  try {
    await (await openLog(url)).close();
  } catch (error) {
    if (MillraceError.is(error)) return error;
    throw error;
  }
  throw new Error('it was opened');
}

const wrong = 'hunter2-and-more';
for (const [what, url, code, words] of [
  [
    'a wrong password, plain',
    `${user}:${wrong}@${started?.sasl ?? ''}?mechanism=plain`,
    'MR_PERMISSION',
    'password',
  ],
  [
    'a wrong password, scram',
    `${user}:${wrong}@${started?.sasl ?? ''}?mechanism=scram-sha-512`,
    'MR_PERMISSION',
    'password',
  ],
  [
    'an unknown user',
    `${wrong}:${wrong}@${started?.sasl ?? ''}?mechanism=scram-sha-256`,
    'MR_PERMISSION',
    'password',
  ],
  ['a certificate that is not trusted', `${started?.tls ?? ''}?tls`, 'MR_PERMISSION', 'ca='],
  ['TLS where there is none', `${kafka?.plain ?? ''}?tls`, 'MR_PERMISSION', 'TLS'],
  [
    'a missing certificate file',
    `${started?.tls ?? ''}?tls&ca=/no/such/file`,
    'MR_PERMISSION',
    'PEM',
  ],
  ['nobody there', '127.0.0.1:1', 'MR_IO', 'ECONNREFUSED'],
] as const)
  startedTest(`${what} is an error that says what to do`, async () => {
    const error = await refused(`kafka://${url}`);
    expect(error.message).toContain(words);
    expect(error.code).toBe(code);
    expect(inspect(error, { depth: 20 })).not.toContain(wrong);
  });

startedTest('no TLS where there is some, and no log-in where one is needed', async () => {
  for (const address of [started?.tls, started?.sasl]) {
    const error = await refused(`kafka://${address ?? ''}`);
    expect(['MR_PERMISSION', 'MR_IO']).toContain(error.code);
  }
});
