/**
 * Joining groups of the brokers: what members say reaches the leader, what it decides reaches them, and who is out is told so.
 */
import { expect, onTestFinished, test } from 'vitest';

import type { Cluster } from '../../src/broker/kafka/cluster.ts';
import { GroupSession } from '../../src/broker/kafka/group-session.ts';
import type { Decide, Joined } from '../../src/broker/kafka/group-session.ts';
import { kafka, openCluster, unique } from './support.ts';

const kafkaTest = test.skipIf(kafka === null);

/** Gives each member the partition of its place, and tells it who is there. */
const decide: Decide = (peers) =>
  new Map(
    peers.map(({ memberId }, i) => [
      memberId,
      {
        partitions: [{ topic: 't', partition: i }],
        data: Buffer.from(
          peers
            .map(({ subscription }) => Buffer.from(subscription.data).toString())
            .toSorted()
            .join(),
        ),
      },
    ]),
  );

const says = (name: string) => ({ topics: ['t'], data: Buffer.from(name) });

async function bench(): Promise<{ cluster: Cluster; group: string }> {
  const cluster = await openCluster();
  onTestFinished(() => cluster.close());
  return { cluster, group: unique('group') };
}

function member(cluster: Cluster, group: string, name: string, instanceId?: string): GroupSession {
  return new GroupSession(cluster, name, { group, instanceId, sessionMs: 2000, rebalanceMs: 5000 });
}

const told = ({ assigned }: Joined): string => Buffer.from(assigned.data).toString();

/** Beats until the answer is another one than `before`. */
async function beatsUntil(session: GroupSession, wanted: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const beat = await session.beat();
    if (beat === wanted) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`no beat says ${wanted}`);
}

kafkaTest('a member that is alone leads, and decides for itself', async () => {
  const { cluster, group } = await bench();
  const one = member(cluster, group, 'one');
  expect(await one.beat()).toBe('lost');
  const joined = await one.join(says('one'), decide);
  expect([joined.led, told(joined), joined.assigned.partitions]).toEqual([
    true,
    'one',
    [{ topic: 't', partition: 0 }],
  ]);
  expect(await one.beat()).toBe('stays');
  expect(one.owner).toEqual({
    group,
    generation: joined.generation,
    memberId: joined.memberId,
    instanceId: null,
  });
  await one.leave();
  await one.leave();
  expect(await one.beat()).toBe('lost');
});

kafkaTest(
  'two members over one connection each share; one that leaves is missed at once',
  async () => {
    const { cluster, group } = await bench();
    const [one, two] = [member(cluster, group, 'one'), member(cluster, group, 'two')];
    const first = await one.join(says('one'), decide);
    const joining = two.join(says('two'), decide);
    await beatsUntil(one, 'joins');
    const [again, joined] = await Promise.all([one.join(says('one'), decide), joining]);
    expect([told(again), told(joined)]).toEqual(['one,two', 'one,two']);
    expect(again.generation).toBe(joined.generation);
    expect(again.generation).toBeGreaterThan(first.generation);
    expect([again.led, joined.led].filter(Boolean)).toHaveLength(1);
    const partitions = [...again.assigned.partitions, ...joined.assigned.partitions];
    expect(partitions.map(({ partition }) => partition).toSorted((a, b) => a - b)).toEqual([0, 1]);
    await two.leave();
    await beatsUntil(one, 'joins');
    expect(told(await one.join(says('one'), decide))).toBe('one');
    await one.leave();
  },
);

kafkaTest('a member that does not beat is out, finds out, and joins anew', async () => {
  const { cluster, group } = await bench();
  const sleeper = member(cluster, group, 'sleeper');
  const before = await sleeper.join(says('sleeper'), decide);
  await new Promise((resolve) => setTimeout(resolve, 3000));
  expect(await sleeper.beat()).toBe('lost');
  expect(sleeper.owner.memberId).toBe('');
  const after = await sleeper.join(says('sleeper'), decide);
  expect(after.generation).toBeGreaterThan(before.generation);
  expect(await sleeper.beat()).toBe('stays');
  await sleeper.leave();
});

kafkaTest(
  'a static member is back without a new generation, and the former one is fenced',
  async () => {
    const { cluster, group } = await bench();
    const former = member(cluster, group, 'former', 'slot-1');
    const before = await former.join(says('one'), decide);
    const latter = member(cluster, group, 'latter', 'slot-1');
    const after = await latter.join(says('one'), decide);
    expect(after.generation).toBe(before.generation);
    expect(after.assigned).toEqual(before.assigned);
    expect(await former.beat()).toBe('lost');
    expect(await latter.beat()).toBe('stays');
    await latter.leave();
  },
);

kafkaTest('bad options are refused', async () => {
  const { cluster, group } = await bench();
  for (const rebalanceMs of [0, 30_001, Number.NaN])
    expect(() => new GroupSession(cluster, 'x', { group, sessionMs: 2000, rebalanceMs })).toThrow(
      expect.objectContaining({ code: 'MR_OPTION_INVALID' }),
    );
  const short = new GroupSession(cluster, 'y', { group, sessionMs: 1, rebalanceMs: 2000 });
  await expect(short.join(says('short'), decide)).rejects.toMatchObject({
    details: { kafka: 'INVALID_SESSION_TIMEOUT' },
  });
});
