/**
 * A directory in which one row was mangled: `verify` ends with a report, and whoever opens and reads it gets errors of millrace or values. Without
 * a right checksum it is always noticed.
 */
import { crc32 } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import { HEADER_BYTES, place } from '../../src/broker/frame.ts';
import { logTables, openLog, verifyLog } from '../../src/broker/log/index.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { seededRandom, type Random } from '../../src/core/random.ts';
import type { Kv } from '../../src/kv/kv.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';
import { checkCheckpointRow, headAddress, headValue } from '../../src/state/checkpoint-rows.ts';
import { checkpointPosition } from '../../src/state/checkpoint.ts';
import { frameOf } from '../broker/log-over.ts';
import { SLOW } from '../cli/support.ts';
import { mangle } from './mangle.ts';

const ROUNDS = 600;
const clock = new VirtualClock(1_000);
const url = 'memory:mangled';

interface StoredRow {
  readonly table: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

async function opened(kv: Kv): Promise<Broker> {
  return await openLog({ kv, url, clock, random: seededRandom(1), durable: false });
}

/** All rows of a log with something of everything. */
async function rows(): Promise<StoredRow[]> {
  const kv = simulatedKv({ tables: logTables });
  const broker = await opened(kv);
  await broker.createTopic({ name: 't', partitions: 2, codec: 'utf8', role: 'source' });
  await broker.createTopic({
    name: 'g-log',
    partitions: 1,
    codec: 'utf8',
    role: 'changelog',
    owner: 'g',
  });
  for (const texts of [['a', 'b'], ['c'], ['d', 'e', 'f']])
    for (const partition of [0, 1])
      await broker.append([{ topic: 't', partition, frame: frameOf(...texts) }]);
  await broker.openProducer('p');
  const member = await broker.join('g', { tasks: [{ id: 'x/0' }], topology: 'T' });
  const [task] = (await member.tend()).gained;
  await member.commit({
    task: 'x/0',
    epoch: task!.epoch,
    positions: [{ topic: 't', partition: 0, offset: 2 }],
    meta: Buffer.from('{"format":1}'),
    outputs: [{ topic: 'g-log', partition: 0, frame: frameOf('row', 'row') }],
  });
  await kv.transact((txn) =>
    txn.put('state', headAddress(task!.stateId), headValue({ position: 1, writes: 1 })),
  );
  return logTables.flatMap((table) =>
    Array.from(kv.range(table, {}), ({ key, value }) => ({ table, key, value })),
  );
}

/** Rows whose value is no more than a number that says that something has changed. */
function isCounter({ table, value }: StoredRow): boolean {
  return table === 'meta' && value.length < 12;
}

/** The value with the checksum that it should have. */
function resealed({ table, key, value }: StoredRow, mangled: Buffer): Buffer {
  const copy = Buffer.from(mangled);
  if (table === 'frames') {
    if (copy.length < HEADER_BYTES) return copy;
    copy.writeUInt32LE(crc32(copy.subarray(HEADER_BYTES)), 8);
    copy.writeUInt32LE(copy.length - HEADER_BYTES, 12);
    const original = Buffer.from(value);
    const home = crc32(key.subarray(0, 6));
    place(copy, original.readDoubleLE(16), original.readDoubleLE(24), home);
  } else if (copy.length >= 4)
    copy.writeUInt32LE(crc32(copy.subarray(4), table === 'state' ? crc32(key.subarray(5)) : 0), 0);
  return copy;
}

async function typed(body: () => unknown): Promise<void> {
  try {
    await body();
  } catch (error) {
    if (!MillraceError.is(error) || error.domain === 'internal') throw error;
  }
}

/** Everything that looking at a log does. */
async function read(kv: Kv): Promise<void> {
  const broker = await opened(kv);
  await typed(async () => await broker.topics());
  await typed(async () => await broker.groups());
  await typed(async () => await broker.describeGroup('g'));
  await typed(async () => await broker.openProducer('p'));
  for (const [topic, partition] of [
    ['t', 0],
    ['t', 1],
    ['g-log', 0],
  ] as const)
    await typed(async () => {
      const { start, end } = await broker.bounds(topic, partition);
      const reader = broker.reader(topic, partition, start);
      let steps = 0;
      for (let at = start; at < end && steps < 100; steps++) {
        const frame = await reader.next();
        if (frame === undefined) return;
        expect(frame.end, 'every frame brings its reader on').toBeGreaterThan(at);
        at = frame.end;
      }
      expect(steps).toBeLessThan(100);
    });
  await typed(async () => await broker.maintain());
  await typed(async () => await broker.close());
}

async function tried(stored: readonly StoredRow[], random: Random, round: number): Promise<void> {
  const row = stored[round % stored.length] as StoredRow;
  const plain = mangle(random, [row.value]);
  const right = random.below(2) === 0;
  const value = right ? resealed(row, plain) : plain;
  const kv = simulatedKv({ tables: logTables });
  await kv.transact((txn) => {
    for (const each of stored) txn.put(each.table, each.key, each === row ? value : each.value);
  });
  const state = {
    changelogOf: () => ({ topic: 'g-log', partition: 0 }),
    position: checkpointPosition,
    defectOf: checkCheckpointRow,
  };
  await typed(async () => {
    const report = await verifyLog(kv, { url, clock, state });
    if (!right && !isCounter(row) && !plain.equals(row.value)) expect(report.ok).toBe(false);
  });
  await typed(async () => await read(kv));
}

test('as it was written it is sound', async () => {
  const kv = simulatedKv({ tables: logTables });
  const stored = await rows();
  await kv.transact((txn) => stored.forEach(({ table, key, value }) => txn.put(table, key, value)));
  const report = await verifyLog(kv, { url, clock });
  expect([report.ok, report.problems]).toEqual([true, []]);
  expect([report.topics, report.records, report.groups, report.producers]).toEqual([2, 14, 1, 1]);
});

describe('mangled rows', () => {
  test(
    `${ROUNDS} of them`,
    async () => {
      const stored = await rows();
      expect(new Set(stored.map(({ table }) => table)).size).toBeGreaterThan(6);
      const random = seededRandom(20_261_121);
      for (let round = 0; round < ROUNDS; round++) {
        try {
          await tried(stored, random, round);
        } catch (error) {
          const { table, key } = stored[round % stored.length] as StoredRow;
          throw new Error(
            `round ${round}, table ${table}, key ${Buffer.from(key).toString('latin1')}`,
            { cause: error },
          );
        }
      }
    },
    SLOW,
  );
});
