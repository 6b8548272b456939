import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fifo } from '../../src/stream/fifo.ts';
import { inTopologicalOrder } from '../../src/stream/graph.ts';
import { localKey } from '../../src/stream/local-key.ts';
import type { GraphNode } from '../../src/stream/node.ts';
import { startValue } from '../../src/stream/start-value.ts';

test('Fifo behaves as an array does', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.constant('take' as const), fc.constant('clear' as const), fc.nat(3_000)),
      ),
      (steps) => {
        const fifo = new Fifo<number>();
        const model: number[] = [];
        for (const step of steps) {
          if (step === 'take') expect(fifo.take()).toBe(model.shift());
          else if (step === 'clear') expect(fifo.clear()).toEqual(model.splice(0));
          else
            for (let i = 0; i < step; i++) {
              fifo.add(i);
              model.push(i);
            }
          if (step !== 'take' && step !== 'clear' && step % 2 === 0)
            for (let i = 0; i < step / 2; i++) expect(fifo.take()).toBe(model.shift());
          expect(fifo.size).toBe(model.length);
          expect(fifo.peek()).toBe(model[0]);
        }
      },
    ),
    { numRuns: 30 },
  );
});

describe('localKey', () => {
  test('tells kinds of keys apart, and -0 from nothing', () => {
    const keys = [1, '1', 1n, true, 'true', Uint8Array.of(1), '', 0];
    expect(new Set(keys.map((key) => localKey(key).id)).size).toBe(keys.length);
    expect(localKey(-0).id).toBe(localKey(0).id);
    expect(localKey(Uint8Array.of(255, 0)).id).toBe(localKey(Uint8Array.of(255, 0)).id);
    expect(localKey('ü').bytes).toEqual(new TextEncoder().encode(localKey('ü').id));
    expect(localKey('a').key).toBe('a');
  });
});

test('startValue copies plain data each time', () => {
  for (const start of [
    [1],
    { a: 1 },
    new Map([[1, 1]]),
    new Set([1]),
    new Date(5),
    Uint8Array.of(1),
  ]) {
    const make = startValue<object>(start);
    expect(make()).toEqual(start);
    expect(make()).not.toBe(start);
    expect(make()).not.toBe(make());
  }
  for (const start of [1, 'a', null, undefined, 5n]) expect(startValue(start)()).toBe(start);
});

test('topological order puts parents before children, in any graph without cycles', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat(20)), { minLength: 1, maxLength: 20 }), (edges) => {
      // An edge goes to a larger number only.
      const nodes = edges.map((_, i) => ({ i, children: [] as unknown[] }));
      edges.forEach((targets, i) => {
        for (const by of targets) {
          const child = nodes[i + 1 + by];
          if (child !== undefined) nodes[i]?.children.push(child);
        }
      });
      const graph = nodes as unknown as (GraphNode & { i: number })[];
      const order = inTopologicalOrder(graph, (node) => node.children as typeof graph);
      expect(order.toSorted((a, b) => a.i - b.i)).toEqual(graph);
      const at = new Map(order.map((node, place) => [node, place]));
      for (const node of graph)
        for (const child of node.children)
          expect(at.get(node)).toBeLessThan(at.get(child as (typeof graph)[number]) ?? -1);
    }),
    { numRuns: 100 },
  );
});
