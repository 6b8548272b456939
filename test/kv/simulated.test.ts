import { describe, expect, test } from 'vitest';

import { VirtualClock } from '../../src/core/clock.ts';
import {
  simulatedKv,
  type CommitFault,
  type SimulatedCommit,
  type SimulatedKv,
  type SimulatedOptions,
} from '../../src/kv/simulated/simulated.ts';
import { KV_TABLES, kvConformance } from '../../src/testing/conformance/kv.ts';
import { bytes, list, textOf } from './support.ts';

kvConformance({
  name: 'simulated',
  test,
  open: () => {
    const kv = open();
    return Promise.resolve({
      kv,
      reopen: () => Promise.resolve(kv.reopen()),
      dispose: () => kv.close(),
    });
  },
});

kvConformance({
  name: 'simulated, each commit takes a while',
  test,
  open: () => {
    const clock = new VirtualClock();
    const kv = open({ clock, faults: () => ({ delayMs: 1 }) });
    let running = true;
    const tick = async (): Promise<void> => {
      while (running) await clock.advance(1);
    };
    const ticking = tick();
    return Promise.resolve({
      kv,
      reopen: () => Promise.resolve(kv.reopen()),
      dispose: async () => {
        await kv.close();
        running = false;
        await ticking;
      },
    });
  },
});

function open(options: Partial<SimulatedOptions> = {}): SimulatedKv {
  return simulatedKv({ tables: KV_TABLES, ...options });
}

function put(kv: SimulatedKv, key: string, value = '1'): Promise<void> {
  return kv.transact((txn) => txn.put('first', bytes(key), bytes(value)));
}

describe('groups', () => {
  test('bodies that are called in one turn share one commit', async () => {
    const commits: SimulatedCommit[] = [];
    const kv = open({ faults: (commit) => void commits.push(commit) });
    await Promise.all([put(kv, 'a', '12'), put(kv, 'b', '345'), kv.transact(() => 1)]);
    await put(kv, 'c');
    expect(commits).toEqual([
      { index: 0, bodies: 3, bytes: 7 },
      { index: 1, bodies: 1, bytes: 2 },
    ]);
  });

  test('a group ends at its bounds', async () => {
    const sizes: number[] = [];
    const kv = open({
      maxBatchBodies: 10,
      maxBatchBytes: 1000,
      faults: ({ bodies }) => void sizes.push(bodies),
    });
    await Promise.all(Array.from({ length: 25 }, (_, i) => put(kv, `${i}`)));
    expect(sizes).toEqual([10, 10, 5]);
    sizes.length = 0;
    await Promise.all(Array.from({ length: 5 }, (_, i) => put(kv, `${i}`, 'x'.repeat(499))));
    expect(sizes).toEqual([2, 2, 1]);
    sizes.length = 0;
    await Promise.all(Array.from({ length: 2 }, (_, i) => put(kv, `${i}`, 'x'.repeat(5000))));
    expect(sizes).toEqual([1, 1]);
  });

  test('the bodies that may wait have a bound', async () => {
    const kv = open({ maxWaiting: 3 });
    const calls = [put(kv, 'a'), put(kv, 'b'), put(kv, 'c')];
    await expect(put(kv, 'd')).rejects.toMatchObject({ code: 'MR_OVERFLOW', retryable: true });
    await Promise.all(calls);
    await put(kv, 'd');
    expect(list(kv)).toHaveLength(4);
  });

  test('many groups one after another', async () => {
    const kv = open({ maxBatchBodies: 1 });
    const results = await Promise.all(
      Array.from({ length: 5000 }, (_, i) =>
        kv.transact((txn) => {
          txn.put('first', bytes('last'), bytes(`${i}`));
          return i;
        }),
      ),
    );
    expect(results).toEqual(Array.from({ length: 5000 }, (_, i) => i));
    expect(list(kv)).toEqual(['last=4999']);
  });
});

describe('commits that take time', () => {
  test('nothing is visible or acknowledged before it is durable', async () => {
    const clock = new VirtualClock();
    const kv = open({ clock, faults: () => ({ delayMs: 10 }) });
    let acknowledged = false;
    const call = put(kv, 'a').then(() => (acknowledged = true));
    await clock.advance(9);
    expect([acknowledged, list(kv)]).toEqual([false, []]);
    await clock.advance(1);
    expect([acknowledged, list(kv)]).toEqual([true, ['a=1']]);
    await call;
  });

  test('other openings wait for the lock, in the order in which they asked', async () => {
    const clock = new VirtualClock();
    const kv = open({ clock, faults: () => ({ delayMs: 10 }) });
    const others = [kv.reopen(), kv.reopen()];
    const order: string[] = [];
    const calls = [kv, ...others].map((opening, i) =>
      opening.transact((txn) => {
        order.push(`${i} sees ${list(txn).join()}`);
        txn.put('first', bytes(`${i}`), bytes('1'));
      }),
    );
    await clock.advance(30);
    await Promise.all(calls);
    expect(order).toEqual(['0 sees ', '1 sees 0=1', '2 sees 0=1,1=1']);
  });

  test('a delay without a clock is a mistake', async () => {
    const kv = open({ faults: () => ({ delayMs: 1 }) });
    await expect(put(kv, 'a')).rejects.toMatchObject({ code: 'MR_OPTION_INVALID' });
  });
});

describe('commits that fail', () => {
  function failing(): { kv: SimulatedKv; next: (fault: CommitFault | undefined) => void } {
    let fault: CommitFault | undefined;
    return {
      kv: open({ faults: () => fault }),
      next: (value) => {
        fault = value;
      },
    };
  }

  test.for([
    { fail: 'disk-full', code: 'MR_DISK_FULL', retryable: true, there: [] },
    { fail: 'io-before', code: 'MR_IO', retryable: false, there: [] },
    { fail: 'io-after', code: 'MR_IO', retryable: false, there: ['a=1', 'b=1'] },
  ] as const)('$fail: all bodies of the group get one error', async (expected) => {
    const { kv, next } = failing();
    next({ fail: expected.fail });
    const results = await Promise.allSettled([
      put(kv, 'a'),
      kv.transact(() => {
        throw new Error('over what a neighbour wrote');
      }),
      put(kv, 'b'),
    ]);
    const errors = results.map((result) => (result.status === 'rejected' ? result.reason : 'none'));
    expect(errors[0]).toMatchObject({
      code: expected.code,
      retryable: expected.retryable,
      domain: 'external',
    });
    expect(new Set(errors).size).toBe(1);
    expect(list(kv)).toEqual(expected.there);
    next(undefined);
    await put(kv, 'c');
    expect(list(kv)).toEqual([...expected.there, 'c=1']);
  });
});

describe('crashes', () => {
  test('what is not durable is lost, what waits is rejected, the lock is free', async () => {
    const clock = new VirtualClock();
    const kv = open({
      clock,
      maxBatchBodies: 1,
      faults: ({ index }) => (index === 1 ? { delayMs: 1000 } : undefined),
    });
    const other = kv.reopen();
    await put(kv, 'a');
    const calls = Promise.allSettled([put(kv, 'b'), put(kv, 'c')]);
    await clock.turn();
    const waiting = other.transact((txn) => list(txn));
    const flushed = kv.flush();
    kv.crash();
    const results = await calls;
    await flushed;
    for (const result of results)
      expect(result.status === 'rejected' && result.reason).toMatchObject({ code: 'MR_IO' });
    expect(await waiting).toEqual(['a=1']);
    await expect(put(kv, 'd')).rejects.toMatchObject({ code: 'MR_CLOSED' });
    expect(() => kv.get('first', bytes('a'))).toThrow(
      expect.objectContaining({ code: 'MR_CLOSED' }),
    );
    await kv.close();
    await clock.advance(2000);
    const next = kv.reopen();
    expect(list(next)).toEqual(['a=1']);
    await put(next, 'e');
    expect(list(other)).toEqual(['a=1', 'e=1']);
  });

  test('an opening that crashes while it waits for the lock passes it on', async () => {
    const clock = new VirtualClock();
    const kv = open({ clock, faults: ({ index }) => (index === 0 ? { delayMs: 10 } : undefined) });
    const [second, third] = [kv.reopen(), kv.reopen()];
    const calls = Promise.allSettled([put(kv, 'a'), put(second, 'b'), put(third, 'c')]);
    await clock.turn();
    second.crash();
    await clock.advance(10);
    const results = await calls;
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(list(third)).toEqual(['a=1', 'c=1']);
  });

  test('a crash before the group has begun', async () => {
    const kv = open();
    const call = put(kv, 'a');
    kv.crash();
    await expect(call).rejects.toMatchObject({ code: 'MR_IO' });
    expect(textOf(kv.reopen(), 'a')).toBeUndefined();
  });

  test('the same faults give the same run', async () => {
    const run = async (): Promise<string[]> => {
      const clock = new VirtualClock();
      const log: string[] = [];
      const kv = open({
        clock,
        faults: ({ index }) =>
          index % 3 === 0
            ? { delayMs: index, fail: index % 2 === 0 ? 'io-after' : undefined }
            : undefined,
      });
      const other = kv.reopen();
      const calls = Array.from({ length: 20 }, async (_, i) => {
        await put(i % 2 === 0 ? kv : other, `${i % 7}`, `${i}`).catch(() =>
          log.push(`${i} failed`),
        );
        log.push(`${i} at ${clock.monotonic()}`);
        await put(kv, 'last', `${i}`).catch(() => {});
      });
      await clock.advance(1000);
      await Promise.all(calls);
      return [...log, ...list(kv)];
    };
    const first = await run();
    expect(first.length).toBeGreaterThan(20);
    expect(await run()).toEqual(first);
  });
});
