/**
 * Copies of simple values: much cheaper than to encode them.
 *
 * @module
 */

/** A copy of a plain object whose members are all primitive values; `undefined` for anything else. */
export function flatCopy(value: unknown): object | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (Object.getPrototypeOf(value) !== Object.prototype) return undefined;
  for (const name in value) {
    const member: unknown = (value as Record<string, unknown>)[name];
    if ((typeof member === 'object' && member !== null) || typeof member === 'function')
      return undefined;
  }
  return { ...value };
}
