/**
 * Reading texts. How depends on their length, because a call out of JavaScript costs as much as putting some 20 characters
 * together in it.
 *
 * Short ASCII texts are kept in a cache and found by their bytes: codes, names and states come again and again, and one string for
 * all of them saves the making, the memory and the hash that maps compute of it. The cache is direct-mapped: a text takes the
 * place of another with the same slot, which costs time, never correctness.
 *
 * @module
 */

/** Longest text in the cache, in bytes. Eight of 7 bits and a length fit into two words. */
const MAX_SHORT = 8;
/** Longest text that is put together in JavaScript, in bytes. */
const MAX_MEDIUM = 24;

/** log2 of the number of slots. With 2,048 of them it is some 100 kB at most. */
const BITS = 11;

const { fromCharCode } = String;

/** Reads texts, and keeps the latest short ones. */
export class Texts {
  /** The first four bytes of the text in each slot. */
  readonly #heads = new Int32Array(1 << BITS);
  /** Its length in the top four bits, then the other bytes, seven bits each. */
  readonly #tails = new Int32Array(1 << BITS);
  readonly #texts: string[] = Array.from({ length: 1 << BITS }, () => '');
  /** Room for the code units of a text, by its length. */
  readonly #units: readonly number[][] = Array.from({ length: MAX_MEDIUM + 1 }, (_, length) =>
    Array.from({ length }, () => 0),
  );

  /** The text whose UTF-8 is the `length` bytes at `at`; `undefined` if they are not valid or begin with a byte order mark. */
  read(bytes: Buffer, at: number, length: number): string | undefined {
    if (length > MAX_MEDIUM) return long(bytes, at, length);
    const text =
      length > MAX_SHORT ? this.#medium(bytes, at, length) : this.#short(bytes, at, length);
    return text ?? long(bytes, at, length);
  }

  /** `undefined` for what is not ASCII. */
  #short(bytes: Uint8Array, at: number, length: number): string | undefined {
    let head = 0;
    let tail = 0;
    let all = 0;
    const half = length < 4 ? length : 4;
    for (let i = 0; i < half; i++) {
      const byte = bytes[at + i] as number;
      all |= byte;
      head = (head << 8) | byte;
    }
    for (let i = 4; i < length; i++) {
      const byte = bytes[at + i] as number;
      all |= byte;
      tail = (tail << 7) | byte;
    }
    if (all > 0x7f) return undefined;
    tail |= length << 28;
    const slot = Math.imul(head ^ Math.imul(tail, 0x85ebca6b), 0x9e3779b1) >>> (32 - BITS);
    if (this.#heads[slot] === head && this.#tails[slot] === tail) return this.#texts[slot];
    const text = made(bytes, at, length);
    this.#heads[slot] = head;
    this.#tails[slot] = tail;
    this.#texts[slot] = text;
    return text;
  }

  /** `undefined` for what is not ASCII. */
  #medium(bytes: Uint8Array, at: number, length: number): string | undefined {
    const units = this.#units[length] as number[];
    let all = 0;
    for (let i = 0; i < length; i++) {
      const byte = bytes[at + i] as number;
      all |= byte;
      units[i] = byte;
    }
    return all > 0x7f ? undefined : fromCharCode.apply(undefined, units);
  }
}

function long(bytes: Buffer, at: number, length: number): string | undefined {
  const text = bytes.toString('utf8', at, at + length);
  // Wrong bytes come out as U+FFFD, which is rare in texts.
  return text.includes('\u{fffd}') || text.startsWith('\u{feff}') ? undefined : text;
}

function made(bytes: Uint8Array, at: number, length: number): string {
  let text = '';
  let i = at;
  for (; i + 4 <= at + length; i += 4)
    text += fromCharCode(
      bytes[i] as number,
      bytes[i + 1] as number,
      bytes[i + 2] as number,
      bytes[i + 3] as number,
    );
  for (; i < at + length; i++) text += fromCharCode(bytes[i] as number);
  return text;
}
