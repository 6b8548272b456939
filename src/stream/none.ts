/** The state of an operator that has seen no value. It is never stored. */
export const NONE: unique symbol = Symbol('millrace.none');
