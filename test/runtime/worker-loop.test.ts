/** The loop of a worker while something is due that it cannot do yet: everything else must get its turn. */
import { expect, test } from 'vitest';

import type { Broker, Membership } from '../../src/broker/broker.ts';
import type { Topic } from '../../src/index.ts';
import { Disk, Hand, turns } from './hand.ts';
import type { Process } from './hand.ts';

/** So often the loop may look for something to do before anything else gets its turn. */
const MOST_LOOKS = 1_000;

/** `process` with a broker whose commits take a while, and which does not take part in a loop without an end. */
function slowly(process: Process, released: () => void): Process {
  let looks = 0;
  const slowMember = (membership: Membership): Membership =>
    replaced(membership, {
      async commit(commit) {
        await turns(process.clock, 10);
        return await membership.commit(commit);
      },
      async release(tasks) {
        await membership.release(tasks);
        released();
      },
    });
  const broker: Broker = replaced(process.broker, {
    async join(group, options) {
      return slowMember(await process.broker.join(group, options));
    },
    changed(...args) {
      if (looks++ === 0) void process.clock.turn().then(() => (looks = 0));
      if (looks > MOST_LOOKS) throw new Error('nothing else got its turn');
      return process.broker.changed(...args);
    },
  });
  return { ...process, broker };
}

function replaced<T extends object>(target: T, by: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      const own: unknown = Reflect.get(by, name);
      const value = own ?? (Reflect.get(target, name, target) as unknown);
      return typeof value === 'function' && own === undefined
        ? (value as () => unknown).bind(target)
        : value;
    },
  });
}

test('a stop right after a task was given back lets the commits of the others end', async () => {
  const disk = new Disk();
  let stopping: Promise<void> | undefined;
  const declared = (process: Process): { hand: Hand; topic: Topic<string, number> } => {
    const hand = new Hand(process);
    const topic = hand.topic<number>('numbers', { partitions: 2 });
    topic.stream().update(
      hand.table('sums', () => 0),
      (sum, n) => sum + n,
    );
    return { hand, topic };
  };
  const first = declared(
    slowly(await disk.open(), () => {
      stopping = older.stop(60_000);
    }),
  );
  const older = await first.hand.worker({ intervalMs: 60_000 });
  const running = older.run();
  running.catch(() => undefined);
  for (const key of ['a', 'b', 'c', 'd']) await first.topic.send(1, { key });
  await disk.clock.advance(200);
  expect(older.stats).toMatchObject({ events: 4, committed: 0 });

  const newer = await declared(await disk.open()).hand.worker();
  newer.run().catch(() => undefined);
  for (let i = 0; i < 20; i++) await disk.clock.advance(100);
  await stopping;
  await running;
  expect(newer.stats.tasks).toHaveLength(2);
  expect(newer.stats.committed).toBe(4);
  await newer.crash();
});
