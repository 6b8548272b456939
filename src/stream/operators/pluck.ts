/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { MakeOperator } from '../operator.ts';

/**
 * Passes on one field of each value, or several as an array.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own.
 * - *State*: none.
 * - *Delivery*: each value once. A field that is not there gives `undefined`; a value that has no fields fails with `MR_ARGUMENT_INVALID`.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const users = [{ id: 7, name: 'Ann', mail: 'ann@a.org' }];
 * await Stream.from(users).pluck('mail').toArray(); // => ['ann@a.org']
 * await Stream.from(users).pluck(['id', 'name']).toArray(); // => [[7, 'Ann']]
 * ```
 */
export function pluck(fields: PropertyKey | readonly PropertyKey[]): MakeOperator {
  return (output) =>
    typeof fields === 'object'
      ? (value, event) => {
          const from = withFields(value);
          return output.next(
            fields.map((field) => from[field]),
            event,
          );
        }
      : (value, event) => output.next(withFields(value)[fields], event);
}

function withFields(value: unknown): Record<PropertyKey, unknown> {
  if (value === null || value === undefined)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `pluck was given ${String(value)}, which has no fields; filter such values out before`,
    );
  return value as Record<PropertyKey, unknown>;
}
