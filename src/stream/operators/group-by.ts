/**
 * @module
 */
import { assert } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { localKey } from '../local-key.ts';
import type { MakeOperator } from '../operator.ts';

/**
 * Gives each event a new key, on a copy of its cell. This is what `groupBy` does in a process; an app puts a repartition topic in its place.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own.
 * - *State*: none; operators behind it have theirs per key.
 * - *Delivery*: each value once, as it came. One whose key is missing or no key at all fails with `MR_KEY_MISSING` or `MR_KEY_INVALID`.
 */
export function groupBy(keyOf: (value: unknown) => unknown): MakeOperator {
  return (output, scope) => {
    assert(scope.kind === 'process', 'a groupBy of an app was not replaced by a repartition topic');
    return (value, event) => {
      const key = localKey(keyOf(value));
      const cell: EventCell =
        event === null
          ? {
              topic: '',
              partition: 0,
              offset: 0,
              timestamp: scope.clock.now(),
              key,
              headers: null,
              raw: null,
              effects: null,
              flight: null,
            }
          : { ...event, key };
      return output.next(value, cell);
    };
  };
}
