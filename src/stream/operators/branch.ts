/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { kindOf } from '../../core/given.ts';
import type { MakeOperator } from '../operator.ts';
import { synchronous } from '../synchronous.ts';

/** One predicate by the name of its branch. */
export type Predicates = readonly (readonly [
  name: string,
  predicate: (value: unknown) => unknown,
])[];

/** The branches of an object, checked. @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for what is no object of functions. */
export function predicatesOf(branches: unknown): Predicates {
  if (typeof branches !== 'object' || branches === null || Array.isArray(branches))
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `branch was given ${kindOf(branches)}; give an object of predicates: branch({ small: (x) => x < 10 })`,
    );
  const given = Object.entries(branches) as [string, (value: unknown) => unknown][];
  return given.map(([name, predicate]) => {
    const checked = synchronous(`branch ${name}`, predicate);
    if (name === 'rest')
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        'branch was given a predicate named rest, which is the name of the branch for all other values; call it something else',
      );
    return [name, checked];
  });
}

/**
 * One branch of several: the values for which its predicate is the first to give something true; or those for which none does.
 *
 * - *Order*: kept within a branch.
 * - *Back-pressure*: a value is dealt with when the branch that it belongs to has dealt with it.
 * - *State*: none.
 * - *Delivery*: each value once, in one branch, as it came. Predicates are synchronous and should have no effects: a predicate is asked once by its own
 *   branch and once by each one after it.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const requests = Stream.from(['GET /', 'POST /orders', 'GET /health']);
 * const { probes, rest } = requests.branch({ probes: (line) => line.endsWith('/health') });
 * const [ignored, served] = await Promise.all([probes.toArray(), rest.toArray()]);
 * ignored; // => ['GET /health']
 * served; // => ['GET /', 'POST /orders']
 * ```
 *
 * @param before Predicates of the branches in front.
 * @param own Its predicate; `undefined` for the rest.
 */
export function branch(
  before: readonly ((value: unknown) => unknown)[],
  own: ((value: unknown) => unknown) | undefined,
): MakeOperator {
  return (output) => (value, event) => {
    for (const predicate of before) if (predicate(value)) return;
    if (own === undefined || own(value)) return output.next(value, event);
  };
}
