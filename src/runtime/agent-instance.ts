/**
 * Agents in a task: bodies running beside it, fed by it.
 *
 * With a concurrency of n there are n bodies, and the events of a key always go to the same one. A body that fails is begun anew; what the
 * events that it had not finished have changed is taken back before their policy decides.
 *
 * @module
 */
import { sleep } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { Effects } from '../core/effects.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import { isPromise } from '../core/types.ts';
import type { Operator, Receive } from '../stream/operator.ts';
import { backoffMs } from '../stream/policy.ts';
import type { Policy, PolicyStep } from '../stream/policy.ts';
import type { ProcessingCell } from '../table/processing.ts';
import { AgentFeed } from './agent-feed.ts';
import type { Offer } from './agent-feed.ts';
import type { Answer } from './answer.ts';
import { agentStream } from './agent-stream.ts';
import type { AgentStream } from './agent-stream.ts';
import { isForPolicy, LetThrough, Replay } from './replay.ts';
import type { TaskScope } from './scope.ts';

/** What a body gets besides its stream. */
export interface AgentContext {
  /** Aborts when the task ends: give it to whatever waits. */
  readonly signal: AbortSignal;
  readonly task: { readonly partition: number };
  /** Waits on the app's clock; rejects with `MR_ABORTED` when the task ends. */
  readonly sleep: (duration: Duration) => Promise<void>;
  /**
   * The table, bound to this body: for code that is called from elsewhere than the body, as by a library's callback. It works for as long as the
   * body's event is under way.
   */
  readonly table: <T extends object>(table: T) => T;
}

/** What an agent does. It yields results, or returns a promise of the end of its loop. */
export type AnyAgentBody = (
  stream: AgentStream<unknown, unknown>,
  context: AgentContext,
) => AsyncIterable<unknown> | Promise<void>;

/** How an agent is run. */
export interface AgentRun {
  readonly concurrency: number;
  /** `undefined`: the app's. */
  readonly policy: Policy | undefined;
  /** How often a body may be begun anew, `undefined` for any number. */
  readonly restarts: { readonly max: number; readonly perMs: number } | undefined;
}

const NO_ANSWER: Answer = { kind: 'none' };

/** The context of a body in a task. */
export function agentContext(scope: TaskScope, cell: ProcessingCell): AgentContext {
  return {
    signal: scope.signal,
    task: { partition: scope.partition },
    sleep: (duration) => sleep(scope.clock, durationMs(duration, 'duration'), scope.signal),
    table: (table) => bound(scope, cell, table),
  };
}

/** The methods of `table`, called for `cell`. */
function bound<T extends object>(scope: TaskScope, cell: ProcessingCell, table: T): T {
  return new Proxy(table, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown =>
        scope.processing.within(cell, () => Reflect.apply(value, target, args) as unknown);
    },
  });
}

/**
 * The operator that runs `body`. Results go to `sinks`, one after the other, before the body goes on; with no event delivered
 * they carry no key.
 */
export function agentOperator(
  name: string,
  body: AnyAgentBody,
  sinks: readonly Receive[],
  scope: TaskScope,
  run: AgentRun,
): Operator {
  const bodies = Array.from(
    { length: run.concurrency },
    () => new Body(name, body, sinks, scope, run, () => scope.want(wanted())),
  );
  let turn = 0;
  const wanted = (): number => bodies.reduce((sum, { feed }) => sum + feed.wanted, 0);
  scope.attach({
    get wanted() {
      return wanted();
    },
    room: roomFor(run.concurrency),
    get resting() {
      return bodies.every((each) => each.resting);
    },
    sweep: () => bodies.forEach((each) => each.feed.sweep()),
    barrier: (waiting) => bodies.forEach((each) => each.feed.barrier(waiting)),
    drain: () => bodies.forEach((each) => each.feed.drain()),
  });
  return {
    inputs: [
      (value, event) => {
        if (event === null)
          throw new MillraceError(
            'MR_INTERNAL',
            `agent ${name} was given a value without an event`,
            { domain: 'internal' },
          );
        const lane = event.key === null ? turn++ : laneOf(event.key.id);
        return (bodies[lane % bodies.length] as Body).receive(value, event);
      },
    ],
    close: () => bodies.forEach((each) => each.feed.end()),
  };
}

/** How many events must be there so that so many calls or bodies find one: some of them wait for others of their key. */
export function roomFor(concurrency: number): number {
  return concurrency * 4;
}

/** A hash of a key: FNV-1a. Not that of the partitions, whose keys would all meet in a few lanes. */
function laneOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return hash >>> 1;
}

class Body {
  readonly feed: AgentFeed;
  readonly #name: string;
  readonly #body: AnyAgentBody;
  readonly #sinks: readonly Receive[];
  readonly #scope: TaskScope;
  readonly #run: AgentRun;
  readonly #cell: ProcessingCell;
  #running = false;
  /** Events that have failed and whose policy is being carried out. */
  #settling = 0;
  #failure: { readonly error: unknown } | undefined;
  /** Monotonic times of the latest restarts. */
  #restarts: number[] = [];

  constructor(
    name: string,
    body: AnyAgentBody,
    sinks: readonly Receive[],
    scope: TaskScope,
    run: AgentRun,
    want: () => void,
  ) {
    this.#name = name;
    this.#body = body;
    this.#sinks = sinks;
    this.#scope = scope;
    this.#run = run;
    this.#cell = {
      tables: scope.cell.tables,
      send: scope.cell.send,
      concurrent: run.concurrency > 1,
      event: null,
    };
    this.feed = new AgentFeed(scope.clock, this.#cell, want, ({ answered, event }) => {
      if (!answered) scope.reply(name, NO_ANSWER, event ?? null);
    });
  }

  /** Whether no user code is at work, and no policy. */
  get resting(): boolean {
    return this.#settling === 0 && this.feed.resting;
  }

  receive(value: unknown, event: EventCell): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    const finished = this.feed.offer(value, event);
    if (!this.#running) {
      this.#running = true;
      void this.#live();
    }
    return finished;
  }

  /** Runs bodies, one after the other, until the task ends or one fails for good. */
  async #live(): Promise<void> {
    const { signal, processing } = this.#scope;
    for (;;) {
      try {
        await processing.run(this.#cell, () => this.#runOnce());
        if (signal.aborted) return;
        if (this.feed.drained) {
          this.feed.giveUp();
          return;
        }
        throw new MillraceError(
          'MR_PROCESSING_FAILED',
          `the body of agent ${this.#name} ended although its stream goes on; loop over the stream with for await, and do not break out of it`,
          { details: { agent: this.#name } },
        );
      } catch (error) {
        if (signal.aborted) {
          this.feed.end();
          return;
        }
        try {
          await this.#settle(this.feed.takeUnfinished(), error);
          this.#countRestart(error);
        } catch (last) {
          // Events that had no part in it are no matter for policies.
          const final = isForPolicy(last) ? new LetThrough(last) : last;
          this.#failure = { error: final };
          this.feed.fail(final);
          return;
        }
      }
    }
  }

  async #runOnce(): Promise<void> {
    const { feed } = this;
    const scope = this.#scope;
    const result = this.#body(
      agentStream({
        agent: this.#name,
        feed,
        atLeastOnce: scope.atLeastOnce,
        refused: (offers, reason) => void this.#refused(offers, reason),
        forward: (to, event) => scope.forward(to, event),
      }),
      agentContext(scope, this.#cell),
    );
    if (isAsyncIterable(result)) {
      for await (const value of result) {
        const offer = feed.current;
        const event = offer?.event ?? null;
        for (const sink of this.#sinks) {
          const taken = sink(value, event);
          if (isPromise(taken)) await taken;
        }
        if (offer === undefined || offer.answered) continue;
        offer.answered = true;
        scope.reply(this.#name, { kind: 'result', value }, event);
      }
    } else if (isPromise(result)) {
      await result;
    } else {
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `the body of agent ${this.#name} returned neither an async iterable nor a promise; write it as async function* or as an async function`,
      );
    }
  }

  /** Events were refused by a body that acknowledges by hand, and goes on. */
  async #refused(offers: readonly Offer[], reason: unknown): Promise<void> {
    const error =
      reason ??
      new MillraceError('MR_PROCESSING_FAILED', `agent ${this.#name} refused an event`, {
        details: { agent: this.#name },
      });
    try {
      await this.#settle(offers, error);
    } catch (last) {
      for (const { reject } of offers) reject(last);
    }
  }

  /** Takes back what failed events have done, and carries out their policy. @throws what the task is to fail with. */
  async #settle(failing: readonly Offer[], error: unknown): Promise<void> {
    this.#settling++;
    try {
      await this.#carryOut(failing, error);
    } finally {
      this.#settling--;
    }
  }

  async #carryOut(failing: readonly Offer[], error: unknown): Promise<void> {
    const scope = this.#scope;
    const policy = this.#run.policy ?? scope.policy;
    const fail = (last: unknown): never => {
      for (const { reject } of failing) reject(last);
      throw last;
    };
    const [first] = failing;
    // With no event at hand there is nobody whose failure it is.
    if (first === undefined || !isForPolicy(error)) return fail(error);
    // Where nothing goes on, nothing has to be taken back.
    if (policy.failsAtOnce) return fail(new LetThrough(error));
    // The last one first: it may have built on those before.
    for (const effects of new Set(failing.map(({ event }) => event?.effects).toReversed()))
      if (effects?.rollback() === false) return fail(new Replay(first.from, error));
    for (const offer of failing) offer.attempts++;
    const attempts = Math.max(...failing.map((offer) => offer.attempts));
    const [step, waitMs] = stepAfter(policy, attempts);
    if (step === undefined) return fail(new LetThrough(error));
    if (step.step === 'retry') {
      await sleep(scope.clock, waitMs, scope.signal);
      this.feed.again(failing);
      return;
    }
    for (const { from, resolve } of failing) {
      // The changes of a failed event are gone; what becomes of it is a change of the event itself.
      const event = { ...from, effects: from.effects ?? new Effects() };
      if (step.step === 'skip') scope.guards.skipped(event);
      else if (step.step === 'deadLetter')
        scope.guards.deadLetter(step.topic, event, error, attempts);
      scope.reply(this.#name, { kind: 'error', error }, event);
      if (from.effects === null) event.effects.settle();
      resolve();
    }
  }

  /** @throws `MR_PROCESSING_FAILED` when the body has been begun anew too often. */
  #countRestart(error: unknown): void {
    const { restarts } = this.#run;
    if (restarts === undefined) return;
    const now = this.#scope.clock.monotonic();
    this.#restarts = [...this.#restarts.filter((at) => at > now - restarts.perMs), now];
    if (this.#restarts.length > restarts.max)
      throw new MillraceError(
        'MR_PROCESSING_FAILED',
        `agent ${this.#name} failed ${this.#restarts.length} times within ${restarts.perMs} ms, more often than restarts allows`,
        { cause: error, details: { agent: this.#name } },
      );
  }
}

/** The step that applies after so many failures, and how long to wait before it. */
function stepAfter(policy: Policy, failures: number): readonly [PolicyStep | undefined, number] {
  let left = failures;
  for (const step of policy.steps) {
    if (step.step !== 'retry') return [step, 0];
    if (left <= step.times) return [step, backoffMs(step, left - 1)];
    left -= step.times;
  }
  return [undefined, 0];
}

/** Plain JavaScript returns anything. */
function isAsyncIterable(result: unknown): result is AsyncIterable<unknown> {
  return typeof result === 'object' && result !== null && Symbol.asyncIterator in result;
}
