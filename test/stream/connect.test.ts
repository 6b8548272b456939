import { describe, expect, test } from 'vitest';
import { derive, Stream } from '../../src/stream/stream.ts';
import { codeOf, into, isSettled, turn } from './helpers.ts';

describe('connect', () => {
  test('values go through the operator of the stream they come to', () => {
    const [first, second] = [new Stream<number>(), new Stream<number>()];
    const incremented = first.map((x) => x + 1);
    const out = into(incremented);
    void first.emit(1);
    void second.emit(10);
    expect(second.connect(incremented)).toBe(incremented);
    second.connect(incremented);
    void second.emit(10);
    void first.emit(2);
    expect(out).toEqual([2, 11, 3]);
  });

  test('disconnect takes an edge away, and connecting again puts it last', () => {
    const source = new Stream<number>();
    const out: string[] = [];
    const a = source.map((x) => x + 1);
    const b = source.map((x) => x * 2);
    a.sink((x) => out.push(`a${x}`));
    b.sink((x) => out.push(`b${x}`));
    void source.emit(1);
    source.disconnect(a);
    source.disconnect(a);
    void source.emit(2);
    source.connect(a);
    void source.emit(3);
    expect(out).toEqual(['a2', 'b2', 'b4', 'b6', 'a4']);
  });

  test('a stream that lost all its parents lives until it is closed', async () => {
    const source = new Stream<number>();
    const mapped = source.map((x) => x + 1);
    const all = mapped.toArray();
    void source.emit(1);
    source.disconnect(mapped);
    await source.close();
    void mapped.emit(5);
    const again = new Stream<number>();
    again.connect(mapped);
    void again.emit(6);
    await again.close();
    expect(await all).toEqual([2, 5, 7]);
  });

  test('a source ends by itself only: closing what is connected to it leaves it open', async () => {
    const [first, hub] = [new Stream<number>(), new Stream<number>()];
    first.connect(hub);
    const all = hub.toArray();
    void first.emit(1);
    await first.close();
    void hub.emit(2);
    first.destroy();
    void hub.emit(3);
    await hub.close();
    expect(await all).toEqual([1, 2, 3]);
  });

  test('a closed stream takes no edge, nor does one with several inputs', async () => {
    const source = new Stream<number>();
    const closed = new Stream<number>();
    await closed.close();
    expect(codeOf(() => source.connect(closed))).toBe('MR_CLOSED');
    const two = derive<number, null>([source, new Stream()], {
      kind: 'two',
      role: { role: 'operator', transparent: false, stateful: false },
      make: () => ({ inputs: [() => undefined, () => undefined] }),
    });
    expect(codeOf(() => new Stream<number>().connect(two))).toBe('MR_ARGUMENT_INVALID');
  });

  test('an operator with several inputs gets its parents in order, one twice too', () => {
    const [a, b] = [new Stream<number>(), new Stream<number>()];
    const log: string[] = [];
    derive([a, b, a], {
      kind: 'three',
      role: { role: 'sink', target: log },
      make: () => ({
        inputs: [0, 1, 2].map((i) => (value: unknown) => void log.push(`${i}:${String(value)}`)),
      }),
    });
    void a.emit(1);
    void b.emit(2);
    expect(log).toEqual(['0:1', '2:1', '1:2']);
  });
});

describe('cycles', () => {
  const collatz = (x: number): number => (x % 2 === 0 ? x / 2 : 3 * x + 1);
  const fresh = (): ((x: number) => boolean) => {
    const seen = new Set<number>();
    return (x) => !seen.has(x) && seen.add(x).has(x);
  };

  test('depth first, the sink before the edge', () => {
    const source = new Stream<number>();
    const unique = source.filter(fresh());
    const out = into(unique);
    unique.map(collatz).connect(source);
    expect(source.emit(6)).toBeUndefined();
    expect(out).toEqual([6, 3, 10, 5, 16, 8, 4, 2, 1]);
    void source.emit(7);
    expect(out.slice(9)).toEqual([7, 22, 11, 34, 17, 52, 26, 13, 40, 20]);
  });

  test('a sink that was attached behind the edge sees inner values first', () => {
    const source = new Stream<number>();
    const unique = source.filter(fresh());
    unique.map(collatz).connect(source);
    const out = into(unique);
    void source.emit(6);
    expect(out).toEqual([1, 2, 4, 8, 16, 5, 10, 3, 6]);
  });

  test('a tree goes round in pre-order', () => {
    const source = new Stream<number>();
    const out = into(source);
    source
      .map((x) => (x > 1 ? [Math.floor(x / 2), Math.floor(x / 2) - 1] : []))
      .flatten()
      .connect(source);
    void source.emit(8);
    expect(out).toEqual([8, 4, 2, 1, 0, 1, 3, 1, 0]);
  });

  test('100,000 rounds do not overflow the stack', () => {
    const source = new Stream<number>();
    let rounds = 0;
    source
      .tap(() => (rounds += 1))
      .map((x) => x - 1)
      .filter((x) => x > 0)
      .connect(source);
    expect(source.emit(100_000)).toBeUndefined();
    expect(rounds).toBe(100_000);
  });

  test('one round deep: a stream connected to itself', () => {
    const source = new Stream<number>();
    const down = source.filter((x) => x > 0).map((x) => x - 1);
    const out = into(down);
    down.connect(down.map((x) => x).filter(() => false));
    down.filter((x) => x > 0).connect(down);
    void source.emit(3);
    expect(out).toEqual([2, 1, 0]);
  });

  test('asynchronous: emit and drain wait for all rounds, with an asynchronous sink too', async () => {
    const tree: Record<string, string[]> = { '/': ['/a', '/b'], '/a': ['/a/x', '/a/y'], '/b': [] };
    const source = new Stream<string>();
    const seen: string[] = [];
    source.sink(async (path) => {
      await turn();
      seen.push(path);
    });
    source
      .filter(async (path) => path in tree)
      .map((path) => tree[path] ?? [])
      .flatten()
      .connect(source);
    const emitted = source.emit('/');
    await source.drain();
    expect(seen.toSorted()).toEqual(['/', '/a', '/a/x', '/a/y', '/b']);
    expect(await isSettled(emitted)).toBe(true);
    await source.close();
    expect(codeOf(() => source.emit('/'))).toBe('MR_CLOSED');
  });

  test('10,000 asynchronous rounds, one after the other', async () => {
    const source = new Stream<number>();
    let rounds = 0;
    source
      .map(async (x) => {
        rounds += 1;
        return x - 1;
      })
      .filter((x) => x > 0)
      .connect(source);
    await source.emit(10_000);
    expect(rounds).toBe(10_000);
  });

  test('close waits for what goes round, and sends it through', async () => {
    const source = new Stream<number>();
    const all = source.toArray();
    source
      .map(async (x) => x - 1)
      .filter((x) => x > 0)
      .connect(source);
    const emitted = source.emit(5);
    await source.close();
    await emitted;
    expect(await all).toEqual([5, 4, 3, 2, 1]);
  });

  test('closing a stream within the cycle opens the cycle', async () => {
    const source = new Stream<number>();
    const out = into(source);
    const down = source.map(async (x) => x - 1).filter((x) => x > 0);
    down.connect(source);
    await source.emit(3);
    await down.close();
    await source.emit(3);
    expect(out).toEqual([3, 2, 1, 3]);
  });

  test('a failing round rejects the emit that waits, at once or later, and the cycle goes on', async () => {
    for (const later of [false, true]) {
      const source = new Stream<number>();
      let bad = 2;
      const out = into(source);
      source
        .map((x) => {
          if (x === bad) throw new Error(`bad ${x}`);
          return later ? Promise.resolve(x - 1) : x - 1;
        })
        .filter((x) => x > 0)
        .connect(source);
      await expect((async () => source.emit(4))()).rejects.toThrow('bad 2');
      bad = -1;
      await source.emit(2);
      await source.drain();
      expect(out).toEqual([4, 3, 2, 2, 1]);
    }
  });

  test('values that wait go on when one before them fails', async () => {
    const source = new Stream<number>();
    const out = into(source);
    source
      .filter((x) => x === 0)
      .map(() => [1, 2, 3])
      .flatten()
      .connect(source);
    source.sink(async (x) => {
      await turn();
      if (x === 1) throw new Error('one');
    });
    await expect(source.emit(0)).rejects.toThrow('one');
    expect(out).toEqual([0, 1, 2, 3]);
  });

  test('emit of a stream that was connected later waits for the cycle too', async () => {
    const inner = new Stream<number>();
    const seen: number[] = [];
    inner.sink(async (x) => {
      await turn();
      seen.push(x);
    });
    inner
      .map((x) => x - 1)
      .filter((x) => x > 0)
      .connect(inner);
    const outer = new Stream<number>();
    outer.connect(inner);
    await outer.emit(3);
    expect(seen).toEqual([3, 2, 1]);
    await outer.close();
    await inner.emit(1);
    expect(seen).toEqual([3, 2, 1, 1]);
  });
});
