/**
 * Several users of one open store, each with a life of its own.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { Kv } from './kv.ts';

/** The same store for one more user: closing it calls `release` once and leaves the others alone. `name` is for errors. */
export function share(kv: Kv, name: string, release: () => Promise<void>): Kv {
  let closing: Promise<void> | undefined;
  const open = (): Kv => {
    if (closing !== undefined)
      throw new MillraceError('MR_CLOSED', `the store ${name} is closed; open it again`);
    return kv;
  };
  return {
    maxKeyBytes: kv.maxKeyBytes,
    get: (table, key) => open().get(table, key),
    range: (table, range) => open().range(table, range),
    transact: async (body) => await open().transact(body),
    copy:
      kv.copy === undefined
        ? undefined
        : async (directory, options) => await open().copy?.(directory, options),
    flush: () => closing ?? kv.flush(),
    close: () => (closing ??= release()),
  };
}
