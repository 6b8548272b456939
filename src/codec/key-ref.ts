/**
 * Keys in the form that travels through a graph: the key, its canonical bytes, and an id for maps.
 *
 * References are shared between events, so nothing in them can be changed from outside: objects are frozen, and a key that
 * is bytes is copied at each reading.
 *
 * @module
 */
import type { KeyRef } from '../core/event.ts';
import { decodeKey, encodeKey } from './key-bytes.ts';
import { bufferOf } from './text.ts';

/** The form of a key for use in a `Map`: the key if it is a string, its canonical bytes as Latin-1 if not. Strings that start with U+0000 count as not. */
export function keyId(bytes: Uint8Array, key: unknown): string {
  return typeof key === 'string' && bytes[0] !== 0 ? key : bufferOf(bytes).toString('latin1');
}

/** A reference to `key`. @throws {@link MillraceError} `MR_KEY_INVALID`, see {@link encodeKey}. */
export function keyRef(key: unknown): KeyRef {
  const bytes = encodeKey(key);
  // Objects may be changed by whoever holds them; the decoded one is ours.
  return make(bytes, typeof key === 'object' ? decodeKey(bytes) : key === 0 ? 0 : key);
}

/** A reference to the key of canonical `bytes`, which are copied. @throws {@link MillraceError} `MR_DECODE_FAILED`, see {@link decodeKey}. */
export function keyRefFromBytes(bytes: Uint8Array): KeyRef {
  return make(new Uint8Array(bytes), decodeKey(bytes));
}

function make(bytes: Uint8Array, key: unknown): KeyRef {
  const id = keyId(bytes, key);
  return key instanceof Uint8Array ? new BytesRef(id, bytes) : new Ref(key, id, bytes);
}

class Ref implements KeyRef {
  readonly key: unknown;
  readonly id: string;
  readonly bytes: Uint8Array;

  constructor(key: unknown, id: string, bytes: Uint8Array) {
    this.key = key;
    this.id = id;
    this.bytes = bytes;
  }
}

class BytesRef implements KeyRef {
  readonly id: string;
  readonly bytes: Uint8Array;

  constructor(id: string, bytes: Uint8Array) {
    this.id = id;
    this.bytes = bytes;
  }

  get key(): Uint8Array {
    return new Uint8Array(this.bytes.subarray(2));
  }
}
