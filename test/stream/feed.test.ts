import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { VirtualClock, sleep } from '../../src/core/clock.ts';
import type { SourceContext } from '../../src/stream/feed.ts';
import { Stream } from '../../src/stream/stream.ts';
import { into, manual, turn } from './helpers.ts';

/** What the process would hear of while `during` runs. */
async function unhandled(during: () => Promise<void>): Promise<unknown[]> {
  const heard: unknown[] = [];
  const hear = vi.fn((error: unknown) => void heard.push(error));
  const before = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', hear);
  try {
    await during();
    await turn();
  } finally {
    process.removeAllListeners('unhandledRejection');
    for (const listener of before) process.on('unhandledRejection', listener);
  }
  return heard;
}

describe('what a source throws because its signal has aborted', () => {
  const hour = 3_600_000;
  const waits: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    'a wait of Node': (signal) => wait(hour, undefined, { signal }),
    'a sleep of a clock': (signal) => sleep(new VirtualClock(), hour, signal),
    'the reason itself, as fetch does': (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      }),
    'an error of its own': (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () =>
          reject(Object.assign(new Error('stopped'), { name: 'AbortError' })),
        );
      }),
  };

  test.each(Object.entries(waits))('is no failure: %s', async (_, until) => {
    const run = async ({ emit, signal, opened }: SourceContext<number>): Promise<void> => {
      opened();
      await emit(1);
      await until(signal);
    };
    const heard = await unhandled(async () => {
      // Nobody listens any more.
      const left = Stream.source(run);
      const sink = left.sink(() => {});
      await turn();
      sink.destroy();
      // Closed.
      const closed = Stream.source(run);
      const all = closed.toArray();
      await turn();
      await closed.close();
      expect(await all).toEqual([1]);
      // Let go of by a switch.
      const queries = new Stream<number>();
      const seen = into(queries.map(() => Stream.source(run)).switch());
      await queries.emit(1);
      await turn();
      await queries.emit(2);
      await turn();
      queries.destroy();
      expect(seen).toEqual([1, 1]);
    });
    expect(heard).toEqual([]);
  });

  test('another error still is one', async () => {
    const broken = new Error('cannot let go');
    const heard = await unhandled(async () => {
      const source = Stream.source(async ({ signal }) => {
        await wait(hour, undefined, { signal }).catch(() => {
          throw broken;
        });
      });
      const sink = source.sink(() => {});
      await turn();
      sink.destroy();
      await turn();
    });
    expect(heard).toEqual([broken]);
  });

  test('so is one of that kind before it has aborted', async () => {
    const error = Object.assign(new Error('a request took too long'), { name: 'AbortError' });
    await expect(
      Stream.source(async () => {
        throw error;
      }).toArray(),
    ).rejects.toBe(error);
  });
});

describe('what fails in a stream that a switch has let go of', () => {
  const inners: Record<string, (x: number, fn: (x: number) => Promise<number>) => Stream<number>> =
    {
      'behind a Stream.from': (x, fn) => Stream.from([x]).map(fn),
      'in a Stream.source': (x, fn) => Stream.source(async ({ emit }) => emit(await fn(x))),
    };

  test.each(Object.entries(inners))('is of no interest: %s', async (_, inner) => {
    const work = manual();
    const queries = new Stream<number>();
    const seen = into(queries.map((x) => inner(x, work.fn)).switch());
    const heard = await unhandled(async () => {
      await queries.emit(1);
      await turn();
      await queries.emit(2);
      await turn();
      work.fail(1, new Error('too late'));
      await turn();
      work.finish(2, 20);
      await queries.close();
    });
    expect(seen).toEqual([20]);
    expect(heard).toEqual([]);
  });

  test('unless somebody else listens to it', async () => {
    const work = manual();
    const shared = Stream.from([1]).map(work.fn);
    const all = shared.toArray();
    const queries = new Stream<Stream<number>>();
    into(queries.switch());
    await queries.emit(shared);
    await turn();
    await queries.emit(Stream.from([2]));
    work.fail(1, new Error('for the other one'));
    await expect(all).rejects.toThrow('for the other one');
    await queries.close();
  });
});
