/**
 * A topology as data, and as a picture.
 *
 * @module
 */
import { mermaidText } from '../stream/picture/mermaid-text.ts';
import type { Topology } from './topology.ts';

/** A topology as plain data; {@link topologyData} makes it. */
export interface TopologyData {
  readonly app: string;
  readonly subTopologies: readonly {
    readonly name: string;
    /** Number of its tasks. */
    readonly tasks: number;
    readonly asynchronous: boolean;
    readonly inputs: readonly {
      readonly topic: string;
      readonly role: 'source' | 'repartition';
      readonly partitions: number;
    }[];
    readonly tables: readonly string[];
    readonly states: readonly string[];
    readonly agents: readonly string[];
    /** Tables whose closed windows it passes on. */
    readonly closes: readonly string[];
    /** Tables whose changes it follows. */
    readonly follows: readonly string[];
    /** Topics that it writes by `groupBy` and `through`. */
    readonly feeds: readonly { readonly topic: string; readonly partitions: number }[];
  }[];
  /** Tables that only agents use have no place in a sub-topology. */
  readonly tables: readonly string[];
}

/** The topology as JSON can carry it. Names are durable, so that two versions of an app can be compared. */
export function topologyData(topology: Topology): TopologyData {
  return {
    app: topology.app,
    subTopologies: topology.subTopologies.map((sub) => ({
      name: sub.name,
      tasks: sub.partitions,
      asynchronous: sub.asynchronous,
      inputs: sub.inputs.map(({ topic, role, partitions }) => ({ topic, role, partitions })),
      tables: [...sub.tables],
      states: sub.states.map(({ name }) => name),
      agents: [...sub.agents],
      closes: sub.closed.map(({ table }) => table),
      follows: sub.changes.map(({ table }) => table),
      feeds: [...sub.cuts, ...sub.through].map(({ topic, partitions }) => ({ topic, partitions })),
    })),
    tables: [...topology.tables],
  };
}

/**
 * The topology as a flowchart of Mermaid: topics are boxes with double sides, sub-topologies boxes, agents round, tables databases.
 *
 * @see https://mermaid.js.org/syntax/flowchart.html
 */
export function topologyMermaid(topology: Topology): string {
  const ids = new Map<string, string>();
  const lines: string[] = ['flowchart LR'];
  const node = (kind: string, name: string, shape: (label: string) => string): string => {
    const key = `${kind} ${name}`;
    let id = ids.get(key);
    if (id === undefined) {
      id = `n${ids.size}`;
      ids.set(key, id);
      lines.push(`  ${id}${shape(mermaidText(name))}`);
    }
    return id;
  };
  const topic = (name: string): string => node('topic', name, (text) => `[["${text}"]]`);
  for (const sub of topologyData(topology).subTopologies) {
    const tasks = `${sub.tasks} task${sub.tasks === 1 ? '' : 's'}`;
    const box = node('sub', sub.name, (text) => `["${text}, ${tasks}"]`);
    for (const input of sub.inputs) lines.push(`  ${topic(input.topic)} --> ${box}`);
    for (const name of new Set([...sub.tables, ...sub.states]))
      lines.push(`  ${box} --- ${node('table', name, (text) => `[("${text}")]`)}`);
    for (const name of sub.agents)
      lines.push(`  ${box} --> ${node('agent', name, (text) => `(["${text}"])`)}`);
    for (const feed of sub.feeds) lines.push(`  ${box} --> ${topic(feed.topic)}`);
  }
  return lines.join('\n');
}
