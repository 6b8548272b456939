/**
 * @module
 */

/** Returned from an update to remove the row. Never `undefined`, which is what a forgotten `return` gives. */
export const DELETE: unique symbol = Symbol.for('millrace.DELETE');
