import { expect, test } from 'vitest';

import { parseKafkaUrl } from '../../../src/broker/kafka/url.ts';

test('hosts, ports and defaults', () => {
  expect(parseKafkaUrl('kafka://one,two.example:9093,[::1]:1')).toEqual({
    shown: 'kafka://one,two.example:9093,[::1]:1',
    hosts: [
      { host: 'one', port: 9092 },
      { host: 'two.example', port: 9093 },
      { host: '::1', port: 1 },
    ],
    login: undefined,
    tls: undefined,
    compression: 'lz4',
    replication: -1,
  });
});

test('log-ins and certificates', () => {
  const url = parseKafkaUrl(
    'kafka://al%40ice:p%3A%2Fss:w@host/?tls&ca=./ca.pem&mechanism=SCRAM-SHA-512&compression=none&replication=3',
  );
  expect(url).toMatchObject({
    shown: 'kafka://host',
    login: { mechanism: 'scram-sha-512', user: 'al@ice', password: 'p:/ss:w' },
    tls: { ca: './ca.pem' },
    compression: 'none',
    replication: 3,
  });
  expect(parseKafkaUrl('kafka://a:b@host?tls=true').login?.mechanism).toBe('plain');
  expect(parseKafkaUrl('kafka://a:b@host?mechanism=plain').tls).toBeUndefined();
});

test('what makes no sense is refused, and no error holds a password', () => {
  for (const [url, words] of [
    ['kafka://', 'no host'],
    ['kafka://u:secret@', 'no host'],
    ['kafka:host', 'no host'],
    ['kafka://u:secret@host:0', 'host'],
    ['kafka://u:secret@host:99999', 'host'],
    ['kafka://u:secret@ho st', 'host'],
    ['kafka://u:secret@host', 'mechanism'],
    ['kafka://u:secret@host?mechanism=md5', 'mechanism'],
    ['kafka://u:%zzsecret@host?tls', 'percent'],
    ['kafka://host?mechanism=plain', 'user'],
    ['kafka://host?ca=x', 'tls'],
    ['kafka://host?tls&cert=x', 'key'],
    ['kafka://host?tls=maybe', 'tls'],
    ['kafka://host?tls&tls', 'twice'],
    ['kafka://host?compression=zip', 'compression'],
    ['kafka://host?replication=0', 'replication'],
    ['kafka://host?password=secret', 'password'],
  ] as const) {
    let error: unknown;
    try {
      parseKafkaUrl(url);
    } catch (caught) {
      error = caught;
    }
    expect(error, url).toMatchObject({ code: 'MR_URL_INVALID' });
    expect((error as Error).message).toContain(words);
    expect(
      JSON.stringify([(error as Error).message, (error as { details: unknown }).details]),
    ).not.toContain('secret');
  }
});
