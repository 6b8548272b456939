/**
 * @module
 */
import type { MakeOperator } from '../operator.ts';
import type { Policy } from '../policy.ts';

/**
 * What fails behind this operator is taken back and dealt with as a policy says.
 *
 * - *Order*: kept; a value that is tried again is tried before those after it.
 * - *Back-pressure*: a value is dealt with when it has succeeded, or its policy has been carried out.
 * - *State*: none. In an app, tables and operator states that a failed value has changed behind this operator are put back; in a process they
 *   are not.
 * - *Delivery*: each value once. A function that is called behind it may see a value that is tried again more than once.
 */
export function onError(policy: Policy): MakeOperator {
  return (output, scope) => scope.guard(policy, (value, event) => output.next(value, event));
}
