/**
 * Keys of streams in a process. Their identity is good for this process only: an app re-keys by canonical bytes (`codec/key.ts`), which
 * decide what partition a record belongs to. Here nothing is stored and nothing is partitioned.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { KeyRef } from '../core/event.ts';
import type { MakeKey } from './node.ts';

/**
 * The key of an event in a process: `1` and `'1'` are two keys, `0` and `-0` are one.
 *
 * @throws {@link MillraceError} `MR_KEY_MISSING` for `undefined` and `null`, `MR_KEY_INVALID` for `NaN` and what is no key at all.
 */
export const localKey: MakeKey = (key) => new LocalKey(key, idOf(key));

class LocalKey implements KeyRef {
  readonly key: unknown;
  readonly id: string;

  constructor(key: unknown, id: string) {
    this.key = key;
    this.id = id;
  }

  /** UTF-8 of `id`. Made when asked for, since nothing in a process asks for it on the hot path. */
  get bytes(): Uint8Array {
    return new TextEncoder().encode(this.id);
  }
}

function idOf(key: unknown): string {
  if (typeof key === 'string') return `string:${key}`;
  if (typeof key === 'number' && !Number.isNaN(key)) return `number:${key}`;
  if (typeof key === 'boolean' || typeof key === 'bigint') return `${typeof key}:${key}`;
  if (key instanceof Uint8Array)
    return `bytes:${Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('hex')}`;
  if (key === undefined || key === null)
    throw new MillraceError(
      'MR_KEY_MISSING',
      `groupBy gave ${String(key)} as the key of an event; return a key, or filter such events out before`,
    );
  throw new MillraceError(
    'MR_KEY_INVALID',
    `groupBy gave a key of type ${typeof key}${typeof key === 'number' ? ' (NaN)' : ''}; a key is a string, number, bigint, boolean or Uint8Array`,
    { details: { type: typeof key } },
  );
}
