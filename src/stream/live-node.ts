/**
 * A node of an in-process pipeline. It is alive from the moment it is declared; edges come and go while values flow.
 *
 * Invariant: `output.next` calls exactly the inputs of the children, in the order in which they were connected. It is replaced as a whole
 * when edges change, so a value that is on its way reaches those who were connected when it set out.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import type { Detached } from './detached.ts';
import { Origins } from './failures.ts';
import type { Feedback } from './feedback.ts';
import { graphOf, link, Node, reachable, unlink } from './graph.ts';
import type { NodeDescription } from './graph.ts';
import { InFlight } from './in-flight.ts';
import { closeAll, flushAll, inputAt, operatorOf } from './instance.ts';
import type { Memory, Operator, Output, Receive } from './operator.ts';
import { fanOut, nothing } from './output.ts';
import type { Failure } from './policy.ts';
import { processScope } from './process-scope.ts';

/** What a source takes its values from by itself, see `feed.ts`. */
export interface ValueFeed {
  /** Somebody listens: it begins, the first time. */
  start(): void;
  /** Resolves when it is open, or over. */
  opened(): Promise<void>;
  /** Nobody listens any more: it ends, unless somebody does again in the same go. */
  unheard(): void;
  /** What goes wrong from now on interests nobody, unless somebody listens. */
  letGo(): void;
  /** Takes no more values. Resolves when it has let go of what it took them from. */
  stop(): Promise<void>;
  /** Whether it goes on: `false` once it shall end, or nobody listens. */
  readonly heard: boolean;
  /** Resolves when the values that it has are through; at once when it has not begun, and for one that has no end. */
  done(): Promise<void>;
}

/** Values that an edge has carried since they are counted. */
export interface EdgeCount {
  count: number;
  /** When counting began, on the monotonic scale of the clock. */
  readonly sinceMs: number;
}

/** A node with its operator. */
export class LiveNode extends Node {
  declare readonly parents: LiveNode[];
  declare readonly children: LiveNode[];
  override readonly alive: boolean = true;
  readonly clock: Clock;
  readonly output: Output = { next: nothing };
  readonly operator: Operator;
  /** Where each parent sends to; as long as `parents`, and in the same order. */
  readonly inputs: Receive[] = [];
  /** The operator's own input for each parent. Another one than in `inputs` where the edge does something of its own. */
  readonly ports: Receive[] = [];
  /** How many nodes of its graph that remember something were declared before it. */
  readonly place: number;
  readonly remembering: { count: number };
  /** Whether it may end while what is in front goes on. */
  readonly endsByItself: boolean;
  /** What a snapshot of it holds. */
  readonly memories: readonly Memory[];
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
  /** Parts that were behind it and are ending by themselves. */
  readonly endings: Map<Detached, LiveNode> = new Map();
  /** Under way or done, once it was asked for. */
  closing: Promise<void> | undefined;
  /** Where the failures of values behind it go, once somebody wants them. */
  #errors: LiveNode | undefined;
  /** Kept while somebody in front wants to know where failures come from. */
  #origins: Origins | undefined;
  #counts: Map<LiveNode, EdgeCount> | undefined;
  #rewiring = false;
  /** What `output.next` calls. */
  #targets: readonly Receive[] = [];
  /** `accepting`, no cycle to wait for, nobody to ask for failures: the one thing that `emit` has to look at. */
  #direct = true;

  /** @throws what its operator throws when it is made; then there is no node. */
  constructor(parents: readonly LiveNode[], description: NodeDescription, clock: Clock) {
    super(description);
    this.clock = clock;
    const memories: Memory[] = [];
    const scope = processScope(clock, {
      remember: (memory) => void memories.push(memory),
      failed: (value, error) => this.#failed(value, error),
      failure: (value, error) => this.#failure(value, error),
    });
    this.operator = operatorOf(description.make(this.output, scope));
    if (this.operator.memory !== undefined) memories.push(this.operator.memory);
    this.memories = memories;
    this.endsByItself = description.endsByItself === true;
    this.remembering = parents[0]?.remembering ?? { count: 0 };
    this.place = this.remembering.count;
    if (memories.length > 0) this.remembering.count += 1;
    if (parents.some((parent) => parent.#counts !== undefined)) this.#counts = new Map();
    for (const [i, parent] of parents.entries()) attach(parent, this, inputAt(this.operator, i));
    if (this.role.role === 'operator' && this.role.policy?.diverts === true) this.#trace();
    this.#joinLooseEnds();
    if (parents.length > 0 && parents.every((parent) => parent.ended)) endEmpty(this);
    else if (this.role.role === 'sink') startFeeds(this);
  }

  /** Knows what the rest of its graph knows, and the rest what it brings. */
  #joinLooseEnds(): void {
    const [first, ...others] = this.parents;
    if (this.operator.detached === undefined && first !== undefined) {
      const { feedbacks, detached } = first;
      if (others.every((each) => each.feedbacks === feedbacks && each.detached === detached)) {
        this.follow(feedbacks, detached);
        return;
      }
    }
    if (
      this.operator.detached !== undefined ||
      this.parents.some(({ feedbacks, detached }) => feedbacks.length > 0 || detached.length > 0)
    )
      shareLooseEnds(this);
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
    // Whoever waits for the end asks for it again.
    this.feed?.stop().catch(() => undefined);
  }

  /** The node that failures of values behind this one are sent to. */
  get errors(): LiveNode {
    if (this.#errors === undefined) {
      this.#errors = new LiveNode(
        [this],
        {
          kind: 'errors',
          role: { role: 'operator', transparent: false, stateful: false },
          // Values go past it.
          make: () => nothing,
        },
        this.clock,
      );
      this.#trace();
    }
    return this.#errors;
  }

  /** Begins to count what the edges of the graph carry. */
  countEdges(): void {
    for (const node of graphOf(this)) {
      node.#counts ??= new Map();
      node.rewire();
    }
  }

  /** What the edges to its children have carried. Empty unless they are counted. */
  edgeCounts(): ReadonlyMap<LiveNode, EdgeCount> {
    return this.#counts ?? new Map();
  }

  /** Makes `emit` wait for these cycles, and ask these operators for failures. */
  follow(feedbacks: readonly Feedback[], detached: readonly Detached[]): void {
    this.feedbacks = feedbacks;
    this.detached = detached;
    this.#direct = this.accepting && feedbacks.length === 0 && detached.length === 0;
  }

  /** To be called after an edge behind this node has changed. */
  rewire(): void {
    if (this.#rewiring) return;
    this.#rewiring = true;
    this.#targets = this.ended ? [] : this.#wired();
    this.#useTargets();
    this.#rewiring = false;
  }

  /** Adds one edge behind all others: as {@link rewire}, at the cost of one. */
  wire(child: LiveNode, input: Receive): void {
    if (this.ended || this.#rewiring || input === nothing) return;
    this.#rewiring = true;
    this.#targets = [...this.#targets, this.#probed(input, child)];
    this.#useTargets();
    this.#rewiring = false;
  }

  #useTargets(): void {
    const next = fanOut(this.#targets);
    this.output.next =
      this.ended || this.#errors === undefined || this.#hasPolicy ? next : this.#watched(next);
    // Those in front may call what is behind this one directly.
    if (this.operator?.passesThrough === true) for (const parent of this.parents) parent.rewire();
  }

  #wired(): Receive[] {
    return this.children.flatMap((child) =>
      child.inputs
        .filter((input, place) => child.parents[place] === this && input !== nothing)
        .map((input) => this.#probed(input, child)),
    );
  }

  /** Keeps track, for itself and all behind, of where failures come from. */
  #trace(): void {
    let origins: Origins | undefined;
    for (const node of graphOf(this)) origins ??= node.#origins;
    this.traceWith(origins ?? new Origins());
  }

  /** As for {@link #trace}, for a node that comes behind one that is traced. */
  traceWith(origins: Origins): void {
    for (const node of behind(this)) {
      node.#origins = origins;
      node.rewire();
    }
  }

  get origins(): Origins | undefined {
    return this.#origins;
  }

  /** A policy tells of failures itself, when it gives a value up. */
  get #hasPolicy(): boolean {
    return this.role.role === 'operator' && this.role.policy !== undefined;
  }

  /** The input of a child, with what is asked about the edge. */
  #probed(input: Receive, child: LiveNode): Receive {
    const traced =
      this.#origins === undefined ? input : this.#origins.traced(input, child.name ?? child.kind);
    if (this.#counts === undefined)
      return traced === child.operator.inputs[0] && child.operator.passesThrough === true
        ? child.output.next
        : traced;
    let edge = this.#counts.get(child);
    if (edge === undefined) {
      edge = { count: 0, sinceMs: this.clock.monotonic() };
      this.#counts.set(child, edge);
    }
    const counted = edge;
    return (value, event) => {
      counted.count += 1;
      return traced(value, event);
    };
  }

  #watched(next: Receive): Receive {
    const throwOn = (value: unknown, error: unknown): void | Promise<void> => {
      const told = this.#failed(value, error);
      if (told === undefined) throw error;
      return told.then(() => {
        throw error;
      });
    };
    return (value, event) => {
      try {
        return next(value, event)?.catch((error: unknown) => throwOn(value, error));
      } catch (error) {
        return throwOn(value, error);
      }
    };
  }

  #failed(value: unknown, error: unknown): void | Promise<void> {
    if (this.#errors === undefined || !this.#errors.accepting) return;
    return this.#errors.emit(this.#failure(value, error));
  }

  #failure(value: unknown, error: unknown): Failure<unknown> {
    const node = this.#origins?.take(error) ?? this.name ?? this.kind;
    return { value, error, node };
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

/** Adds an edge that sends to `input`: an input of the child's operator (`port`), or something in front of one. */
export function attach(
  parent: LiveNode,
  child: LiveNode,
  port: Receive,
  input: Receive = port,
): void {
  link(parent, child);
  child.inputs.push(input);
  child.ports.push(port);
  if (parent.origins !== undefined && child.origins !== parent.origins)
    child.traceWith(parent.origins);
  if (parent.children.at(-1) === child) parent.wire(child, input);
  else parent.rewire();
}

/**
 * Removes all edges between two nodes, if there are some. Returns the inputs of the child's operator that they led to. Sources in front that
 * nobody listens to any more end.
 */
export function detach(parent: LiveNode, child: LiveNode): Receive[] {
  const ports = unlink(parent, child).map((place) => {
    child.inputs.splice(place, 1);
    return child.ports.splice(place, 1)[0] as Receive;
  });
  parent.rewire();
  for (const node of before(parent))
    if (node.feed !== undefined && !isHeard(node)) node.feed.unheard();
  return ports.toReversed();
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
  const graph = graphOf(node);
  const feedbacks = new Set(added === undefined ? [] : [added]);
  for (const each of graph) for (const feedback of each.feedbacks) feedbacks.add(feedback);
  const detached = [...graph].flatMap(({ operator, endings }) =>
    [operator.detached ?? [], ...endings.keys()].flat(),
  );
  const all = [...feedbacks];
  for (const each of graph) each.follow(all, detached);
}

/** Somebody listens at `node`: sources in front of it that have values of their own begin. */
export function startFeeds(node: LiveNode): void {
  for (const { feed } of before(node)) feed?.start();
}

/** Whether somebody listens at a node, or behind it. */
function isHeard(node: LiveNode): boolean {
  for (const each of behind(node)) if (each.role.role === 'sink' && !each.ended) return true;
  return false;
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
