/**
 * @module
 */
import { checkWhole } from '../../core/given.ts';
import type { MakeOperator } from '../operator.ts';
import { same } from '../same.ts';
import { synchronous } from '../synchronous.ts';

/** How many keys are remembered when nothing else is asked for. */
const DEFAULT_SIZE = 100_000;
/** In an app they are one row of state, which is written whole. */
const DEFAULT_SIZE_IN_APP = 1_000;
const MAX_SIZE = 2 ** 24 - 1;

/**
 * Passes on values whose key was not among the last `maxsize` different ones. Keys are compared as `Map` does: objects by identity. To see a key
 * again makes it the newest.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own; a value that is left out is dealt with at once.
 * - *State*: up to `maxsize` keys, per key of a keyed stream. In an app they are plain data, and objects are never the same.
 * - *Delivery*: each value at most once, as it came. One that fails further down counts as seen.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * // a sender that tries again when it hears no answer
 * await Stream.from([{ id: 'm1' }, { id: 'm2' }, { id: 'm1' }])
 *   .unique({ key: ({ id }) => id, maxsize: 1_000 })
 *   .pluck('id')
 *   .toArray(); // => ['m1', 'm2']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a `maxsize` that is not an integer from 1 to 16,777,215.
 */
export function unique(
  given: ((value: unknown) => unknown) | undefined,
  maxsize: number | undefined,
): MakeOperator {
  const key = given === undefined ? undefined : synchronous('key of unique', given);
  if (maxsize !== undefined) checkWhole('maxsize of unique', maxsize, 1, MAX_SIZE);
  return (output, scope) =>
    scope.kind === 'task'
      ? inTask(key, maxsize ?? DEFAULT_SIZE_IN_APP)(output, scope)
      : inProcess(key, maxsize ?? DEFAULT_SIZE)(output, scope);
}

function inProcess(key: ((value: unknown) => unknown) | undefined, maxsize: number): MakeOperator {
  return (output, scope) => {
    const state = scope.state(() => new Set<unknown>());
    return (value, event) => {
      const id = key === undefined ? value : key(value);
      // A set lists its elements in the order in which they were added: the oldest first.
      const seen = state.get(event);
      const known = seen.delete(id);
      seen.add(id);
      if (known) return;
      if (seen.size > maxsize) seen.delete(seen.values().next().value);
      state.set(event, seen);
      return output.next(value, event);
    };
  };
}

function inTask(key: ((value: unknown) => unknown) | undefined, maxsize: number): MakeOperator {
  return (output, scope) => {
    const state = scope.state((): readonly unknown[] => []);
    return (value, event) => {
      const id = key === undefined ? value : key(value);
      const seen = state.get(event);
      const at = seen.findIndex((known) => same(known, id));
      if (at >= 0 && at === seen.length - 1) return;
      // A new array each time: a value that fails behind this operator puts the one before it back.
      const now = [...seen.slice(0, Math.max(0, at)), ...seen.slice(at + 1), id];
      state.set(event, now.slice(-maxsize));
      if (at < 0) return output.next(value, event);
    };
  };
}
