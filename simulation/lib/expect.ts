/** How scenarios compare what is with what should be. @module */
import { isDeepStrictEqual } from 'node:util';

import { Violation } from './violation.ts';

/** @throws Violation when they differ. */
export function equal(what: string, actual: unknown, expected: unknown): void {
  if (isDeepStrictEqual(actual, expected)) return;
  throw new Violation('model', `${what} is ${textOf(actual)}, and should be ${textOf(expected)}`);
}

/** Sums of `amount` by `key`. */
export function sumBy<T>(
  values: readonly T[],
  key: (value: T) => string,
  amount: (value: T) => number,
): Map<string, number> {
  const sums = new Map<string, number>();
  for (const value of values) sums.set(key(value), (sums.get(key(value)) ?? 0) + amount(value));
  return sums;
}

/** In ascending order. */
export function sorted(numbers: readonly number[]): number[] {
  return numbers.toSorted((a, b) => a - b);
}

function textOf(value: unknown): string {
  const data = value instanceof Map ? Object.fromEntries(value) : value;
  return (JSON.stringify(data) ?? 'undefined').slice(0, 1_500);
}
