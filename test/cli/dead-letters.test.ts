/** Dead letters: listed, shown, and re-sent once. */
import { beforeEach, afterEach, describe, expect, test } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { append, run, runJson, withLog } from './support.ts';
import type { TestRecord } from './support.ts';

let directory = '';
let broker: string[] = [];

/** Letter `n` as a worker writes it, from `orders[n % 2]`. */
function letter(n: number, headers: Record<string, string> = {}): TestRecord {
  return {
    value: n === 2 ? '{broken' : `{"n":${n}}`,
    key: `k${n}`,
    timestamp: 1_000 * n,
    partition: 0,
    headers: {
      trace: `t${n}`,
      'mr-error-name': 'TypeError',
      'mr-error-code': 'MR_PROCESSING_FAILED',
      'mr-error-message': `number ${n} is bad`,
      'mr-origin-topic': 'orders',
      'mr-origin-partition': String(n % 2),
      'mr-origin-offset': String(10 + n),
      'mr-origin-timestamp': String(1_000 * n),
      'mr-task': `orders/${n % 2}`,
      'mr-attempts': '3',
      ...headers,
    },
  };
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-cli-'));
  broker = ['--broker', `file:${directory}`];
  await withLog(directory, async (log) => {
    await log.createTopic({ name: 'orders', partitions: 2, codec: 'json', role: 'source' });
    await log.createTopic({ name: 'dead', partitions: 1, codec: 'json', role: 'source' });
    await log.createTopic({ name: 'other', partitions: 3, codec: 'json', role: 'source' });
    await append(log, 'dead', [letter(0), { value: '"no letter"' }, letter(1), letter(2)]);
    await append(log, 'orders', [{ value: '"of its own"', headers: { trace: 'x' } }]);
  });
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Shown {
  readonly key: unknown;
  readonly value: unknown;
  readonly headers: unknown;
  readonly timestamp: number;
  readonly partition: number;
}

async function recordsOf(topic: string): Promise<Shown[]> {
  const { stdout } = await run(['tail', topic, '--from', 'start', '--json', ...broker]);
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Shown]));
}

describe('list', () => {
  test('all topics, as JSON', async () => {
    const letters = (await runJson('dead-letters', ...broker)) as unknown[];
    expect(letters).toHaveLength(3);
    expect(letters[1]).toEqual({
      topic: 'dead',
      partition: 0,
      offset: 2,
      timestamp: 1_000,
      receivedAt: expect.any(Number) as number,
      key: 'k1',
      origin: { topic: 'orders', partition: 1, offset: 11, timestamp: 1_000 },
      error: { name: 'TypeError', code: 'MR_PROCESSING_FAILED', message: 'number 1 is bad' },
      task: 'orders/1',
      attempts: 3,
    });
  });

  test('for people', async () => {
    const { stdout, stderr } = await run(['dead-letters', 'dead', '-n', '2', ...broker]);
    expect(stdout).toBe(
      [
        'LETTER     FROM          TIME                      TRIES  KEY  ERROR',
        'dead[0]@0  orders[0]@10  1970-01-01T00:00:00.000Z      3  k0   MR_PROCESSING_FAILED: number 0 is bad',
        'dead[0]@2  orders[1]@11  1970-01-01T00:00:01.000Z      3  k1   MR_PROCESSING_FAILED: number 1 is bad',
        '',
      ].join('\n'),
    );
    expect(stderr).toBe('there are more than 2; add --limit all for all of them\n');
    expect((await run(['dead-letters', 'list', 'orders', ...broker])).stdout).toBe(
      'no dead letters\n',
    );
  });
});

describe('show', () => {
  test('one whole', async () => {
    expect(await runJson('dead-letters', 'show', 'dead', '2', ...broker)).toMatchObject({
      offset: 2,
      key: 'k1',
      value: { n: 1 },
      headers: { trace: 't1' },
    });
    const { stdout } = await run(['dead-letters', 'show', 'dead', '3', ...broker]);
    expect(stdout).toContain('letter        dead[0]@3\n');
    expect(stdout).toContain('header trace  t2\n');
    expect(stdout).toMatch(/^value +\{"\$base64":"e2Jyb2tlbg=="\} \(these 7 bytes are not JSON/mu);
  });

  test('by the codec of where it came from, whatever topic holds it', async () => {
    await withLog(directory, async (log) => {
      await log.createTopic({ name: 'any', partitions: 1, codec: 'bytes', role: 'source' });
      await append(log, 'any', [letter(1), letter(3, { 'mr-origin-topic': 'gone' })]);
    });
    expect(await runJson('dead-letters', 'show', 'any', '0', ...broker)).toMatchObject({
      value: { n: 1 },
    });
    expect(await runJson('dead-letters', 'show', 'any', '1', ...broker)).toMatchObject({
      value: { $base64: 'eyJuIjozfQ==' },
    });
  });

  test.each(['1', '99'])('there is no letter at %s', async (offset) => {
    const { status, stderr } = await run(['dead-letters', 'show', 'dead', offset, ...broker]);
    expect(status).toBe(1);
    expect(stderr).toContain(`MR_ARGUMENT_INVALID: there is no dead letter at offset ${offset}`);
  });
});

describe('resend', () => {
  const again = [
    {
      partition: 0,
      key: 'k0',
      timestamp: 0,
      value: { n: 0 },
      headers: { trace: 't0' },
    },
    { partition: 1, key: 'k1', timestamp: 1_000, value: { n: 1 }, headers: { trace: 't1' } },
    {
      partition: 0,
      key: 'k2',
      timestamp: 2_000,
      value: { $base64: 'e2Jyb2tlbg==' },
      headers: { trace: 't2' },
    },
  ];
  const sentTo = async (topic: string): Promise<Shown[]> => {
    const records = await recordsOf(topic);
    return records.filter(({ key }) => key !== null).toSorted((a, b) => a.timestamp - b.timestamp);
  };

  test('all, as they were, once', async () => {
    expect(await runJson('dead-letters', 'resend', 'dead', '--all', ...broker)).toEqual({
      topic: 'dead',
      resent: 3,
      results: 0,
      to: { orders: 3 },
    });
    expect(await sentTo('orders')).toMatchObject(again);
    expect(await run(['dead-letters', 'resend', 'dead', '--all', ...broker])).toEqual({
      status: 0,
      stdout: '0 letters re-sent\n',
      stderr: '',
    });
    await withLog(directory, async (log) => {
      await append(log, 'dead', [letter(3)]);
    });
    expect((await run(['dead-letters', 'resend', 'dead', '--all', ...broker])).stdout).toBe(
      '1 letter re-sent: 1 to orders\n',
    );
    expect(await sentTo('orders')).toHaveLength(4);
  });

  test('one, which --all then leaves out', async () => {
    const one = ['dead-letters', 'resend', 'dead', '--offset', '2', ...broker];
    expect(await runJson(...one)).toMatchObject({ resent: 1 });
    expect((await run(one)).stdout).toContain('this one had been re-sent before, add --again');
    expect(await sentTo('orders')).toMatchObject([again[1]]);
    expect(await runJson('dead-letters', 'resend', 'dead', '--all', ...broker)).toMatchObject({
      resent: 2,
    });
    expect(await sentTo('orders')).toMatchObject(again);
    expect(await runJson(...one, '--again')).toMatchObject({ resent: 1 });
    expect(await sentTo('orders')).toHaveLength(4);
  });

  test('to another topic, by key', async () => {
    await runJson('dead-letters', 'resend', 'dead', '--all', '--to', 'other', ...broker);
    const records = await sentTo('other');
    expect(records.map(({ key }) => key)).toEqual(['k0', 'k1', 'k2']);
    for (const { key, partition } of records) {
      const { stdout } = await run([
        'send',
        'other',
        '1',
        '--key',
        String(key),
        '--json',
        ...broker,
      ]);
      expect(JSON.parse(stdout)).toMatchObject({ partition });
    }
  });

  test('from a topic that is gone, nothing is lost on the way', async () => {
    await withLog(directory, async (log) => {
      await append(log, 'dead', [letter(4, { 'mr-origin-topic': 'gone' })]);
    });
    const { status, stderr } = await run(['dead-letters', 'resend', 'dead', '--all', ...broker]);
    expect(status).toBe(1);
    expect(stderr).toContain('MR_UNKNOWN_TOPIC: the letter at dead[0]@4 came from gone');
    const sent = await runJson(
      'dead-letters',
      'resend',
      'dead',
      '--all',
      '--to',
      'other',
      ...broker,
    );
    const before = await sentTo('orders');
    expect((sent as { resent: number }).resent + before.length).toBe(4);
  });

  test('results of windows were never records, and stay', async () => {
    // The table is called like a topic: nothing of it may go there.
    await withLog(directory, async (log) => {
      await append(log, 'dead', [
        letter(3, { 'mr-origin-topic': 'other', 'mr-origin-offset': '-1' }),
        letter(4),
      ]);
    });
    expect(
      (await run(['dead-letters', 'resend', 'dead', '--offset', '4', ...broker])).stderr,
    ).toContain(
      'MR_ARGUMENT_INVALID: the letter at dead[0]@4 is the result of a closed window of table other and was never a record, so there is nothing to send again; the row is in the table for as long as its retention says',
    );
    expect((await run(['dead-letters', 'resend', 'dead', '--all', ...broker])).stdout).toBe(
      '4 letters re-sent: 4 to orders; 1 is the result of a closed window and stays\n',
    );
    expect(await sentTo('other')).toEqual([]);
    expect(await runJson('dead-letters', 'resend', 'dead', '--all', ...broker)).toEqual({
      topic: 'dead',
      resent: 0,
      results: 0,
      to: {},
    });
  });

  test('without saying which', async () => {
    const { status, stderr } = await run(['dead-letters', 'resend', 'dead', ...broker]);
    expect(status).toBe(2);
    expect(stderr).toContain('millrace: say which letters: --all, or --offset and --partition');
  });
});
