/**
 * Codecs one after another: `pipe(json, gzip)`.
 *
 * @module
 */
import type { Codec } from './codec.ts';

/**
 * Encodes with `first`, then passes the bytes through each of `rest` in order; decodes in the opposite order. Its name joins
 * theirs with `+`, so topics remember the whole chain: `'json+gzip'`. Errors are those of the link that threw.
 */
export function pipe<T>(first: Codec<T>, ...rest: readonly Codec<Uint8Array>[]): Codec<T> {
  if (rest.length === 0) return first;
  return {
    name: [first, ...rest].map((codec) => codec.name).join('+'),
    encode: (value) => rest.reduce((bytes, codec) => codec.encode(bytes), first.encode(value)),
    decode: (bytes) => first.decode(rest.reduceRight((inner, codec) => codec.decode(inner), bytes)),
  };
}
