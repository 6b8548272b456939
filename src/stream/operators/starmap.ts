/**
 * @module
 */
import { checkFunction } from '../../core/given.ts';
import type { MakeOperator } from '../operator.ts';
import { map } from './map.ts';

/**
 * Calls `fn` with the elements of each value as its arguments and passes on the result, awaited.
 *
 * - *Order*: kept.
 * - *Back-pressure*: as of `map`, one call at a time.
 * - *State*: none.
 * - *Delivery*: each value once.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * await Stream.from(['Ann', 'Bob'])
 *   .zip(Stream.from([42, 7]))
 *   .starmap((name, age) => ({ name, age }))
 *   .toArray(); // => [{ name: 'Ann', age: 42 }, { name: 'Bob', age: 7 }]
 * ```
 */
export function starmap(fn: (...args: unknown[]) => unknown): MakeOperator {
  checkFunction('starmap', fn);
  return map((value) => fn(...(value as Iterable<unknown>)));
}
