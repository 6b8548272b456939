/**
 * What surrounds operators in a process: a clock, and state in memory.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import type { EventCell } from '../core/event.ts';
import { MillraceError } from '../core/errors.ts';
import { isPromise } from '../core/types.ts';
import { carryOut } from './carry-out.ts';
import type { OperatorState, Receive, Scope } from './operator.ts';
import type { Policy } from './policy.ts';

/** The scope of in-process pipelines. State is lost with the process; on a keyed stream it holds one value per key ever seen. */
export function processScope(clock: Clock): Scope {
  return {
    kind: 'process',
    clock,
    state: (start) => new LocalState(start),
    guard: (policy, next) => guard(clock, policy, next),
  };
}

/** In a process a failed value is tried again or dropped; there is no topic for it, and what it changed stays changed. */
function guard(clock: Clock, policy: Policy, next: Receive): Receive {
  const topic = policy.steps.find((step) => step.step === 'deadLetter');
  if (topic !== undefined)
    throw new MillraceError(
      'MR_NOT_IN_AN_APP',
      `onError was given deadLetter(${topic.topic}), and a stream of this process has no topics; use 'skip' or retry, or the stream of a topic`,
      { details: { topic: topic.topic } },
    );
  return (value, event) => {
    const attempt = (): void | Promise<void> => next(value, event);
    const settle = (error: unknown): void | Promise<void> => {
      return carryOut(policy, error, {
        clock,
        attempt,
        skipped: () => undefined,
        deadLetter: () => undefined,
      });
    };
    try {
      const result = attempt();
      return isPromise(result) ? result.catch(settle) : result;
    } catch (error) {
      return settle(error);
    }
  };
}

class LocalState<S> implements OperatorState<S> {
  readonly #start: () => S;
  #unkeyed: S;
  readonly #byKey = new Map<string, { value: S }>();

  constructor(start: () => S) {
    this.#start = start;
    this.#unkeyed = start();
  }

  get(event: EventCell | null): S {
    if (event === null || event.key === null) return this.#unkeyed;
    const row = this.#byKey.get(event.key.id);
    return row === undefined ? this.#start() : row.value;
  }

  set(event: EventCell | null, value: S): void {
    if (event === null || event.key === null) {
      this.#unkeyed = value;
      return;
    }
    const row = this.#byKey.get(event.key.id);
    if (row === undefined) this.#byKey.set(event.key.id, { value });
    else row.value = value;
  }
}
