/**
 * A bounded cache from encoded keys to their references, on the hottest path of a task: a hit allocates nothing, and a miss little more than the
 * reference.
 *
 * A key may be in one of two neighbouring slots, and the latest comer takes the place of the older of the two. A miss, a
 * collision or a hostile choice of keys costs time, never correctness: references of one key are interchangeable. Where hardly any key comes
 * back soon, most keys are not kept at all.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { KeyRef } from '../core/event.ts';
import { decodeKey } from './key-bytes.ts';
import { keyIdAt, keyRef, keyRefOfId } from './key-ref.ts';
import { bufferOf } from './text.ts';

/** Longer keys are not kept, so that a full cache of the default capacity holds some 4 MB at most. */
const MAX_INTERNED_BYTES = 512;
const MAX_CAPACITY = 2 ** 20;

/** Room for a key's words that a slot has at first; it is made anew for a longer key, and kept. */
const FIRST_WORDS = 4;

/** Slots that there are at first, and how many times more there are when they do. */
const FIRST_SLOTS = 64;
const GROWTH = 8;
/** There are more slots when this part of them was filled: keys that meet in a slot push each other out. */
const FULL = 8;
const NO_SLOTS: Int32Array = new Int32Array(0);

/** Keys that are looked up to learn whether keys come back, and those that are then not looked up because few did. */
const SAMPLE = 4_096;
const PASS = 16 * SAMPLE;
/** Hits among a sample that make it worth its while. */
const FEW = SAMPLE / 8;

/** Turns encoded keys into references, mostly the same object for the same key. */
export class KeyInterner {
  /** A power of two; there may be fewer slots at present. */
  readonly #capacity: number;
  #mask = 0;
  #hashes: Int32Array = NO_SLOTS;
  /** In bytes; -1 for an empty slot. */
  #lengths: Int32Array = NO_SLOTS;
  /** The key of each slot as it was read, four bytes to a word, the last word filled up with zeros. */
  #slotWords: (Int32Array | undefined)[] = [];
  #refs: (KeyRef | undefined)[] = [];
  /** Keys to keep until there are more slots. */
  #room = 0;
  readonly #decode: ((bytes: Uint8Array) => unknown) | undefined;
  readonly #texts: Map<string, KeyRef> = new Map();
  /** Keys to look up until the end of the sample. */
  #left = SAMPLE;
  #misses = 0;
  /** Keys that are not to be looked up. */
  #pass = 0;
  /** The words of the key that is being looked up. */
  #words: Int32Array = NO_SLOTS;

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
    this.#capacity = Math.max(2, 2 ** Math.ceil(Math.log2(capacity)));
    this.#decode = decode;
  }

  /**
   * The reference of the key that is encoded in `bytes` from `from` to before `to`; nothing of `bytes` is kept.
   *
   * @throws what `decode` throws, by default `MR_DECODE_FAILED`; `MR_KEY_INVALID` when it gives what cannot be a key.
   */
  ref(bytes: Uint8Array, from: number, to: number): KeyRef {
    const length = to - from;
    if (length > MAX_INTERNED_BYTES) return this.#make(bytes, from, to);
    if (this.#pass > 0) {
      this.#pass--;
      return this.#make(bytes, from, to);
    }
    if (--this.#left === 0) this.#judge();
    if (this.#words === NO_SLOTS) this.#words = new Int32Array(MAX_INTERNED_BYTES / 4);
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
    if (this.#hashes[first] === hash && this.#lengths[first] === length) {
      const kept = this.#slotWords[first] as Int32Array;
      let i = 0;
      while (i < count && kept[i] === words[i]) i++;
      if (i === count) return this.#refs[first] as KeyRef;
    }
    const second = first ^ 1;
    if (this.#hashes[second] === hash && this.#lengths[second] === length) {
      const kept = this.#slotWords[second] as Int32Array;
      let i = 0;
      while (i < count && kept[i] === words[i]) i++;
      if (i === count) return this.#refs[second] as KeyRef;
    }
    this.#misses++;
    const ref = this.#make(bytes, from, to);
    this.#keep(hash, length, count, ref);
    return ref;
  }

  /** The reference of a key that is at hand decoded, as after `groupBy`. @throws {@link MillraceError} `MR_KEY_INVALID`. */
  of(key: unknown): KeyRef {
    if (typeof key !== 'string' || key.length > MAX_INTERNED_BYTES) return keyRef(key);
    const known = this.#texts.get(key);
    if (known !== undefined) return known;
    const ref = keyRef(key);
    // Emptied as a whole when it is full: an order of use would cost more at each hit than this does.
    if (this.#texts.size >= this.#capacity) this.#texts.clear();
    this.#texts.set(key, ref);
    return ref;
  }

  /** The end of a sample. */
  #judge(): void {
    if (this.#misses > SAMPLE - FEW) this.#pass = PASS;
    this.#left = SAMPLE;
    this.#misses = 0;
  }

  /** The key that is being looked up takes its slot, and what was there the slot beside it. */
  #keep(hash: number, length: number, count: number, ref: KeyRef): void {
    if (--this.#room < 0) this.#grow();
    const first = hash & this.#mask;
    let room = this.#slotWords[first];
    if (this.#refs[first] !== undefined) {
      const second = first ^ 1;
      room = this.#slotWords[second];
      this.#hashes[second] = this.#hashes[first] as number;
      this.#lengths[second] = this.#lengths[first] as number;
      this.#slotWords[second] = this.#slotWords[first];
      this.#refs[second] = this.#refs[first];
    }
    const kept =
      room !== undefined && room.length >= count
        ? room
        : new Int32Array(Math.max(FIRST_WORDS, count));
    for (let i = 0; i < count; i++) kept[i] = this.#words[i] as number;
    this.#hashes[first] = hash;
    this.#lengths[first] = length;
    this.#slotWords[first] = kept;
    this.#refs[first] = ref;
  }

  /** Makes more slots, as long as there may be more. Few keys, as those of a small topic, need few. */
  #grow(): void {
    const before = this.#refs.length;
    if (before >= this.#capacity) {
      this.#room = Infinity;
      return;
    }
    const [hashes, lengths, words, refs] = [
      this.#hashes,
      this.#lengths,
      this.#slotWords,
      this.#refs,
    ];
    const slots = Math.min(this.#capacity, before === 0 ? FIRST_SLOTS : before * GROWTH);
    this.#mask = slots - 1;
    this.#room = slots / FULL;
    this.#hashes = new Int32Array(slots);
    this.#lengths = new Int32Array(slots).fill(-1);
    this.#slotWords = Array.from<Int32Array | undefined>({ length: slots }).fill(undefined);
    this.#refs = Array.from<KeyRef | undefined>({ length: slots }).fill(undefined);
    for (let from = 0; from < before; from++) {
      if (refs[from] === undefined) continue;
      const first = (hashes[from] as number) & this.#mask;
      const to = this.#refs[first] === undefined ? first : first ^ 1;
      this.#hashes[to] = hashes[from] as number;
      this.#lengths[to] = lengths[from] as number;
      this.#slotWords[to] = words[from];
      this.#refs[to] = refs[from];
    }
  }

  #make(bytes: Uint8Array, from: number, to: number): KeyRef {
    if (this.#decode !== undefined) return keyRef(this.#decode(bytes.subarray(from, to)));
    // Most keys are texts, whose bytes nobody asks for; others are checked here, where their record is known.
    if (to - from > 0 && bytes[from] !== 0 && isAscii(bytes, from, to))
      return keyRefOfId(keyIdAt(bufferOf(bytes), from, to));
    const encoded = new Uint8Array(bytes.subarray(from, to));
    decodeKey(encoded);
    return keyRefOfId(keyIdAt(bufferOf(encoded), 0, encoded.length));
  }
}

function isAscii(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if ((bytes[at] as number) > 0x7f) return false;
  return true;
}

/** One step of a multiplicative hash, in the manner of Firefox's FxHash. */
function mix(hash: number, word: number): number {
  return Math.imul(((hash << 5) | (hash >>> 27)) ^ word, 0x9e3779b1);
}
