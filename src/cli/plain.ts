/**
 * Any value as JSON, without losing what JSON has no form for: such a value becomes an object with a single member whose name begins with
 * `$`.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';

/** Levels of nesting that are printed. A record may have a million, more than the stack has room for. */
const MAX_DEPTH = 500;

/**
 * `value` as data that JSON carries. Bytes are `{ "$base64": … }`, bigints `{ "$bigint": … }`, dates `{ "$date": … }`, maps
 * `{ "$map": [[key, value], …] }`, sets `{ "$set": […] }`, numbers without a JSON form `{ "$number": "NaN" }`; `undefined` is `null`.
 *
 * @throws `MR_ENCODE_FAILED` for more than 500 levels.
 */
export function plain(value: unknown, depth = 0): unknown {
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : { $number: String(value) };
  if (typeof value === 'bigint') return { $bigint: String(value) };
  return typeof value === 'object' && value !== null ? plainObject(value, depth + 1) : null;
}

function plainObject(value: object, depth: number): unknown {
  if (depth > MAX_DEPTH)
    throw new MillraceError(
      'MR_ENCODE_FAILED',
      `it is nested deeper than ${MAX_DEPTH} levels, which are not printed; read it in a program`,
    );
  if (value instanceof Uint8Array) return { $base64: base64Of(value) };
  if (value instanceof Date)
    return { $date: Number.isNaN(value.getTime()) ? null : value.toISOString() };
  if (value instanceof Map)
    return { $map: [...(value as Map<unknown, unknown>)].map((entry) => all(entry, depth)) };
  if (value instanceof Set) return { $set: all([...(value as Set<unknown>)], depth) };
  if (Array.isArray(value)) return all(value, depth);
  // Not by assignment: a member may be called __proto__.
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, plain(member, depth)]),
  );
}

function all(values: readonly unknown[], depth: number): unknown[] {
  return values.map((value) => plain(value, depth));
}

/** {@link plain} as one line of JSON. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(plain(value));
}

/** Bytes as base64, padded. */
export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
