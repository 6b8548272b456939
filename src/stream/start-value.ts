/**
 * The value that state starts from. A start value is written once in a declaration and used for every key of every task, so what can
 * be changed in place is copied for each.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';

/**
 * A function that gives `start` afresh. Plain data (objects, arrays, maps, sets, dates, typed arrays) is copied; an instance of any
 * other class is used as it is and should be immutable.
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a function, and for plain data that holds one or a symbol.
 */
export function startValue<S>(start: S): () => S {
  if (typeof start === 'function')
    throw new MillraceError(
      'MR_OPTION_INVALID',
      'start is a function; give the value that the state starts from',
      { details: { option: 'start' } },
    );
  if (typeof start !== 'object' || start === null || !isPlain(start)) return () => start;
  let first: S;
  try {
    // A copy is kept: the caller may go on changing the value.
    first = structuredClone(start);
  } catch (cause) {
    throw new MillraceError(
      'MR_OPTION_INVALID',
      'start holds a function or a symbol, which cannot be copied for each key; give plain data',
      { cause, details: { option: 'start' } },
    );
  }
  return () => structuredClone(first);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    prototype === null ||
    prototype === Object.prototype ||
    prototype === Array.prototype ||
    prototype === Map.prototype ||
    prototype === Set.prototype ||
    prototype === Date.prototype ||
    ArrayBuffer.isView(value)
  );
}
