/** A worker that was frozen reads on where it was, although somebody else has its tasks and retention has followed that one. */
import { expect, test } from 'vitest';

import type { Broker, PartitionReader } from '../../src/broker/broker.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { Disk, Hand } from './hand.ts';
import type { Process } from './hand.ts';

/** `process` as it finds things from `woken` on: what it reads next is deleted, and its tasks belong to `owner`. */
function frozen(process: Process, woken: () => boolean, owner: string | undefined): Process {
  const { broker } = process;
  const reader = (...args: Parameters<Broker['reader']>): PartitionReader => {
    const there = broker.reader(...args);
    return {
      get offset() {
        return there.offset;
      },
      seek: (offset) => there.seek(offset),
      next: () => {
        if (woken()) throw new MillraceError('MR_OFFSET_LOST', 'deleted', { domain: 'external' });
        return there.next();
      },
    };
  };
  const describeGroup: Broker['describeGroup'] = async (group) => {
    const info = await broker.describeGroup(group);
    if (info === undefined || !woken() || owner === undefined) return info;
    return {
      ...info,
      tasks: Array.from(info.tasks, (task) => ({ ...task, owner, epoch: task.epoch + 1 })),
    };
  };
  const replaced = { reader, describeGroup };
  return {
    ...process,
    broker: new Proxy(broker, {
      get(target, name) {
        const value: unknown = Reflect.get(replaced, name) ?? Reflect.get(target, name, target);
        return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
      },
    }),
  };
}

test.each([
  ['drops the task', 'another', undefined],
  ['fails if the task is still its own', undefined, 'MR_OFFSET_LOST'],
])('it %s', async (_what, owner, code) => {
  const disk = new Disk();
  let woken = false;
  const hand = new Hand(frozen(await disk.open(), () => woken, owner));
  const numbers = hand.topic<number>('numbers', { partitions: 1 });
  numbers.stream().sink(() => undefined);
  const worker = await hand.worker();
  let failure: unknown;
  worker.run().catch((error: unknown) => {
    failure = error;
  });
  await numbers.send(1, { key: 'a' });
  await disk.clock.advance(1_000);
  expect(worker.stats.committed).toBe(1);
  woken = true;
  for (let i = 0; i < 5; i++) await disk.clock.advance(1_000);
  expect(worker.stats.tasks).toEqual(code === undefined ? [] : ['numbers/0']);
  expect(failure).toEqual(code === undefined ? undefined : expect.objectContaining({ code }));
  await worker.crash();
});
