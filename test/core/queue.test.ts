import * as fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';

import { BoundedQueue, END } from '../../src/core/queue.ts';

/** Whether `promise` settles before the other work that is ready has run dry. */
async function settles(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const mark = (): void => {
    settled = true;
  };
  promise.then(mark, mark);
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

/** `Promise.all` for what may be promises. */
function all<T>(values: readonly (T | Promise<T>)[]): Promise<T[]> {
  return Promise.all(values.map((value) => Promise.resolve(value)));
}

async function drain<T>(queue: BoundedQueue<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of queue) values.push(value);
  return values;
}

describe('order and back-pressure', () => {
  test('is synchronous while there is room and values', () => {
    const queue = new BoundedQueue<number>(3);
    expect([queue.push(1), queue.push(2), queue.push(3)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(queue.size).toBe(3);
    expect([queue.shift(), queue.shift(), queue.shift()]).toEqual([1, 2, 3]);
    expect(queue.size).toBe(0);
  });

  test('makes pushes wait while it is full, and lets them in one by one in order', async () => {
    const queue = new BoundedQueue<number>(1);
    void queue.push(1);
    const second = queue.push(2) as Promise<void>;
    const third = queue.push(3) as Promise<void>;
    expect(await settles(second)).toBe(false);
    expect(queue.shift()).toBe(1);
    expect(await settles(second)).toBe(true);
    expect(await settles(third)).toBe(false);
    expect([queue.shift(), queue.shift()]).toEqual([2, 3]);
    await third;
  });

  test('hands values to waiting shifts in the order in which they came', async () => {
    const queue = new BoundedQueue<string>(1);
    const shifts = [queue.shift(), queue.shift(), queue.shift()];
    for (const value of ['a', 'b', 'c']) expect(queue.push(value)).toBe(undefined);
    expect(await all(shifts)).toEqual(['a', 'b', 'c']);
    expect(queue.size).toBe(0);
  });

  test('carries undefined and null', async () => {
    const queue = new BoundedQueue<unknown>(4);
    void queue.push(undefined);
    void queue.push(null);
    queue.end();
    expect(await drain(queue)).toEqual([undefined, null]);
  });

  test('keeps every value once and in order, whatever the interleaving', async () => {
    const step = fc.oneof(
      fc.constant('push' as const),
      fc.constant('shift' as const),
      fc.constant('abortPush' as const),
      fc.constant('abortShift' as const),
      fc.constant('turn' as const),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.array(step, { maxLength: 150 }),
        async (capacity, steps) => {
          const queue = new BoundedQueue<number>(capacity);
          const accepted = new Map<number, Promise<unknown>>();
          const taken: (Promise<number | typeof END> | number | typeof END)[] = [];
          let next = 0;
          for (const what of steps) {
            if (what === 'push') accepted.set(next, Promise.resolve(queue.push(next++)));
            else if (what === 'shift') taken.push(queue.shift());
            else if (what === 'turn') await Promise.resolve();
            else {
              const controller = new AbortController();
              const call =
                what === 'abortPush'
                  ? queue.push(next, controller.signal)
                  : queue.shift(controller.signal);
              controller.abort();
              if (call instanceof Promise)
                await expect(call).rejects.toMatchObject({ code: 'MR_ABORTED' });
              else if (what === 'abortPush') accepted.set(next, Promise.resolve());
              else taken.push(call as number);
              if (what === 'abortPush') next++;
            }
            expect(queue.size).toBeLessThanOrEqual(capacity);
          }
          queue.end();
          const rest = await drain(queue);
          const values = [...(await all(taken)).filter((value) => value !== END), ...rest];
          expect(values).toEqual([...accepted.keys()]);
          await Promise.all(accepted.values());
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('limits', () => {
  test('refuses a push beyond maxWaiting, and takes pushes again later', async () => {
    const queue = new BoundedQueue<number>(1, { maxWaiting: 2 });
    void queue.push(1);
    const waiting = [queue.push(2), queue.push(3)];
    expect(() => queue.push(4)).toThrow(
      expect.objectContaining({ code: 'MR_OVERFLOW', retryable: true }),
    );
    expect([queue.shift(), queue.shift()]).toEqual([1, 2]);
    queue.push(5)?.catch(() => undefined);
    await waiting[0];
    expect([queue.shift(), queue.shift()]).toEqual([3, 5]);
  });

  test('10,000 pushes wait by default, not one more', () => {
    const queue = new BoundedQueue<number>(1);
    for (let i = 0; i < 10_001; i++) void queue.push(i);
    expect(() => queue.push(0)).toThrow(expect.objectContaining({ code: 'MR_OVERFLOW' }));
  });

  test('refuses a shift beyond maxWaiting', () => {
    const queue = new BoundedQueue<number>(1, { maxWaiting: 1 });
    void queue.shift();
    expect(() => queue.shift()).toThrow(expect.objectContaining({ code: 'MR_OVERFLOW' }));
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 24 + 1])(
    'refuses a capacity of %s',
    (capacity) => {
      expect(() => new BoundedQueue(capacity)).toThrow(
        expect.objectContaining({ code: 'MR_OPTION_INVALID' }),
      );
      expect(() => new BoundedQueue(1, { maxWaiting: capacity })).toThrow(
        expect.objectContaining({ code: 'MR_OPTION_INVALID' }),
      );
    },
  );
});

describe('end', () => {
  test('delivers what was pushed, waiting pushes too, then the end for ever', async () => {
    const queue = new BoundedQueue<number>(1);
    void queue.push(1);
    const waiting = queue.push(2);
    queue.end();
    queue.end();
    expect(queue.closed).toBe(true);
    expect([queue.shift(), queue.shift(), queue.shift(), queue.shift()]).toEqual([1, 2, END, END]);
    await waiting;
  });

  test('wakes waiting shifts', async () => {
    const queue = new BoundedQueue<number>(1);
    const shifts = [queue.shift(), queue.shift()];
    queue.end();
    expect(await all(shifts)).toEqual([END, END]);
  });

  test('refuses pushes from then on', () => {
    const queue = new BoundedQueue<number>(1);
    queue.end();
    expect(() => queue.push(1)).toThrow(expect.objectContaining({ code: 'MR_CLOSED' }));
  });
});

describe('fail', () => {
  test('delivers what is in the queue, then throws; waiting pushes learn of it', async () => {
    const queue = new BoundedQueue<number>(1);
    const error = new Error('upstream broke');
    void queue.push(1);
    const waiting = queue.push(2) as Promise<void>;
    queue.fail(error);
    queue.fail(new Error('a second failure changes nothing'));
    queue.end();
    await expect(waiting).rejects.toBe(error);
    expect(queue.shift()).toBe(1);
    expect(() => queue.shift()).toThrow(error);
    expect(() => queue.push(3)).toThrow(
      expect.objectContaining({ code: 'MR_CLOSED', cause: error }),
    );
  });

  test('rejects waiting shifts, and iterators after the last value', async () => {
    const queue = new BoundedQueue<number>(1);
    const shift = queue.shift() as Promise<unknown>;
    queue.fail('a text');
    await expect(shift).rejects.toBe('a text');

    const other = new BoundedQueue<number>(2);
    void other.push(1);
    other.fail(new Error('broke'));
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const value of other) seen.push(value);
      })(),
    ).rejects.toThrow('broke');
    expect(seen).toEqual([1]);
  });
});

describe('signals', () => {
  test('an aborted shift takes no value away, and leaves no listener', async () => {
    const queue = new BoundedQueue<number>(1);
    const controller = new AbortController();
    const aborted = queue.shift(controller.signal) as Promise<unknown>;
    const patient = queue.shift();
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toMatchObject({ code: 'MR_ABORTED', cause: new Error('enough') });
    void queue.push(1);
    expect(await patient).toBe(1);

    const { signal } = new AbortController();
    const add = vi.spyOn(signal, 'addEventListener');
    const remove = vi.spyOn(signal, 'removeEventListener');
    const served = queue.shift(signal);
    void queue.push(2);
    expect(await served).toBe(2);
    expect(remove.mock.calls[0]?.[1]).toBe(add.mock.calls[0]?.[1]);
  });

  test('an aborted push is withdrawn', async () => {
    const queue = new BoundedQueue<string>(1);
    const controller = new AbortController();
    void queue.push('a');
    const withdrawn = queue.push('b', controller.signal) as Promise<void>;
    const waiting = queue.push('c');
    controller.abort();
    await expect(withdrawn).rejects.toMatchObject({ code: 'MR_ABORTED' });
    expect([queue.shift(), queue.shift()]).toEqual(['a', 'c']);
    await waiting;
  });

  test('a signal that has aborted already rejects at once', async () => {
    const queue = new BoundedQueue<number>(1);
    await expect(queue.shift(AbortSignal.abort())).rejects.toMatchObject({ code: 'MR_ABORTED' });
    void queue.push(1);
    await expect(queue.push(2, AbortSignal.abort())).rejects.toMatchObject({ code: 'MR_ABORTED' });
    expect(queue.size).toBe(1);
  });
});

describe('iterators', () => {
  test('break detaches: what is left is dropped, waiting pushes go on, later ones are ignored', async () => {
    const onDetach = vi.fn();
    const queue = new BoundedQueue<number>(2, { onDetach });
    void queue.push(1);
    void queue.push(2);
    const waiting = queue.push(3);
    for await (const value of queue) {
      expect(value).toBe(1);
      break;
    }
    await waiting;
    expect(onDetach).toHaveBeenCalledTimes(1);
    expect([queue.size, queue.closed]).toEqual([0, true]);
    for (let i = 0; i < 10; i++) expect(queue.push(i)).toBe(undefined);
    expect(queue.size).toBe(0);
    expect(queue.shift()).toBe(END);
    queue.detach();
    expect(onDetach).toHaveBeenCalledTimes(1);
  });

  test('a throw in the loop detaches', async () => {
    const onDetach = vi.fn();
    const queue = new BoundedQueue<number>(1, { onDetach });
    void queue.push(1);
    await expect(
      (async () => {
        for await (const value of queue) throw new Error(`no ${value}`);
      })(),
    ).rejects.toThrow('no 1');
    expect(onDetach).toHaveBeenCalledTimes(1);
  });

  test('an aborted signal detaches, although for await does not call return then', async () => {
    const onDetach = vi.fn();
    const queue = new BoundedQueue<number>(1, { onDetach });
    const controller = new AbortController();
    const iterator = queue.iterate(controller.signal);
    const next = iterator.next();
    controller.abort();
    await expect(next).rejects.toMatchObject({ code: 'MR_ABORTED' });
    expect(onDetach).toHaveBeenCalledTimes(1);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  test('return settles a next that waits', async () => {
    const queue = new BoundedQueue<number>(1);
    const iterator = queue[Symbol.asyncIterator]();
    const next = iterator.next();
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    expect(await next).toEqual({ done: true, value: undefined });
  });

  test('reading to the end does not count as leaving', async () => {
    const onDetach = vi.fn();
    const queue = new BoundedQueue<number>(100, { onDetach });
    for (let i = 0; i < 100; i++) void queue.push(i);
    queue.end();
    expect(await drain(queue)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(onDetach).not.toHaveBeenCalled();
  });
});
