import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../src/core/clock.ts';
import { sourceNode } from '../../src/stream/graph.ts';
import type { Accepts, SinkPort } from '../../src/stream/operator.ts';
import { Stream, templateStream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection, into, isSettled, manual, turn } from './helpers.ts';

/** Something like a topic: takes values inside a graph, now or when it is told to. */
function port<T>(
  name: string,
  take: (value: unknown, key: unknown) => void | Promise<void>,
): Accepts<T> {
  const target: SinkPort = {
    name,
    '~sink': () => (value, event) => take(value, event?.key?.key ?? null),
  };
  return target as unknown as Accepts<T>;
}

describe('processors', () => {
  test('pass each value through the functions in turn, synchronous and asynchronous', async () => {
    const source = new Stream<number>();
    const out = into(
      source.processors(
        (x) => x + 1,
        async (x) => x * 10,
        (x) => x + 1,
        (x) => Promise.resolve(x + 0.5),
      ),
    );
    await source.emitAll([1, 2]);
    expect(out).toEqual([21.5, 31.5]);
  });

  test('do without promises when the functions do', () => {
    const source = new Stream<number>();
    const out = into(
      source.processors(
        (x) => x + 1,
        (x) => x * 10,
      ),
    );
    expect(source.emit(1)).toBeUndefined();
    expect(out).toEqual([20]);
  });

  test('without functions pass on what comes', () => {
    const source = new Stream<number>();
    const out = into(source.processors());
    void source.emit(1);
    expect(out).toEqual([1]);
  });

  test('take one value at a time, in order', async () => {
    const source = new Stream<number>();
    const [one, two] = [manual(), manual()];
    const out = into(source.processors(one.fn, two.fn));
    const emits = [source.emit(1), source.emit(2)];
    await turn();
    expect(one.calls).toEqual([1]);
    one.finish(1, 10);
    await turn();
    expect([one.calls, two.calls]).toEqual([[1], [10]]);
    two.finish(10, 100);
    await turn();
    expect([one.calls, two.calls]).toEqual([[1, 2], [10]]);
    one.finish(2, 20);
    await turn();
    two.finish(20, 200);
    await Promise.all(emits.map(async (emit) => emit));
    expect(out).toEqual([100, 200]);
  });

  test('a function that fails keeps the value from those after it', async () => {
    const source = new Stream<number>();
    const seen: number[] = [];
    const out = into(
      source.processors(
        async (x) => {
          if (x === 1) throw new Error('one');
          return x;
        },
        (x) => {
          seen.push(x);
          if (x === 2) throw new Error('two');
          return x;
        },
      ),
    );
    await expect(source.emit(1)).rejects.toThrow('one');
    await expect(source.emit(2)).rejects.toThrow('two');
    await source.emit(3);
    expect([seen, out]).toEqual([[2, 3], [3]]);
  });
});

describe('echo', () => {
  test('sends each value to each target, then passes it on as it came', () => {
    const source = new Stream<string>();
    const log: string[] = [];
    const target = (name: string): Accepts<string> =>
      port(name, (value) => void log.push(`${name} ${String(value)}`));
    source.echo(target('a'), target('b')).sink((value) => log.push(`next ${value}`));
    expect(source.emit('x')).toBeUndefined();
    void source.emit('y');
    expect(log).toEqual(['a x', 'b x', 'next x', 'a y', 'b y', 'next y']);
  });

  test('with the key of a keyed stream', () => {
    const source = new Stream<{ city: string }>();
    const keys: unknown[] = [];
    const out = into(
      source
        .groupBy('city')
        .echo(port('topic', (_, key) => void keys.push(key)))
        .items(),
    );
    void source.emit({ city: 'Rome' });
    expect([keys, out]).toEqual([['Rome'], [['Rome', { city: 'Rome' }]]]);
  });

  test('passes on while it is sent, and emit waits for both', async () => {
    const source = new Stream<number>();
    const sending = manual<void>();
    const out = into(source.echo(port('slow', (value) => sending.fn(value as number))));
    const emit = source.emit(1);
    expect(out).toEqual([1]);
    expect(await isSettled(emit)).toBe(false);
    sending.finish(1, undefined);
    await emit;
  });

  test('a target that refuses fails the emit', async () => {
    const source = new Stream<number>();
    const seen: number[] = [];
    const refusing = source.echo(
      port('refusing', () => {
        throw new Error('refused');
      }),
    );
    refusing.sink((x) => seen.push(x));
    expect(() => source.emit(1)).toThrow('refused');
    expect(seen).toEqual([]);
    const later = new Stream<number>();
    later.echo(port('later', () => Promise.reject(new Error('refused later'))));
    await expect(later.emit(1)).rejects.toThrow('refused later');
  });

  test('refuses what is no target', () => {
    const source = new Stream<number>();
    expect(codeOf(() => source.echo())).toBe('MR_ARGUMENT_INVALID');
    expect(codeOf(() => source.echo(null as unknown as Accepts<number>))).toBe(
      'MR_ARGUMENT_INVALID',
    );
    expect(() => source.echo((() => undefined) as unknown as Accepts<number>)).toThrow(
      'echo was given a value of type function; give topics or agents, or call a function with each value by tap(fn)',
    );
  });
});

describe('events', () => {
  test('in a process have no place, and the time of the clock', async () => {
    const clock = new VirtualClock(5_000);
    const source = new Stream<string>({ clock });
    const out = into(source.events());
    void source.emit('a');
    await clock.advance(10);
    void source.emit('b');
    const place = { key: null, headers: {}, topic: '', partition: 0, offset: 0n };
    expect(out).toEqual([
      { value: 'a', timestamp: 5_000, ...place },
      { value: 'b', timestamp: 5_010, ...place },
    ]);
  });

  test('have the key of a keyed stream', () => {
    const source = new Stream<{ city: string }>({ clock: new VirtualClock(7) });
    const out = into(source.groupBy('city').events());
    void source.emit({ city: 'Rome' });
    expect(out).toMatchObject([{ value: { city: 'Rome' }, key: 'Rome', timestamp: 7 }]);
  });
});

describe('through', () => {
  const topic = <T>(name: string): Accepts<T> & { stream(): Stream<T, string> } =>
    ({
      name,
      '~sink': () => () => undefined,
      '~through': () => sourceNode('topic', { kind: 'topic', name }),
    }) as unknown as Accepts<T> & { stream(): Stream<T, string> };

  test('is not for streams in a process', () => {
    expect(() => new Stream<number>().map(String).through(topic('numbers'))).toThrow(
      'through(numbers) on <map String>, a stream of this process, which cannot go on in the tasks of an app; end it with sink(numbers)',
    );
    expect(codeOf(() => new Stream<number>().through(topic('numbers')))).toBe('MR_NOT_IN_AN_APP');
  });

  test.each([[null], [undefined], [{}], ['topic'], [() => undefined]])('refuses %s', (given) => {
    const stream = templateStream<number, string>(
      sourceNode('topic', { kind: 'topic', name: 'numbers' }),
    );
    expect(codeOf(() => stream.through(given as never))).toBe('MR_ARGUMENT_INVALID');
  });

  test('goes on as a template', async () => {
    const stream = templateStream<number, string>(
      sourceNode('topic', { kind: 'topic', name: 'numbers' }),
    ).through(topic<number>('others'));
    expect(stream.name).toBe('others');
    expect(await codeOfRejection(stream.toArray())).toBe('MR_TEMPLATE');
  });
});
