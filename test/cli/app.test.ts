/** Commands that look at an app: its declarations, its tables, its group, and what it has put aside. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { loadApp } from '../../src/cli/load.ts';
import { App } from '../../src/index.ts';
import { logTo } from '../app/support.ts';
import { run, runJson, writeModule } from './support.ts';

const directory = mkdtempSync(join(tmpdir(), 'millrace-cli-'));
const broker = ['--broker', `file:${join(directory, 'data')}`];
let module = '';

beforeAll(async () => {
  module = writeModule(
    directory,
    `
export const app = new App('shop', { broker: ${JSON.stringify(`file:${join(directory, 'data')}`)} });
const orders = app.topic('orders', {
  partitions: 2,
  value: unchecked<{ user: string; amount: number; at: number }>(),
  timestamp: (order) => order.at,
});
const spent = app.table('spent', { default: () => 0 });
const perHour = app.table('per-hour', { default: () => 0 }).tumbling('1h');
const byUser = orders.stream().groupBy('user');
byUser.update(spent, (sum, order) => sum + order.amount);
byUser.update(perHour, (sum, order) => sum + order.amount);
app.each('mailer', orders, () => undefined);
app.each('clerk', byUser, () => undefined);
`,
  );
  const orders = [
    { user: 'ann', amount: 20, at: 0 },
    { user: 'bob', amount: 5, at: 1_800_000 },
    { user: 'ann', amount: 22, at: 3_600_000 },
  ];
  for (const order of orders)
    await run(['send', 'orders', JSON.stringify(order), '--key', order.user, '--module', module]);
  const app = await loadApp(module);
  const running = await app.start();
  await running.settled();
  await running.stop();
  await app.close();
  await run(['send', 'orders', '{"user":"cid","amount":1,"at":7200000}', '-k', 'cid', ...broker]);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('topology', () => {
  test('as text, data and a flowchart', async () => {
    expect((await run(['topology', module])).stdout).toMatch(/^app shop\n[^]*table +spent\n/u);
    const data = await runJson('topology', module);
    expect(data).toMatchObject({
      app: 'shop',
      tables: ['spent', 'per-hour'],
    });
    const { subTopologies } = data as { subTopologies: Record<string, unknown>[] };
    expect(subTopologies.find(({ name }) => name === 'orders')).toMatchObject({
      tasks: 2,
      inputs: [{ topic: 'orders', role: 'source', partitions: 2 }],
      feeds: [{ topic: 'shop-orders-user-repartition', partitions: 2 }],
    });
    expect(await run(['topology', module, '--format', 'json'])).toMatchObject({
      stdout: `${JSON.stringify(data)}\n`,
    });
    const { stdout } = await run(['topology', module, '--format', 'mermaid']);
    expect(stdout).toMatch(/^flowchart LR\n {2}n0\[/u);
    expect(stdout).toContain('[("spent")]');
  });
});

describe('agents', () => {
  test('as JSON and for people', async () => {
    expect(await runJson('agents', module)).toEqual([
      {
        agent: 'mailer',
        reads: ['orders'],
        inbox: 'orders',
        subTopology: 'agent-mailer',
        tasks: 2,
      },
      {
        agent: 'clerk',
        reads: ['shop-orders-user-repartition'],
        inbox: null,
        subTopology: 'agent-clerk',
        tasks: 2,
      },
    ]);
    expect((await run(['agents', module])).stdout).toMatch(/^mailer +orders +2 +@mailer\n/mu);
  });
});

describe('tables', () => {
  test('the list', async () => {
    expect(await runJson('tables', module)).toEqual([
      { table: 'spent', windowMs: null, stepMs: null, subTopology: 'agent-clerk', partitions: 2 },
      {
        table: 'per-hour',
        windowMs: 3_600_000,
        stepMs: 3_600_000,
        subTopology: 'agent-clerk',
        partitions: 2,
      },
    ]);
    expect((await run(['tables', module])).stdout).toMatch(
      /^TABLE +WINDOWS +PARTITIONS +UPDATED BY\nspent +- +2 +agent-clerk\nper-hour +1h +2 /u,
    );
  });

  test('rows', async () => {
    const { stdout } = await run(['tables', module, 'spent', '--json']);
    const rows = stdout.trim().split('\n').toSorted();
    expect(rows).toEqual(['{"key":"ann","value":42}', '{"key":"bob","value":5}']);
    expect((await run(['tables', module, 'spent', '--key', 'ann'])).stdout).toBe(
      'KEY  VALUE\nann     42\n',
    );
    expect((await run(['tables', module, 'spent', '--key', 'dan'])).stdout).toBe('no rows\n');
    const limited = await run(['tables', module, 'spent', '-n', '1', '--json']);
    expect(limited.stdout.trim().split('\n')).toHaveLength(1);
    expect(limited.stderr).toBe('there are more than 1 rows; add --limit all for all of them\n');
  });

  test('rows of windows, and windows', async () => {
    const { stdout } = await run(['tables', module, 'per-hour', '--key', 'ann', '--json']);
    expect(stdout).toBe(
      '{"key":"ann","window":{"start":0,"end":3600000},"value":20}\n' +
        '{"key":"ann","window":{"start":3600000,"end":7200000},"value":22}\n',
    );
    expect((await run(['tables', module, 'per-hour', '--windows'])).stdout).toBe(
      [
        'FROM                      TO                        ROWS',
        '1970-01-01T00:00:00.000Z  1970-01-01T01:00:00.000Z     2',
        '1970-01-01T01:00:00.000Z  1970-01-01T02:00:00.000Z     1',
        '',
      ].join('\n'),
    );
  });

  test.each([
    [['nothing'], 'the app declares no table "nothing"; it declares spent, per-hour'],
    [['spent', '--windows'], 'table spent has no windows'],
  ])('%j', async (args, text) => {
    const { status, stderr } = await run(['tables', module, ...args]);
    expect(status).toBe(1);
    expect(stderr).toContain(`millrace: MR_ARGUMENT_INVALID: ${text}`);
  });
});

describe('groups and lag', () => {
  test('the list', async () => {
    expect(await runJson('groups', ...broker)).toEqual([
      {
        group: 'shop',
        members: 0,
        waiting: 0,
        tasks: 6,
        owned: 0,
        // The order that came afterwards is read in two places.
        lag: 2,
        lost: 0,
        seenAt: expect.any(Number) as number,
      },
    ]);
    expect((await run(['groups', ...broker])).stdout).toMatch(
      /^GROUP +MEMBERS +TASKS +LAG +SEEN\nshop +0 +0\/6 +2 +\d{4}-/u,
    );
  });

  test('one', async () => {
    const group = (await runJson('groups', 'shop', '--module', module)) as {
      members: unknown[];
      tasks: { task: string; positions: unknown[]; lag: number | null }[];
    };
    expect(group.members).toEqual([]);
    expect(group.tasks.map(({ task }) => task).toSorted()).toEqual([
      'agent-clerk/0',
      'agent-clerk/1',
      'agent-mailer/0',
      'agent-mailer/1',
      'orders/0',
      'orders/1',
    ]);
    expect(group.tasks.find(({ lag }) => (lag ?? 0) > 0)).toMatchObject({
      owner: null,
      epoch: expect.any(Number) as number,
      positions: [{ topic: 'orders', lag: 1, lost: 0 }],
      lag: 1,
    });
    const { stdout } = await run(['groups', 'shop', ...broker]);
    expect(stdout).toContain('no members');
    expect(stdout).toMatch(/^TASK +OWNER +EPOCH +LAG +POSITIONS$/mu);
    const unknown = await run(['groups', 'shoop', ...broker]);
    expect(unknown.status).toBe(1);
    expect(unknown.stderr).toContain('there is no group "shoop"');
    expect(unknown.stderr).toContain('; there are shop\n');
  });

  test('a member that waits, since it was started with other declarations', async () => {
    const place = `file:${join(directory, 'versions')}` as const;
    const declare = (more: boolean): App => {
      const app = new App('versions', { broker: place, logger: logTo([]) });
      const numbers = app.topic('numbers', { partitions: 1 });
      app.each('one', numbers, () => undefined);
      if (more) app.each('two', numbers, () => undefined);
      return app;
    };
    await using older = declare(false);
    await using newer = declare(true);
    await older.start();
    await newer.start();
    expect(await runJson('groups', '--broker', place)).toMatchObject([
      { group: 'versions', members: 2, waiting: 1, tasks: 1, owned: 1 },
    ]);
    expect((await run(['groups', '--broker', place])).stdout).toMatch(
      /^versions +2, 1 waiting +1\/1 /mu,
    );
    const { stdout } = await run(['groups', 'versions', '--broker', place]);
    expect(stdout).toMatch(/ +1 +\S+ +agrees$/mu);
    expect(stdout).toMatch(/ +0 +\S+ +differs, waits$/mu);
  });

  test('lag', async () => {
    const rows = (await runJson('lag', ...broker)) as { task: string; lag: number }[];
    const behind = rows.filter(({ lag }) => lag > 0);
    expect(behind).toHaveLength(2);
    expect(behind[0]).toMatchObject({ group: 'shop', topic: 'orders', lag: 1, lost: 0 });
    expect(await runJson('lag', 'shop', '--module', module)).toEqual(rows);
    expect((await run(['lag', ...broker])).stdout).toMatch(
      /^GROUP +TASK +TOPIC +PARTITION +OFFSET +END +LAG\n/u,
    );
  });

  test('a repartition topic is pinned by the task that reads it', async () => {
    const topic = (await runJson('topics', 'shop-orders-user-repartition', ...broker)) as {
      partitionRows: { partition: number; pinnedBy: unknown }[];
    };
    expect(topic).toMatchObject({ role: 'repartition', owner: 'shop' });
    const pinned = topic.partitionRows.filter(({ pinnedBy }) => pinnedBy !== null);
    expect(pinned.length).toBeGreaterThan(0);
    for (const { partition, pinnedBy } of pinned) {
      expect(pinnedBy).toMatchObject({ group: 'shop' });
      expect((pinnedBy as { task: string }).task).toMatch(new RegExp(`/${partition}$`, 'u'));
    }
  });
});

test('verify finds everything whole that a worker has left', async () => {
  expect(await runJson('verify', '--here', ...broker)).toMatchObject({
    ok: true,
    problems: [],
    groups: 1,
    tasks: 6,
  });
});

describe('through the app', () => {
  test('send goes to an agent, and through the topic’s event time', async () => {
    const sent = await runJson(
      'send',
      '@mailer',
      '{"user":"dan","amount":3,"at":9000}',
      '-k',
      'dan',
      '--module',
      module,
    );
    expect(sent).toMatchObject({ topic: 'orders' });
    const { partition, offset } = sent as { partition: number; offset: number };
    const place = ['--partition', String(partition), '--from', String(offset)];
    expect(await runJson('tail', 'orders', ...place, '--module', module)).toMatchObject({
      key: 'dan',
      timestamp: 9_000,
    });
  });

  test.each([
    ['@clerk', 'MR_ARGUMENT_INVALID: agent clerk reads a stream with operators'],
    [
      '@nobody',
      'MR_ARGUMENT_INVALID: the app declares no agent "nobody"; it declares mailer, clerk',
    ],
    ['nothing', 'MR_UNKNOWN_TOPIC: the app declares no topic "nothing"; it declares orders'],
  ])('send %s is refused', async (target, text) => {
    const { status, stderr } = await run(['send', target, '1', '--module', module]);
    expect(status).toBe(1);
    expect(stderr).toContain(`millrace: ${text}`);
  });
});
