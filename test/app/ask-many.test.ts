/** Many questions at once: `map` and `join`. */
import { describe, expect, test } from 'vitest';

import { askAll, askEach } from '../../src/app/ask-many.ts';
import { systemClock } from '../../src/index.ts';
import { bench, close, turns } from './support.ts';
import { z } from 'zod';

/** Somebody who answers when he is told to. */
class Asked {
  readonly open = new Map<number, PromiseWithResolvers<string>>();
  readonly signals: AbortSignal[] = [];

  readonly ask = (n: number, signal: AbortSignal): Promise<string> => {
    const answer = Promise.withResolvers<string>();
    this.open.set(n, answer);
    this.signals.push(signal);
    signal.addEventListener('abort', () => answer.reject(new Error('given up')), { once: true });
    return answer.promise;
  };

  answer(...numbers: number[]): void {
    for (const n of numbers) {
      this.open.get(n)?.resolve(`a${n}`);
      this.open.delete(n);
    }
  }
}

const settle = (): Promise<void> => turns(systemClock());

describe('map', () => {
  test('gives answers as they come', async () => {
    const asked = new Asked();
    const answers = askEach([1, 2, 3], asked.ask, undefined);
    const first = answers.next();
    await settle();
    asked.answer(3);
    expect(await first).toEqual({ done: false, value: 'a3' });
    asked.answer(1);
    await settle();
    asked.answer(2);
    expect(await Array.fromAsync(answers)).toEqual(['a1', 'a2']);
  });

  test('asks no more than 256 at once, those included whose answers nobody has taken', async () => {
    const asked = new Asked();
    let taken = 0;
    const values = (function* (): Generator<number> {
      for (; ; taken++) yield taken;
    })();
    const answers = askEach(values, asked.ask, undefined);
    const first = answers.next();
    await settle();
    expect(asked.open.size).toBe(256);
    asked.answer(...asked.open.keys());
    await settle();
    // One has been taken, 255 wait.
    expect(asked.open.size).toBe(1);
    expect(await first).toEqual({ done: false, value: 'a0' });
    for (let i = 1; i <= 10; i++) expect(await answers.next()).toMatchObject({ value: `a${i}` });
    await settle();
    expect(asked.open.size).toBe(11);
    expect(taken).toBe(266);
    await answers.return(undefined);
    expect(asked.signals.every(({ aborted }) => aborted)).toBe(true);
    await settle();
    expect(taken).toBe(266);
  });

  test('ends with the first error, behind the answers that came before', async () => {
    const asked = new Asked();
    const answers = askEach([1, 2, 3], asked.ask, undefined);
    const first = answers.next();
    await settle();
    asked.answer(1);
    expect(await first).toMatchObject({ value: 'a1' });
    asked.answer(2);
    await settle();
    asked.open.get(3)?.reject(new RangeError('three'));
    await settle();
    expect(await answers.next()).toMatchObject({ value: 'a2' });
    await expect(answers.next()).rejects.toThrow('three');
    expect(await answers.next()).toEqual({ done: true, value: undefined });
  });

  test('gives up the rest when it is left, and lets go of its source', async () => {
    const asked = new Asked();
    let left = false;
    const values = async function* (): AsyncGenerator<number> {
      try {
        for (let n = 0; n < 1_000; n++) yield n;
      } finally {
        left = true;
      }
    };
    for await (const answer of (() => {
      const answers = askEach(values(), asked.ask, undefined);
      void settle().then(() => asked.answer(5));
      return answers;
    })()) {
      expect(answer).toBe('a5');
      break;
    }
    await settle();
    expect([left, asked.signals[0]?.aborted]).toEqual([true, true]);
  });

  test('an error of the source is its error', async () => {
    const values = async function* (): AsyncGenerator<number> {
      yield 1;
      await Promise.resolve();
      throw new RangeError('no more');
    };
    const asked = new Asked();
    await expect(Array.fromAsync(askEach(values(), asked.ask, undefined))).rejects.toThrow(
      'no more',
    );
    expect(asked.signals[0]?.aborted).toBe(true);
  });

  test('ends when its signal aborts, even if the source never gives anything', async () => {
    const abort = new AbortController();
    const never: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }),
    };
    const answers = askEach(never, new Asked().ask, abort.signal);
    const first = answers.next();
    await settle();
    abort.abort();
    await expect(first).rejects.toMatchObject({ code: 'MR_ABORTED' });
    const again = askEach([1], new Asked().ask, abort.signal);
    await expect(again.next()).rejects.toMatchObject({ code: 'MR_ABORTED' });
  });

  test('of nothing is nothing', async () => {
    expect(await Array.fromAsync(askEach([], new Asked().ask, undefined))).toEqual([]);
  });
});

describe('join', () => {
  test('gives all answers in the order of the values', async () => {
    const asked = new Asked();
    const all = askAll([1, 2, 3], asked.ask, undefined);
    await settle();
    asked.answer(2, 3);
    await settle();
    asked.answer(1);
    expect(await all).toEqual(['a1', 'a2', 'a3']);
    expect(await askAll([], asked.ask, undefined)).toEqual([]);
  });

  test('rejects with the first error, and gives up the rest', async () => {
    const asked = new Asked();
    const all = askAll([1, 2], asked.ask, undefined);
    all.catch(() => undefined);
    await settle();
    asked.open.get(2)?.reject(new RangeError('two'));
    await expect(all).rejects.toThrow('two');
    expect(asked.signals.every(({ aborted }) => aborted)).toBe(true);
  });
});

test('an agent, asked for many values', async () => {
  const { app, clock } = bench();
  try {
    const agent = app.each('agent', { key: z.string(), value: z.number() }, (value, { key }) => {
      if (value < 0) return undefined;
      return `${key} ${value}`;
    });
    const running = await app.start();
    const passing = async <T>(done: Promise<T>): Promise<T> => {
      let settled = false;
      done.then(
        () => (settled = true),
        () => (settled = true),
      );
      for (let i = 0; !settled; i++) {
        expect(i).toBeLessThan(10_000);
        await clock.advance(10);
      }
      return await done;
    };
    const values = Array.from({ length: 1_000 }, (_, n) => n);
    const expected = values.map((n) => `k ${n}`);
    expect(await passing(agent.join(values, { key: 'k' }))).toEqual(expected);
    const mapped = await passing(Array.fromAsync(agent.map(values.values(), { key: 'k' })));
    expect(mapped.toSorted()).toEqual(expected.toSorted());
    await expect(passing(agent.join([1, -1, 2], { key: 'k' }))).rejects.toMatchObject({
      code: 'MR_NO_REPLY',
    });
    await expect(
      passing(Array.fromAsync(agent.map([1], { key: 'k', timeout: 0 }))),
    ).rejects.toMatchObject({ code: 'MR_OPTION_INVALID' });
    await running.stop();
    await expect(passing(agent.join([1], { key: 'k', timeout: '1s' }))).rejects.toMatchObject({
      code: 'MR_TIMEOUT',
    });
  } finally {
    await close(app);
  }
});
