/**
 * Housekeeping: what is deleted, what is spared, and what readers see of it.
 *
 * @module
 */
import assert from 'node:assert/strict';

import type { Broker, TopicKeep } from '../../../broker/broker.ts';
import type { Frame } from '../../../broker/frame.ts';
import { FrameBuilder } from '../../../broker/frame-builder.ts';
import { append, fails, frameOf, readAll, topicSpec, values, type Cases } from './bench.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MIB = 1024 * 1024;

const forEver: TopicKeep = { retentionMs: null, retentionBytes: null, compact: false };

function keeping(keep: Partial<TopicKeep>): { readonly keep: TopicKeep } {
  return { keep: { ...forEver, ...keep } };
}

function bytesOf(text: string): Buffer | null {
  return text === '' ? null : Buffer.from(text);
}

function textOf(bytes: Uint8Array | null): string {
  return bytes === null ? '' : Buffer.from(bytes).toString('utf8');
}

/** A frame of `key=value` records; `key=` has no value, `=value` no key. */
function keyedFrame(...records: string[]): Frame {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: MIB });
  for (const record of records) {
    const [key = '', value = ''] = record.split('=');
    builder.add(1, bytesOf(key), bytesOf(value), { at: record });
  }
  return builder.build();
}

async function keyed(broker: Broker, ...records: string[]): Promise<void> {
  await broker.append([{ topic: 't', partition: 0, frame: keyedFrame(...records) }]);
}

/** `offset key=value` of every record from `from` on. */
async function readKeyed(broker: Broker, from = 0): Promise<string[]> {
  const records: string[] = [];
  const reader = broker.reader('t', 0, from);
  for (let view = await reader.next(); view !== undefined; view = await reader.next())
    for (let i = Math.max(0, from - view.baseOffset); i < view.count; i++) {
      const record: string = `${textOf(view.key(i))}=${textOf(view.value(i))}`;
      assert.equal(textOf(view.headers(i)?.['at'] as Uint8Array), record);
      records.push(`${view.baseOffset + i} ${record}`);
    }
  return records;
}

export const retentionCases: Cases = {
  'what is not declared is kept for ever': async ({ broker, clock }) => {
    await broker.createTopic(topicSpec('t'));
    await broker.createTopic(topicSpec('u', keeping({})));
    for (const topic of ['t', 'u']) await append(broker, topic, 0, 'a');
    clock.jump(10_000 * DAY_MS);
    assert.deepEqual(await broker.maintain(), { deleted: {}, expired: [] });
    for (const topic of ['t', 'u'])
      assert.deepEqual(values(await readAll(broker, topic, 0)), ['a']);
  },
  'old frames are deleted, whole ones': async ({ broker, reopen, clock }) => {
    await broker.createTopic(topicSpec('t', { partitions: 2, ...keeping({ retentionMs: 5000 }) }));
    await append(broker, 't', 0, 'a', 'b');
    clock.jump(3000);
    await append(broker, 't', 0, 'c');
    await append(broker, 't', 1, 'other');
    clock.jump(2000);
    assert.deepEqual((await broker.maintain()).deleted, {}, 'nothing is older than the limit');
    clock.jump(1);
    assert.deepEqual((await broker.maintain()).deleted, { t: 2 });
    assert.deepEqual(await broker.bounds('t', 0), { start: 2, end: 3 });
    await fails(readAll(broker, 't', 0, 1), 'MR_OFFSET_LOST');
    assert.deepEqual(values(await readAll(await reopen(), 't', 0, 2)), ['c']);
  },
  'a partition may become empty, and its offsets go on': async ({ broker, clock }) => {
    await broker.createTopic(topicSpec('t', keeping({ retentionMs: 1000 })));
    await append(broker, 't', 0, 'a', 'b');
    const reader = broker.reader('t', 0, 2);
    clock.jump(2000);
    assert.deepEqual((await broker.maintain()).deleted, { t: 2 });
    assert.deepEqual(await broker.bounds('t', 0), { start: 2, end: 2 });
    assert.equal(await reader.next(), undefined);
    assert.equal((await append(broker, 't', 0, 'c')).baseOffset, 2);
    assert.equal((await reader.next())?.baseOffset, 2);
    const error = await fails(readAll(broker, 't', 0), 'MR_OFFSET_LOST');
    assert.equal((error['details'] as { lost?: unknown }).lost, 2);
  },
  'the oldest frames go while there are too many bytes, never the last one': async ({ broker }) => {
    await broker.createTopic(topicSpec('t', keeping({ retentionBytes: MIB })));
    const half = 'x'.repeat(MIB / 2);
    for (let i = 0; i < 4; i++) await append(broker, 't', 0, half);
    assert.deepEqual((await broker.maintain()).deleted, { t: 3 });
    await append(broker, 't', 0, 'small');
    assert.deepEqual((await broker.maintain()).deleted, {});
    await append(broker, 't', 0, 'y'.repeat(3 * MIB));
    assert.deepEqual((await broker.maintain()).deleted, { t: 2 });
    assert.deepEqual((await broker.maintain()).deleted, {});
    assert.deepEqual(await broker.bounds('t', 0), { start: 5, end: 6 });
  },
  'a declaration that was changed counts at once, everywhere': async ({
    broker,
    reopen,
    clock,
  }) => {
    const other = await reopen();
    await broker.createTopic(topicSpec('t', { declaredBy: 'app', ...keeping({}) }));
    await append(other, 't', 0, 'a');
    clock.jump(10_000);
    assert.deepEqual((await other.maintain()).deleted, {});
    const shorter = topicSpec('t', { declaredBy: 'app', ...keeping({ retentionMs: 5000 }) });
    await broker.createTopic(shorter);
    assert.deepEqual(await other.describeTopic('t'), shorter);
    assert.deepEqual((await other.maintain()).deleted, { t: 1 });
  },
  'of several rounds within a time only the first is done': async ({ broker, reopen, clock }) => {
    await broker.createTopic(topicSpec('t', keeping({ retentionMs: 1000 })));
    const other = await reopen();
    assert.deepEqual((await broker.maintain({ notWithinMs: 60_000 })).deleted, {});
    await append(broker, 't', 0, 'a');
    clock.jump(59_999);
    for (const one of [broker, other])
      assert.deepEqual((await one.maintain({ notWithinMs: 60_000 })).deleted, {});
    clock.jump(1);
    const rounds = await Promise.all(
      [broker, other].map(async (one) => await one.maintain({ notWithinMs: 60_000 })),
    );
    assert.deepEqual(rounds.map(({ deleted }) => deleted).toSorted(byRecords), [{}, { t: 1 }]);
    clock.jump(-3_600_000);
    await append(broker, 't', 0, 'b');
    assert.deepEqual((await other.maintain({ notWithinMs: 60_000 })).deleted, {});
    clock.jump(120_000);
    assert.deepEqual(
      (await other.maintain({ notWithinMs: 60_000 })).deleted,
      {},
      'its receipt time was made not to go backwards',
    );
  },
  'a round can be aborted, and bad options are refused': async ({ broker }) => {
    const controller = new AbortController();
    controller.abort();
    await fails(broker.maintain({ signal: controller.signal }), 'MR_ABORTED');
    for (const bad of [-1, Number.NaN, Infinity]) {
      await fails(broker.maintain({ notWithinMs: bad }), 'MR_OPTION_INVALID');
      await fails(broker.maintain({ groupExpiryMs: bad }), 'MR_OPTION_INVALID');
    }
  },
  'compaction keeps the last record of each key, at its offset': async ({ broker, reopen }) => {
    await broker.createTopic(topicSpec('t', keeping({ compact: true })));
    await keyed(broker, 'a=1', 'b=1', '=x', 'a=2');
    await keyed(broker, 'b=2', 'c=1', '=y');
    await keyed(broker, 'c=2', 'a=3');
    const early = broker.reader('t', 0, 0);
    assert.deepEqual(await broker.maintain(), { deleted: { t: 2 }, expired: [] });
    const left = ['2 =x', '3 a=2', '4 b=2', '5 c=1', '6 =y', '7 c=2', '8 a=3'];
    assert.deepEqual(await readKeyed(await reopen()), left, 'but for the last frame');
    assert.deepEqual(await broker.bounds('t', 0), { start: 0, end: 9 });
    assert.equal((await early.next())?.baseOffset, 2, 'a gap is no loss');
    for (let from = 0; from <= 9; from++)
      assert.deepEqual(
        await readKeyed(broker, from),
        left.filter((record) => Number.parseInt(record, 10) >= from),
      );
    await keyed(broker, 'd=1');
    assert.deepEqual((await broker.maintain()).deleted, { t: 2 });
    assert.deepEqual(await readKeyed(broker), ['2 =x', '4 b=2', '6 =y', '7 c=2', '8 a=3', '9 d=1']);
    assert.deepEqual((await broker.maintain()).deleted, {});
  },
  'a record without a value deletes its key and goes a day later': async ({ broker, clock }) => {
    await broker.createTopic(topicSpec('t', keeping({ compact: true })));
    await keyed(broker, 'a=1', 'b=1');
    await keyed(broker, 'a=');
    await keyed(broker, 'tail=1');
    assert.deepEqual((await broker.maintain()).deleted, { t: 1 });
    assert.deepEqual(await readKeyed(broker), ['1 b=1', '2 a=', '3 tail=1']);
    clock.jump(DAY_MS - 1);
    assert.deepEqual((await broker.maintain()).deleted, {});
    clock.jump(1);
    assert.deepEqual((await broker.maintain()).deleted, { t: 1 });
    assert.deepEqual(await readKeyed(broker), ['1 b=1', '3 tail=1']);
  },
  'truncation and retention go on where compaction has left gaps': async ({ broker, clock }) => {
    await broker.createTopic(topicSpec('t', keeping({ compact: true, retentionMs: 2 * DAY_MS })));
    await keyed(broker, 'a=1', 'b=1', 'c=1');
    await keyed(broker, 'a=2', 'b=2');
    await keyed(broker, 'd=1', 'tail=1');
    await broker.maintain();
    assert.deepEqual(await readKeyed(broker), ['2 c=1', '3 a=2', '4 b=2', '5 d=1', '6 tail=1']);
    assert.equal(await broker.truncate('t', 0, 2), 0, 'no frame ends there');
    assert.equal(await broker.truncate('t', 0, 4), 3);
    await fails(readKeyed(broker, 2), 'MR_OFFSET_LOST');
    assert.deepEqual(await readKeyed(broker, 3), ['3 a=2', '4 b=2', '5 d=1', '6 tail=1']);
    clock.jump(3 * DAY_MS);
    assert.deepEqual((await broker.maintain()).deleted, { t: 4 });
    assert.deepEqual(await broker.bounds('t', 0), { start: 7, end: 7 });
  },
  'a key is compacted over many frames and rounds': async ({ broker }) => {
    await broker.createTopic(topicSpec('t', keeping({ compact: true })));
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 20; i++)
        await keyed(broker, `k${i % 7}=${round}.${i}`, `once${round}.${i}=1`);
      await broker.maintain();
    }
    await keyed(broker, 'tail=1');
    await broker.maintain();
    const records = await readKeyed(broker);
    const keys = records.map((record) => record.replace(/^\d+ |=.*$/g, ''));
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(keys.length, 7 + 100 + 1);
    assert.ok(records.some((record) => record.endsWith(' k5=4.19')));
  },
  'a repartition topic is deleted below what its readers have committed': async ({ broker }) => {
    const topic = { role: 'repartition', owner: 'g', partitions: 2 } as const;
    await broker.createTopic(topicSpec('r', topic));
    for (let i = 0; i < 6; i++) await append(broker, 'r', i % 2, `${i}`);
    assert.deepEqual((await broker.maintain()).deleted, {}, 'no group yet');
    const ids = ['left/0', 'left/1', 'right/0', 'right/1'];
    const member = await broker.join('g', { tasks: ids.map((id) => ({ id })), topology: '' });
    const epochs = new Map((await member.tend()).gained.map(({ id, epoch }) => [id, epoch]));
    const commit = async (task: string, partition: number, offset: number): Promise<void> => {
      await member.commit({
        task,
        epoch: epochs.get(task) as number,
        positions: [{ topic: 'r', partition, offset }],
        meta: new Uint8Array(0),
        outputs: [],
      });
    };
    await commit('left/0', 0, 3);
    assert.deepEqual((await broker.maintain()).deleted, {}, 'right/0 may read it too');
    await commit('right/0', 0, 2);
    assert.deepEqual((await broker.maintain()).deleted, { r: 2 });
    assert.deepEqual(await broker.bounds('r', 0), { start: 2, end: 3 });
    await commit('right/1', 1, 3);
    assert.deepEqual((await broker.maintain()).deleted, {}, 'left/1 has not committed yet');
    await commit('left/1', 1, 3);
    await commit('right/0', 0, 3);
    assert.deepEqual((await broker.maintain()).deleted, { r: 4 });
    await member.leave();
  },
  'a group that nobody has been a member of is forgotten with all it owns': async ({
    broker,
    reopen,
    clock,
  }) => {
    const internal = topicSpec('g-x-changelog', { role: 'changelog', owner: 'g' });
    await broker.createTopic(topicSpec('t'));
    const start = async (one: Broker) => {
      await one.createTopic(internal);
      const member = await one.join('g', { tasks: [{ id: 'x/0' }], topology: 'T' });
      const [task] = (await member.tend()).gained;
      assert.ok(task !== undefined);
      return { member, task };
    };
    const { member, task } = await start(broker);
    await member.commit({
      task: 'x/0',
      epoch: task.epoch,
      positions: [{ topic: 't', partition: 0, offset: 0 }],
      meta: new Uint8Array(0),
      outputs: [
        { topic: 't', partition: 0, frame: frameOf('out') },
        { topic: 'g-x-changelog', partition: 0, frame: frameOf('row', 'row') },
      ],
    });
    const expiry = { groupExpiryMs: 30 * DAY_MS };
    clock.jump(31 * DAY_MS);
    assert.deepEqual((await broker.maintain(expiry)).expired, [], 'it has a living member');
    await member.leave();
    assert.deepEqual((await broker.maintain(expiry)).expired, [], 'it was seen just now');
    clock.jump(31 * DAY_MS);
    assert.deepEqual((await broker.maintain()).expired, [], 'by default never');
    const other = await reopen();
    assert.deepEqual(await other.maintain(expiry), {
      deleted: { 'g-x-changelog': 2 },
      expired: ['g'],
    });
    assert.deepEqual(await broker.groups(), []);
    assert.equal(await broker.describeGroup('g'), undefined);
    assert.deepEqual(
      (await broker.topics()).map(({ name }) => name),
      ['t'],
    );
    assert.deepEqual(values(await readAll(broker, 't', 0)), ['out']);
    await fails(broker.bounds('g-x-changelog', 0), 'MR_UNKNOWN_TOPIC');
    await fails(append(broker, 'g-x-changelog', 0, 'a'), 'MR_UNKNOWN_TOPIC');
    const again = await start(other);
    assert.deepEqual(again.task.positions, []);
    assert.ok(again.task.stateId > task.stateId);
    assert.deepEqual(await broker.bounds('g-x-changelog', 0), { start: 0, end: 0 });
    await append(broker, 'g-x-changelog', 0, 'fresh');
    assert.deepEqual(values(await readAll(other, 'g-x-changelog', 0)), ['fresh']);
    await again.member.leave();
  },
};

function byRecords(a: Readonly<Record<string, number>>, b: typeof a): number {
  return (a['t'] ?? 0) - (b['t'] ?? 0);
}
