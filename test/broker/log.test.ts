/** The embedded log in a directory, and what it does with damaged, foreign and shared ones. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

import type { Broker } from '../../src/broker/broker.ts';
import { LocalHub } from '../../src/broker/groups/local-links.ts';
import { logTables, openLog } from '../../src/broker/log/index.ts';
import { encodeRow, frameKey, partitionKey, textKey } from '../../src/broker/log/rows.ts';
import { openBroker } from '../../src/broker/open.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Kv } from '../../src/kv/kv.ts';
import { simulatedKv, type CommitFault } from '../../src/kv/simulated/simulated.ts';
import { brokerConformance } from '../../src/testing/conformance/broker.ts';
import { frameOf, inDirectory, realContext, textsOf, withDirectory } from './log-over.ts';

brokerConformance({ name: 'file', test, open: inDirectory });

brokerConformance({
  name: 'log on a simulated store',
  test,
  open: async ({ clock, random }) => {
    const kv = simulatedKv({ tables: logTables, clock });
    const url = 'file:./simulated';
    return {
      broker: await openLog({ kv, url, clock, random }),
      reopen: async () => await openLog({ kv: kv.reopen(), url, clock, random }),
      dispose: async () => {},
    };
  },
  skip: [
    {
      name: 'the owner of a task can be asked, wherever it is',
      reason: 'these broker objects have no links',
    },
    { name: 'asking fails with a reason', reason: 'these broker objects have no links' },
  ],
});

brokerConformance({
  name: 'log on a simulated store, with links',
  test,
  open: async ({ clock, random }) => {
    const kv = simulatedKv({ tables: logTables, clock });
    const hub = new LocalHub();
    const url = 'file:./simulated';
    const open = async (store: Kv): Promise<Broker> =>
      await openLog({ kv: store, url, clock, random, links: hub.open() });
    return {
      broker: await open(kv),
      reopen: async () => await open(kv.reopen()),
      dispose: async () => {},
    };
  },
});

const spec = { name: 't', partitions: 2, codec: 'utf8', role: 'source' } as const;

/** A log whose rows a test can reach below it. */
async function openOver(kv: Kv): ReturnType<typeof openLog> {
  return await openLog({
    kv,
    url: 'file:./data',
    clock: new VirtualClock(),
    random: seededRandom(1),
  });
}

async function flipBit(kv: Kv, table: string, key: Uint8Array, at: number): Promise<void> {
  await kv.transact((txn) => {
    const bytes = Buffer.from(txn.get(table, key) as Uint8Array);
    bytes[at] = (bytes[at] as number) ^ 1;
    txn.put(table, key, bytes);
  });
}

test('a directory of another version is refused, and closed', async () => {
  for (const [version, advice] of [
    [4, /version 4.*version 3.*upgrade millrace/],
    [1, /version 1.*version 3.*that wrote it/],
  ] as const) {
    const kv = simulatedKv({ tables: logTables });
    await kv.transact((txn) => txn.put('meta', textKey('format'), encodeRow({ version })));
    const error: unknown = await openOver(kv).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'MR_VERSION_UNSUPPORTED',
      details: { version, supported: 3 },
      message: expect.stringMatching(advice) as string,
    });
    await expect(kv.transact(() => 1)).rejects.toMatchObject({ code: 'MR_CLOSED' });
  }
});

test('a flipped bit in a frame is an error with its place, and is not skipped', async () => {
  const kv = simulatedKv({ tables: logTables });
  const broker = await openOver(kv);
  await broker.createTopic(spec);
  for (const text of ['a', 'b', 'c'])
    await broker.append([{ topic: 't', partition: 1, frame: frameOf(text) }]);
  await flipBit(kv, 'frames', frameKey(1, 1, 1), 70);
  const reader = broker.reader('t', 1, 0);
  expect((await reader.next())?.end).toBe(1);
  const damaged = {
    code: 'MR_CORRUPT',
    details: { topic: 't', partition: 1, offset: 1 },
  };
  for (let i = 0; i < 3; i++)
    expect(() => reader.next()).toThrow(expect.objectContaining(damaged) as Error);
  expect(reader.offset).toBe(1);
  reader.seek(2);
  expect((await reader.next())?.end).toBe(3);
  expect(await broker.truncate('t', 1, 2), 'a damaged frame can be deleted').toBe(2);
  await broker.close();
});

test('a frame of another partition or topic is damage, whatever offset it has', async () => {
  const kv = simulatedKv({ tables: logTables });
  const broker = await openOver(kv);
  for (const name of ['t', 'u']) {
    await broker.createTopic({ ...spec, name });
    for (const partition of [0, 1])
      await broker.append([{ topic: name, partition, frame: frameOf(`${name}${partition}`) }]);
  }
  // As a flipped bit in the place of a large value does it.
  for (const other of [frameKey(1, 1, 0), frameKey(2, 0, 0)]) {
    await kv.transact((txn) => txn.put('frames', frameKey(1, 0, 0), txn.get('frames', other)!));
    expect(() => broker.reader('t', 0, 0).next()).toThrow(/checksum of its header/);
  }
  await broker.close();
});

test('a frame that is gone is an error, not the end', async () => {
  const kv = simulatedKv({ tables: logTables });
  const broker = await openOver(kv);
  await broker.createTopic(spec);
  for (const text of ['a', 'b', 'c'])
    await broker.append([{ topic: 't', partition: 0, frame: frameOf(text) }]);
  await kv.transact((txn) => txn.remove('frames', frameKey(1, 0, 1)));
  const reader = broker.reader('t', 0, 0);
  await reader.next();
  expect(() => reader.next()).toThrow(/reaches from offset 0 to 3.*offset 1 is missing/);
  await broker.close();
});

test('a flipped bit in any other row is an error, never another position', async () => {
  const rows: [table: string, key: Uint8Array, at: number][] = [
    ['ends', partitionKey(1, 0), 14],
    ['tasks', textKey('g\0x'), 12],
    ['groups', textKey('g'), 12],
    ['producers', textKey('p'), 20],
    ['meta', textKey('topic:t'), 20],
    ['meta', textKey('ids'), 20],
    ['meta', textKey('format'), 10],
  ];
  for (const [table, key, at] of rows) {
    const kv = simulatedKv({ tables: logTables });
    const prepared = await openOver(kv);
    await prepared.createTopic(spec);
    await prepared.append([{ topic: 't', partition: 0, frame: frameOf('a') }]);
    await prepared.openProducer('p');
    await prepared.join('g', { tasks: [{ id: 'x' }], topology: 'T' });
    await flipBit(kv, table, key, at);
    const use = async (): Promise<void> => {
      const broker = await openOver(kv);
      await broker.bounds('t', 0);
      await broker.describeGroup('g');
      await broker.openProducer('p');
      await broker.createTopic({ ...spec, name: 'u' });
    };
    await expect(use(), `${table} ${Buffer.from(key).toString()}`).rejects.toMatchObject({
      code: 'MR_CORRUPT',
      domain: 'external',
    });
    await kv.close();
  }
});

test('truncation works in steps', async () => {
  const kv = simulatedKv({ tables: logTables });
  let transactions = 0;
  const counted: Kv = {
    maxKeyBytes: kv.maxKeyBytes,
    get: (table, key) => kv.get(table, key),
    range: (table, range) => kv.range(table, range),
    transact: async (body) => {
      transactions++;
      return await kv.transact(body);
    },
    flush: async () => await kv.flush(),
    close: async () => await kv.close(),
  };
  const broker = await openOver(counted);
  await broker.createTopic(spec);
  const frames = (count: number, text: string) =>
    Array.from({ length: count }, () => ({ topic: 't', partition: 0, frame: frameOf(text) }));
  await broker.append(frames(2100, 'x'));
  await broker.append(frames(9, 'x'.repeat(1 << 20)));
  transactions = 0;
  expect(await broker.truncate('t', 0, 2109)).toBe(2109);
  expect(transactions).toBeGreaterThanOrEqual(4);
  expect(transactions).toBeLessThanOrEqual(6);
  expect([...kv.range('frames', {})]).toEqual([]);
  await broker.close();
});

test('a commit that the store refuses changes nothing', async () => {
  const kv = simulatedKv({ tables: logTables });
  const broker = await openOver(kv);
  await broker.createTopic(spec);
  const member = await broker.join('g', { tasks: [{ id: 'x' }], topology: '' });
  await member.tend();
  const content = (): unknown[] => logTables.map((table) => Array.from(kv.range(table, {})));
  const before = content();
  await expect(
    member.commit({
      task: 'x',
      epoch: 2,
      positions: [],
      meta: new Uint8Array(0),
      outputs: [{ topic: 't', partition: 0, frame: frameOf('a') }],
    }),
  ).rejects.toMatchObject({ code: 'MR_FENCED', domain: 'external' });
  expect(content()).toEqual(before);
  await broker.close();
});

test('a full disk changes nothing, and the same frame can be appended later', async () => {
  let fault: CommitFault | undefined;
  const kv = simulatedKv({ tables: logTables, faults: () => fault });
  const broker = await openOver(kv);
  await broker.createTopic(spec);
  const outgoing = { topic: 't', partition: 0, frame: frameOf('a') };
  await broker.append([{ ...outgoing, frame: frameOf('before') }]);
  fault = { fail: 'disk-full' };
  await expect(broker.append([outgoing])).rejects.toMatchObject({
    code: 'MR_DISK_FULL',
    retryable: true,
  });
  await expect(broker.createTopic({ ...spec, name: 'u' })).rejects.toMatchObject({
    code: 'MR_DISK_FULL',
  });
  expect(await broker.describeTopic('u')).toBeUndefined();
  fault = undefined;
  expect((await broker.append([outgoing]))?.[0]?.baseOffset).toBe(1);
  expect(await textsOf(broker, 't')).toEqual(['before', 'a']);
  await broker.close();
});

test('what became of an append with an unknown outcome is known after opening the producer', async () => {
  for (const fail of ['io-before', 'io-after'] as const) {
    let fault: CommitFault | undefined;
    const kv = simulatedKv({ tables: logTables, faults: () => fault });
    const broker = await openOver(kv);
    await broker.createTopic(spec);
    const { epoch } = await broker.openProducer('p');
    const append = async (sequence: number, own: number): Promise<unknown> =>
      await broker.append([{ topic: 't', partition: 0, frame: frameOf(`${sequence}`) }], {
        id: 'p',
        epoch: own,
        sequence,
        position: Buffer.from(`${sequence}`),
      });
    await append(1, epoch);
    fault = { fail };
    await expect(append(2, epoch)).rejects.toMatchObject({ code: 'MR_IO' });
    fault = undefined;
    const found = await broker.openProducer('p');
    expect(found.sequence).toBe(fail === 'io-after' ? 2 : 1);
    for (let next = found.sequence + 1; next <= 3; next++) await append(next, found.epoch);
    expect(await textsOf(broker, 't')).toEqual(['1', '2', '3']);
    await broker.close();
  }
});

test('a commit with an unknown outcome is there whole or not at all', async () => {
  for (const fail of ['io-before', 'io-after'] as const) {
    let fault: CommitFault | undefined;
    const kv = simulatedKv({ tables: logTables, faults: () => fault });
    const broker = await openOver(kv);
    await broker.createTopic(spec);
    const member = await broker.join('g', { tasks: [{ id: 'x' }], topology: '' });
    await member.tend();
    fault = { fail };
    const positions = [{ topic: 'in', partition: 0, offset: 7 }];
    const meta = Uint8Array.of(1);
    const outputs = [{ topic: 't', partition: 0, frame: frameOf('a') }];
    await expect(
      member.commit({ task: 'x', epoch: 1, positions, meta, outputs }),
    ).rejects.toMatchObject({ code: 'MR_IO' });
    fault = undefined;
    await member.leave();
    const again = await broker.join('g', { tasks: [{ id: 'x' }], topology: '' });
    await again.tend();
    const there = fail === 'io-after';
    expect(again.tasks[0]?.positions).toEqual(there ? positions : []);
    expect(await textsOf(broker, 't')).toEqual(there ? ['a'] : []);
    await broker.close();
  }
});

test('a crash leaves what was acknowledged', async () => {
  const clock = new VirtualClock();
  const kv = simulatedKv({ tables: logTables, clock, faults: () => ({ delayMs: 5 }) });
  const url = 'file:./simulated';
  const random = seededRandom(1);
  const opening = openLog({ kv, url, clock, random });
  await clock.advance(5);
  const broker = await opening;
  const created = broker.createTopic(spec);
  await clock.advance(5);
  await created;
  let acknowledged = 0;
  const load = (async () => {
    for (;;) {
      const frame = frameOf(`${acknowledged}`);
      await broker.append([{ topic: 't', partition: 0, frame }]);
      acknowledged++;
    }
  })();
  await clock.advance(23);
  kv.crash();
  await expect(load).rejects.toMatchObject({ code: 'MR_IO' });
  expect(acknowledged).toBe(4);
  const life = openLog({ kv: kv.reopen(), url, clock, random });
  await clock.advance(5);
  const again = await life;
  expect(await textsOf(again, 't')).toEqual(['0', '1', '2', '3']);
});

test('pollMs is checked', async () => {
  for (const pollMs of [0, -1, Number.NaN, Infinity])
    await expect(
      openLog({
        kv: simulatedKv({ tables: logTables }),
        url: 'memory:',
        clock: new VirtualClock(),
        random: seededRandom(1),
        pollMs,
      }),
    ).rejects.toMatchObject({ code: 'MR_OPTION_INVALID' });
});

test('two processes append to one directory without gaps or loss', async () => {
  await withDirectory(async (directory) => {
    const broker = await openBroker(`file:${directory}`, realContext());
    try {
      await broker.createTopic(spec);
      const child = fileURLToPath(new URL('./append-child.ts', import.meta.url));
      const run = async (name: string): Promise<unknown> =>
        await promisify(execFile)(process.execPath, [child, directory, name, '100']);
      const children = Promise.all([run('a'), run('b')]);
      const own = (async () => {
        for (let i = 0; i < 100; i++) {
          const frame = frameOf(`c${i}.0`, `c${i}.1`, `c${i}.2`);
          await broker.append([{ topic: 't', partition: i % 2, frame }]);
        }
      })();
      // Readers of this process notice what the children append.
      const seen = [0, 0];
      const readers = [0, 1].map((partition) => broker.reader('t', partition, 0));
      for (;;) {
        const since = broker.changes();
        for (const [partition, reader] of readers.entries())
          for (let view = await reader.next(); view !== undefined; view = await reader.next()) {
            expect(view.baseOffset).toBe(seen[partition]);
            seen[partition] = view.end;
          }
        if ((seen[0] as number) + (seen[1] as number) === 900) break;
        await broker.changed(since, 60_000);
      }
      await Promise.all([children, own]);
      for (const partition of [0, 1]) {
        const texts = await textsOf(broker, 't', partition);
        expect(texts).toHaveLength(450);
        for (const name of ['a', 'b', 'c'])
          expect(texts.filter((text) => text.startsWith(name))).toEqual(
            Array.from({ length: 50 }, (_, i) =>
              [0, 1, 2].map((record) => `${name}${2 * i + partition}.${record}`),
            ).flat(),
          );
      }
    } finally {
      await broker.close();
    }
  });
});
