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
 */
export function starmap(fn: (...args: unknown[]) => unknown): MakeOperator {
  checkFunction('starmap', fn);
  return map((value) => fn(...(value as Iterable<unknown>)));
}
