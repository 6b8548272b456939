/**
 * @module
 */
import { assert, MillraceError } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { kindOf } from '../../core/given.ts';
import { localKey } from '../local-key.ts';
import type { MakeOperator } from '../operator.ts';

/**
 * Gives each event a new key, on a copy of its cell. This is what `groupBy` does in a process; an app puts a repartition topic in its place.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own.
 * - *State*: none; operators behind it have theirs per key.
 * - *Delivery*: each value once, as it came. One whose key is missing or no key at all fails with `MR_KEY_MISSING` or `MR_KEY_INVALID`.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * // numbers the mails of each domain
 * await Stream.from(['ann@a.org', 'bob@b.org', 'cy@a.org'])
 *   .groupBy((mail) => mail.slice(mail.indexOf('@')), { name: 'domain' })
 *   .enumerate(1)
 *   .toArray(); // => [[1, 'ann@a.org'], [1, 'bob@b.org'], [2, 'cy@a.org']]
 * ```
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

/** The key of a value by the name of a field. @throws {@link MillraceError} `MR_KEY_MISSING` for a value without one. */
export function fieldOf(field: PropertyKey): (value: unknown) => unknown {
  return (value) => {
    const key = (value as Record<PropertyKey, unknown> | null | undefined)?.[field];
    if (key === undefined || key === null) throw missing(field, value, key);
    return key;
  };
}

/** How many fields of a value are named. */
const NAMED = 20;

function missing(field: PropertyKey, value: unknown, key: unknown): MillraceError {
  const fields =
    typeof value === 'object' && value !== null ? Object.keys(value).slice(0, NAMED) : undefined;
  const has = fields === undefined ? kindOf(value) : `one with ${fields.join(', ') || 'no fields'}`;
  return new MillraceError(
    'MR_KEY_MISSING',
    `groupBy(${JSON.stringify(String(field))}) found ${String(key)} as the key of an event, whose value is ${has}; check the name of the field, or filter such events out before`,
    { details: { field: String(field) } },
  );
}
