/** Housekeeping on the log below the contract: steps, races, crashes, and a model of truncation, retention and compaction together. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Broker, TopicKeep } from '../../src/broker/broker.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import { compact } from '../../src/broker/log/compaction.ts';
import { readGroup, writeGroup } from '../../src/broker/log/group-rows.ts';
import { logTables, openLog, verifyLog } from '../../src/broker/log/index.ts';
import { leastPosition } from '../../src/broker/log/retention.ts';
import { partitionKey, textKey } from '../../src/broker/log/rows.ts';
import { readTopics, type StoredTopic } from '../../src/broker/log/topics.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Kv } from '../../src/kv/kv.ts';
import {
  simulatedKv,
  type CommitFault,
  type SimulatedKv,
} from '../../src/kv/simulated/simulated.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MIB = 1024 * 1024;
const url = 'file:./simulated';

/** A record as the model knows it: `null` for no key, no value. */
type Written = readonly [key: string | null, value: string | null];

interface Read {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly receivedAt: number;
}

async function open(kv: Kv, clock: VirtualClock): Promise<Broker> {
  return await openLog({ kv, url, clock, random: seededRandom(1) });
}

async function create(broker: Broker, keep: Partial<TopicKeep>, partitions = 1): Promise<void> {
  const whole = { retentionMs: null, retentionBytes: null, compact: false, ...keep };
  await broker.createTopic({
    name: 't',
    partitions,
    codec: 'utf8',
    role: 'source',
    keep: whole,
    declaredBy: 'test',
  });
}

async function write(broker: Broker, ...records: Written[]): Promise<void> {
  const builder = new FrameBuilder({ text: records.length % 2 === 0, maxRecordBytes: 16 * MIB });
  const bytes = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text));
  for (const [key, value] of records) builder.add(7, bytes(key), bytes(value));
  await broker.append([{ topic: 't', partition: 0, frame: builder.build() }]);
}

async function read(broker: Broker, from: number): Promise<Read[]> {
  const records: Read[] = [];
  const text = (bytes: Uint8Array | null): string | null =>
    bytes === null ? null : Buffer.from(bytes).toString();
  const reader = broker.reader('t', 0, from);
  for (let view = await reader.next(); view !== undefined; view = await reader.next())
    for (let i = Math.max(0, from - view.baseOffset); i < view.count; i++)
      records.push({
        offset: view.baseOffset + i,
        key: text(view.key(i)),
        value: text(view.value(i)),
        receivedAt: view.receivedAt,
      });
  return records;
}

async function expectSound(kv: Kv, clock: VirtualClock): Promise<void> {
  expect((await verifyLog(kv, { url, clock })).problems).toEqual([]);
}

/** Counts the transactions that are called. */
function counting(kv: Kv): { readonly kv: Kv; transactions: number } {
  const counter = {
    transactions: 0,
    kv: {
      maxKeyBytes: kv.maxKeyBytes,
      get: (table, key) => kv.get(table, key),
      range: (table, range) => kv.range(table, range),
      transact: async (body) => {
        counter.transactions++;
        return await kv.transact(body);
      },
      flush: async () => await kv.flush(),
      close: async () => await kv.close(),
    } satisfies Kv as Kv,
  };
  return counter;
}

describe('a step', () => {
  test('of retention holds the lock for no more than about 4 MiB', async () => {
    const clock = new VirtualClock();
    const counter = counting(simulatedKv({ tables: logTables }));
    const broker = await open(counter.kv, clock);
    await create(broker, { retentionMs: 1000 });
    for (let i = 0; i < 20; i++) await write(broker, [null, 'x'.repeat(MIB)]);
    clock.jump(5000);
    counter.transactions = 0;
    expect((await broker.maintain()).deleted).toEqual({ t: 20 });
    expect(counter.transactions).toBeGreaterThanOrEqual(5);
    expect(counter.transactions).toBeLessThanOrEqual(8);
    await broker.close();
  });

  test('writes nothing when there is nothing to do', async () => {
    const clock = new VirtualClock();
    const counter = counting(simulatedKv({ tables: logTables }));
    const broker = await open(counter.kv, clock);
    await create(broker, { retentionMs: 1000, retentionBytes: MIB, compact: true }, 100);
    await write(broker, ['a', '1']);
    counter.transactions = 0;
    await broker.maintain();
    expect(counter.transactions).toBe(1);
    await broker.maintain({ notWithinMs: 1000 });
    expect(counter.transactions).toBe(1);
    await broker.close();
  });

  test('of compaction leaves a frame that falls into very many runs in parts', async () => {
    const clock = new VirtualClock();
    const counter = counting(simulatedKv({ tables: logTables }));
    const broker = await open(counter.kv, clock);
    await create(broker, { compact: true });
    const many = Array.from({ length: 5000 }, (_, i): Written[] => [
      [`k${i}`, '1'],
      ['same', `${i}`],
    ]);
    await write(broker, ...many.flat());
    await write(broker, ['tail', '1']);
    counter.transactions = 0;
    expect((await broker.maintain()).deleted).toEqual({ t: 4999 });
    expect(counter.transactions).toBeGreaterThanOrEqual(5);
    const records = await read(broker, 0);
    expect(records.map(({ key }) => key)).toEqual([
      ...Array.from({ length: 5000 }, (_, i) => `k${i}`),
      'same',
      'tail',
    ]);
    expect(
      records.every(
        ({ offset, key }) => !key!.startsWith('k') || offset === 2 * Number(key!.slice(1)),
      ),
    ).toBe(true);
    await expectSound(counter.kv, clock);
    await broker.close();
  });

  test('is the last one after an abort', async () => {
    const clock = new VirtualClock();
    const broker = await open(simulatedKv({ tables: logTables }), clock);
    await create(broker, { retentionMs: 1000 });
    for (let i = 0; i < 20; i++) await write(broker, [null, 'x'.repeat(MIB)]);
    clock.jump(5000);
    const controller = new AbortController();
    const round = broker.maintain({ signal: controller.signal });
    const aborted = expect(round).rejects.toMatchObject({ code: 'MR_ABORTED' });
    for (let start = 0; start === 0; start = (await broker.bounds('t', 0)).start)
      await clock.turn();
    controller.abort();
    await aborted;
    const { start } = await broker.bounds('t', 0);
    expect(start).toBeGreaterThan(0);
    expect(start).toBeLessThan(20);
    expect((await broker.maintain()).deleted).toEqual({ t: 20 - start });
    await broker.close();
  });
});

describe('compaction', () => {
  test('takes as many passes as its memory for keys demands', async () => {
    const clock = new VirtualClock();
    const kv = simulatedKv({ tables: logTables });
    const broker = await open(kv, clock);
    await create(broker, { compact: true });
    for (let round = 0; round < 3; round++)
      for (let i = 0; i < 30; i++)
        await write(broker, [`k${i}`, `${round}`], [`k${i}`, `${round}!`]);
    await write(broker, ['tail', '1']);
    const [topic] = readTopics(kv) as [StoredTopic];
    const context = { kv, clock, now: 0, pause: async () => await clock.turn(), maxKeysBytes: 300 };
    expect(await compact(context, topic, 0)).toBe(150);
    expect((await read(broker, 0)).map(({ key, value }) => `${key}=${value}`)).toEqual([
      ...Array.from({ length: 30 }, (_, i) => `k${i}=2!`),
      'tail=1',
    ]);
    await expectSound(kv, clock);
    await broker.close();
  });

  test('waits for enough dirt where a sweep is long, a day at most', async () => {
    const clock = new VirtualClock();
    const broker = await open(simulatedKv({ tables: logTables }), clock);
    await create(broker, { compact: true });
    for (let i = 0; i < 30; i++) await write(broker, [`k${i}`, 'x'.repeat(100_000)]);
    await broker.maintain();
    await write(broker, ['k0', 'again']);
    await write(broker, ['tail', '1']);
    expect((await broker.maintain()).deleted).toEqual({});
    clock.jump(DAY_MS);
    expect((await broker.maintain()).deleted).toEqual({ t: 1 });
    for (let i = 0; i < 16; i++) await write(broker, [`k${i}`, 'y'.repeat(100_000)]);
    expect((await broker.maintain()).deleted).toEqual({ t: 15 });
    await broker.close();
  });

  test('of two processes at once loses nothing and brings nothing back', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const clock = new VirtualClock();
      const random = seededRandom(seed);
      const kv = simulatedKv({ tables: logTables, clock });
      const brokers = [await open(kv, clock), await open(kv.reopen(), clock)] as const;
      await create(brokers[0], { compact: true });
      const last = new Map<string, string | null>();
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 20; i++) {
          const records = Array.from({ length: 1 + random.below(4) }, (): Written => {
            const value = random.below(4) === 0 ? null : `${round}.${i}.${random.below(100)}`;
            return [`k${random.below(12)}`, value];
          });
          for (const [key, value] of records) last.set(key as string, value);
          await write(brokers[0], ...records);
        }
        clock.jump(random.below(2) * DAY_MS);
        const rounds = brokers.map(async (broker) => await broker.maintain());
        await write(brokers[1], [null, 'meanwhile']);
        await Promise.all(rounds);
        const left = new Map<string, string | null>();
        for (const { key, value } of await read(brokers[0], 0))
          if (key !== null) left.set(key, value);
        for (const [key, value] of last)
          if (value === null) expect(left.get(key) ?? null, `seed ${seed}`).toBeNull();
          else expect(left.get(key), `seed ${seed}`).toBe(value);
        await expectSound(kv, clock);
      }
      for (const broker of brokers) await broker.close();
    }
  });

  test('passes over damaged frames, which stay damaged', async () => {
    const clock = new VirtualClock();
    const kv = simulatedKv({ tables: logTables });
    const broker = await open(kv, clock);
    await create(broker, { compact: true, retentionMs: 10 * DAY_MS });
    for (let i = 0; i < 5; i++) await write(broker, ['a', `${i}`], [`b${i}`, '1']);
    const entries = Array.from(kv.range('frames', {}));
    await kv.transact((txn) => {
      const { key, value } = entries[2]!;
      value[20] = (value[20] as number) ^ 1;
      txn.put('frames', key, value);
    });
    expect((await broker.maintain()).deleted).toEqual({ t: 2 });
    expect((await verifyLog(kv, { url, clock })).problems).toMatchObject([
      { kind: 'frame', place: 't[0]@4', severity: 'error' },
    ]);
    await expect(read(broker, 4)).rejects.toMatchObject({ code: 'MR_CORRUPT' });
    clock.jump(11 * DAY_MS);
    expect((await broker.maintain()).deleted).toEqual({ t: 8 });
    await expectSound(kv, clock);
    await broker.close();
  });
});

test('truncation, retention and compaction together agree with a model, and so do readers from anywhere', async () => {
  const record = fc.tuple(
    fc.option(fc.constantFrom('a', 'b', 'c', 'd')),
    fc.option(fc.constantFrom('"1"', '"2"'), { freq: 3 }),
  );
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.array(record, { minLength: 1, maxLength: 6 }).map((records) => ({ records })),
    },
    { weight: 2, arbitrary: fc.constant({ maintain: true } as const) },
    { weight: 1, arbitrary: fc.nat(60).map((before) => ({ before })) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 30 }).map((hours) => ({ hours })) },
  );
  const run = async (
    keep: Pick<TopicKeep, 'retentionMs' | 'compact'>,
    steps: readonly (
      | { readonly records: readonly Written[] }
      | { readonly maintain: true }
      | { readonly before: number }
      | { readonly hours: number }
    )[],
  ): Promise<void> => {
    const clock = new VirtualClock();
    const kv = simulatedKv({ tables: logTables });
    const broker = await open(kv, clock);
    await create(broker, keep);
    const all: Read[] = [];
    const ends: { readonly end: number; readonly receivedAt: number }[] = [];
    let start = 0;
    for (const one of steps) {
      if ('records' in one) {
        await write(broker, ...one.records);
        const receivedAt = clock.now();
        for (const [key, value] of one.records)
          all.push({ offset: all.length, key, value, receivedAt });
        ends.push({ end: all.length, receivedAt });
      } else if ('hours' in one) {
        clock.jump((one.hours * DAY_MS) / 24);
      } else if ('before' in one) {
        const before = start;
        start = await broker.truncate('t', 0, one.before);
        // Whole frames, of which compaction may have made smaller ones.
        const whole = ends.findLast(({ end }) => end <= one.before)?.end ?? 0;
        expect(start).toBeGreaterThanOrEqual(Math.max(before, keep.compact ? 0 : whole));
        expect(start).toBeLessThanOrEqual(Math.max(before, one.before));
      } else {
        await broker.maintain();
        const oldest = clock.now() - (keep.retentionMs ?? Infinity);
        const old = ends.findLast(({ receivedAt }) => receivedAt < oldest)?.end ?? 0;
        const before = start;
        start = (await broker.bounds('t', 0)).start;
        // The last old frame may have lost its last records to compaction.
        expect(start).toBeLessThanOrEqual(Math.max(before, old));
        if (!keep.compact) expect(start).toBe(Math.max(before, old));
        for (const { receivedAt } of await read(broker, start))
          expect(receivedAt).toBeGreaterThanOrEqual(oldest);
      }
      expect(await broker.bounds('t', 0)).toEqual({ start, end: all.length });
      const there = await read(broker, start);
      const offsets = new Set(there.map(({ offset }) => offset));
      for (const found of there) expect(found).toEqual(all[found.offset]);
      for (const { offset, key, value, receivedAt } of all.slice(start)) {
        if (offsets.has(offset)) continue;
        expect(keep.compact && key !== null, `record ${offset} is missing`).toBe(true);
        const superseded = all.some((later) => later.offset > offset && later.key === key);
        const forgotten = value === null && receivedAt <= clock.now() - DAY_MS;
        expect(superseded || forgotten, `record ${offset} is the last of its key`).toBe(true);
      }
      if ('maintain' in one && keep.compact) {
        const head = ends.at(-2)?.end ?? 0;
        const keys = there
          .filter(({ offset, key }) => offset < head && key !== null)
          .map(({ key }) => key);
        expect(new Set(keys).size, 'one record per key').toBe(keys.length);
      }
      for (let from = 0; from <= all.length; from += 3) {
        if (from < start)
          await expect(read(broker, from)).rejects.toMatchObject({ code: 'MR_OFFSET_LOST' });
        else expect(await read(broker, from)).toEqual(there.filter(({ offset }) => offset >= from));
      }
    }
    await expectSound(kv, clock);
    await broker.close();
  };
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        retentionMs: fc.option(fc.constantFrom(DAY_MS / 2, 2 * DAY_MS)),
        compact: fc.boolean(),
      }),
      fc.array(step, { minLength: 1, maxLength: 25 }),
      run,
    ),
    { numRuns: 150 },
  );
});

test('a crash at any step leaves a sound log, and the next round finishes', async () => {
  /** A log with something to do for each rule. */
  const build = async (kv: SimulatedKv, clock: VirtualClock): Promise<Broker> => {
    const broker = await open(kv, clock);
    await create(broker, { compact: true, retentionMs: 10 * DAY_MS });
    await broker.createTopic({
      name: 'old',
      partitions: 1,
      codec: 'utf8',
      role: 'source',
      keep: { retentionMs: 1000, retentionBytes: null, compact: false },
    });
    await broker.createTopic({
      name: 'g-log',
      partitions: 2,
      codec: 'utf8',
      role: 'changelog',
      owner: 'g',
    });
    await broker.append([
      { topic: 'old', partition: 0, frame: frameOf(1000) },
      { topic: 'g-log', partition: 1, frame: frameOf(1000) },
    ]);
    await broker.append([
      { topic: 'old', partition: 0, frame: frameOf(1) },
      { topic: 'g-log', partition: 0, frame: frameOf(1) },
    ]);
    const member = await broker.join('g', { tasks: [{ id: 'x/0' }], topology: '' });
    const [task] = (await member.tend()).gained;
    await kv.transact((txn) => {
      const key = Buffer.alloc(6);
      key.writeUInt32BE(task!.stateId);
      for (let i = 0; i < 1200; i++) {
        key.writeUInt16BE(i, 4);
        txn.put('state', key, Buffer.from('row'));
      }
    });
    await member.leave();
    for (let i = 0; i < 6; i++)
      await write(
        broker,
        ...Array.from({ length: 40 }, (_, j): Written => [
          `k${(i * j) % 50}`,
          i === 2 ? null : `"${i}.${j}"`,
        ]),
      );
    clock.jump(2 * DAY_MS);
    return broker;
  };
  const options = { groupExpiryMs: DAY_MS };

  const expected = simulatedKv({ tables: logTables });
  const clockOfExpected = new VirtualClock();
  await (await build(expected, clockOfExpected)).maintain(options);
  const content = (kv: Kv): unknown[] =>
    ['frames', 'ends', 'tasks', 'groups', 'members', 'state'].map((table) =>
      Array.from(kv.range(table, {})),
    );

  for (const fail of ['io-before', 'io-after'] as const)
    for (let at = 0, finished = false; !finished; at++) {
      let fault: (() => CommitFault | undefined) | undefined;
      const clock = new VirtualClock();
      const kv = simulatedKv({ tables: logTables, faults: () => fault?.() });
      const broker = await build(kv, clock);
      let commits = 0;
      fault = () => (commits++ === at ? { fail } : undefined);
      finished = await broker.maintain(options).then(
        () => true,
        (error: unknown) => {
          expect(error).toMatchObject({ code: 'MR_IO' });
          return false;
        },
      );
      fault = undefined;
      kv.crash();
      const left = kv.reopen();
      await expectSound(left, clock);
      const again = await open(left, clock);
      await again.maintain(options);
      expect(content(left), `${fail} at ${at}`).toEqual(content(expected));
      await expectSound(left, clock);
      await again.close();
      expect(at).toBeLessThan(100);
      if (finished) expect(at).toBeGreaterThan(7);
    }
});

test('a damaged row stops nobody but its own partition', async () => {
  const clock = new VirtualClock();
  const kv = simulatedKv({ tables: logTables });
  const broker = await open(kv, clock);
  await create(broker, { retentionMs: 1000, compact: true }, 2);
  const keep = { retentionMs: 1000, retentionBytes: null, compact: false };
  await broker.createTopic({ name: 'u', partitions: 1, codec: 'utf8', role: 'source', keep });
  for (const topic of ['t', 'u'])
    await broker.append([{ topic, partition: 0, frame: frameOf(10) }]);
  const flip = async (table: string, key: Uint8Array): Promise<void> => {
    await kv.transact((txn) => {
      const row = Buffer.from(txn.get(table, key)!);
      row[9] = (row[9] as number) ^ 1;
      txn.put(table, key, row);
    });
  };
  await flip('ends', partitionKey(1, 1));
  clock.jump(5000);
  await expect(broker.maintain()).rejects.toMatchObject({ code: 'MR_CORRUPT' });
  expect(await broker.bounds('u', 0)).toEqual({ start: 1, end: 1 });
  expect(await broker.bounds('t', 0)).toEqual({ start: 1, end: 1 });
  await flip('ends', partitionKey(1, 1));
  for (const value of ['1', '2', '3']) await write(broker, ['a', value]);
  expect((await broker.maintain()).deleted).toEqual({ t: 1 });
  await flip('meta', textKey('compacted:1:0'));
  expect((await verifyLog(kv, { url, clock })).problems).toMatchObject([
    { kind: 'row', place: 'compacted:1:0' },
  ]);
  await write(broker, ['a', '4']);
  expect((await broker.maintain()).deleted).toEqual({ t: 1 });
  await expectSound(kv, clock);
  await broker.close();
});

test('a group that is seen again before the transaction is spared', async () => {
  const clock = new VirtualClock(1000 * DAY_MS);
  const kv = simulatedKv({ tables: logTables });
  let raced = false;
  const racing: Kv = {
    maxKeyBytes: kv.maxKeyBytes,
    get: (table, key) => kv.get(table, key),
    range: (table, range) => kv.range(table, range),
    transact: async (body) => {
      if (raced) {
        raced = false;
        await kv.transact((txn) =>
          writeGroup(txn, 'g', { ...readGroup(txn, 'g')!, seenAt: clock.now() }),
        );
      }
      return await kv.transact(body);
    },
    flush: async () => await kv.flush(),
    close: async () => await kv.close(),
  };
  const broker = await open(racing, clock);
  const member = await broker.join('g', { tasks: [{ id: 'x/0' }], topology: '' });
  await member.tend();
  await member.leave();
  clock.jump(2 * DAY_MS);
  // The round is claimed first, in a transaction of its own.
  const round = broker.maintain({ groupExpiryMs: DAY_MS });
  raced = true;
  expect((await round).expired).toEqual([]);
  expect(await broker.groups()).toEqual(['g']);
  await broker.close();
});

describe('the least position that is still needed', () => {
  const task = (
    id: string,
    ...positions: [topic: string, partition: number, offset: number][]
  ) => ({
    id,
    epoch: 1,
    stateId: 1,
    meta: undefined,
    owner: null,
    target: 'm' as string | null,
    positions: positions.map(([topic, partition, offset]) => ({ topic, partition, offset })),
  });
  const cases: [what: string, tasks: ReturnType<typeof task>[], least: number | undefined][] = [
    ['nobody reads it', [], undefined],
    ['one reader', [task('a/1', ['r', 1, 5])], 5],
    ['the slower of two', [task('a/1', ['r', 1, 5]), task('b/1', ['r', 1, 3])], 3],
    ['other partitions do not count', [task('a/1', ['r', 1, 5]), task('a/0', ['r', 0, 1])], 5],
    [
      'a reader elsewhere that has not come to it',
      [task('a/1', ['r', 1, 5]), task('b/0', ['r', 0, 1]), task('b/1')],
      undefined,
    ],
    [
      'a sub-topology that reads something else',
      [task('a/1', ['r', 1, 5]), task('b/0', ['s', 0, 1]), task('b/1')],
      5,
    ],
    ['a sub-topology that never committed', [task('a/1', ['r', 1, 5]), task('b/1')], undefined],
    ['one on other partitions only', [task('a/1', ['r', 1, 5]), task('b/0')], 5],
    [
      'one that is not part of the topology any more',
      [task('a/1', ['r', 1, 5]), { ...task('b/1'), target: null }],
      5,
    ],
    ['a task whose id says nothing', [task('a/1', ['r', 1, 5]), task('x')], undefined],
    [
      'a task whose id says nothing, with positions',
      [task('a/1', ['r', 1, 5]), task('x', ['r', 1, 2])],
      2,
    ],
  ];
  test.each(cases)('%s', (_, tasks, least) => {
    expect(leastPosition('r', 1, tasks)).toBe(least);
  });
});

function frameOf(bytes: number) {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: 16 * MIB });
  builder.add(1, null, Buffer.alloc(bytes));
  return builder.build();
}
