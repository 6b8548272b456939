/**
 * What the topology asks of a single node.
 *
 * @module
 */
import type { GraphNode } from '../stream/node.ts';

/** Whether events may wait for something at this node. */
export function isAsynchronous(node: GraphNode): boolean {
  return node.kind === 'agent';
}

/** Name of a table or topic as a node holds it. */
export function nameOf(target: object): string {
  return 'name' in target ? String(target.name) : '';
}
