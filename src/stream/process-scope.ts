/**
 * What surrounds operators in a process: a clock, and state in memory.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import type { EventCell } from '../core/event.ts';
import type { OperatorState, Scope } from './operator.ts';

/** The scope of in-process pipelines. State is lost with the process; on a keyed stream it holds one value per key ever seen. */
export function processScope(clock: Clock): Scope {
  return { kind: 'process', clock, state: (start) => new LocalState(start) };
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
