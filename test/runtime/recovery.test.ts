/** Commits that fail and processes that die: the worker goes on from its last commit, and results are exact. */
import { describe, expect, test } from 'vitest';

import type { Broker, PartitionReader } from '../../src/broker/broker.ts';
import { MillraceError } from '../../src/core/errors.ts';
import type { CommitFault } from '../../src/kv/simulated/simulated.ts';
import type { CommitSettings } from '../../src/runtime/task-options.ts';
import type { Worker } from '../../src/runtime/worker.ts';
import type { Table } from '../../src/table/table.ts';
import type { Topic } from '../../src/app/topic.ts';
import { moment, rowsOf, valuesOf } from '../app/support.ts';
import { advancing, Disk, Hand, turns } from './hand.ts';
import type { Process } from './hand.ts';

interface Counting {
  readonly hand: Hand;
  readonly numbers: Topic<string, number>;
  readonly copies: Topic<string, number>;
  readonly byKey: Table<string, number, number>;
  readonly byValue: Table<number, number, number>;
}

/** Counts per key, copies everything, and counts per value behind a groupBy. */
function counting(process: Process): Counting {
  const hand = new Hand(process);
  const numbers = hand.topic<number>('numbers', { partitions: 2 });
  const copies = hand.topic<number>('copies', { partitions: 1 });
  const byKey = hand.table<number>('by-key', () => 0);
  const byValue = hand.table<number, number>('by-value', () => 0);
  numbers.stream().update(byKey, (n) => n + 1);
  numbers.stream().sink(copies);
  numbers
    .stream()
    .groupBy((n) => n % 5, { name: 'value' })
    .update(byValue, (n) => n + 1);
  return { hand, numbers, copies, byKey, byValue };
}

async function send({ numbers }: Counting, count: number, from = 0): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, i) => numbers.send(from + i, { key: `k${(from + i) % 7}` })),
  );
}

/** Everything from 0 to below `count` was processed exactly once. */
async function expectExact({ copies, byKey, byValue }: Counting, count: number): Promise<void> {
  const all = Array.from({ length: count }, (_, n) => n);
  expect((await valuesOf(copies)).toSorted((a, b) => a - b)).toEqual(all);
  const tally = <K>(keyOf: (n: number) => K): Map<K, number> => {
    const found = new Map<K, number>();
    for (const n of all) found.set(keyOf(n), (found.get(keyOf(n)) ?? 0) + 1);
    return found;
  };
  expect(await rowsOf(byKey)).toEqual(tally((n) => `k${n % 7}`));
  expect(await rowsOf(byValue)).toEqual(tally((n) => n % 5));
}

/** Runs until all is processed, then stops. */
async function finish(worker: Worker, disk: Disk): Promise<void> {
  const ended = worker.run();
  ended.catch(() => undefined);
  await advancing(disk.clock, worker.settled());
  await advancing(disk.clock, worker.stop(1_000_000));
  await ended;
}

/** Fails the next `count` commits. */
function failNext(disk: Disk, fail: NonNullable<CommitFault['fail']>, count: number): void {
  let left = count;
  disk.faults = () => (left-- > 0 ? { fail } : undefined);
}

const small: Partial<CommitSettings> = { every: 10 };

test('without faults', async () => {
  const disk = new Disk();
  const app = counting(await disk.open());
  await send(app, 100);
  await finish(await app.hand.worker(small), disk);
  await expectExact(app, 100);
  expect(app.hand.warnings).toEqual([]);
});

describe.each<NonNullable<CommitFault['fail']>>(['disk-full', 'io-before', 'io-after'])(
  'commits that end with %s',
  (fail) => {
    test.each([1, 2, 5, 12])('%d of them: the worker warns, waits, and goes on', async (count) => {
      const disk = new Disk();
      const app = counting(await disk.open());
      await send(app, 100);
      const worker = await app.hand.worker(small);
      failNext(disk, fail, count);
      await finish(worker, disk);
      await expectExact(app, 100);
      expect(app.hand.warnings.length).toBeGreaterThan(0);
      for (const warning of app.hand.warnings)
        expect(warning).toMatch(
          /^numbers(-value)?\/[01]: .*; trying again in \d+ ms from the last commit$/u,
        );
    });

    test('one after the other, at every place', async () => {
      for (let at = 0; at < 30; at++) {
        const disk = new Disk();
        const app = counting(await disk.open());
        await send(app, 60);
        const worker = await app.hand.worker(small);
        let commits = 0;
        disk.faults = () => (commits++ === at ? { fail } : undefined);
        const ended = worker.run();
        ended.catch(() => undefined);
        await advancing(disk.clock, worker.settled());
        disk.faults = undefined;
        await advancing(disk.clock, worker.stop(1_000_000));
        await expectExact(app, 60);
      }
    });

    test('for longer than retryFor: the worker fails with it, and the next one loses nothing', async () => {
      const disk = new Disk();
      const app = counting(await disk.open());
      await send(app, 100);
      const worker = await app.hand.worker(small, 5_000);
      const code = fail === 'disk-full' ? 'MR_DISK_FULL' : 'MR_IO';
      disk.faults = () => ({ fail });
      const ended = worker.run();
      await expect(advancing(disk.clock, ended)).rejects.toMatchObject({ code });
      disk.faults = undefined;
      await finish(await app.hand.worker(small), disk);
      await expectExact(app, 100);
    });
  },
);

test('pauses grow from 100 ms to 2 s, and begin anew after a commit', async () => {
  const disk = new Disk();
  const hand = new Hand(await disk.open());
  const numbers = hand.topic<number>('numbers', { partitions: 1 });
  const sums = hand.table<number>('sums', () => 0);
  numbers.stream().update(sums, (n) => n + 1);
  await numbers.send(1, { key: 'k' });
  const worker = await hand.worker(small);
  const ended = worker.run();
  ended.catch(() => undefined);
  for (let round = 0; round < 2; round++) {
    await numbers.send(1, { key: 'k' });
    failNext(disk, 'disk-full', 7);
    await advancing(disk.clock, worker.settled());
  }
  const delays = hand.warnings.map((warning) => Number(/in (\d+) ms/u.exec(warning)?.[1]));
  const expected = [100, 200, 400, 800, 1_600, 2_000, 2_000];
  expect(delays).toEqual([...expected, ...expected]);
  await advancing(disk.clock, worker.stop(1_000));
  expect(await rowsOf(sums)).toEqual(new Map([['k', 3]]));
  expect(disk.clock.timers).toBe(0);
});

test('a stop does not wait for the end of a pause', async () => {
  const disk = new Disk();
  const app = counting(await disk.open());
  await send(app, 10);
  const worker = await app.hand.worker(small);
  const ended = worker.run();
  ended.catch(() => undefined);
  worker.settled().catch(() => undefined);
  failNext(disk, 'disk-full', 6);
  while (app.hand.warnings.length === 0) await disk.clock.advance(1);
  // Not even giving the tasks back is possible: that is worth a warning, and no more.
  disk.faults = () => ({ fail: 'disk-full' });
  await worker.stop(1_000);
  await ended;
  expect(app.hand.warnings.at(-1)).toMatch(/^group hand: the tasks could not be given back: /u);
  disk.faults = undefined;
  await finish(await app.hand.worker(small), disk);
  await expectExact(app, 10);
});

test('a commit that fails at the end is told by stop', async () => {
  const disk = new Disk();
  const app = counting(await disk.open());
  await send(app, 10);
  const worker = await app.hand.worker({ every: 1_000_000, intervalMs: 1e9 });
  const ended = worker.run();
  ended.catch(() => undefined);
  await turns(disk.clock, 10);
  disk.faults = () => ({ fail: 'disk-full' });
  await expect(advancing(disk.clock, worker.stop(1_000_000))).rejects.toMatchObject({
    code: 'MR_DISK_FULL',
  });
  disk.faults = undefined;
  await finish(await app.hand.worker(small), disk);
  await expectExact(app, 10);
});

test('what made the worker fail is told although it cannot give its tasks back', async () => {
  const disk = new Disk();
  const hand = new Hand(await disk.open());
  const numbers = hand.topic<number>('numbers', { partitions: 1 });
  numbers.stream().sink(() => {
    disk.faults = () => ({ fail: 'disk-full' });
    throw new Error('the first failure');
  });
  await numbers.send(1, { key: 'k' });
  const worker = await hand.worker();
  await expect(worker.run()).rejects.toMatchObject({ cause: { message: 'the first failure' } });
});

test('a commit that fails while an agent is in the middle of an event undoes the event too', async () => {
  const disk = new Disk();
  const hand = new Hand(await disk.open());
  const numbers = hand.topic<number>('numbers', { partitions: 1 });
  const copies = hand.topic<number>('copies', { partitions: 1 });
  const sums = hand.table<number>('sums', () => 0);
  const second = moment();
  const goOn = moment();
  let calls = 0;
  hand.each(
    'agent',
    numbers.stream(),
    async (n, key) => {
      sums.update(key, (sum) => sum + n);
      if (++calls === 2) {
        second.come();
        await goOn.reached;
      }
      return n;
    },
    copies,
  );
  await numbers.send(1, { key: 'k' });
  await numbers.send(2, { key: 'k' });
  const worker = await hand.worker({ every: 1 });
  disk.faults = () => (calls === 2 ? { fail: 'io-before' } : undefined);
  const ended = worker.run();
  ended.catch(() => undefined);
  const settled = worker.settled();
  await second.reached;
  await turns(disk.clock, 20);
  disk.faults = undefined;
  goOn.come();
  await advancing(disk.clock, settled);
  await advancing(disk.clock, worker.stop(1_000));
  expect(await rowsOf(sums)).toEqual(new Map([['k', 3]]));
  expect(await valuesOf(copies)).toEqual([1, 2]);
});

test('a read that fails is tried again, and blamed on no event', async () => {
  const disk = new Disk();
  const process = await disk.open();
  let left = 3;
  const failing = (reader: PartitionReader): PartitionReader => ({
    get offset() {
      return reader.offset;
    },
    next() {
      if (reader.offset > 0 && left-- > 0) throw new MillraceError('MR_IO', 'the disk is gone');
      return reader.next();
    },
    seek: (offset) => reader.seek(offset),
  });
  const broker = new Proxy(process.broker, {
    get(target, name: keyof Broker) {
      const member: unknown = target[name];
      if (name !== 'reader')
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      return (...args: Parameters<Broker['reader']>) =>
        args[0] === 'numbers' ? failing(target.reader(...args)) : target.reader(...args);
    },
  });
  const app = counting({ ...process, broker });
  await send(app, 20);
  await finish(await app.hand.worker(small), disk);
  await expectExact(app, 20);
  expect(left).toBeLessThan(0);
  expect(app.hand.warnings.length).toBeGreaterThan(0);
  for (const warning of app.hand.warnings)
    expect(warning).toMatch(/^numbers\/[01]: the disk is gone; trying again in/u);
});

describe('a process that dies', () => {
  test.each<[string, CommitFault['fail']]>([
    ['before', 'io-before'],
    ['behind', 'io-after'],
  ])('%s any commit: the next one continues, exactly', async (_, fail) => {
    for (let at = 0; at < 25; at++) {
      const disk = new Disk();
      const first = await disk.open();
      const app = counting(first);
      await send(app, 60);
      const worker = await app.hand.worker({ ...small, checkpointEntries: 5 });
      let commits = 0;
      disk.faults = () => {
        if (commits++ !== at) return undefined;
        first.crash();
        return { fail };
      };
      const ended = worker.run();
      ended.catch(() => undefined);
      worker.settled().catch(() => undefined);
      await turns(disk.clock, 60);
      first.crash();
      disk.faults = undefined;
      const next = counting(await disk.open());
      await finish(await next.hand.worker({ ...small, checkpointEntries: 5 }), disk);
      await expectExact(next, 60);
    }
  });

  test('again and again, with checkpoints, while more is sent', async () => {
    const disk = new Disk();
    let sent = 0;
    for (let life = 0; life < 40; life++) {
      const process = await disk.open();
      const app = counting(process);
      await send(app, 5, sent);
      sent += 5;
      const worker = await app.hand.worker({ every: 3, checkpointEntries: 4 });
      const ended = worker.run();
      ended.catch(() => undefined);
      worker.settled().catch(() => undefined);
      await turns(disk.clock, life % 13);
      process.crash();
    }
    const app = counting(await disk.open());
    await finish(await app.hand.worker(), disk);
    await expectExact(app, sent);
  });

  test('while its tasks were loaded: nothing happens', async () => {
    const disk = new Disk();
    const process = await disk.open();
    const app = counting(process);
    await send(app, 20);
    await app.hand.worker();
    process.crash();
    const next = counting(await disk.open());
    await finish(await next.hand.worker(), disk);
    await expectExact(next, 20);
  });
});

describe('checkpoints', () => {
  test('keep the changelog short and change no result', async () => {
    const disk = new Disk();
    const process = await disk.open();
    const app = counting(process);
    const worker = await app.hand.worker({ every: 5, checkpointEntries: 10 });
    const ended = worker.run();
    ended.catch(() => undefined);
    for (let round = 0; round < 20; round++) {
      await send(app, 20, round * 20);
      await advancing(disk.clock, worker.settled());
    }
    const { start, end } = await process.broker.bounds('hand-numbers-changelog', 0);
    expect(start).toBeGreaterThan(0);
    expect(end - start).toBeLessThan(60);
    await expectExact(app, 400);
    await advancing(disk.clock, worker.stop(1_000));
    const next = counting(await disk.open());
    await send(next, 20, 400);
    await finish(await next.hand.worker({ every: 5, checkpointEntries: 10 }), disk);
    await expectExact(next, 420);
  });

  test('on a full disk are tried again later', async () => {
    const disk = new Disk();
    const app = counting(await disk.open());
    let commits = 0;
    disk.faults = () => (commits++ % 3 === 2 ? { fail: 'disk-full' } : undefined);
    await send(app, 20).catch(() => undefined);
    disk.faults = undefined;
    const worker = await app.hand.worker({ every: 5, checkpointEntries: 1 });
    disk.faults = () => (commits++ % 3 === 2 ? { fail: 'disk-full' } : undefined);
    const ended = worker.run();
    ended.catch(() => undefined);
    await advancing(disk.clock, worker.settled());
    disk.faults = undefined;
    await advancing(disk.clock, worker.stop(1_000_000));
    const found = (await valuesOf(app.numbers)).length;
    expect([0, 20]).toContain(found);
    await expectExact(app, found);
  });
});
