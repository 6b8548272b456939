/**
 * Errors without a stack trace, where it would show nothing but the inside of millrace: to make one takes longer than all else that is done
 * about a record that is refused.
 *
 * @module
 */

/** The error that `make` makes. Nothing else should run in there, since no error of that time has a stack trace. */
export function untraced<E extends Error>(make: () => E): E {
  const limit = Error.stackTraceLimit;
  // Where `Error` is frozen the trace is made all the same.
  Reflect.set(Error, 'stackTraceLimit', 0);
  try {
    return make();
  } finally {
    Reflect.set(Error, 'stackTraceLimit', limit);
  }
}
