/**
 * A topology as text, for people.
 *
 * @module
 */
import type { Topology } from './topology.ts';

/** Lists every sub-topology with what it reads, keeps and feeds. */
export function printTopology(topology: Topology): string {
  const lines = [`app ${topology.app}`];
  for (const sub of topology.subTopologies) {
    lines.push(
      `  ${sub.name}: ${many(sub.partitions, 'task')}${sub.asynchronous ? ', asynchronous' : ''}`,
    );
    for (const input of sub.inputs)
      lines.push(`    reads   ${input.topic} (${many(input.partitions, 'partition')})`);
    for (const table of sub.tables) lines.push(`    table   ${table}`);
    for (const state of sub.states) lines.push(`    state   ${state.name}`);
    for (const agent of sub.agents) lines.push(`    agent   ${agent}`);
    for (const { table } of sub.closed) lines.push(`    closes  windows of ${table}`);
    for (const { table } of sub.changes) lines.push(`    follows changes of ${table}`);
    for (const cut of sub.cuts)
      lines.push(`    feeds   ${cut.topic} (${many(cut.partitions, 'partition')})`);
    for (const { topic, partitions } of sub.through)
      lines.push(`    feeds   ${topic} (${many(partitions, 'partition')})`);
  }
  return lines.join('\n');
}

function many(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
