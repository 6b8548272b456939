/**
 * Everything that an app has declared: topics, tables, streams and agents, and the topology that comes of it.
 *
 * @module
 */
import type { TopicKeep, TopicSpec } from '../broker/broker.ts';
import { msgpack } from '../codec/msgpack.ts';
import { utf8 } from '../codec/utf8.ts';
import type { Codec } from '../codec/codec.ts';
import { MillraceError } from '../core/errors.ts';
import type { TopicFormat } from '../runtime/format.ts';
import type { GraphNode } from '../stream/node.ts';
import type { Policy } from '../stream/policy.ts';
import type { ChangeSource } from '../table/changes.ts';
import type { RowFormat } from '../table/question.ts';
import type { WindowedTable } from '../table/windowed-table.ts';
import { buildTopology } from '../topology/build.ts';
import type { AppGraph } from '../topology/regions.ts';
import { renameTopology, storedName } from '../topology/rename.ts';
import { foreignSource } from '../topology/sources.ts';
import { changelogTopic } from '../topology/topology.ts';
import type { Topology, TopologyCut } from '../topology/topology.ts';
import type { WindowDefinition } from '../window/definition.ts';
import { windowShape } from '../window/definition.ts';
import { deadLetterFormat, repartitionFormat } from './formats.ts';
import { checkWaits } from './options.ts';
import type { Settings } from './options.ts';
import type { AnyTable, AnyTopic, AppParts } from './parts.ts';

type AnyWindowedTable = WindowedTable<never, unknown, unknown>;

interface DeclaredTable {
  readonly codec: Codec<unknown>;
  readonly ttlMs: number | undefined;
  readonly changes: ChangeSource;
}

/** The declarations of one app. */
export class Declared {
  readonly #settings: Settings;
  readonly #names = new Set<string>();
  readonly #formats = new Map<string, TopicFormat>();
  readonly #keeps = new Map<string, TopicKeep>();
  readonly #own = new Set<string>();
  /** Of the topics between the app's tasks, and those for dead letters that were only named. */
  readonly #internalFormats = new Map<string, TopicFormat>();
  readonly #deadLetters = new Set<string>();
  readonly #tables = new Map<string, DeclaredTable>();
  readonly #windows = new Map<string, AnyWindowedTable>();
  /** For tools: everything by its name. */
  readonly parts: Pick<AppParts, 'topics' | 'tables' | 'agents'> & {
    readonly topics: Map<string, AnyTopic>;
    readonly tables: Map<string, AnyTable>;
    readonly agents: Map<string, AnyTopic | undefined>;
  } = { topics: new Map(), tables: new Map(), agents: new Map() };
  readonly #sources: { node: GraphNode; topic: string; partitions: number }[] = [];

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** @throws `MR_NAME_TAKEN` */
  take(what: string, name: string): void {
    const key = `${what} ${name}`;
    if (this.#names.has(key))
      throw new MillraceError(
        'MR_NAME_TAKEN',
        `app ${this.#settings.id} declares ${what} ${name} twice; keep the first in a variable`,
        { details: { name } },
      );
    this.#names.add(key);
  }

  /** `own`: it belongs to an agent, and what its tasks have committed can be deleted. */
  addTopic(format: TopicFormat, keep: TopicKeep | undefined, own: boolean): void {
    this.#formats.set(format.topic, format);
    if (own) this.#own.add(format.topic);
    if (keep !== undefined) this.#keeps.set(format.topic, keep);
  }

  addSource(node: GraphNode, format: TopicFormat): void {
    this.#sources.push({ node, topic: format.topic, partitions: format.partitions });
  }

  addTable(name: string, table: DeclaredTable): void {
    this.#tables.set(name, table);
  }

  /** @throws `MR_NAME_TAKEN` for a table that has windows already. */
  addWindows(table: AnyWindowedTable): void {
    if (this.#windows.has(table.name))
      throw new MillraceError(
        'MR_NAME_TAKEN',
        `table ${table.name} has windows already; keep what tumbling() or hopping() returned, or declare another table`,
      );
    this.#windows.set(table.name, table);
    // With windows a table is another object.
    this.parts.tables.set(table.name, table);
  }

  /** How rows of a table are written. */
  codecOf(table: string): Codec<unknown> {
    return this.#tables.get(table)?.codec ?? msgpack;
  }

  /** How the rows of a table are written, by its stored name. */
  rowFormat(stored: string): RowFormat {
    const { rename } = this.#settings;
    const table = [...this.#tables.keys()].find((name) => storedName(name, rename) === stored);
    return {
      codec: this.codecOf(table ?? stored),
      ttlMs: this.#tables.get(table ?? stored)?.ttlMs,
    };
  }

  /** The windows of a table that has some. */
  windowOf(table: string): WindowDefinition {
    return (this.#windows.get(table) as AnyWindowedTable)['~window'];
  }

  /** Formats of the topics that users declared. */
  get topics(): Iterable<TopicFormat> {
    return this.#formats.values();
  }

  /** @throws `MR_UNKNOWN_TOPIC` */
  format(topic: string): TopicFormat {
    const format = this.readable(topic);
    if (format === undefined)
      throw new MillraceError(
        'MR_UNKNOWN_TOPIC',
        `app ${this.#settings.id} declares no topic ${topic}`,
        { details: { topic } },
      );
    return format;
  }

  readable(topic: string): TopicFormat | undefined {
    return this.#formats.get(topic) ?? this.#internalFormats.get(topic);
  }

  /** A declared topic as the broker is told of it. */
  spec(format: TopicFormat): TopicSpec {
    const keep = this.#keeps.get(format.topic);
    const keyCodec = format.keyCodec?.name;
    return {
      name: format.topic,
      partitions: format.partitions,
      codec: format.codec.name,
      // Canonical bytes of texts are UTF-8, too.
      ...(keyCodec === undefined || keyCodec === utf8.name ? {} : { keyCodec }),
      ...(this.#own.has(format.topic)
        ? { role: 'repartition', owner: this.#settings.group }
        : { role: 'source' }),
      ...(keep === undefined ? {} : { keep, declaredBy: this.#settings.id }),
    };
  }

  /** What the topology is built of. */
  #graph(): AppGraph {
    return {
      app: this.#settings.id,
      group: this.#settings.group,
      sources: this.#sources,
      closed: [...this.#windows.values()].flatMap((table) => {
        const node = table['~closed'];
        return node === undefined
          ? []
          : [{ node, table: table.name, graceMs: table['~window'].graceMs }];
      }),
      changes: [...this.#tables].flatMap(([table, { changes }]) =>
        changes.node === undefined ? [] : [{ node: changes.node, table, by: changes.by }],
      ),
      tables: [...this.#tables.keys()],
      windows: Object.fromEntries(
        [...this.#windows.values()].map((table) => [table.name, windowShape(table['~window'])]),
      ),
    };
  }

  /** A source in front of `node` that this app did not declare, if there is one. */
  foreignSource(node: GraphNode): GraphNode | undefined {
    return foreignSource(this.#graph(), node);
  }

  /** Builds the topology, and with it the formats of the topics that belong to it. @throws as `buildTopology`. */
  topology(): Topology {
    const { group, rename } = this.#settings;
    const topology = renameTopology(buildTopology(this.#graph()), group, rename);
    this.#internalFormats.clear();
    const cuts = new Map(
      topology.subTopologies.flatMap((sub) => sub.cuts.map((cut) => [cut.topic, cut])),
    );
    for (const cut of cuts.values()) this.#repartitionFormat(cut, cuts);
    this.#deadLetterFormats();
    return topology;
  }

  /** Topics that an app needs besides those that were declared. */
  internalTopics(topology: Topology): TopicSpec[] {
    const owner = this.#settings.group;
    const specs: TopicSpec[] = [];
    for (const sub of topology.subTopologies) {
      for (const cut of sub.cuts)
        specs.push({
          name: cut.topic,
          partitions: cut.partitions,
          codec: this.format(cut.topic).codec.name,
          role: 'repartition',
          owner,
        });
      specs.push({
        name: changelogTopic(owner, sub.name),
        partitions: sub.partitions,
        codec: 'rows',
        role: 'changelog',
        owner,
      });
    }
    for (const topic of this.#deadLetters) specs.push(this.spec(this.format(topic)));
    return specs;
  }

  /** Values that are passed on as bytes have the format of the topic that they came from, which may be behind a `groupBy` itself. */
  #repartitionFormat(cut: TopologyCut, cuts: ReadonlyMap<string, TopologyCut>): TopicFormat {
    let format = this.#internalFormats.get(cut.topic);
    if (format === undefined) {
      const from = cut.transparentFrom;
      const before = from === undefined ? undefined : cuts.get(from);
      format = repartitionFormat(
        cut,
        before !== undefined
          ? this.#repartitionFormat(before, cuts)
          : from === undefined
            ? undefined
            : this.#formats.get(from),
        this.#settings,
      );
      this.#internalFormats.set(cut.topic, format);
    }
    return format;
  }

  /** Topics that policies name and nobody declares. */
  #deadLetterFormats(): void {
    this.#deadLetters.clear();
    for (const policy of this.#policies()) {
      checkWaits('onError', policy, this.#settings.commit.drainTimeoutMs);
      for (const step of policy.steps) {
        if (step.step === 'divert')
          throw new MillraceError(
            'MR_NOT_IN_AN_APP',
            `onError was given deadLetter(${step.to.name}), a stream of this process, where an app would lose what it holds; give deadLetter a topic`,
            { details: { stream: step.to.name } },
          );
        if (step.step !== 'deadLetter' || this.#formats.has(step.topic)) continue;
        this.#deadLetters.add(step.topic);
        this.#internalFormats.set(step.topic, deadLetterFormat(step.topic, this.#settings));
      }
    }
  }

  #policies(): Policy[] {
    const policies = [this.#settings.policy];
    const nodes = new Set<GraphNode>([
      ...this.#sources.map(({ node }) => node),
      ...[...this.#windows.values()].flatMap((table) => table['~closed'] ?? []),
      ...[...this.#tables.values()].flatMap(({ changes }) => changes.node ?? []),
    ]);
    for (const node of nodes) {
      if ('policy' in node.role && node.role.policy !== undefined) policies.push(node.role.policy);
      for (const child of node.children) nodes.add(child);
    }
    return policies;
  }
}
