import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { MillraceError } from '../../src/core/errors.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Stream } from '../../src/stream/stream.ts';
import type { GraphNode } from '../../src/stream/node.ts';
import { fingerprint } from '../../src/topology/compare.ts';
import type { Topology } from '../../src/topology/topology.ts';
import { count, Declared, ignore } from './graph.ts';
import type { AnyTable, Row } from './graph.ts';

/** One random declaration, told by numbers so that it can be repeated in another order of its parts. */
function randomApp(seed: number): Declared {
  const random = seededRandom(seed);
  const app = new Declared();
  const pick = <T>(from: readonly T[]): T => from[random.below(from.length)] as T;
  const tables: AnyTable[] = ['t1', 't2', 't3'].map((name) => app.table(name));
  const streams: Stream<Row, never>[] = [];
  const add = (stream: Stream<Row, unknown>): void =>
    void streams.push(stream as Stream<Row, never>);
  for (let i = 0; i <= random.below(3); i++) add(app.topic(pick(['a', 'b', 'c'])));
  if (random.below(3) === 0) add(app.closed(pick(tables), random.below(100)));
  for (let i = random.below(12), n = 0; i > 0; i--) {
    const stream: Stream<Row, unknown> = pick(streams);
    const what = random.below(9);
    if (what <= 1) add(stream.filter(() => true));
    else if (what === 2) add(stream.map((row) => row));
    else if (what === 3) add(stream.union(pick(streams)));
    else if (what === 4) stream.update(pick(tables) as never, count as never);
    else if (what === 5) add(stream.groupBy('origin', { name: `key${n++}` }));
    else if (what === 6) stream.sink(ignore);
    else if (what === 7) add(stream.through(app.target(pick(['a', 'b', 'c']))));
    else app.agent(`agent${n++}`, stream);
  }
  return app;
}

/** The topology, or `undefined` for an app that is refused as it should be. */
function built(app: Declared): Topology | undefined {
  try {
    return app.build();
  } catch (error) {
    if (MillraceError.is(error) && error.domain === 'user') return undefined;
    throw error;
  }
}

function reachableFrom(roots: readonly GraphNode[]): Set<GraphNode> {
  const seen = new Set(roots);
  for (const node of seen)
    if (node.role.role !== 'cut' || roots.includes(node))
      for (const child of node.children) seen.add(child);
  return seen;
}

const anySeed = fc.integer({ min: 0, max: 2 ** 31 });

test('every part of any graph has one home, and everything is fed by what feeds it', () => {
  let accepted = 0;
  fc.assert(
    fc.property(anySeed, (seed) => {
      const app = randomApp(seed);
      const topology = built(app);
      if (topology === undefined) return;
      accepted++;
      const subs = topology.subTopologies;
      expect(new Set(subs.map(({ name }) => name)).size).toBe(subs.length);

      // Each source that is used is read once, with the partitions of its topic.
      for (const { node, topic, partitions } of app.graph.sources) {
        const readers = subs.flatMap(({ inputs }) =>
          inputs.filter(({ roots }) => roots.includes(node)),
        );
        expect(readers.map((input) => input.topic)).toEqual(
          node.children.length === 0 ? [] : [topic],
        );
        for (const input of readers) expect(input.partitions).toBe(partitions);
      }
      for (const { node } of app.graph.closed)
        expect(subs.filter(({ closed }) => closed.some((each) => each.node === node))).toHaveLength(
          node.children.length === 0 ? 0 : 1,
        );

      // Each groupBy is written by one sub-topology and read by another, which knows how many tasks write it.
      for (const sub of subs)
        for (const cut of sub.cuts) {
          const readers = subs.flatMap((other) =>
            other.inputs
              .filter(({ topic }) => topic === cut.topic)
              .map((input) => ({ other, input })),
          );
          expect(readers).toHaveLength(1);
          expect(readers[0]?.other).not.toBe(sub);
          expect(readers[0]?.input).toEqual({
            topic: cut.topic,
            role: 'repartition',
            partitions: cut.partitions,
            roots: [cut.node],
            upstreamTasks: sub.partitions,
          });
        }
      // What is sent to by through is what it says, whoever reads it.
      for (const sub of subs)
        for (const { topic, partitions } of sub.through)
          expect([topic, partitions]).toEqual([expect.stringMatching(/^[abc]$/u), 4]);
      const cuts = subs.flatMap((sub) => sub.cuts.map(({ topic }) => topic));
      const repartitions = subs.flatMap(({ inputs }) =>
        inputs.filter(({ role }) => role === 'repartition').map(({ topic }) => topic),
      );
      expect(repartitions.toSorted()).toEqual(cuts.toSorted());

      const homes = new Map<unknown, string>();
      for (const sub of subs) {
        expect(sub.partitions).toBe(Math.max(...sub.inputs.map(({ partitions }) => partitions)));
        if (sub.tables.length + sub.states.length + sub.agents.length > 0)
          for (const input of sub.inputs) expect(input.partitions).toBe(sub.partitions);
        expect(sub.asynchronous).toBe(sub.agents.length > 0);
        // No operator, table or agent runs in two sub-topologies; a groupBy ends one and begins the next.
        const roots = [
          ...sub.inputs.flatMap((input) => input.roots),
          ...sub.closed.map(({ node }) => node),
        ];
        const nodes = [...reachableFrom(roots)].filter(
          (node) => node.role.role !== 'cut' && node.role.role !== 'source',
        );
        for (const thing of [...nodes, ...sub.tables, ...sub.agents]) {
          expect(homes.has(thing)).toBe(false);
          homes.set(thing, sub.name);
        }
        // Only what cannot wait for anything shares a topic.
        for (const other of subs)
          if (
            other !== sub &&
            sub.inputs.some(({ topic }) => other.inputs.some((i) => i.topic === topic))
          )
            expect(sub.asynchronous || other.asynchronous).toBe(true);
      }
    }),
    { numRuns: 300 },
  );
  expect(accepted).toBeGreaterThan(100);
});

test('the same program has the same fingerprint', () => {
  fc.assert(
    fc.property(anySeed, (seed) => {
      const [one, two] = [built(randomApp(seed)), built(randomApp(seed))];
      expect(two === undefined).toBe(one === undefined);
      if (one !== undefined && two !== undefined) expect(fingerprint(two)).toBe(fingerprint(one));
    }),
  );
});
