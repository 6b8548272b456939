/** Members in processes of their own, over a directory: one is killed, one is frozen. */
import { expect, test } from 'vitest';

import type { Broker, Membership } from '../../../src/broker/broker.ts';
import { openBroker } from '../../../src/broker/open.ts';
import { owned } from '../../../src/testing/conformance/broker/bench.ts';
import { Program } from '../../faults/processes.ts';
import { realContext, withDirectory } from '../log-over.ts';

const FOUR = ['t/0', 't/1', 't/2', 't/3'];

/** Lives a member's life until `done`. */
async function live(broker: Broker, member: Membership, done: () => boolean): Promise<void> {
  const { clock } = realContext();
  while (!done()) {
    const since = broker.changes();
    const { revoked } = await member.tend();
    await member.release(revoked);
    if (!done())
      await broker.changed(since, Math.min(100, Math.max(1, member.tendAt - clock.monotonic())));
  }
}

async function withChild(
  childLeaseMs: number,
  body: (broker: Broker, member: Membership, child: Program) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const broker = await openBroker(`file:${directory}`, realContext());
    const file = new URL('./member-child.ts', import.meta.url);
    const child = new Program(file, [directory, String(childLeaseMs)]);
    try {
      const tasks = FOUR.map((id) => ({ id }));
      const member = await broker.join('g', { tasks, topology: '', leaseMs: 600_000 });
      await body(broker, member, child);
    } finally {
      await child.end();
      await broker.close();
    }
  });
}

test(
  'the tasks of a killed process are free at once, whatever its lease',
  { timeout: 60_000 },
  async () => {
    await withChild(600_000, async (broker, member, child) => {
      await live(
        broker,
        member,
        () => child.stdout.includes('committed') && member.tasks.length === 2,
      );
      const theirs = FOUR.find((id) => !owned(member).includes(id)) ?? '';
      const pid = Buffer.from(await broker.ask('g', theirs, new Uint8Array(0))).toString();
      const members = (await broker.describeGroup('g'))?.members ?? [];
      expect(members.map((one) => String(one.pid)).toSorted()).toEqual(
        [pid, String(process.pid)].toSorted(),
      );
      child.kill('SIGKILL');
      await live(broker, member, () => member.tasks.length === 4);
      expect((await broker.describeGroup('g'))?.members).toHaveLength(1);
      for (const { id, epoch } of member.tasks)
        await member.commit({
          task: id,
          epoch,
          positions: [],
          meta: new Uint8Array(),
          outputs: [],
        });
    });
  },
);

test(
  'a frozen process is waited for, and cannot commit when it wakes',
  { timeout: 60_000 },
  async () => {
    await withChild(1000, async (broker, member, child) => {
      await live(
        broker,
        member,
        () => child.stdout.includes('committed') && member.tasks.length === 2,
      );
      const theirs = FOUR.filter((id) => !owned(member).includes(id));
      await broker.ask('g', theirs[0] ?? '', Buffer.from('freeze'));
      await live(broker, member, () => member.tasks.length === 4);
      const meta = Uint8Array.of(1);
      for (const { id, epoch } of member.tasks)
        await member.commit({ task: id, epoch, positions: [], meta, outputs: [] });
      const { pid } = (await broker.describeGroup('g'))?.members[0] ?? {};
      expect(pid, 'the frozen one is no member').toBe(process.pid);
      child.kill('SIGCONT');
      await child.said('fenced');
      await child.said(`lost ${theirs.join(' ')}`);
      for (const task of (await broker.describeGroup('g'))?.tasks ?? [])
        expect([task.owner, ...(task.meta ?? [])]).toEqual([member.member, 1]);
      await live(broker, member, () => member.tasks.length === 2);
      expect((await broker.describeGroup('g'))?.members).toHaveLength(2);
    });
  },
);
