/**
 * How in-process streams end: closed (everything accepted is finished, what was held back is sent) or destroyed (at once).
 *
 * Invariant: an operator ends when all its parents have, a source when it is closed; `flush` and `close` of an operator are called at most
 * once, parents before children. Parents in a cycle with the node do not count.
 *
 * @module
 */
import { Detached } from './detached.ts';
import { inTopologicalOrder } from './graph.ts';
import { closeAll, flushAll } from './instance.ts';
import { before, behind, detach, shareLooseEnds } from './live-node.ts';
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
  // A source lets go of what it takes its values from; what it has emitted by then was accepted.
  await Promise.all(closing.flatMap(({ feed }) => feed?.stop() ?? []));
  for (const { inFlight, operator } of [...upstream, ...closing]) {
    await inFlight.settled();
    await operator.detached?.sent();
  }
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
  // Those that wait for the values come last, when it is known whether these are complete.
  const ends = nodes.filter(isEnd);
  try {
    await flushAll(nodes.filter((node) => !isEnd(node)).map(({ operator }) => operator));
    await settle(nodes);
    await flushAll(ends.map(({ operator }) => operator));
  } catch (error) {
    for (const { operator } of ends) operator.fail(error);
    throw error;
  } finally {
    end(nodes.filter((node) => !node.ended));
  }
}

/** Waits for values that go round cycles, and for those that operators took and their `emit` does not wait for. Throws the first failure. */
async function settle(nodes: readonly LiveNode[]): Promise<void> {
  const cycles = nodes[0]?.feedbacks ?? [];
  const errors: unknown[] = [];
  for (;;) {
    let waited = false;
    // Parents before children, so that what one lets go is waited for in the next.
    for (const ask of [
      ...nodes.map(
        ({ operator }) =>
          () =>
            operator.detached?.settled(),
      ),
      ...nodes.flatMap(({ endings }) => [...endings.keys()].map((work) => () => work.settled())),
      ...cycles.map((cycle) => () => cycle.idle()),
    ])
      try {
        const pending = ask();
        if (pending === undefined) continue;
        waited = true;
        await pending;
      } catch (error) {
        errors.push(error);
      }
    // Without cycles nothing comes back to where it was.
    if (!waited || cycles.length === 0) break;
  }
  if (errors.length > 0) throw errors[0];
}

/**
 * Ends a node and all behind it that has no other source, at once: nothing is flushed, what waits in front of busy nodes is dropped.
 */
export function destroy(node: LiveNode): void {
  for (const parent of new Set(node.parents)) detach(parent, node);
  const nodes = [...behind(node)].filter((each) => !each.ended);
  const ending = new Set(onlyBehind(node, nodes));
  for (const each of ending)
    for (const child of [...each.children])
      if (!ending.has(child))
        for (const port of detach(each, child)) child.operator.endInput?.(port);
  end(inTopologicalOrder([node], ({ children }) => children).filter((each) => ending.has(each)));
  // Branches that were ending by themselves are let go of too.
  for (const { endings } of ending) for (const branch of new Set(endings.values())) destroy(branch);
}

/**
 * Ends a node for a reason of its own, which no caller waits for. Those who drain or close what is in front wait for it. What goes wrong is told to those who
 * wait behind it for its end, else to whoever asks next in front, as for other work that goes on by itself; where nothing is in front, it is an unhandled
 * rejection.
 */
export function closeByItself(node: LiveNode, isWatched: () => boolean = () => false): void {
  const told = [...behind(node)].some(isEnd);
  const parents = [...new Set(node.parents)];
  const closed = close(node).catch((error: unknown) => {
    if (!told && !isWatched()) throw error;
  });
  const [first] = parents;
  if (first === undefined) return;
  const forget = (): void => {
    for (const parent of parents) parent.endings.delete(work);
    for (const parent of parents) shareLooseEnds(parent);
  };
  const work = new Detached(forget);
  for (const parent of parents) parent.endings.set(work, node);
  for (const parent of parents) shareLooseEnds(parent);
  void work
    .run(() => closed)
    ?.then(() => {
      if (!work.failed) forget();
    });
}

/** Ends everything behind a node whose values stopped because of `error`. Returns whether somebody was told. */
export function fail(node: LiveNode, error: unknown): boolean {
  let told = false;
  for (const each of behind(node))
    if (!each.ended && isEnd(each)) {
      each.operator.fail(error);
      told = true;
    }
  destroy(node);
  return told;
}

/**
 * Everything accepted so far by a node, or by those in front of it, is finished. Rejects with what failed after its `emit` was answered and
 * nobody has heard of yet.
 */
export async function drain(node: LiveNode): Promise<void> {
  const nodes = [...before(node)];
  await Promise.all(
    nodes.flatMap(({ feed, inFlight }) =>
      feed === undefined ? [inFlight.settled()] : [feed.done(), inFlight.settled()],
    ),
  );
  await settleBehind(nodes);
}

/** What operators behind `nodes` have taken so far is finished, also where no `emit` waits for it. Rejects as {@link drain}. */
export async function settleBehind(nodes: readonly LiveNode[]): Promise<void> {
  if (nodes.some(({ detached }) => detached.length > 0))
    await settle(inTopologicalOrder(nodes, ({ children }) => children));
}

/** Whether somebody waits at this node for the end. */
function isEnd(node: LiveNode): node is LiveNode & { readonly operator: End } {
  return 'fail' in node.operator;
}

function end(nodes: readonly LiveNode[]): void {
  for (const node of nodes) {
    node.refuse();
    node.ending = true;
    node.ended = true;
    node.rewire();
  }
  try {
    closeAll(nodes.map(({ operator }) => operator));
  } finally {
    // Those behind that have another source go on, and have to know.
    for (const node of nodes)
      for (const child of new Set(node.children))
        if (!child.ending)
          for (const [place, port] of child.ports.entries())
            if (child.parents[place] === node) child.operator.endInput?.(port);
  }
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
