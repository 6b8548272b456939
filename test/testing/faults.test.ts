/** Stores and brokers that fail as planned. */
import { expect, test } from 'vitest';

import { openBroker } from '../../src/broker/open.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';
import { faultyBroker, faultyKv, seededFaults, seededRandom } from '../../src/testing/index.ts';
import type { BrokerCall, Fault, FaultPlan, KvCall } from '../../src/testing/index.ts';
import { frameOf, textsOf } from '../broker/log-over.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const store = (plan: FaultPlan<KvCall>, clock?: VirtualClock) =>
  faultyKv(simulatedKv({ tables: ['t'] }), plan, { clock });
const put = (kv: ReturnType<typeof store>, key: string): Promise<void> =>
  kv.transact((txn) => txn.put('t', bytes(key), bytes('1')));

test('a transaction fails before it is done, after it is done, or for want of room', async () => {
  const fails = ['before', 'after', 'disk-full'] as const;
  const kv = store(({ call, index }) => (call === 'transact' ? { fail: fails[index] } : undefined));
  await expect(put(kv, 'a')).rejects.toMatchObject({ code: 'MR_IO', retryable: false });
  await expect(put(kv, 'b')).rejects.toMatchObject({ code: 'MR_IO' });
  await expect(put(kv, 'c')).rejects.toMatchObject({ code: 'MR_DISK_FULL', retryable: true });
  await put(kv, 'd');
  expect([...kv.range('t', {})].map(({ key }) => Buffer.from(key).toString())).toEqual(['b', 'd']);
});

test('reads fail, by table and number', async () => {
  const asked: KvCall[] = [];
  const kv = store((call) => {
    asked.push(call);
    return call.call === 'get' && call.index === 1 ? { fail: 'before' } : undefined;
  });
  expect(kv.get('t', bytes('a'))).toBeUndefined();
  expect(() => kv.get('t', bytes('a'))).toThrow('planned');
  expect(kv.get('t', bytes('a'))).toBeUndefined();
  expect([...kv.range('t', {})]).toEqual([]);
  expect(asked).toEqual([
    { call: 'get', table: 't', index: 0 },
    { call: 'get', table: 't', index: 1 },
    { call: 'get', table: 't', index: 2 },
    { call: 'range', table: 't', index: 0 },
  ]);
  await kv.close();
});

test('a delay passes on the clock, and ends when the store is closed', async () => {
  const clock = new VirtualClock();
  const kv = store(({ call }) => (call === 'transact' ? { delayMs: 10 } : undefined), clock);
  const done = put(kv, 'a');
  await clock.advance(9);
  expect(kv.get('t', bytes('a'))).toBeUndefined();
  await clock.advance(1);
  await done;
  expect(kv.get('t', bytes('a'))).toBeDefined();
  const cut = put(kv, 'b');
  await kv.close();
  await expect(cut).rejects.toMatchObject({ code: 'MR_ABORTED' });
  expect(clock.timers).toBe(0);
});

test('a delay without a clock says so', async () => {
  const kv = store(() => ({ delayMs: 10 }));
  await expect(put(kv, 'a')).rejects.toMatchObject({ code: 'MR_OPTION_INVALID' });
});

async function memory(
  plan: FaultPlan<BrokerCall>,
): Promise<{ broker: Broker; clock: VirtualClock }> {
  const clock = new VirtualClock(1_000);
  const inner = await openBroker('memory:', { clock, random: seededRandom(1) });
  const broker = faultyBroker(inner, plan, { clock });
  await broker.createTopic({ name: 't', partitions: 1, codec: 'utf8', role: 'source' });
  return { broker, clock };
}

const only =
  (name: string, faults: readonly (Fault | undefined)[]): FaultPlan<BrokerCall> =>
  ({ call, index }) =>
    call === name ? faults[index] : undefined;

test('an append is lost, or only its answer', async () => {
  const { broker } = await memory(only('append', [{ fail: 'before' }, { fail: 'after' }]));
  const append = (text: string) =>
    broker.append([{ topic: 't', partition: 0, frame: frameOf(text) }]);
  await expect(append('a')).rejects.toMatchObject({ code: 'MR_IO' });
  await expect(append('b')).rejects.toMatchObject({ code: 'MR_IO' });
  await append('c');
  expect(await textsOf(broker, 't')).toEqual(['b', 'c']);
  await broker.close();
});

test('a commit is told of with its task and outputs, and its answer is lost', async () => {
  const calls: BrokerCall[] = [];
  const { broker } = await memory((call) => {
    if (call.call === 'commit') calls.push(call);
    return call.call === 'commit' ? { fail: 'after' } : undefined;
  });
  const member = await broker.join('g', { tasks: [{ id: 'sub/0' }], topology: 'x' });
  const [owned] = (await member.tend()).gained;
  const position = { topic: 't', partition: 0, offset: 5 };
  const commit = member.commit({
    task: 'sub/0',
    epoch: owned?.epoch ?? 0,
    positions: [position],
    meta: new Uint8Array(),
    outputs: [{ topic: 't', partition: 0, frame: frameOf('a') }],
  });
  await expect(commit).rejects.toMatchObject({ code: 'MR_IO' });
  expect(calls).toEqual([{ call: 'commit', task: 'sub/0', outputs: ['t'], index: 0 }]);
  const info = await broker.describeGroup('g');
  expect(info?.tasks[0]?.positions).toEqual([position]);
  expect(await textsOf(broker, 't')).toEqual(['a']);
  await broker.close();
});

test('a read fails, and the next one gives what it would have', async () => {
  const { broker } = await memory(only('read', [{ fail: 'before' }]));
  await broker.append([{ topic: 't', partition: 0, frame: frameOf('a') }]);
  const reader = broker.reader('t', 0, 0);
  expect(() => reader.next()).toThrow('planned');
  expect((await reader.next())?.count).toBe(1);
  await broker.close();
});

test('a deaf wait does not hear of changes', async () => {
  const { broker, clock } = await memory(only('changed', [{ deaf: true }]));
  let heard = 0;
  const wait = async (): Promise<void> => {
    await broker.changed(broker.changes(), 1_000);
    heard++;
  };
  const deaf = wait();
  await broker.append([{ topic: 't', partition: 0, frame: frameOf('a') }]);
  await clock.advance(999);
  expect(heard).toBe(0);
  await clock.advance(1);
  await deaf;
  const hearing = wait();
  await broker.append([{ topic: 't', partition: 0, frame: frameOf('b') }]);
  await hearing;
  expect(heard).toBe(2);
  await broker.close();
});

test('chance is replayed by its seed, and only writes fail unless others are named', () => {
  const run = (seed: number, calls?: readonly string[]): string => {
    const plan = seededFaults({
      random: seededRandom(seed),
      chance: 0.3,
      faults: [{ fail: 'before' }, { fail: 'after' }],
      calls,
    });
    return Array.from({ length: 60 }, (_, i) => {
      const call = ['commit', 'read', 'append'][i % 3] as string;
      return `${call}:${plan({ call, index: i })?.fail ?? '-'}`;
    }).join(' ');
  };
  expect(run(7)).toBe(run(7));
  expect(run(7)).not.toBe(run(8));
  expect(run(7)).toMatch(/commit:(before|after)/);
  expect(run(7)).not.toMatch(/read:(before|after)/);
  expect(run(7, ['read'])).toMatch(/read:(before|after)/);
});

test('faults by chance are over after so many', () => {
  const plan = seededFaults({
    random: seededRandom(1),
    chance: 1,
    faults: [{ fail: 'before' as const }],
    most: 2,
  });
  const fails = [0, 1, 2].map((index) => plan({ call: 'commit', index })?.fail);
  expect(fails).toEqual(['before', 'before', undefined]);
});
