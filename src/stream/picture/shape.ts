/**
 * Which shape a node has in a picture. They are those of Graphviz.
 *
 * @see https://graphviz.org/doc/info/shapes.html
 *
 * @module
 */
import type { GraphNode } from '../node.ts';

export type Shape =
  | 'ellipse'
  /** Keeps a state. */
  | 'box'
  /** Collects values. */
  | 'diamond'
  /** Goes by the clock. */
  | 'octagon'
  /** A source with values of its own. */
  | 'doubleoctagon'
  /** The end of a chain. */
  | 'trapezium'
  /** Joins streams. */
  | 'triangle'
  /** A table. */
  | 'cylinder';

const shapes: Readonly<Record<string, Shape>> = {
  accumulate: 'box',
  mapState: 'box',
  partition: 'diamond',
  partitionUnique: 'diamond',
  take: 'diamond',
  slidingWindow: 'diamond',
  collect: 'diamond',
  buffer: 'diamond',
  timedWindow: 'octagon',
  timedWindowUnique: 'octagon',
  delay: 'octagon',
  rateLimit: 'octagon',
  debounce: 'octagon',
  throttle: 'octagon',
  zip: 'triangle',
  zipLatest: 'triangle',
  combineLatest: 'triangle',
  union: 'triangle',
};

/** The shape of a node. */
export function shapeOf(node: GraphNode): Shape {
  const { role } = node.role;
  if (role === 'source') return feedsItself(node) ? 'doubleoctagon' : 'ellipse';
  if (role === 'sink') return 'trapezium';
  if (role === 'table') return 'cylinder';
  return Object.hasOwn(shapes, node.kind) ? (shapes[node.kind] as Shape) : 'ellipse';
}

/** Whether it is a topic or table of an app, or a source in a process that nobody emits into. */
function feedsItself(node: GraphNode): boolean {
  if (node.role.role === 'source' && node.role.source !== null) return true;
  return 'feed' in node && node.feed !== undefined;
}
