/**
 * Words that every layer shares.
 *
 * @module
 */

/** What may be returned now or later. */
export type Awaitable<T> = T | Promise<T>;

/** What a record may be keyed by. Its identity is its canonical bytes (see `codec/key.ts`): `1` and `'1'` are two keys. */
export type Key = string | number | bigint | boolean | Uint8Array;

/** The fields of `T` that can be a key. Use as `F extends keyof KeyFields<T>`: an error then lists the fields. */
export type KeyFields<T> = { [F in keyof T as T[F] extends Key ? F : never]: T[F] };

/** Record headers. Names are at most 255 bytes of UTF-8; a string value travels as UTF-8 and comes back as bytes. */
export type Headers = Readonly<Record<string, string | Uint8Array>>;

/** True for anything with a `then`: one check that works across realms. */
export function isPromise(value: unknown): value is Promise<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}
