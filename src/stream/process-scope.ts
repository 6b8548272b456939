/**
 * What surrounds operators in a process: a clock, and state in memory.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import { MillraceError } from '../core/errors.ts';
import { isPromise } from '../core/types.ts';
import { carryOut } from './carry-out.ts';
import { MAX_WAITING, tooManyWait } from './lane.ts';
import { localKey } from './local-key.ts';
import type { Memory, OperatorState, Receive, Scope } from './operator.ts';
import type { Failure, Policy } from './policy.ts';

/** What the node of a process wants to hear of its scope. */
export interface ScopeEvents {
  /** The operator has made itself a state. */
  remember(memory: Memory): void;
  /** A value was given up by the node's policy, or failed in spite of it. Its `emit` waits for what is returned. */
  failed(value: unknown, error: unknown): void | Promise<void>;
  /** What to send to a stream for a value that has failed. */
  failure(value: unknown, error: unknown): Failure<unknown>;
}

/** For operators that are no nodes of a graph. */
const unheard: ScopeEvents = {
  remember: () => undefined,
  failed: () => undefined,
  failure: (value, error) => ({ value, error, node: '' }),
};

/** The scope of a node of an in-process pipeline. State is lost with the process; on a keyed stream it holds one value per key ever seen. */
export function processScope(clock: Clock, events: ScopeEvents = unheard): Scope {
  return {
    kind: 'process',
    clock,
    state: (start) => {
      const state = new LocalState(start);
      events.remember(state);
      return state;
    },
    guard: (policy, next) => guard(clock, policy, next, events),
  };
}

/** In a process a failed value is tried again, dropped, or sent to a stream; what it changed stays changed. */
function guard(clock: Clock, policy: Policy, next: Receive, events: ScopeEvents): Receive {
  for (const step of policy.steps)
    if (step.step === 'deadLetter')
      throw new MillraceError(
        'MR_NOT_IN_AN_APP',
        `onError was given deadLetter(${step.topic}), and a stream of this process has no topics; give deadLetter a stream of this process, or use 'skip' or retry`,
        { details: { topic: step.topic } },
      );
  // Values whose policy is being carried out. What is behind does not hold them, so its limits do not count them.
  let waiting = 0;
  const settled = (): void => void (waiting -= 1);
  return (value, event) => {
    if (waiting >= MAX_WAITING) throw tooManyWait('onError');
    const settle = (thrown: unknown): void | Promise<void> => {
      let told = false;
      const tell = (last: unknown): void | Promise<void> => {
        if (told) return;
        told = true;
        return events.failed(value, last);
      };
      const throwOn = (last: unknown): void | Promise<void> =>
        after(tell(last), () => throwIt(last));
      try {
        const pending = carryOut(policy, thrown, {
          clock,
          attempt: () => next(value, event),
          skipped: tell,
          deadLetter: () => undefined,
          divert: (to, last) => after(to.emit(events.failure(value, last)), () => tell(last)),
        });
        if (!isPromise(pending)) return pending;
        waiting += 1;
        return pending.catch(throwOn).finally(settled);
      } catch (last) {
        return throwOn(last);
      }
    };
    try {
      const result = next(value, event);
      return isPromise(result) ? result.catch(settle) : result;
    } catch (error) {
      return settle(error);
    }
  };
}

function after(
  first: void | Promise<void>,
  then: () => void | Promise<void>,
): void | Promise<void> {
  return first === undefined ? then() : first.then(then);
}

function throwIt(error: unknown): never {
  throw error;
}

interface Row<S> {
  readonly key: KeyRef;
  value: S;
}

class LocalState<S> implements OperatorState<S>, Memory {
  readonly #start: () => S;
  #unkeyed: S;
  readonly #byKey = new Map<string, Row<S>>();

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
    if (row === undefined) this.#byKey.set(event.key.id, { key: event.key, value });
    else row.value = value;
  }

  reset(event: EventCell | null): void {
    if (event === null || event.key === null) {
      this.#unkeyed = this.#start();
      this.#byKey.clear();
    } else this.#byKey.delete(event.key.id);
  }

  save(): unknown {
    return {
      // A symbol stands for nothing yet.
      ...(typeof this.#unkeyed === 'symbol' ? {} : { unkeyed: this.#unkeyed }),
      byKey: [...this.#byKey.values()].map(({ key, value }) => [key.key, value]),
    };
  }

  load(saved: unknown): void {
    const { byKey, ...rest } = saved as { unkeyed: S; byKey: [unknown, S][] };
    this.#unkeyed = 'unkeyed' in rest ? rest.unkeyed : this.#start();
    this.#byKey.clear();
    for (const [given, value] of byKey) {
      const key = localKey(given);
      this.#byKey.set(key.id, { key, value });
    }
  }

  peek(key: KeyRef | null): unknown {
    const value = key === null ? this.#unkeyed : this.#byKey.get(key.id)?.value;
    return typeof value === 'symbol' ? undefined : value;
  }
}
