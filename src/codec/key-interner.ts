/**
 * A bounded cache from encoded keys to their references, on the hottest path of a task: a hit allocates nothing.
 *
 * A key may be in one of two neighbouring slots, and the latest comer takes the place of the older of the two. A miss, a
 * collision or a hostile choice of keys costs time, never correctness: references of one key are interchangeable.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { KeyRef } from '../core/event.ts';
import { keyRef, keyRefFromBytes } from './key-ref.ts';

/** Longer keys are not kept, so that a full cache of the default capacity holds some 4 MB at most. */
const MAX_INTERNED_BYTES = 512;
const MAX_CAPACITY = 2 ** 20;

interface Slot {
  readonly hash: number;
  readonly length: number;
  /** The key as it was read, four bytes to a word, the last word filled up with zeros. */
  readonly words: Int32Array;
  readonly ref: KeyRef;
}

/** Turns encoded keys into references, mostly the same object for the same key. */
export class KeyInterner {
  readonly #mask: number;
  readonly #slots: (Slot | undefined)[];
  readonly #decode: ((bytes: Uint8Array) => unknown) | undefined;
  readonly #texts: Map<string, KeyRef> = new Map();
  /** The words of the key that is being looked up. */
  readonly #words: Int32Array = new Int32Array(MAX_INTERNED_BYTES / 4);

  /**
   * @param capacity How many keys it keeps, 1 to 1,048,576; rounded up to a power of two, at least 2.
   * @param decode For topics whose keys are not in canonical bytes. Gets a view that it may not keep.
   * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for another capacity.
   */
  constructor(capacity = 4096, decode?: (bytes: Uint8Array) => unknown) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `a key interner for ${String(capacity)} keys is not possible; give an integer from 1 to ${MAX_CAPACITY}`,
      );
    const size = Math.max(2, 2 ** Math.ceil(Math.log2(capacity)));
    this.#mask = size - 1;
    this.#slots = Array.from<Slot | undefined>({ length: size }).fill(undefined);
    this.#decode = decode;
  }

  /**
   * The reference of the key that is encoded in `bytes` from `from` to before `to`; nothing of `bytes` is kept.
   *
   * @throws what `decode` throws, by default `MR_DECODE_FAILED`; `MR_KEY_INVALID` when it gives what cannot be a key.
   */
  ref(bytes: Uint8Array, from: number, to: number): KeyRef {
    const length = to - from;
    if (length > MAX_INTERNED_BYTES) return this.#make(bytes.subarray(from, to));
    const words = this.#words;
    let hash = length;
    let count = 0;
    let at = from;
    for (const last = to - 3; at < last; at += 4) {
      const word =
        bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      words[count++] = word;
      hash = mix(hash, word);
    }
    if (at < to) {
      let word = bytes[at]!;
      if (at + 1 < to) word |= bytes[at + 1]! << 8;
      if (at + 2 < to) word |= bytes[at + 2]! << 16;
      words[count++] = word;
      hash = mix(hash, word);
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash ^= hash >>> 13;

    const first = hash & this.#mask;
    let slot = this.#slots[first];
    if (slot !== undefined && slot.hash === hash && slot.length === length) {
      let i = 0;
      while (i < count && slot.words[i] === words[i]) i++;
      if (i === count) return slot.ref;
    }
    slot = this.#slots[first ^ 1];
    if (slot !== undefined && slot.hash === hash && slot.length === length) {
      let i = 0;
      while (i < count && slot.words[i] === words[i]) i++;
      if (i === count) return slot.ref;
    }
    return this.#keep(hash, words.slice(0, count), bytes.subarray(from, to));
  }

  /** The reference of a key that is at hand decoded, as after `groupBy`. @throws {@link MillraceError} `MR_KEY_INVALID`. */
  of(key: unknown): KeyRef {
    if (typeof key !== 'string' || key.length > MAX_INTERNED_BYTES) return keyRef(key);
    const known = this.#texts.get(key);
    if (known !== undefined) return known;
    const ref = keyRef(key);
    // Emptied as a whole when it is full: an order of use would cost more at each hit than this does.
    if (this.#texts.size > this.#mask) this.#texts.clear();
    this.#texts.set(key, ref);
    return ref;
  }

  #keep(hash: number, words: Int32Array, encoded: Uint8Array): KeyRef {
    const ref = this.#make(encoded);
    const first = hash & this.#mask;
    const previous = this.#slots[first];
    if (previous !== undefined) this.#slots[first ^ 1] = previous;
    this.#slots[first] = { hash, length: encoded.length, words, ref };
    return ref;
  }

  #make(encoded: Uint8Array): KeyRef {
    return this.#decode === undefined ? keyRefFromBytes(encoded) : keyRef(this.#decode(encoded));
  }
}

/** One step of a multiplicative hash, in the manner of Firefox's FxHash. */
function mix(hash: number, word: number): number {
  return Math.imul(((hash << 5) | (hash >>> 27)) ^ word, 0x9e3779b1);
}
