/**
 * @module
 */
import type { MakeOperator } from '../operator.ts';
import type { Policy } from '../policy.ts';

/**
 * What fails behind this operator is taken back and dealt with as a policy says.
 *
 * - *Order*: kept in an app, and where each `emit` is waited for: a value that is tried again is tried before those after it. In a process those that
 *   were emitted without waiting overtake it.
 * - *Back-pressure*: a value is dealt with when it has succeeded, or its policy has been carried out. In a process, while 10,000 values are tried again or
 *   put aside, others fail with `MR_OVERFLOW`.
 * - *State*: none. In an app, tables and operator states that a failed value has changed behind this operator are put back; in a process they
 *   are not.
 * - *Delivery*: each value once. A function that is called behind it may see a value that is tried again more than once.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * await Stream.from(['{"id":1}', '{"id":', '{"id":2}'])
 *   .onError('skip')
 *   .map((line): unknown => JSON.parse(line))
 *   .toArray(); // => [{ id: 1 }, { id: 2 }]
 * ```
 */
export function onError(policy: Policy): MakeOperator {
  return (output, scope) => scope.guard(policy, (value, event) => output.next(value, event));
}
