/**
 * Any value as JSON, without losing what JSON has no form for: such a value becomes an object with a single member whose name begins with
 * `$`.
 *
 * @module
 */

/**
 * `value` as data that JSON carries. Bytes are `{ "$base64": … }`, bigints `{ "$bigint": … }`, dates `{ "$date": … }`, maps
 * `{ "$map": [[key, value], …] }`, sets `{ "$set": […] }`, numbers without a JSON form `{ "$number": "NaN" }`; `undefined` is `null`.
 */
export function plain(value: unknown): unknown {
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $number: String(value) };
  if (typeof value === 'bigint') return { $bigint: String(value) };
  return typeof value === 'object' && value !== null ? plainObject(value) : null;
}

function plainObject(value: object): unknown {
  if (value instanceof Uint8Array) return { $base64: base64Of(value) };
  if (value instanceof Date)
    return { $date: Number.isNaN(value.getTime()) ? null : value.toISOString() };
  if (value instanceof Map)
    return { $map: [...(value as Map<unknown, unknown>)].map((entry) => entry.map(plain)) };
  if (value instanceof Set) return { $set: [...(value as Set<unknown>)].map(plain) };
  if (Array.isArray(value)) return value.map(plain);
  // Not by assignment: a member may be called __proto__.
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}

/** {@link plain} as one line of JSON. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(plain(value));
}

/** Bytes as base64, padded. */
export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
