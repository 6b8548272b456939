/**
 * A node of an in-process pipeline. It is alive from the moment it is declared; edges come and go while values flow.
 *
 * Invariant: `output.next` calls exactly the inputs of the children, in the order in which they were connected. It is replaced as a whole
 * when edges change, so a value that is on its way reaches those who were connected when it set out.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { Detached } from './detached.ts';
import type { Feedback } from './feedback.ts';
import { link, Node, reachable, unlink } from './graph.ts';
import type { NodeDescription } from './graph.ts';
import { InFlight } from './in-flight.ts';
import { closeAll, flushAll, inputAt, operatorOf } from './instance.ts';
import type { Operator, Output, Receive, Scope } from './operator.ts';
import { fanOut, nothing } from './output.ts';

/** What a source takes its values from by itself, see `feed.ts`. */
export interface ValueFeed {
  /** Begins, the first time it is called. */
  start(): void;
  /** Resolves when all values are through; at once when it has not begun. */
  done(): Promise<void>;
}

/** A node with its operator. */
export class LiveNode extends Node {
  declare readonly parents: LiveNode[];
  declare readonly children: LiveNode[];
  override readonly alive: boolean = true;
  readonly scope: Scope;
  readonly output: Output = { next: nothing };
  readonly operator: Operator;
  /** Where each parent sends to; as long as `parents`, and in the same order. */
  readonly inputs: Receive[] = [];
  readonly inFlight: InFlight = new InFlight();
  feed: ValueFeed | undefined;
  /** Edges that close a cycle, anywhere in the graph that this node belongs to. */
  feedbacks: readonly Feedback[] = [];
  /** Operators of that graph that go on with values after their `emit` has been answered. */
  detached: readonly Detached[] = [];
  /** Whether `emit` takes values. */
  accepting = true;
  /** Whether somebody is about to end it. */
  ending = false;
  /** Whether nothing comes out of it any more. */
  ended = false;
  /** Under way or done, once it was asked for. */
  closing: Promise<void> | undefined;
  /** `accepting`, no cycle to wait for, nobody to ask for failures: the one thing that `emit` has to look at. */
  #direct = true;

  /** @throws what its operator throws when it is made; then there is no node. */
  constructor(parents: readonly LiveNode[], description: NodeDescription, scope: Scope) {
    super(description);
    this.scope = scope;
    this.operator = operatorOf(description.make(this.output, scope));
    for (const [i, parent] of parents.entries()) attach(parent, this, inputAt(this.operator, i));
    if (
      this.operator.detached !== undefined ||
      parents.some(({ feedbacks, detached }) => feedbacks.length > 0 || detached.length > 0)
    )
      shareLooseEnds(this);
    if (parents.length > 0 && parents.every((parent) => parent.ended)) endEmpty(this);
    else if (this.role.role === 'sink') startFeeds(this);
  }

  /** Sends a value to the children, past this node's own operator. */
  emit(value: unknown): void | Promise<void> {
    if (!this.#direct) return this.#emitWithCare(value);
    const pending = this.output.next(value, null);
    if (pending !== undefined) return this.inFlight.track(pending);
  }

  /** From now on `emit` refuses. */
  refuse(): void {
    this.accepting = false;
    this.#direct = false;
  }

  /** Makes `emit` wait for these cycles, and ask these operators for failures. */
  follow(feedbacks: readonly Feedback[], detached: readonly Detached[]): void {
    this.feedbacks = feedbacks;
    this.detached = detached;
    this.#direct = this.accepting && feedbacks.length === 0 && detached.length === 0;
  }

  /** To be called after an edge behind this node has changed. */
  rewire(): void {
    this.output.next = this.ended
      ? nothing
      : fanOut(
          this.children.flatMap((child) =>
            child.inputs.filter((_, place) => child.parents[place] === this),
          ),
        );
  }

  #emitWithCare(value: unknown): void | Promise<void> {
    if (!this.accepting)
      throw new MillraceError(
        'MR_CLOSED',
        `stream ${this.toString()} was closed and takes no more values; stop emitting before you close it`,
        { details: { stream: this.name ?? this.kind } },
      );
    const pending = this.output.next(value, null);
    if (pending === undefined && this.feedbacks.every((feedback) => feedback.quiet)) {
      for (const work of this.detached) work.report();
      return;
    }
    return this.inFlight.track(this.#waitForCycles(pending));
  }

  async #waitForCycles(pending: void | Promise<void>): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    try {
      await pending;
    } catch (error) {
      failure = { error };
    }
    // One cycle may set another going.
    for (;;) {
      const busy = this.feedbacks.find((feedback) => !feedback.quiet);
      if (busy === undefined) break;
      try {
        await busy.idle();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
    for (const work of this.detached) work.report();
  }
}

/** Adds an edge that sends to `input`, an input of `child` or something in front of one. */
export function attach(parent: LiveNode, child: LiveNode, input: Receive): void {
  link(parent, child);
  child.inputs.push(input);
  parent.rewire();
}

/** Removes an edge, if there is one. */
export function detach(parent: LiveNode, child: LiveNode): void {
  for (const place of unlink(parent, child)) child.inputs.splice(place, 1);
  parent.rewire();
}

/** This node and all behind it. */
export function behind(node: LiveNode): Set<LiveNode> {
  return reachable([node], ({ children }) => children);
}

/** This node and all in front of it. */
export function before(node: LiveNode): Set<LiveNode> {
  return reachable([node], ({ parents }) => parents);
}

/** How many values the nodes behind `node` work on at once: the most that one of them does. */
export function concurrencyBehind(node: LiveNode): number {
  return Math.max(...[...behind(node)].map(({ concurrency }) => concurrency));
}

/** Lets every node of a graph know of all the cycles in it, and of all operators with detached work. */
export function shareLooseEnds(node: LiveNode, added?: Feedback): void {
  const graph = reachable([node], ({ parents, children }) => [...parents, ...children]);
  const feedbacks = new Set(added === undefined ? [] : [added]);
  for (const each of graph) for (const feedback of each.feedbacks) feedbacks.add(feedback);
  const detached = [...graph].flatMap(({ operator }) => operator.detached ?? []);
  if (feedbacks.size === 0 && detached.length === 0) return;
  const all = [...feedbacks];
  for (const each of graph) each.follow(all, detached);
}

/** Somebody listens at `node`: sources in front of it that have values of their own begin. */
export function startFeeds(node: LiveNode): void {
  for (const { feed } of before(node)) feed?.start();
}

/** For a node that was declared behind streams that are over. */
function endEmpty(node: LiveNode): void {
  node.refuse();
  node.ending = true;
  node.ended = true;
  const flushed = flushAll([node.operator]);
  const close = (): void => closeAll([node.operator]);
  if (flushed === undefined) close();
  else void flushed.finally(close);
}
