/**
 * `app.each` in a task: one call for each event, several at once, those of a key one after the other.
 *
 * @module
 */
import { Effects } from '../core/effects.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import { mayWait } from '../core/flight.ts';
import { isPromise } from '../core/types.ts';
import { eventView } from '../stream/stream-event.ts';
import type { Operator, Receive } from '../stream/operator.ts';
import { settleWaits } from '../table/processing.ts';
import type { ProcessingCell } from '../table/processing.ts';
import { agentContext, roomFor } from './agent-instance.ts';
import type { AgentContext, AgentRun } from './agent-instance.ts';
import { refuseForward, refuseNack } from './agent-stream.ts';
import type { StreamEvent } from './agent-stream.ts';
import { settleFailure, settleInto } from './guard.ts';
import type { GuardContext } from './guard.ts';
import type { TaskScope } from './scope.ts';

/** A function over one event. */
export type AnyEachFunction = (
  value: unknown,
  event: StreamEvent<unknown, unknown>,
  context: AgentContext,
) => unknown;

interface Waiting {
  readonly value: unknown;
  readonly from: EventCell;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The operator that calls `fn`. What it returns goes to `sinks`; `undefined` goes nowhere. */
export function eachOperator(
  name: string,
  fn: AnyEachFunction,
  sinks: readonly Receive[],
  scope: TaskScope,
  run: AgentRun,
): Operator {
  const calls = new Calls(name, fn, sinks, scope, run);
  scope.attach({
    wanted: 0,
    room: roomFor(run.concurrency),
    get resting() {
      return calls.resting;
    },
    sweep: () => calls.sweep(),
    barrier: () => undefined,
    drain: () => undefined,
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
        return calls.receive(value, event);
      },
    ],
    close: () => calls.close(),
  };
}

class Calls {
  readonly #name: string;
  readonly #fn: AnyEachFunction;
  readonly #sinks: readonly Receive[];
  readonly #scope: TaskScope;
  readonly #run: AgentRun;
  #queue: Waiting[] = [];
  #running = 0;
  /** Keys of the calls under way. */
  readonly #keys = new Set<string>();
  #closed = false;

  constructor(
    name: string,
    fn: AnyEachFunction,
    sinks: readonly Receive[],
    scope: TaskScope,
    run: AgentRun,
  ) {
    this.#name = name;
    this.#fn = fn;
    this.#sinks = sinks;
    this.#scope = scope;
    this.#run = run;
  }

  receive(value: unknown, from: EventCell): Promise<void> {
    if (!mayWait(from)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#queue.push({ value, from, resolve, reject });
      this.#start();
    });
  }

  get resting(): boolean {
    return this.#running === 0;
  }

  sweep(): void {
    const gone = this.#queue.filter((waiting) => isWithdrawn(waiting));
    if (gone.length === 0) return;
    this.#queue = this.#queue.filter((waiting) => !isWithdrawn(waiting));
    for (const { resolve } of gone) resolve();
  }

  close(): void {
    this.#closed = true;
    this.#queue = [];
  }

  /** Begins as many calls as may be under way: the first in line whose keys are free. */
  #start(): void {
    let at = 0;
    while (this.#running < this.#run.concurrency && at < this.#queue.length && !this.#closed) {
      const next = this.#queue[at] as Waiting;
      const key = next.from.key?.id;
      if (key !== undefined && this.#keys.has(key)) {
        at++;
        continue;
      }
      this.#queue.splice(at, 1);
      if (key !== undefined) this.#keys.add(key);
      this.#running++;
      void this.#call(next).then(() => {
        if (key !== undefined) this.#keys.delete(key);
        this.#running--;
        this.#start();
      });
    }
  }

  /** Never rejects. */
  async #call({ value, from, resolve, reject }: Waiting): Promise<void> {
    if (from.flight !== null) from.flight.delivered = true;
    const effects = new Effects(from.effects?.beside);
    const event: EventCell = { ...from, effects };
    const attempt = (): Promise<void> => this.#attempt(value, event);
    try {
      try {
        await attempt();
      } catch (error) {
        await this.#settle(event, from, error, attempt);
      }
      settleInto(from, effects);
      resolve();
    } catch (error) {
      reject(error);
    }
  }

  /** Carries out the policy of an event that failed, and tells whoever has asked when that is to give it up. */
  async #settle(
    event: EventCell,
    from: EventCell,
    error: unknown,
    attempt: () => Promise<void>,
  ): Promise<void> {
    const scope = this.#scope;
    const { guards } = scope;
    let last = error;
    let givenUp = false;
    const watched: GuardContext = {
      ...guards,
      skipped: (skipped) => {
        givenUp = true;
        guards.skipped(skipped);
      },
      deadLetter: (...letter) => {
        givenUp = true;
        guards.deadLetter(...letter);
      },
    };
    const again = (): Promise<void> =>
      attempt().catch((failure: unknown) => {
        last = failure;
        throw failure;
      });
    await settleFailure(watched, this.#run.policy ?? scope.policy, event, from, error, again);
    if (givenUp) scope.reply(this.#name, { kind: 'error', error: last }, event);
  }

  async #attempt(value: unknown, event: EventCell): Promise<void> {
    const scope = this.#scope;
    const cell: ProcessingCell = {
      tables: scope.cell.tables,
      send: scope.cell.send,
      concurrent: this.#run.concurrency > 1,
      event,
    };
    try {
      const view: StreamEvent<unknown, unknown> = {
        ...eventView<unknown, unknown>(value, event),
        ack: () => undefined,
        nack: refuseNack,
        forward: (to) => {
          if (cell.event === null) refuseForward(to.name);
          else scope.forward(to.name, event);
        },
      };
      const called = scope.processing.within(cell, () =>
        this.#fn(value, view, agentContext(scope, cell)),
      );
      const result = isPromise(called) ? await called : called;
      await settleWaits(cell);
      if (result === undefined) {
        scope.reply(this.#name, { kind: 'none' }, event);
        return;
      }
      for (const sink of this.#sinks) {
        const taken = sink(result, event);
        if (isPromise(taken)) await taken;
      }
      scope.reply(this.#name, { kind: 'result', value: result }, event);
    } finally {
      cell.event = null;
    }
  }
}

function isWithdrawn({ from }: Waiting): boolean {
  return from.flight?.withdrawn === true;
}
