/**
 * Functions whose result is needed at once: keys and predicates that decide where a value goes.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { checkFunction } from '../core/given.ts';
import { isPromise } from '../core/types.ts';

/**
 * `fn`, checked. What it returns must be no promise: each would be a key of its own, and every one of them is true.
 *
 * @param what What to call it in errors.
 * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for what is no function, and from what is returned for a promise.
 */
export function synchronous(
  what: string,
  fn: (value: unknown) => unknown,
): (value: unknown) => unknown {
  checkFunction(what, fn);
  return (value) => {
    const result = fn(value);
    if (!isPromise(result)) return result;
    // Its failure would come on top of this one.
    result.then(undefined, () => undefined);
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${what} returned a promise, and has to be synchronous; do what has to be waited for in a map before it`,
      { details: { what } },
    );
  };
}
