/**
 * Where failures come from: which operator threw. Asked only where somebody wants to know, since it costs a call per operator and value.
 *
 * @module
 */
import type { Receive } from './operator.ts';

/** The operators that errors were thrown by, until they are reported. One for all nodes of a graph that are traced. */
export class Origins {
  readonly #names = new WeakMap<object, string>();
  /** Errors that are no objects, of which only the latest is kept. */
  #last: { readonly error: unknown; readonly name: string } | undefined;

  /** `input` of the node `name`, which is noted as the origin of what it throws, unless one further down has been. */
  traced(input: Receive, name: string): Receive {
    return (value, event) => {
      try {
        const pending = input(value, event);
        return pending?.catch((error: unknown) => {
          this.#note(error, name);
          throw error;
        });
      } catch (error) {
        this.#note(error, name);
        throw error;
      }
    };
  }

  /** The name of the operator that `error` came from; it is forgotten. */
  take(error: unknown): string | undefined {
    if (isObject(error)) {
      const name = this.#names.get(error);
      this.#names.delete(error);
      return name;
    }
    return Object.is(this.#last?.error, error) ? this.#last?.name : undefined;
  }

  #note(error: unknown, name: string): void {
    // The one furthest down catches it first.
    if (isObject(error)) {
      if (!this.#names.has(error)) this.#names.set(error, name);
    } else if (!Object.is(this.#last?.error, error)) this.#last = { error, name };
  }
}

function isObject(error: unknown): error is object {
  return (typeof error === 'object' && error !== null) || typeof error === 'function';
}
