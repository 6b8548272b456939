/** `send`, `tail` and `topics` on a directory, without an app. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Interrupted } from '../../src/cli/terminal.ts';
import { systemClock } from '../../src/core/clock.ts';
import { msgpack } from '../../src/index.ts';
import { append, run, runJson, withDirectory, withLog } from './support.ts';

const directory = mkdtempSync(join(tmpdir(), 'millrace-cli-'));
const broker = `file:${directory}`;

beforeAll(async () => {
  await withLog(directory, async (log) => {
    await log.createTopic({
      name: 'orders',
      partitions: 2,
      codec: 'json',
      role: 'source',
      keep: { retentionMs: 604_800_000, retentionBytes: null, compact: true },
      declaredBy: 'shop',
    });
    await log.createTopic({ name: 'raw', partitions: 1, codec: 'bytes', role: 'source' });
    await log.createTopic({ name: 'packed', partitions: 1, codec: 'msgpack', role: 'source' });
    await log.createTopic({ name: 'odd', partitions: 1, codec: 'avro', role: 'source' });
    await log.createTopic({
      name: 'shop-user-repartition',
      partitions: 1,
      codec: 'json',
      role: 'repartition',
      owner: 'shop',
    });
    await append(log, 'orders', [
      { value: '{"n":0}', key: 'ann', timestamp: 1_000, headers: { trace: 'abc' } },
      { value: '{"n":1}', key: 'bob', timestamp: 2_000, partition: 1 },
    ]);
    // Of frames that came in one millisecond nobody knows which was first.
    await nextMillisecond();
    await append(log, 'orders', [{ value: '{"n":2}', key: 7, timestamp: 3_000 }]);
    await nextMillisecond();
    await append(log, 'orders', [{ value: null, key: 'ann', timestamp: 4_000, partition: 1 }]);
    await append(log, 'raw', [{ value: new Uint8Array([255, 0]), timestamp: 5 }]);
    await append(log, 'packed', [{ value: msgpack.encode({ at: new Date(0), big: 1n }) }]);
    await append(log, 'packed', [{ value: new Uint8Array([0xc1]) }]);
    await append(log, 'odd', [{ value: 'abc' }]);
  });
});

async function nextMillisecond(): Promise<void> {
  const clock = systemClock();
  for (const now = clock.now(); clock.now() <= now;) await clock.turn();
}

afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function tail(...args: string[]): Promise<Record<string, unknown>[]> {
  const { status, stdout, stderr } = await run(['tail', ...args, '--broker', broker, '--json']);
  expect([status, stderr]).toEqual([0, '']);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const places = (records: readonly Record<string, unknown>[]): unknown[] =>
  records.map(({ partition, offset }) => `${String(partition)}@${String(offset)}`);

describe('tail', () => {
  test('a record as JSON', async () => {
    const [record] = await tail('orders', '--from', 'start', '--limit', '1');
    expect(record).toEqual({
      topic: 'orders',
      partition: 0,
      offset: 0,
      timestamp: 1_000,
      receivedAt: expect.any(Number) as number,
      key: 'ann',
      value: { n: 0 },
      headers: { trace: 'abc' },
    });
  });

  test('the last ones, in the order in which they were stored', async () => {
    expect(places(await tail('orders'))).toEqual(['0@0', '1@0', '0@1', '1@1']);
    expect(places(await tail('orders', '-n', '2'))).toEqual(['0@1', '1@1']);
  });

  test.each([
    [
      ['--from', 'start'],
      ['0@0', '1@0', '0@1', '1@1'],
    ],
    [
      ['--from', 'start', '--limit', '3'],
      ['0@0', '1@0', '0@1'],
    ],
    [['--from', 'end'], []],
    [
      ['--from', '1'],
      ['0@1', '1@1'],
    ],
    [['--from', '1', '--partition', '0'], ['0@1']],
    [
      ['--from', '1970-01-01T00:00:02Z'],
      ['1@0', '0@1', '1@1'],
    ],
  ])('%j', async (args, found) => {
    expect(places(await tail('orders', ...args))).toEqual(found);
  });

  test('keys that are no text, values that are none', async () => {
    const records = await tail('orders');
    expect(records.map(({ key }) => key)).toEqual(['ann', 'bob', 7, 'ann']);
    expect(records.at(-1)?.['value']).toBeNull();
  });

  test('other codecs', async () => {
    expect((await tail('raw')).map(({ value }) => value)).toEqual([{ $base64: '/wA=' }]);
    const [packed, damaged] = await tail('packed');
    expect(packed?.['value']).toEqual({
      at: { $date: '1970-01-01T00:00:00.000Z' },
      big: { $bigint: '1' },
    });
    expect(damaged).toMatchObject({ value: { $base64: 'wQ==' } });
    expect(damaged?.['error']).toEqual(expect.any(String));
    const [odd] = await tail('odd');
    expect(odd?.['value']).toEqual({ $base64: 'YWJj' });
    expect(odd).not.toHaveProperty('error');
  });

  test('a line for people', async () => {
    const { stdout } = await run(['tail', 'orders', '-n', '4', '--broker', broker]);
    expect(stdout).toBe(
      [
        '1970-01-01T00:00:01.000Z  orders[0]@0  ann  {"n":0}  {"trace":"abc"}',
        '1970-01-01T00:00:02.000Z  orders[1]@0  bob  {"n":1}',
        '1970-01-01T00:00:03.000Z  orders[0]@1  7  {"n":2}',
        '1970-01-01T00:00:04.000Z  orders[1]@1  ann  null',
        '',
      ].join('\n'),
    );
  });

  test.each([
    [['nothing'], 'MR_UNKNOWN_TOPIC: there is no topic "nothing"'],
    [['orders', '--partition', '2'], 'MR_ARGUMENT_INVALID: topic orders has no partition 2'],
    [['orders', '--limit', 'all'], 'MR_ARGUMENT_INVALID: the last records are too many'],
  ])('%j fails', async (args, text) => {
    const { status, stdout, stderr } = await run(['tail', ...args, '--broker', broker]);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`millrace: ${text}`);
  });

  test.each(['-1', 'yesterday', '1.5'])('--from %s is a usage error', async (from) => {
    const { status, stderr } = await run(['tail', 'orders', `--from=${from}`]);
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /^usage: millrace tail [^]*\nmillrace: option '--from <place>' argument '.*' is invalid\. Give start, end, an offset, or a time/u,
    );
  });
});

test('tail --follow prints what comes, until it is interrupted', async () => {
  await withDirectory(async (own) => {
    await withLog(own, async (log) => {
      await log.createTopic({ name: 'lines', partitions: 2, codec: 'json', role: 'source' });
      await append(log, 'lines', [{ value: '0' }]);
      const abort = new AbortController();
      const seen: unknown[] = [];
      const following = run(['tail', 'lines', '--follow', '--json', '--broker', `file:${own}`], {
        signal: abort.signal,
        onPrint: (text) => {
          seen.push((JSON.parse(text) as { value: unknown }).value);
          const next = seen.length;
          if (next < 4) void append(log, 'lines', [{ value: String(next), partition: next % 2 }]);
          else abort.abort(new Interrupted(130));
        },
      });
      expect((await following).status).toBe(130);
      expect(seen).toEqual([0, 1, 2, 3]);
    });
  });
});

const byText = (a: unknown, b: unknown): number => (String(a) < String(b) ? -1 : 1);

describe('topics', () => {
  test('as JSON, internal ones included', async () => {
    const topics = (await runJson('topics', '--broker', broker)) as Record<string, unknown>[];
    expect(topics.map(({ topic }) => topic).toSorted(byText)).toEqual([
      'odd',
      'orders',
      'packed',
      'raw',
      'shop-user-repartition',
    ]);
    expect(topics.find(({ topic }) => topic === 'orders')).toEqual({
      topic: 'orders',
      role: 'source',
      owner: null,
      codec: 'json',
      partitions: 2,
      records: 4,
      bytes: topics.find(({ topic }) => topic === 'orders')?.['bytes'],
      keep: { retentionMs: 604_800_000, retentionBytes: null, compact: true },
      declaredBy: 'shop',
    });
  });

  test('for people, without the internal ones', async () => {
    const { stdout, stderr } = await run(['topics', '--broker', broker]);
    expect(stdout).toMatch(/^TOPIC +PARTITIONS +RECORDS +SIZE +CODEC +KEEP\n/u);
    expect(stdout).toMatch(/^orders +2 +4 +\S.* +json +7d, last of each key$/mu);
    expect(stdout).not.toContain('repartition');
    expect(stderr).toBe('1 internal topics are not shown; add --internal\n');
    expect((await run(['topics', '--internal', '--broker', broker])).stdout).toMatch(
      /^shop-user-repartition .* repartition +shop$/mu,
    );
  });

  test('one with its partitions', async () => {
    expect(await runJson('topics', 'orders', '--broker', broker)).toMatchObject({
      topic: 'orders',
      partitionRows: [
        { partition: 0, start: 0, end: 2, records: 2, pinnedBy: null },
        { partition: 1, start: 0, end: 2, records: 2, pinnedBy: null },
      ],
    });
    const { stdout } = await run(['topics', 'orders', '--broker', broker]);
    expect(stdout).toContain('declared by  shop\n');
    expect(stdout).toMatch(/^PARTITION +START +END +RECORDS\n +0 +0 +2 +2$/mu);
  });

  test('one that is not there', async () => {
    expect(await run(['topics', 'nothing', '--broker', broker])).toMatchObject({ status: 1 });
  });
});

describe('send', () => {
  test('to the partition of the key, with headers and time', async () => {
    await withDirectory(async (own) => {
      await withLog(own, async (log) => {
        await log.createTopic({ name: 'orders', partitions: 4, codec: 'json', role: 'source' });
      });
      const to = ['--broker', `file:${own}`];
      const sent = await run([
        'send',
        'orders',
        '{"n":1}',
        '--key',
        'ann',
        '-H',
        'a=1',
        '-H',
        'b=x=y',
        '--timestamp',
        '1970-01-01T00:00:07Z',
        ...to,
      ]);
      expect(sent).toMatchObject({ status: 0, stderr: '' });
      expect(sent.stdout).toMatch(/^orders\[\d\]@0\n$/u);
      const { status, stdout } = await run(['tail', 'orders', '--json', ...to]);
      expect(status).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        key: 'ann',
        timestamp: 7_000,
        value: { n: 1 },
        headers: { a: '1', b: 'x=y' },
      });
    });
  });

  test('lines of standard input, repeated, to one partition', async () => {
    await withDirectory(async (own) => {
      await withLog(own, async (log) => {
        await log.createTopic({ name: 'orders', partitions: 4, codec: 'json', role: 'source' });
      });
      const to = ['--broker', `file:${own}`];
      const args = ['send', 'orders', '-', '-r', '2', '--partition', '3', '--json', ...to];
      const sent = await run(args, { stdin: ['1', '', '"two"', '{"three":3}'] });
      expect(sent.status).toBe(0);
      expect(
        sent.stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)])),
      ).toMatchObject(
        [0, 1, 2, 3, 4, 5].map((offset) => ({ topic: 'orders', partition: 3, offset })),
      );
      const { stdout } = await run(['tail', 'orders', '--from', 'start', ...to]);
      expect(stdout.trim().split('\n')).toHaveLength(6);
      expect(await run(['send', 'orders', '-', ...to], { stdin: [] })).toMatchObject({
        status: 0,
        stdout: '0 records to orders\n',
      });
    });
  });

  test('bytes in base64, keys that are no text', async () => {
    await withDirectory(async (own) => {
      await withLog(own, async (log) => {
        await log.createTopic({ name: 'raw', partitions: 1, codec: 'bytes', role: 'source' });
      });
      const to = ['--broker', `file:${own}`];
      await run(['send', 'raw', '"/wA="', '--key-json', '{"b":1,"a":[2]}', ...to]);
      const { stdout } = await run(['tail', 'raw', '--json', ...to]);
      expect(JSON.parse(stdout)).toMatchObject({
        key: { a: [2], b: 1 },
        value: { $base64: '/wA=' },
      });
    });
  });

  test('keys by the codec that is stored', async () => {
    await withDirectory(async (own) => {
      const spec = { partitions: 1, codec: 'json', role: 'source' } as const;
      await withLog(own, async (log) => {
        await log.createTopic({ name: 'numbered', keyCodec: 'int32', ...spec });
        await log.createTopic({ name: 'odd', keyCodec: 'avro', ...spec });
      });
      const to = ['--broker', `file:${own}`];
      await run(['send', 'numbered', '1', '--key-json', '7', ...to]);
      const { stdout } = await run(['tail', 'numbered', '--json', ...to]);
      expect(JSON.parse(stdout)).toMatchObject({ key: 7 });
      await withLog(own, async (log) => {
        const frame = await log.reader('numbered', 0, 0).next();
        expect(frame?.keyEnd(0)).toBe((frame?.keyStart(0) ?? 0) + 4);
      });
      expect((await run(['send', 'odd', '1', '--key', 'k', ...to])).stderr).toContain(
        'MR_ARGUMENT_INVALID: topic odd has the keyCodec avro',
      );
    });
  });

  test.each([
    [['orders', '{n:1}'], 'MR_ARGUMENT_INVALID: the value is not JSON'],
    [['nothing', '1'], 'MR_UNKNOWN_TOPIC: there is no topic "nothing"'],
    [['odd', '1'], 'MR_ARGUMENT_INVALID: topic odd has the codec avro'],
    [
      ['shop-user-repartition', '1'],
      'MR_ARGUMENT_INVALID: topic shop-user-repartition is a repartition topic of shop',
    ],
    [['@mailer', '1'], 'MR_ARGUMENT_INVALID: @mailer is an agent'],
    [['orders', '1', '--partition', '9'], 'MR_ARGUMENT_INVALID'],
  ])('%j is refused', async (args, text) => {
    const { status, stdout, stderr } = await run(['send', ...args, '--broker', broker]);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain(`millrace: ${text}`);
  });

  test('a bad line of standard input is named, and what was sent before is told', async () => {
    await withDirectory(async (own) => {
      await withLog(own, async (log) => {
        await log.createTopic({ name: 'orders', partitions: 1, codec: 'json', role: 'source' });
      });
      const { status, stderr } = await run(['send', 'orders', '-', '--broker', `file:${own}`], {
        stdin: ['1', '2', 'three'],
      });
      expect(status).toBe(1);
      expect(stderr).toMatch(/line 3 of standard input is not JSON/u);
      const { stdout } = await run(['tail', 'orders', '--broker', `file:${own}`]);
      expect(stdout.trim().split('\n')).toHaveLength(2);
    });
  });
});

test('a directory without a log is not made', async () => {
  const { status, stderr } = await run(['topics', '--broker', 'file:/nowhere/that/exists']);
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^millrace: MR_ARGUMENT_INVALID: there is no data in \/nowhere\/that\/exists; give the broker's URL/u,
  );
});

test.each(['memory:', 'memory:shop'])('%s is nothing to look at', async (url) => {
  const { status, stderr } = await run(['topics', '--broker', url]);
  expect(status).toBe(1);
  expect(stderr).toContain('is the memory of one process');
});
