import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../src/core/clock.ts';
import type { EventCell } from '../../src/core/event.ts';
import { childNode, sourceNode } from '../../src/stream/graph.ts';
import { instantiate } from '../../src/stream/instance.ts';
import { localKey } from '../../src/stream/local-key.ts';
import type { GraphNode, NodeSource } from '../../src/stream/node.ts';
import type { MakeOperator, Operator, Scope, SinkPort } from '../../src/stream/operator.ts';
import { processScope } from '../../src/stream/process-scope.ts';
import { derive, nodeOf, Stream, templateStream } from '../../src/stream/stream.ts';
import { codeOf, codeOfRejection } from './helpers.ts';

const topic: NodeSource = { kind: 'topic', name: 'numbers' };
const noCut = (): undefined => undefined;

function template<T, K = null>(): { node: GraphNode; stream: Stream<T, K> } {
  const node = sourceNode('topic', topic);
  return { node, stream: templateStream<T, K>(node) };
}

function taskScope(): Scope {
  return { ...processScope(new VirtualClock()), kind: 'task' };
}

/** A sink that writes into whatever array belongs to the scope that it lives in. */
function recorder(): {
  port: SinkPort & { '~accepts': (value: unknown) => void };
  of: Map<Scope, unknown[]>;
} {
  const of = new Map<Scope, unknown[]>();
  const port = {
    name: 'recorder',
    '~accepts': (): void => {},
    '~sink': (scope: Scope) => {
      const values: unknown[] = [];
      of.set(scope, values);
      return (value: unknown): void => void values.push(value);
    },
  };
  return { port, of };
}

function keyed(key: unknown): EventCell {
  return {
    topic: 'numbers',
    partition: 0,
    offset: 0,
    timestamp: 0,
    key: localKey(key),
    headers: null,
    raw: null,
    effects: null,
    flight: null,
  };
}

describe('templates', () => {
  test('describe, and carry no values', async () => {
    const { stream } = template<number>();
    const mapped = stream.map((x) => x + 1);
    const other = new Stream<number>();
    const array = async (): Promise<unknown> => mapped.toArray();
    for (const fn of [
      () => mapped.emit(1),
      () => mapped.iterate(),
      () => mapped[Symbol.asyncIterator](),
      () => mapped.connect(mapped),
      () => other.connect(mapped),
      () => mapped.disconnect(mapped),
      () => other.disconnect(mapped),
      () => other.union(mapped),
      () => mapped.union(other),
    ])
      expect(codeOf(fn)).toBe('MR_TEMPLATE');
    for (const promise of [
      mapped.emitAll([1]),
      array(),
      mapped.close(),
      mapped.drain(),
      mapped[Symbol.asyncDispose](),
    ])
      expect(await codeOfRejection(promise)).toBe('MR_TEMPLATE');
    expect(() => stream.emit(1)).toThrow(
      /emit on <topic numbers>, which belongs to an app.*topic\.send/,
    );
    expect(() => stream.iterate()).toThrow(/declare a sink or an agent/);
  });

  test('can be walked from the source by children, in order of declaration', () => {
    const { node, stream } = template<{ id: string; n: number }>();
    const late = stream.filter(({ n }) => n > 1);
    late.groupBy('id', { partitions: 3 }).accumulate((sum, { n }) => sum + n, {
      start: 0,
      name: 'total',
    });
    late.tap(() => {}).enumerate();
    const outline = (at: GraphNode): unknown => [
      at.kind,
      at.name,
      at.role.role,
      ...at.children.map(outline),
    ];
    expect(outline(node)).toEqual([
      'topic',
      'numbers',
      'source',
      [
        'filter',
        undefined,
        'operator',
        ['groupBy', 'id', 'cut', ['accumulate', 'total', 'operator']],
        ['tap', undefined, 'operator', ['enumerate', undefined, 'operator']],
      ],
    ]);
    const [filter] = node.children;
    expect(filter?.role).toEqual({ role: 'operator', transparent: true, stateful: false });
    const [groupBy, tap] = filter?.children ?? [];
    expect(groupBy?.role).toMatchObject({ role: 'cut', name: 'id', partitions: 3 });
    expect(tap?.children[0]?.role).toMatchObject({ transparent: false, stateful: true });
    expect(nodeOf(late)).toBe(filter);
  });

  test('names: a function needs one, and all have to be durable', () => {
    const { stream } = template<{ id: string }>();
    const noName = (): unknown => stream.groupBy(({ id }) => id, {} as { name: string });
    expect(codeOf(noName)).toBe('MR_NAME_MISSING');
    expect(codeOf(() => stream.groupBy('id', { name: 'a/b' }))).toBe('MR_NAME_INVALID');
    expect(codeOf(() => stream.map((x) => x, { name: 'not durable' }))).toBe('MR_NAME_INVALID');
    expect(nodeOf(stream).children).toEqual([]);
    expect(nodeOf(stream.groupBy(({ id }) => id, { name: 'by-id' })).role).toMatchObject({
      role: 'cut',
      name: 'by-id',
    });
  });

  test('destroy takes a part out of the description', () => {
    const { node, stream } = template<number>();
    const mapped = stream.map((x) => x);
    const sink = mapped.sink(() => {});
    sink.destroy();
    expect(nodeOf(mapped).children).toEqual([]);
    mapped.destroy();
    expect(node.children).toEqual([]);
  });

  test('a node of an app cannot stand behind a stream of the process', () => {
    const make: MakeOperator = () => () => undefined;
    const role = { role: 'sink', target: make } as const;
    const live = nodeOf(new Stream());
    expect(codeOf(() => childNode([live], { kind: 'agent', role, make }))).toBe('MR_NOT_IN_AN_APP');
  });
});

describe('instantiate', () => {
  test('two instances share nothing', () => {
    const { node, stream } = template<number>();
    const { port, of } = recorder();
    stream
      .mapState([] as number[], (all, x) => [(all.push(x), all), all.length])
      .accumulate((sum, x) => sum + x, { start: 0 })
      .sink(port);
    const scopes = [taskScope(), taskScope()];
    const [a, b] = scopes.map((scope) => instantiate([node], scope, noCut).input(node));
    for (let i = 0; i < 3; i++) void a?.(i, null);
    void b?.(9, null);
    expect(scopes.map((scope) => of.get(scope))).toEqual([[1, 3, 6], [1]]);
  });

  test('state is per key of the event', () => {
    const { node, stream } = template<number, string>();
    const { port, of } = recorder();
    stream.accumulate((sum, x) => sum + x, { start: 0 }).sink(port);
    const scope = taskScope();
    const input = instantiate([node], scope, noCut).input(node);
    void input(1, keyed('a'));
    void input(10, keyed('b'));
    void input(2, keyed('a'));
    expect(of.get(scope)).toEqual([1, 10, 3]);
  });

  test('is synchronous where its functions are, and gives promises where not', async () => {
    const { node, stream } = template<number>();
    stream.filter((x) => x > 1).sink(async () => {});
    const input = instantiate([node], taskScope(), noCut).input(node);
    expect(input(1, null)).toBeUndefined();
    expect(input(2, null)).toBeInstanceOf(Promise);
  });

  test('cut replaces a node and nothing behind it is made; from there on it is a root', () => {
    const { node, stream } = template<{ id: string }>();
    const { port, of } = recorder();
    const grouped = stream.groupBy('id');
    grouped.map(({ id }) => id).sink(port);
    const cut = nodeOf(grouped);
    const written: unknown[] = [];
    const replace = (at: GraphNode): MakeOperator | undefined =>
      at === cut ? () => (value) => void written.push(value) : undefined;
    const first = taskScope();
    void instantiate([node], first, replace).input(node)({ id: 'a' }, null);
    expect(written).toEqual([{ id: 'a' }]);
    expect(of.get(first)).toBeUndefined();

    const second = taskScope();
    void instantiate([cut], second, replace).input(cut)({ id: 'b' }, keyed('b'));
    expect(of.get(second)).toEqual(['b']);

    // Both in one task: the way in and the way out of the repartition topic are apart.
    const both = taskScope();
    const instance = instantiate([node, cut], both, replace);
    void instance.input(node)({ id: 'c' }, null);
    expect(of.get(both)).toEqual([]);
    void instance.input(cut)({ id: 'c' }, keyed('c'));
    expect(of.get(both)).toEqual(['c']);
    expect(written).toHaveLength(2);
  });

  test('a groupBy that nobody reads is left out; one that is read has to be replaced', () => {
    const { node, stream } = template<{ id: string }>();
    const grouped = stream.groupBy('id');
    expect(instantiate([node], taskScope(), noCut).input(node)({ id: 'a' }, null)).toBeUndefined();
    grouped.sink(() => {});
    expect(codeOf(() => instantiate([node], taskScope(), noCut))).toBe('MR_INTERNAL');
  });

  test('a node with several parents is made once; parents out of reach are left out', () => {
    const [a, b, c] = [template<number>(), template<number>(), template<number>()];
    let made = 0;
    const log: string[] = [];
    derive([a.stream, b.stream, a.stream, c.stream.map((x) => x)], {
      kind: 'four',
      role: { role: 'sink', target: log },
      make: () => {
        made += 1;
        return {
          inputs: [0, 1, 2, 3].map((i) => (value) => void log.push(`${i}:${String(value)}`)),
        };
      },
    });
    const instance = instantiate([b.node, a.node], taskScope(), noCut);
    void instance.input(a.node)('a', null);
    void instance.input(b.node)('b', null);
    expect(log).toEqual(['0:a', '2:a', '1:b']);
    expect(made).toBe(1);
    expect(codeOf(() => instance.input(c.node))).toBe('MR_INTERNAL');
  });

  test('a union of topics passes on both', () => {
    const [a, b] = [template<number>(), template<string>()];
    const { port, of } = recorder();
    a.stream.union(b.stream).sink(port);
    const scope = taskScope();
    const instance = instantiate([a.node, b.node], scope, noCut);
    void instance.input(a.node)(1, null);
    void instance.input(b.node)('x', null);
    expect(of.get(scope)).toEqual([1, 'x']);
  });

  test('scopeOf gives each node a scope of its own', () => {
    const { node, stream } = template<number>();
    const { port, of } = recorder();
    stream.accumulate((sum, x) => sum + x, { start: 0, name: 'sum' }).sink(port);
    const states: string[] = [];
    const scope = taskScope();
    const instance = instantiate([node], scope, noCut, (at) => ({
      ...scope,
      state: (start) => {
        states.push(`${at.kind} ${at.name}`);
        return scope.state(start);
      },
    }));
    void instance.input(node)(1, null);
    expect(states).toEqual(['accumulate sum']);
    expect([...of.values()]).toEqual([[1]]);
  });

  test('flush goes in topological order, across what is asynchronous; close reaches all', async () => {
    for (const asynchronous of [false, true]) {
      const { node, stream } = template<number>();
      const log: string[] = [];
      const step = (name: string, ...parents: Stream[]): Stream =>
        derive(parents, {
          kind: name,
          role: { role: 'operator', transparent: false, stateful: false },
          make: (output): Operator => ({
            inputs: [(value, event) => output.next(value, event)],
            flush: () => {
              log.push(`flush ${name}`);
              return asynchronous
                ? Promise.resolve(output.next(name, null))
                : output.next(name, null);
            },
            close: () => {
              log.push(`close ${name}`);
              if (name === 'a') throw new Error('close a');
            },
          }),
        });
      const a = step('a', stream);
      const b = step('b', stream);
      // Declared before its other parent gets its own child.
      const d = step('d', b, step('c', a));
      d.sink((value) => log.push(`out ${String(value)}`));
      const instance = instantiate([node], taskScope(), noCut);
      const flushed = instance.flush();
      expect(flushed instanceof Promise).toBe(asynchronous);
      await flushed;
      const flushes = log.filter((line) => line.startsWith('flush'));
      expect(flushes.toSorted()).toEqual(['flush a', 'flush b', 'flush c', 'flush d']);
      expect(flushes.indexOf('flush a')).toBeLessThan(flushes.indexOf('flush c'));
      expect(flushes.at(-1)).toBe('flush d');
      expect(log.filter((line) => line.startsWith('out')).toSorted()).toEqual([
        'out a',
        'out b',
        'out c',
        'out d',
      ]);
      expect(() => instance.close()).toThrow('close a');
      expect(log.slice(-4).toSorted()).toEqual(['close a', 'close b', 'close c', 'close d']);
    }
  });

  test('a failing flush does not keep others from theirs', async () => {
    for (const asynchronous of [false, true]) {
      const { node, stream } = template<number>();
      const log: string[] = [];
      for (const name of ['a', 'b'])
        derive([stream], {
          kind: name,
          role: { role: 'sink', target: log },
          make: (): Operator => ({
            inputs: [() => undefined],
            flush: () => {
              log.push(name);
              const error = new Error(`flush ${name}`);
              if (!asynchronous) throw error;
              return Promise.reject(error);
            },
          }),
        });
      const instance = instantiate([node], taskScope(), noCut);
      await expect((async () => instance.flush())()).rejects.toThrow('flush a');
      expect(log).toEqual(['a', 'b']);
    }
  });

  test('an operator that cannot be made closes those made before it', () => {
    const { node, stream } = template<number>();
    const log: string[] = [];
    const first = derive([stream], {
      kind: 'first',
      role: { role: 'operator', transparent: false, stateful: false },
      make: (): Operator => ({ inputs: [() => undefined], close: () => void log.push('closed') }),
    });
    derive([first], {
      kind: 'second',
      role: { role: 'sink', target: log },
      make: () => {
        throw new Error('cannot');
      },
    });
    expect(() => instantiate([node], taskScope(), noCut)).toThrow('cannot');
    expect(log).toEqual(['closed']);
  });

  test('update asks its table for the operator', () => {
    const { node, stream } = template<number, string>();
    const table = {
      name: 'counts',
      '~keyedBy': (_key: string) => ({ value: 0, read: 0 }),
      '~update':
        (fn: (current: unknown, value: unknown) => unknown): MakeOperator =>
        (output) =>
        (value, event) =>
          output.next({ key: event?.key?.key, value: fn(40, value), previous: 40 }, event),
    };
    const { port, of } = recorder();
    stream.update(table, (current, x) => current + x).sink(port);
    const scope = taskScope();
    void instantiate([node], scope, noCut).input(node)(2, keyed('a'));
    expect(of.get(scope)).toEqual([{ key: 'a', value: 42, previous: 40 }]);
    expect(node.children[0]?.role).toEqual({ role: 'table', table });
  });

  test('a long chain is no problem', () => {
    const { node, stream } = template<number>();
    let end: Stream<number> = stream;
    for (let i = 0; i < 20_000; i++) end = end.map((x) => x);
    expect(() => instantiate([node], taskScope(), noCut)).not.toThrow();
  });
});
