/**
 * Declares the graph of an app as `App` does, without an app.
 *
 * @module
 */
import { childNode, sourceNode } from '../../src/stream/graph.ts';
import { nodeOf, templateStream } from '../../src/stream/stream.ts';
import type { Readable, Stream } from '../../src/stream/stream.ts';
import type { Accepts, TableKeyedBy } from '../../src/stream/operator.ts';
import { buildTopology } from '../../src/topology/build.ts';
import type { AppGraph } from '../../src/topology/regions.ts';
import type { SubTopology, Topology } from '../../src/topology/topology.ts';

/** Values of all streams here. */
export interface Row {
  readonly origin: string;
  readonly destination: string;
  readonly delay: number;
}

export type AnyTable = TableKeyedBy<unknown, number, number>;

export type Target = Accepts<Row> & Readable<Row, string>;

/** A declaration under way. */
export class Declared {
  readonly #group: string;
  readonly #sources: AppGraph['sources'][number][] = [];
  readonly #closed: AppGraph['closed'][number][] = [];
  readonly #changes: NonNullable<AppGraph['changes']>[number][] = [];
  readonly #tables: string[] = [];

  constructor(group = 'app') {
    this.#group = group;
  }

  /** A stream of a topic; each call begins a graph of its own. */
  topic(topic: string, partitions = 4): Stream<Row, string> {
    const node = sourceNode('topic', { kind: 'topic', name: topic });
    this.#sources.push({ node, topic, partitions });
    return templateStream<Row, string>(node);
  }

  /** A topic as `through` sees it: what it sends to, and reads from. */
  target(topic: string, partitions = 4): Target {
    const stream = (): Stream<Row, string> => this.topic(topic, partitions);
    const target = {
      name: topic,
      stream,
      '~sink': () => ignore,
      '~through': () => nodeOf(stream()),
    };
    return target as unknown as Target;
  }

  table(name: string): AnyTable {
    this.#tables.push(name);
    const table = { name, '~update': () => () => () => {} };
    return table as unknown as AnyTable;
  }

  /** The closed windows of a table. */
  closed(table: AnyTable, graceMs = 0): Stream<Row, string> {
    const { name } = table as unknown as { name: string };
    const node = sourceNode('closed', { kind: 'closed', name });
    this.#closed.push({ node, table: name, graceMs });
    return templateStream<Row, string>(node);
  }

  /** The changes of a table, which the agent `by` makes. */
  changes(table: AnyTable, by?: string): Stream<Row, string> {
    const { name } = table as unknown as { name: string };
    const node = sourceNode('changes', { kind: 'changes', name });
    this.#changes.push({ node, table: name, by });
    return templateStream<Row, string>(node);
  }

  agent(name: string, source: Stream<unknown, unknown>): void {
    childNode([nodeOf(source)], {
      kind: 'agent',
      name,
      role: { role: 'sink', target: {} },
      make: () => () => {},
    });
  }

  get graph(): AppGraph {
    return {
      app: 'app',
      group: this.#group,
      sources: this.#sources,
      closed: this.#closed,
      changes: this.#changes,
      tables: this.#tables,
    };
  }

  build(): Topology {
    return buildTopology(this.graph);
  }

  /** Its sub-topologies by name. */
  subs(): Record<string, SubTopology> {
    return Object.fromEntries(this.build().subTopologies.map((sub) => [sub.name, sub]));
  }

  /** Names of its sub-topologies. */
  names(): string[] {
    return this.build().subTopologies.map(({ name }) => name);
  }
}

export const count = (n: number): number => n + 1;
export const ignore = (): void => {};
