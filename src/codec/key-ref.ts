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
import { bufferOf, encodeUtf8 } from './text.ts';

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

/**
 * The id of the key whose canonical bytes lie in `bytes` from `from` to before `to`; they are not checked. Bytes that are not a key's give a
 * string that is no key's id, or another key's.
 */
export function keyIdAt(bytes: Buffer, from: number, to: number): string {
  // Bytes that begin with 0 stand for themselves. ASCII is the same either way, and Latin-1 is quicker to read.
  if (bytes[from] !== 0)
    for (let at = from; at < to; at++)
      if ((bytes[at] as number) > 0x7f) return bytes.toString('utf8', from, to);
  return bytes.toString('latin1', from, to);
}

/** The canonical bytes of the key with that id, behind those of `prefix` if there are any; the caller's to keep. */
export function keyBytesOfId(id: string, prefix: Uint8Array = EMPTY): Uint8Array {
  const bytes = Buffer.allocUnsafe(prefix.length + id.length);
  return writeKeyOfId(id, prefix, bytes, 0) < 0 ? Buffer.concat([prefix, encodeUtf8(id)]) : bytes;
}

/**
 * Writes what {@link keyBytesOfId} gives into `target` from `at` on, where there must be room for as many bytes as `prefix` and `id` have units.
 * Answers with the position behind it, or with -1 when it takes more than that; bytes from `at` on may have changed then.
 */
export function writeKeyOfId(
  id: string,
  prefix: Uint8Array,
  target: Uint8Array,
  at: number,
): number {
  for (let i = 0; i < prefix.length; i++) target[at + i] = prefix[i] as number;
  const from = at + prefix.length;
  const greatest = isBytes(id) ? 0xff : 0x7f;
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i);
    if (unit > greatest) return -1;
    target[from + i] = unit;
  }
  return from + id.length;
}

/** Compares ids as the canonical bytes of their keys compare: negative when `a` sorts before `b`. */
export function compareKeyIds(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) {
      // UTF-8 sorts by code point: what is written with surrogates stands behind everything else.
      if (x >= 0xd800 && y >= 0xd800)
        return (isSurrogate(x) ? x + 0x10000 : x) - (isSurrogate(y) ? y + 0x10000 : y);
      return x - y;
    }
  }
  return a.length - b.length;
}

/**
 * A reference to the key of an id that came from a reference or from {@link keyIdAt}. Bytes and key are made when somebody asks.
 *
 * @throws {@link MillraceError} `MR_DECODE_FAILED` when the key is asked for and the id is no key's.
 */
export function keyRefOfId(id: string): KeyRef {
  return new IdRef(id);
}

const EMPTY: Uint8Array = new Uint8Array();

function isBytes(id: string): boolean {
  return id.length > 0 && id.charCodeAt(0) === 0;
}

function isSurrogate(unit: number): boolean {
  return unit <= 0xdfff;
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

class IdRef implements KeyRef {
  readonly id: string;
  #bytes: Uint8Array | undefined;
  #decoded: unknown;

  constructor(id: string) {
    this.id = id;
  }

  get bytes(): Uint8Array {
    this.#bytes ??= keyBytesOfId(this.id);
    return this.#bytes;
  }

  get key(): unknown {
    if (!isBytes(this.id)) return this.id;
    // Objects must be the same at each reading, as those of other references; a key that is bytes is copied.
    if (this.#decoded === undefined) {
      const key = decodeKey(this.bytes);
      if (key instanceof Uint8Array) return key;
      this.#decoded = key;
    }
    return this.#decoded;
  }
}
