import { expect, test } from 'vitest';

import { kafkaError, passes, troubleOf } from '../../../src/broker/kafka/errors.ts';
import { loadKafka } from '../../../src/broker/kafka/library.ts';

const { AuthenticationError, MultipleErrors, NetworkError, ProtocolError, UserError } =
  await loadKafka();

const reported = (name: string): Error =>
  new MultipleErrors('several', [new NetworkError('wrapped', { cause: new ProtocolError(name) })]);

test('what brokers report becomes an error of its own kind', () => {
  for (const [name, code, retryable] of [
    ['UNKNOWN_TOPIC_OR_PARTITION', 'MR_UNKNOWN_TOPIC', false],
    ['TOPIC_AUTHORIZATION_FAILED', 'MR_PERMISSION', false],
    ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'MR_PERMISSION', false],
    ['MESSAGE_TOO_LARGE', 'MR_RECORD_TOO_LARGE', false],
    ['INVALID_TIMESTAMP', 'MR_TIMESTAMP_INVALID', false],
    ['PRODUCER_FENCED', 'MR_FENCED', false],
    ['ILLEGAL_GENERATION', 'MR_FENCED', false],
    ['INVALID_REPLICATION_FACTOR', 'MR_OPTION_INVALID', false],
    ['UNSUPPORTED_VERSION', 'MR_VERSION_UNSUPPORTED', false],
    ['NOT_ENOUGH_REPLICAS', 'MR_IO', true],
    ['UNKNOWN_SERVER_ERROR', 'MR_IO', false],
  ] as const) {
    const error = kafkaError(reported(name), 'it failed', { topic: 't' });
    expect([error.code, error.retryable], name).toEqual([code, retryable]);
    expect(error.message.startsWith('it failed: ')).toBe(true);
    expect(error.details).toEqual({ topic: 't', kafka: name });
  }
});

test('connections that fail', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), {
    code: 'ECONNREFUSED',
  });
  const unreachable = kafkaError(new NetworkError('no', { cause: refused }), 'it failed');
  expect([unreachable.code, unreachable.retryable, unreachable.domain]).toEqual([
    'MR_IO',
    true,
    'external',
  ]);
  expect(unreachable.message).toContain('ECONNREFUSED');
  const untrusted = Object.assign(new Error('self-signed'), {
    code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  });
  const certificate = kafkaError(new NetworkError('no', { cause: untrusted }), 'it failed');
  expect([certificate.code, certificate.retryable]).toEqual(['MR_PERMISSION', false]);
  expect(certificate.message).toContain('ca=');
  const wrong = kafkaError(
    new NetworkError('no', { cause: new AuthenticationError('no') }),
    'it failed',
  );
  expect([wrong.code, wrong.retryable, wrong.domain]).toEqual(['MR_PERMISSION', false, 'user']);
  expect(kafkaError(new UserError('Broker requires TLS.'), 'it failed').message).toContain(
    'tls=true',
  );
});

test('what passes by itself is tried again, and nothing else', () => {
  expect(passes(troubleOf(reported('NOT_LEADER_OR_FOLLOWER')))).toBe(true);
  expect(passes(troubleOf(new NetworkError('closed')))).toBe(true);
  expect(passes(troubleOf(reported('TOPIC_AUTHORIZATION_FAILED')))).toBe(false);
  expect(passes(troubleOf(new NetworkError('no', { cause: new AuthenticationError('no') })))).toBe(
    false,
  );
  expect(passes(troubleOf(new TypeError('a mistake')))).toBe(false);
});

test('only texts go on, and errors of ours stay as they are', () => {
  const secret = new NetworkError('no', { password: 'secret' });
  const error = kafkaError(secret, 'it failed');
  expect(JSON.stringify([error, error.cause, Object.keys(error.cause as object)])).not.toContain(
    'secret',
  );
  expect(kafkaError(error, 'again')).toBe(error);
});
