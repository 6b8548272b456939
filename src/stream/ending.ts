/**
 * How in-process streams end: closed (everything accepted is finished, what was held back is sent) or destroyed (at once).
 *
 * Invariant: an operator ends when all its parents have, a source when it is closed; `flush` and `close` of an operator are called at most
 * once, parents before children. Parents in a cycle with the node do not count.
 *
 * @module
 */
import { inTopologicalOrder } from './graph.ts';
import { closeAll, flushAll } from './instance.ts';
import { before, behind, detach } from './live-node.ts';
import type { LiveNode } from './live-node.ts';
import type { Operator } from './operator.ts';

/** An operator at the end of a pipeline that somebody waits for. */
export interface End extends Operator {
  /** The values stop here because of an error that nobody else will hear of. */
  fail(error: unknown): void;
}

/** Ends a node and all behind it that has no other source. The same promise each time. */
export function close(node: LiveNode): Promise<void> {
  node.closing ??= closeNow(node);
  return node.closing;
}

async function closeNow(node: LiveNode): Promise<void> {
  const upstream = before(node);
  const closing = endingWith(node);
  // Those that end with it, in a cycle, may still have values on their way to it.
  for (const parent of new Set(node.parents)) if (!closing.includes(parent)) detach(parent, node);
  for (const each of closing) each.refuse();
  await Promise.all([...upstream, ...closing].map(({ inFlight }) => inFlight.settled()));
  const errors: unknown[] = [];
  // Asked again each time: another source may have been closed meanwhile, whose end was the last that a node waited for.
  for (let next = endingWith(node); next.length > 0; next = endingWith(node))
    try {
      await finish(next);
    } catch (error) {
      errors.push(error);
    }
  if (errors.length > 0) throw errors[0];
}

async function finish(nodes: readonly LiveNode[]): Promise<void> {
  for (const node of nodes) {
    node.refuse();
    node.ending = true;
  }
  try {
    await flushAll(nodes.map(({ operator }) => operator));
    for (const feedback of nodes[0]?.feedbacks ?? []) await feedback.idle();
  } finally {
    end(nodes.filter((node) => !node.ended));
  }
}

/**
 * Ends a node and all behind it that has no other source, at once: nothing is flushed, what waits in front of busy nodes is dropped.
 */
export function destroy(node: LiveNode): void {
  for (const parent of new Set(node.parents)) detach(parent, node);
  const nodes = [...behind(node)].filter((each) => !each.ended);
  const ending = new Set(onlyBehind(node, nodes));
  for (const each of ending)
    for (const child of [...each.children]) if (!ending.has(child)) detach(each, child);
  end(inTopologicalOrder([node], ({ children }) => children).filter((each) => ending.has(each)));
}

/** Ends everything behind a node whose values stopped because of `error`. Returns whether somebody was told. */
export function fail(node: LiveNode, error: unknown): boolean {
  let told = false;
  for (const { operator, ended } of behind(node))
    if (!ended && 'fail' in operator) {
      (operator as End).fail(error);
      told = true;
    }
  destroy(node);
  return told;
}

/** Everything accepted so far by a node, or by those in front of it, is finished. */
export async function drain(node: LiveNode): Promise<void> {
  const nodes = [...before(node)];
  await Promise.all(
    nodes.flatMap(({ feed, inFlight }) =>
      feed === undefined ? [inFlight.settled()] : [feed.done(), inFlight.settled()],
    ),
  );
}

function end(nodes: readonly LiveNode[]): void {
  for (const node of nodes) {
    node.refuse();
    node.ending = true;
    node.ended = true;
    node.rewire();
  }
  closeAll(nodes.map(({ operator }) => operator));
}

/** `node` and those behind it that nothing else feeds, parents before children, as far as they are not ending yet. */
function endingWith(node: LiveNode): LiveNode[] {
  const open = [...behind(node)].filter((each) => !each.ending);
  const ending = new Set(onlyBehind(node, open));
  const order = inTopologicalOrder([node], ({ children }) => children);
  return order.filter((each) => ending.has(each));
}

/** Of `nodes`, the operators whose parents are all over, or among those that are returned. `start` is, whatever its parents. */
function onlyBehind(start: LiveNode, nodes: readonly LiveNode[]): LiveNode[] {
  let kept = new Set(nodes);
  for (;;) {
    const next = new Set<LiveNode>();
    for (const node of kept)
      if (node === start || (node.role.role !== 'source' && endsWith(node, kept))) next.add(node);
    if (next.size === kept.size) return [...kept];
    kept = next;
  }
}

function endsWith(node: LiveNode, ending: ReadonlySet<LiveNode>): boolean {
  return node.parents.every((parent) => parent.ended || ending.has(parent));
}
