/** Verification: what is sound has no problem, each damage is named, and workers do not disturb it. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import type { Broker } from '../../src/broker/broker.ts';
import { backupDirectory, compactDirectory } from '../../src/broker/backup.ts';
import { logTables, openLog, verifyLog } from '../../src/broker/log/index.ts';
import {
  encodeEnds,
  encodeRow,
  frameKey,
  partitionKey,
  textKey,
} from '../../src/broker/log/rows.ts';
import { openBroker } from '../../src/broker/open.ts';
import { SharedStores } from '../../src/broker/shared-stores.ts';
import type { StateCheck, VerifyProgress, VerifyReport } from '../../src/broker/verify-report.ts';
import { verifyDirectory } from '../../src/broker/verify.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Kv, KvReader, KvTransaction } from '../../src/kv/kv.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';
import { frameOf, realContext, textsOf, withDirectory } from './log-over.ts';

const clock = new VirtualClock();
const url = 'file:./simulated';
const spec = { name: 't', partitions: 2, codec: 'utf8', role: 'source' } as const;

/** What the layer above might know of its rows: the first byte of a value is a 1, positions are always 1. */
const state: StateCheck = {
  changelogOf: (group, task) => ({
    topic: `${group}-log`,
    partition: Number(task.split('/')[1]),
  }),
  position: () => 1,
  defectOf: (_, value) => (value[0] === 1 ? undefined : 'it does not begin with 1'),
};

/** A log with something of everything: `t` has the frames 0–1, 2, 3 in partition 0 and none in partition 1. */
async function sound(): Promise<{ readonly kv: Kv; readonly broker: Broker }> {
  const kv = simulatedKv({ tables: logTables });
  const broker = await openLog({ kv, url, clock, random: seededRandom(1) });
  await broker.createTopic(spec);
  await broker.createTopic({ ...spec, name: 'g-log', role: 'changelog', owner: 'g' });
  for (const texts of [['a', 'b'], ['c'], ['d']])
    await broker.append([{ topic: 't', partition: 0, frame: frameOf(...texts) }]);
  await broker.openProducer('p');
  const member = await broker.join('g', { tasks: [{ id: 'x/0' }], topology: 'T' });
  const [task] = (await member.tend()).gained;
  await member.commit({
    task: 'x/0',
    epoch: task!.epoch,
    positions: [{ topic: 't', partition: 0, offset: 2 }],
    meta: Uint8Array.of(1),
    outputs: [{ topic: 'g-log', partition: 0, frame: frameOf('row', 'row') }],
  });
  await kv.transact((txn) => txn.put('state', stateRow(task!.stateId), Uint8Array.of(1)));
  return { kv, broker };
}

function stateRow(stateId: number): Buffer {
  const key = Buffer.alloc(5);
  key.writeUInt32BE(stateId);
  return key;
}

async function report(kv: Kv): Promise<VerifyReport> {
  return await verifyLog(kv, { url, clock, state });
}

function flip(table: string, key: Uint8Array, at: number): (txn: KvTransaction) => void {
  return (txn) => {
    const bytes = Buffer.from(txn.get(table, key) as Uint8Array);
    bytes[at] = (bytes[at] as number) ^ 1;
    txn.put(table, key, bytes);
  };
}

test('what is sound has no problem, and everything is counted', async () => {
  const { kv, broker } = await sound();
  const frames = Array.from(kv.range('frames', {}), ({ value }) => value.length);
  expect(await report(kv)).toEqual({
    ok: true,
    topics: 2,
    partitions: 4,
    frames: 4,
    records: 6,
    frameBytes: frames.reduce((a, b) => a + b),
    groups: 1,
    tasks: 1,
    producers: 1,
    stateRows: 1,
    problems: [],
    problemCount: 0,
  });
  await broker.close();
});

const ends = { start: 0, end: 4, receivedAt: 0, sparseBelow: 0 };
const damages: [
  what: string,
  damage: (txn: KvTransaction) => void,
  ...problems: [kind: string, place: string, text: RegExp][],
][] = [
  [
    'a frame',
    flip('frames', frameKey(1, 0, 2), 70),
    ['frame', 't[0]@2', /checksum of its records/],
  ],
  [
    'the header of a frame',
    flip('frames', frameKey(1, 0, 0), 57),
    ['frame', 't[0]@0', /checksum of its header/],
  ],
  [
    'a frame that is gone',
    (txn) => txn.remove('frames', frameKey(1, 0, 2)),
    ['gap', 't[0]@2', /up to offset 3 are missing/],
    ['ends', 't[0]', /bytes/],
  ],
  [
    'the last frame that is gone',
    (txn) => txn.remove('frames', frameKey(1, 0, 3)),
    ['gap', 't[0]@3', /up to the end, 4/],
    ['ends', 't[0]', /bytes/],
  ],
  [
    'a frame beyond the end',
    (txn) => txn.put('frames', frameKey(1, 0, 9), txn.get('frames', frameKey(1, 0, 2))!),
    ['frame', 't[0]@9', /begins at offset 2/],
    ['orphan', 't[0]@9', /at or above the end, 4/],
    ['gap', 't[0]@10', /are missing/],
    ['ends', 't[0]', /bytes/],
  ],
  [
    'a frame of another partition',
    (txn) => txn.put('frames', frameKey(1, 1, 2), txn.get('frames', frameKey(1, 0, 2))!),
    ['frame', 't[1]@2', /checksum of its header is wrong, or it is the frame of another partition/],
    ['orphan', 't[1]@2', /at or above the end, 0/],
    ['ends', 't[1]', /bytes/],
  ],
  ['ends', flip('ends', partitionKey(1, 0), 9), ['ends', 't[0]', /checksum is wrong/]],
  [
    'ends that are gone',
    (txn) => txn.remove('ends', partitionKey(1, 1)),
    ['ends', 't[1]', /is missing/],
  ],
  [
    'a count of bytes',
    (txn) => txn.put('ends', partitionKey(1, 1), encodeEnds({ ...ends, end: 0, bytes: 7 })),
    ['ends', 't[1]', /have 0 bytes, its row says 7/],
  ],
  [
    'ends the wrong way round',
    (txn) => txn.put('ends', partitionKey(1, 1), encodeEnds({ ...ends, start: 5, bytes: 0 })),
    ['ends', 't[1]', /begins at 5, behind its end, 4/],
    ['gap', 't[1]@5', /missing/],
  ],
  [
    'ends of no topic',
    (txn) => txn.put('ends', partitionKey(9, 1), encodeEnds({ ...ends, bytes: 0 })),
    ['orphan', 'ends of 9[1]', /no topic/],
  ],
  [
    'frames of no topic',
    (txn) => txn.put('frames', frameKey(9, 0, 0), Uint8Array.of(1)),
    ['orphan', 'frames of 9[0]', /no topic/],
  ],
  [
    'a topic',
    flip('meta', textKey('topic:t'), 12),
    ['row', 'topic t', /checksum/],
    ['orphan', 'ends of 1[0]', /no topic/],
    ['orphan', 'ends of 1[1]', /no topic/],
    ['orphan', 'frames of 1[0]', /no topic/],
    ['position', 'position of task x/0 of group g in t[0]', /no such partition/],
  ],
  ['the last numbers', flip('meta', textKey('ids'), 12), ['row', 'last numbers given', /checksum/]],
  ['the format', flip('meta', textKey('format'), 10), ['row', 'format', /checksum/]],
  ['a group', flip('groups', textKey('g'), 10), ['row', 'group g', /checksum/]],
  [
    'a task',
    flip('tasks', textKey('g\0x/0'), 10),
    ['row', 'task x/0 of group g', /checksum/],
    ['orphan', 'state 1', /no task/],
  ],
  ['a producer', flip('producers', textKey('p'), 10), ['row', 'producer p', /checksum/]],
  [
    'a group that is gone',
    (txn) => txn.remove('groups', textKey('g')),
    ['orphan', 'task x/0 of group g', /no such group/],
  ],
  [
    'a state of nobody',
    (txn) => txn.put('state', stateRow(77), Uint8Array.of(1)),
    ['orphan', 'state 77', /no task/],
  ],
  // As pages of one table that were taken for pages of another have them.
  [
    'a key among the frames that is of no frame',
    (txn) => txn.put('frames', textKey('ids'), Uint8Array.of(1)),
    ['row', 'table frames', /ids is no key of this table/],
  ],
  [
    'a key of no frame within a partition',
    (txn) => txn.put('frames', Buffer.concat([frameKey(1, 0, 2), Buffer.of(0)]), Uint8Array.of(1)),
    ['frame', 't[0]', /a key among its frames is of none/],
  ],
  [
    'a short key in front of a partition',
    (txn) => txn.put('frames', Buffer.concat([partitionKey(1, 0), Buffer.of(0)]), Uint8Array.of(1)),
    ['row', 'table frames', /is no key of this table/],
  ],
  [
    'an offset that cannot be counted on from',
    (txn) => txn.put('frames', frameKey(1, 1, 2 ** 53), Uint8Array.of(1)),
    ['row', 'table frames', /is no key of this table/],
    ['frame', 't[1]', /a key among its frames is of none/],
  ],
  [
    'frames of the last partition that there could be',
    (txn) => txn.put('frames', frameKey(0xffff_ffff, 0xffff, 0), Uint8Array.of(1)),
    ['orphan', 'frames of 4294967295[65535]', /no topic/],
  ],
  [
    'a key among the ends that is of no partition',
    (txn) => txn.put('ends', textKey('g'), Uint8Array.of(1)),
    ['row', 'table ends', /g is no key of this table/],
  ],
  [
    'a key of no state',
    (txn) => txn.put('state', textKey('g'), Uint8Array.of(1)),
    ['row', 'table state', /g is no key of this table/],
  ],
  [
    'the last state that there could be',
    (txn) => txn.put('state', stateRow(0xffff_ffff), Uint8Array.of(1)),
    ['orphan', 'state 4294967295', /no task/],
  ],
  [
    'a note of what is to be deleted',
    (txn) => txn.put('meta', textKey('garbage:g'), encodeRow({})),
    ['row', 'garbage:g', /what is to be deleted/],
  ],
  [
    'a row of a checkpoint',
    (txn) => txn.put('state', stateRow(1), Uint8Array.of(2)),
    ['checkpoint', 'state 1', /begin with 1/],
  ],
  [
    'a checkpoint ahead of its changelog',
    (txn) => txn.put('ends', partitionKey(2, 0), encodeEnds({ ...ends, end: 0, bytes: 0 })),
    ['checkpoint', 'task x/0 of group g', /stands at 1.*from 0 to 0/],
    ['orphan', 'g-log[0]@0', /at or above the end, 0/],
    ['gap', 'g-log[0]@2', /are missing/],
    ['ends', 'g-log[0]', /bytes/],
  ],
];

test.each(damages)('damage is named: %s', async (_, damage, ...problems) => {
  const { kv, broker } = await sound();
  await kv.transact(damage);
  const found = await report(kv);
  expect(found.problems.map(({ kind, place }) => [kind, place])).toEqual(
    problems.map(([kind, place]) => [kind, place]),
  );
  for (const [i, [, , text]] of problems.entries()) expect(found.problems[i]!.text).toMatch(text);
  expect(found).toMatchObject({ ok: false, problemCount: problems.length });
  await broker.close();
});

test('a row that only a walk comes upon is a problem', async () => {
  const { kv, broker } = await sound();
  const rows: [table: string, key: Buffer, kind: string, place: string][] = [
    ['frames', frameKey(1, 0, 2), 'frame', 't[0]@2'],
    ['producers', textKey('p'), 'row', 'table producers'],
    ['listeners', Buffer.of(0), 'row', 'table listeners'],
    ['tasks', textKey('g\0x/0'), 'row', 'table tasks'],
    ['state', stateRow(1), 'checkpoint', 'state 1'],
  ];
  await kv.transact((txn) => txn.put('listeners', Buffer.of(0), Uint8Array.of(1)));
  for (const [table, lost, kind, place] of rows) {
    // As a damaged page of lmdb shows itself, whose look-ups take another way than its walks.
    const damaged: KvReader = {
      get: (from, key) =>
        from === table && lost.equals(Buffer.from(key)) ? undefined : kv.get(from, key),
      range: (from, range) => kv.range(from, range),
    };
    const found = await verifyLog(damaged, { url, clock, state });
    expect(found.problems, table).toContainEqual({
      severity: 'error',
      kind,
      place,
      text: expect.stringMatching(/cannot be found by its/) as string,
    });
  }
  await broker.close();
});

test.each(['meta', 'frames', 'ends', 'tasks', 'groups', 'producers', 'state'])(
  'a table that cannot be walked is a problem: %s',
  async (table) => {
    const { kv, broker } = await sound();
    const torn = new MillraceError('MR_CORRUPT', 'its keys are out of order', {
      domain: 'external',
    });
    const damaged: KvReader = {
      get: (from, key) => kv.get(from, key),
      range: (from, range) => {
        if (from === table) throw torn;
        return kv.range(from, range);
      },
    };
    const { ok, problems } = await verifyLog(damaged, { url, clock, state });
    expect(ok).toBe(false);
    expect(problems.map(({ text }) => text)).toContain(torn.message);
    await broker.close();
  },
);

test('what a group will find deleted is a warning, what never was there is not', async () => {
  const { kv, broker } = await sound();
  await broker.truncate('t', 0, 3);
  expect(await report(kv)).toMatchObject({
    ok: true,
    problems: [
      {
        severity: 'warning',
        kind: 'lost',
        text: expect.stringContaining('MR_OFFSET_LOST') as string,
      },
    ],
  });
  await kv.transact((txn) =>
    txn.put('ends', partitionKey(1, 0), encodeEnds({ ...ends, end: 1, bytes: 0 })),
  );
  expect((await report(kv)).problems[0]).toMatchObject({
    severity: 'error',
    kind: 'position',
    text: expect.stringContaining('behind the end of the partition, 1') as string,
  });
  await broker.close();
});

test('problems are listed up to a bound, and counted', async () => {
  const { kv, broker } = await sound();
  await kv.transact((txn) => {
    for (let id = 100; id < 1300; id++)
      txn.put('ends', partitionKey(id, 0), encodeEnds({ ...ends, bytes: 0 }));
    for (let base = 0; base < 3000; base++)
      txn.put('frames', frameKey(1, 1, base), Uint8Array.of(1));
  });
  const found = await report(kv);
  expect(found.problems).toHaveLength(1000);
  expect(found.problemCount).toBeGreaterThan(2000);
  await broker.close();
});

test('another version is refused, another row in the place of the version is a problem', async () => {
  const kv = simulatedKv({ tables: logTables });
  expect((await report(kv)).problems).toMatchObject([{ kind: 'row', place: 'format' }]);
  await kv.transact((txn) => txn.put('meta', textKey('format'), encodeRow({ version: 99 })));
  await expect(report(kv)).rejects.toMatchObject({ code: 'MR_VERSION_UNSUPPORTED' });
});

test('appends, deletions and compaction meanwhile are no problems', async () => {
  const running = new VirtualClock();
  const kv = simulatedKv({ tables: logTables });
  const broker = await openLog({ kv, url, clock: running, random: seededRandom(1) });
  const keep = { retentionMs: null, retentionBytes: 16 << 20, compact: true };
  await broker.createTopic({ ...spec, partitions: 1, keep });
  const load = async (): Promise<unknown> =>
    await broker.append([{ topic: 't', partition: 0, frame: frameOf('x'.repeat(1 << 20)) }]);
  for (let i = 0; i < 18; i++) await load();
  let steps = 0;
  let work: Promise<unknown> = Promise.resolve();
  const found = await verifyLog(kv, {
    url,
    clock: running,
    onProgress: () => {
      steps++;
      if (steps < 12) work = work.then(load).then(() => broker.maintain());
    },
  });
  await work;
  expect(steps).toBeGreaterThan(5);
  expect(found.problems).toEqual([]);
  await broker.close();
});

test('a topic that is forgotten meanwhile is no problem', async () => {
  const running = new VirtualClock(1_000_000);
  const kv = simulatedKv({ tables: logTables });
  const broker = await openLog({ kv, url, clock: running, random: seededRandom(1) });
  await broker.createTopic({ ...spec, name: 'g-log', role: 'changelog', owner: 'g' });
  const frame = frameOf('x'.repeat(5 << 20));
  await broker.append([{ topic: 'g-log', partition: 0, frame }]);
  const member = await broker.join('g', { tasks: [{ id: 'x/0' }], topology: 'T' });
  await member.tend();
  await member.leave();
  running.jump(10_000);
  let forgotten: Promise<unknown> | undefined;
  const found = await verifyLog(kv, {
    url,
    clock: running,
    onProgress: () => {
      forgotten ??= broker.maintain({ groupExpiryMs: 5000 });
    },
  });
  await forgotten;
  expect(found.problems).toEqual([]);
  await broker.close();
});

test('it can be aborted', async () => {
  const { kv, broker } = await sound();
  await expect(verifyLog(kv, { url, clock, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'MR_ABORTED',
  });
  await broker.close();
});

describe('a directory', () => {
  test('is verified while a worker has it open, and tells how far it has come', async () => {
    await withDirectory(async (directory) => {
      const at = `file:${directory}`;
      const broker = await openBroker(at, realContext());
      await broker.createTopic(spec);
      for (let i = 0; i < 10; i++)
        await broker.append([{ topic: 't', partition: 0, frame: frameOf('x'.repeat(1 << 20)) }]);
      const progress: VerifyProgress[] = [];
      const found = await verifyDirectory(at, realContext(), (step) => progress.push(step));
      expect(found).toMatchObject({ ok: true, frames: 10, records: 10 });
      expect(progress.map(({ frames }) => frames)).toEqual(
        progress.map(({ frames }) => frames).toSorted((a, b) => a - b),
      );
      expect(progress.some(({ place, frames }) => place === 't[0]' && frames < 10)).toBe(true);
      await broker.close();
    });
  });

  test('that cannot be opened is a problem, one that is not there an error', async () => {
    await withDirectory(async (directory) => {
      const context = realContext();
      await expect(verifyDirectory(`file:${directory}/none`, context)).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
      });
      expect(readdirSync(directory)).toEqual([]);
      await expect(verifyDirectory('kafka://x', context)).rejects.toMatchObject({
        code: 'MR_URL_INVALID',
      });
      writeFileSync(join(directory, 'data.mdb'), Buffer.alloc(100_000, 7));
      expect(await verifyDirectory(`file:${directory}`, context)).toMatchObject({
        ok: false,
        problems: [{ kind: 'file' }],
      });
    });
  });

  test('in memory is verified by its name', async () => {
    const context = { ...realContext(), memory: new SharedStores() };
    const broker = await openBroker('memory:m', context);
    await broker.createTopic(spec);
    expect(await verifyDirectory('memory:m', context)).toMatchObject({ ok: true, topics: 1 });
    await broker.close();
  });
});

describe('a backup', () => {
  test('is what was committed when it began, made while others write', async () => {
    await withDirectory(async (parent) => {
      const at = `file:${join(parent, 'data')}`;
      const broker = await openBroker(at, realContext());
      await broker.createTopic({ ...spec, partitions: 1 });
      let count = 0;
      const load = async (): Promise<void> => {
        await broker.append([{ topic: 't', partition: 0, frame: frameOf(`${count++}`) }]);
      };
      for (let i = 0; i < 50; i++) await load();
      for (const compact of [false, true]) {
        const target = join(parent, `copy-${compact}`);
        const before = count;
        let done = false;
        const writing = (async () => {
          while (!done) await load();
        })();
        const made = await backupDirectory(at, target, realContext(), { compact });
        done = true;
        await writing;
        expect(made).toMatchObject({ directory: target, topics: 1 });
        expect(readdirSync(target)).toEqual(['data.mdb']);
        expect((await verifyDirectory(`file:${target}`, realContext())).problems).toEqual([]);
        const copy = await openBroker(`file:${target}`, realContext());
        const texts = await textsOf(copy, 't');
        expect(texts.length).toBeGreaterThanOrEqual(before);
        expect(texts).toEqual(Array.from({ length: texts.length }, (_, i) => `${i}`));
        await copy.close();
      }
      expect(readdirSync(parent).toSorted()).toEqual(['copy-false', 'copy-true', 'data']);
      await broker.close();
    });
  });

  test('overwrites nothing, and leaves nothing when it is refused', async () => {
    await withDirectory(async (parent) => {
      const at = `file:${join(parent, 'data')}`;
      const context = realContext();
      const target = join(parent, 'copy');
      await expect(backupDirectory(at, target, context)).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
        message: expect.stringContaining('there is no log') as string,
      });
      await (await openBroker(at, context)).close();
      mkdirSync(target);
      expect((await backupDirectory(at, target, context)).directory).toBe(target);
      await expect(backupDirectory(at, target, context)).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
        message: expect.stringContaining('is not empty') as string,
      });
      await expect(backupDirectory(at, join(parent, 'data'), context)).rejects.toMatchObject({
        code: 'MR_ARGUMENT_INVALID',
      });
      writeFileSync(join(parent, 'file'), '');
      await expect(backupDirectory(at, join(parent, 'file'), context)).rejects.toMatchObject({
        code: 'MR_PERMISSION',
      });
      for (const call of [
        backupDirectory('memory:m', target, context),
        compactDirectory('memory:m'),
      ])
        await expect(call).rejects.toMatchObject({
          code: 'MR_ARGUMENT_INVALID',
          message: expect.stringContaining('in memory') as string,
        });
      expect(readdirSync(parent).toSorted()).toEqual(['copy', 'data', 'file']);
    });
  });
});

test('a directory that was compacted is smaller, and the same', async () => {
  await withDirectory(async (directory) => {
    const at = `file:${directory}`;
    const broker = await openBroker(at, realContext());
    await broker.createTopic({ ...spec, partitions: 1 });
    for (let i = 0; i < 20; i++)
      await broker.append([{ topic: 't', partition: 0, frame: frameOf('x'.repeat(1 << 20)) }]);
    await broker.append([{ topic: 't', partition: 0, frame: frameOf('kept') }]);
    await broker.truncate('t', 0, 20);
    await expect(compactDirectory(at)).rejects.toMatchObject({
      code: 'MR_IN_USE',
      retryable: true,
    });
    await broker.close();
    const made = await compactDirectory(at);
    expect(made.bytesBefore).toBeGreaterThan(20 << 20);
    expect(made.bytesAfter).toBeLessThan(1 << 20);
    expect((await verifyDirectory(at, realContext())).problems).toEqual([]);
    const again = await openBroker(at, realContext());
    expect(await textsOf(again, 't')).toEqual(['kept']);
    await again.close();
  });
});
