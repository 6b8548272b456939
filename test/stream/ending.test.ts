import { describe, expect, test } from 'vitest';
import type { Operator } from '../../src/stream/operator.ts';
import { derive, Stream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into, isSettled, manual, turn } from './helpers.ts';

/** A stream behind others that holds back the last value, and writes down what happens to it. */
function holding(
  name: string,
  log: string[],
  ...parents: Stream<unknown, unknown>[]
): Stream<unknown, unknown> {
  return derive(parents, {
    kind: 'holding',
    name,
    role: { role: 'operator', transparent: false, stateful: false },
    make: (output): Operator => {
      let held: unknown;
      return {
        inputs: [
          (value, event) => {
            const before = held;
            held = value;
            return before === undefined ? undefined : output.next(before, event);
          },
        ],
        flush: () => {
          log.push(`flush ${name}`);
          return held === undefined ? undefined : output.next(held, null);
        },
        close: () => void log.push(`close ${name}`),
      };
    },
  });
}

describe('close', () => {
  test('flushes parents before children, then closes, then refuses', async () => {
    const log: string[] = [];
    const source = new Stream<number>();
    const a = holding('a', log, source);
    const b = holding('b', log, a);
    const out = into(b);
    await source.emitAll([1, 2, 3]);
    expect(out).toEqual([1]);
    await source.close();
    expect(out).toEqual([1, 2, 3]);
    expect(log).toEqual(['flush a', 'flush b', 'close a', 'close b']);
    for (const stream of [source, a, b]) expect(codeOf(() => stream.emit(1))).toBe('MR_CLOSED');
  });

  test('refuses at once, waits for what was accepted, and happens once', async () => {
    const log: string[] = [];
    const source = new Stream<number>();
    const work = manual();
    holding('a', log, source.map(work.fn)).sink(() => {});
    const emits = [1, 2].map((x) => source.emit(x));
    const closes = [source.close(), source[Symbol.asyncDispose]()];
    expect(codeOf(() => source.emit(3))).toBe('MR_CLOSED');
    work.finish(1, 1);
    await turn();
    expect([work.calls, log]).toEqual([[1, 2], []]);
    work.finish(2, 2);
    await Promise.all([...emits, ...closes]);
    await source.close();
    expect(log).toEqual(['flush a', 'close a']);
  });

  test('is not kept from it by failing events', async () => {
    const source = new Stream<number>();
    source.sink(() => Promise.reject(new Error('sink')));
    const emit = source.emit(1);
    const closed = source.close();
    await expect(emit).rejects.toThrow('sink');
    await closed;
  });

  test('waits for asynchronous flushes; a failing one does not keep others from ending', async () => {
    const log: string[] = [];
    const source = new Stream<number>();
    const failing = derive<number, null>([source], {
      kind: 'failing',
      role: { role: 'operator', transparent: false, stateful: false },
      make: (): Operator => ({
        inputs: [() => undefined],
        flush: () => Promise.reject(new Error('flush')),
        close: () => {
          throw new Error('close');
        },
      }),
    });
    const slow = Promise.withResolvers<void>();
    holding('b', log, failing, source).sink(() => slow.promise);
    void source.emit(1);
    const closed = source.close();
    expect(await isSettled(closed)).toBe(false);
    slow.resolve();
    await expect(closed).rejects.toThrow(/close|flush/);
    expect(log).toEqual(['flush b', 'close b']);
    expect(codeOf(() => failing.emit(1))).toBe('MR_CLOSED');
  });

  test('a node ends when all its parents have, whatever the order', async () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const log: string[] = [];
      const sources = [new Stream<number>(), new Stream<number>()];
      const [a, b] = sources as [Stream<number>, Stream<number>];
      const both = holding('both', log, a.union(b));
      const out = into(both);
      void a.emit(1);
      await sources[order[0] ?? 0]?.close();
      expect(log).toEqual([]);
      const other = sources[order[1] ?? 0];
      if (order[1] === 1) void b.emit(2);
      await other?.close();
      expect(log).toEqual(['flush both', 'close both']);
      expect(out).toEqual(order[1] === 1 ? [1, 2] : [1]);
    }
  });

  test('two sources that are closed together end what both feed, once', async () => {
    const log: string[] = [];
    const [a, b] = [new Stream<number>(), new Stream<number>()];
    const work = manual();
    const out = into(holding('both', log, a.map(work.fn).union(b)));
    const emit = a.emit(1);
    const closed = Promise.all([a.close(), b.close()]);
    await turn();
    work.finish(1, 1);
    await Promise.all([emit, closed]);
    expect(log).toEqual(['flush both', 'close both']);
    expect(out).toEqual([1]);
  });

  test('what one source still flushes reaches a node whose other source is closed meanwhile', async () => {
    const log: string[] = [];
    const [a, b] = [new Stream<number>(), new Stream<number>()];
    const gate = Promise.withResolvers<void>();
    const slow = holding('slow', log, a).tap(() => gate.promise);
    const out = into(slow.union(b));
    void a.emit(1);
    const closed = a.close();
    await turn();
    expect(log).toEqual(['flush slow']);
    await b.close();
    gate.resolve();
    await closed;
    expect(out).toEqual([1]);
  });

  test('an inner stream is taken off those in front of it and ended', async () => {
    const log: string[] = [];
    const source = new Stream<number>();
    const inner = holding('inner', log, source);
    const [ended, going] = [into(inner), into(source)];
    void source.emit(1);
    await inner.close();
    void source.emit(2);
    expect([ended, going]).toEqual([[1], [1, 2]]);
    expect(log).toEqual(['flush inner', 'close inner']);
  });

  test('a stream that is declared behind a closed one is over', async () => {
    const log: string[] = [];
    const source = new Stream<number>();
    await source.close();
    const late = holding('late', log, source);
    expect(log).toEqual(['flush late', 'close late']);
    expect(codeOf(() => late.emit(1))).toBe('MR_CLOSED');
    expect(await source.map(String).toArray()).toEqual([]);
    for await (const value of source) expect.unreachable(String(value));
  });
});

describe('destroy', () => {
  test('ends a stream and what is behind it, without a flush, and nothing else', () => {
    const log: string[] = [];
    const source = new Stream<number>();
    const a = holding('a', log, source);
    const b = holding('b', log, a);
    const kept = into(source.union(b));
    const gone = into(b);
    void source.emit(1);
    a.destroy();
    a.destroy();
    void source.emit(2);
    expect(log).toEqual(['close a', 'close b']);
    expect([kept, gone]).toEqual([[1, 2], []]);
    expect(codeOf(() => b.emit(1))).toBe('MR_CLOSED');
    expect(source['~node'].children.map(({ kind }) => kind)).toEqual(['union']);
  });

  test('drops what waits in front of busy functions and lets its emits go', async () => {
    const source = new Stream<number>();
    const work = manual();
    const mapped = source.map(work.fn);
    const out = into(mapped);
    const emits = [1, 2].map((x) => source.emit(x));
    mapped.destroy();
    await emits[1];
    work.finish(1, 1);
    await emits[0];
    expect([work.calls, out]).toEqual([[1], []]);
    expect(source.emit(3)).toBeUndefined();
  });

  test('during close: the node is closed once', async () => {
    const log: string[] = [];
    const source = new Stream<number>();
    const gate = Promise.withResolvers<void>();
    const a = holding('a', log, source);
    a.sink(() => gate.promise);
    void source.emit(1);
    const closed = source.close();
    await turn();
    a.destroy();
    gate.resolve();
    await closed;
    expect(log).toEqual(['flush a', 'close a']);
  });
});

describe('drain', () => {
  test('resolves when everything accepted is finished, failures included', async () => {
    const source = new Stream<number>();
    const work = manual();
    into(source.map(work.fn));
    const emits = [1, 2].map(async (x) => source.emit(x));
    const drained = source.drain();
    work.fail(1, new Error('one'));
    await expect(emits[0]).rejects.toThrow('one');
    expect(await isSettled(drained)).toBe(false);
    work.finish(2, 2);
    await drained;
    await emits[1];
    await source.drain();
  });

  test('does not wait for events that came later', async () => {
    const source = new Stream<number>();
    const work = manual();
    into(source.map(work.fn, { concurrency: 2, ordered: false }));
    const first = source.emit(1);
    const drained = source.drain();
    const second = source.emit(2);
    work.finish(1, 1);
    await drained;
    expect(await isSettled(second)).toBe(false);
    const again = source.drain();
    work.finish(2, 2);
    await Promise.all([first, second, again]);
  });

  test('waits for what is in front of an inner stream', async () => {
    const [a, b] = [new Stream<number>(), new Stream<number>()];
    const work = manual();
    const both = a.map(work.fn).union(b);
    into(both);
    const emit = a.emit(1);
    const [inner, other] = [both.drain(), b.drain()];
    expect(await isSettled(other)).toBe(true);
    expect(await isSettled(inner)).toBe(false);
    work.finish(1, 1);
    await Promise.all([emit, inner]);
  });
});

describe('from', () => {
  test('begins when somebody listens, and all who were declared in the same go get all', async () => {
    const read: number[] = [];
    function* values(): Generator<number> {
      for (let i = 1; i <= 3; i++) {
        read.push(i);
        yield i;
      }
    }
    const stream = Stream.from(values());
    const doubled = stream.map((x) => x * 2);
    await turn();
    expect(read).toEqual([]);
    const out = into(doubled);
    const all = stream.toArray();
    await stream.drain();
    expect(out).toEqual([2, 4, 6]);
    expect(await all).toEqual([1, 2, 3]);
  });

  test('reads async iterables no faster than values are dealt with, and closes behind the last', async () => {
    const read: number[] = [];
    async function* values(): AsyncGenerator<number> {
      for (let i = 1; i <= 2; i++) {
        read.push(i);
        yield i;
      }
    }
    const work = manual<void>();
    const stream = Stream.from(values());
    stream.sink(work.fn);
    await turn();
    expect(read).toEqual([1]);
    work.finish(1, undefined);
    await turn();
    work.finish(2, undefined);
    await stream.drain();
    await stream.close();
    expect(codeOf(() => stream.emit(3))).toBe('MR_CLOSED');
  });

  test('begins through connect', async () => {
    const hub = new Stream<number>();
    const out = into(hub);
    const stream = Stream.from([1, 2]);
    stream.connect(hub);
    await stream.drain();
    expect(out).toEqual([1, 2]);
  });

  test('close stops reading', async () => {
    let closed = false;
    function* values(): Generator<number> {
      try {
        for (let i = 0; ; i++) yield i;
      } finally {
        closed = true;
      }
    }
    const stream = Stream.from(values());
    const work = manual<void>();
    stream.sink(work.fn);
    await turn();
    const end = stream.close();
    work.finish(0, undefined);
    await end;
    await turn();
    expect([work.calls, closed]).toEqual([[0], true]);
  });

  test('an error rejects toArray, iterators and drain', async () => {
    const failing = (): Stream<number> =>
      Stream.from([1, 2, 3]).map((x) => {
        if (x === 2) throw new Error('two');
        return x;
      });
    await expect(failing().toArray()).rejects.toThrow('two');
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const x of failing()) seen.push(x);
      })(),
    ).rejects.toThrow('two');
    const stream = failing();
    const out = into(stream);
    await expect(stream.drain()).rejects.toThrow('two');
    expect([seen, out]).toEqual([[1], [1]]);
    expect(codeOf(() => stream.emit(1))).toBe('MR_CLOSED');
  });
});

describe('toArray', () => {
  test('collects from now until the stream is closed', async () => {
    const source = new Stream<number>();
    void source.emit(1);
    const all = source.map((x) => x * 2).toArray();
    void source.emit(2);
    void source.emit(3);
    await source.close();
    expect(await all).toEqual([4, 6]);
  });

  test('rejects when the stream is destroyed', async () => {
    const source = new Stream<number>();
    const all = codeOfRejection(source.toArray());
    source.destroy();
    expect(await all).toBe('MR_CLOSED');
  });
});
