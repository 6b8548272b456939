/**
 * What a node does with values that arrive while its function is still busy with an earlier one.
 *
 * Invariant: the function of a node is called for one value at a time, in the order of arrival, also when emits were not awaited. As
 * long as functions are synchronous a lane costs one look at a variable of the node: no promise, no allocation.
 *
 * The exception is a function that emits into its own graph before it waits: as by any plain call, that value is dealt with within the call for the other
 * one. The lane is closed until both have left it.
 *
 * A value leaves the lane when its result has been handed on, not when those behind have dealt with it: nodes work side by side, each on
 * a value of its own.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import { keepContext, mayLeave, mayWait } from '../core/flight.ts';
import type { Resume } from '../core/flight.ts';
import { Fifo } from './fifo.ts';
import type { Receive } from './operator.ts';

/** How many values may wait in front of one node. */
export const MAX_WAITING = 10_000;

/** For a value in front of a node at which as many wait as may. */
export function tooManyWait(node: string): MillraceError {
  return new MillraceError(
    'MR_OVERFLOW',
    `${MAX_WAITING} values wait for ${node}: emit was called ${MAX_WAITING} times without awaiting; await each emit, or use emitAll`,
    { retryable: true, details: { node, waiting: MAX_WAITING } },
  );
}

interface Waiting {
  readonly value: unknown;
  readonly event: EventCell | null;
  readonly resume: Resume;
  readonly resolve: (outcome: void | Promise<void>) => void;
  readonly reject: (error: unknown) => void;
}

/** Values in front of a node. */
export class Backlog {
  readonly #node: string;
  readonly #waiting = new Fifo<Waiting>();

  /** @param node What to call the node in errors. */
  constructor(node: string) {
    this.#node = node;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * The promise of a value that has to wait.
   *
   * @throws {@link MillraceError} `MR_OVERFLOW` (retryable) when 10,000 wait already.
   */
  add(value: unknown, event: EventCell | null): Promise<void> {
    if (this.#waiting.size >= MAX_WAITING) throw tooManyWait(this.#node);
    // Whoever has taken it back goes on without it.
    if (!mayWait(event)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.add({ value, event, resume: keepContext(event), resolve, reject });
    });
  }

  /** Runs the oldest. */
  runOne(run: Receive): void {
    const next = this.#waiting.take();
    if (next === undefined) return;
    if (!mayLeave(next.event)) {
      next.resolve();
      return;
    }
    try {
      next.resolve(next.resume(() => run(next.value, next.event)));
    } catch (error) {
      next.reject(error);
    }
  }

  /** Drops all: nobody wants their results any more, so they count as dealt with. */
  drop(): void {
    for (const { resolve } of this.#waiting.clear()) resolve();
  }
}

/** What a node knows of its lane on the hot path: a variable in the closure of its input, which costs less to look at than a property. */
export type MarkBusy = (busy: boolean) => void;

/** One value at a time. */
export class Lane {
  readonly #mark: MarkBusy;
  readonly #receive: Receive;
  readonly #deliver: (
    result: unknown,
    value: unknown,
    event: EventCell | null,
  ) => void | Promise<void>;
  readonly #backlog: Backlog;
  #busy = false;
  /** Values under way: several where the function has emitted into its own graph before it waited. */
  #underWay = 0;
  #value: unknown;
  #event: EventCell | null = null;

  /**
   * @param node What to call the node in errors.
   * @param mark Called with true: from now on values go to {@link Lane.wait}; with false: no more.
   * @param receive The node's input, which sends values to {@link Lane.wait} while the lane is busy, and a promise to {@link Lane.hold}.
   * @param deliver Hands a result on that was waited for.
   */
  constructor(
    node: string,
    mark: MarkBusy,
    receive: Receive,
    deliver: (result: unknown, value: unknown, event: EventCell | null) => void | Promise<void>,
  ) {
    this.#mark = mark;
    this.#receive = receive;
    this.#deliver = deliver;
    this.#backlog = new Backlog(node);
  }

  /** For a value that arrives while the lane is busy. @throws `MR_OVERFLOW`, see {@link Backlog.add}. */
  wait(value: unknown, event: EventCell | null): Promise<void> {
    return this.#backlog.add(value, event);
  }

  /** For a value whose result is a promise: closes the lane until it has settled and the result is handed on. */
  hold(result: Promise<unknown>, value: unknown, event: EventCell | null): Promise<void> {
    this.#underWay += 1;
    if (this.#busy) return this.#holdBeside(result, value, event);
    this.#busy = true;
    this.#mark(true);
    this.#value = value;
    this.#event = event;
    // Promise.resolve: it may be some other library's promise.
    return Promise.resolve(result).then(this.#succeeded, this.#failed);
  }

  /** Drops what waits. */
  close(): void {
    this.#backlog.drop();
  }

  /** The function was called for another value within its call for this one, and that one is under way already. */
  #holdBeside(result: Promise<unknown>, value: unknown, event: EventCell | null): Promise<void> {
    return Promise.resolve(result).then((settled) => {
      try {
        return this.#deliver(settled, value, event);
      } finally {
        this.#release();
      }
    }, this.#failed);
  }

  // Made once per lane: an asynchronous value costs one promise and no closure.
  readonly #succeeded = (result: unknown): void | Promise<void> => {
    try {
      return this.#deliver(result, this.#value, this.#event);
    } finally {
      this.#release();
    }
  };

  readonly #failed = (error: unknown): never => {
    this.#release();
    throw error;
  };

  #release(): void {
    this.#underWay -= 1;
    if (this.#underWay > 0) return;
    this.#busy = false;
    this.#mark(false);
    this.#value = undefined;
    this.#event = null;
    while (!this.#busy && this.#backlog.size > 0) this.#backlog.runOne(this.#receive);
  }
}
