/**
 * Writing plain values, several times as fast as msgpackr: see `plain.ts` for what is plain.
 *
 * The bytes are those that `general.ts` writes. It says so, and what it has written means nothing, wherever a value is not plain,
 * or wrong in a way that wants an explanation.
 *
 * @module
 */
import { isOddText, MAX_DEPTH, NOT_PLAIN } from './plain.ts';
import { compileWriter } from './record-writer.ts';
import type { RecordTarget, WriteRecord } from './record-writer.ts';
import { Shapes } from './shapes.ts';

/** The answer where the room does not suffice. */
export const NO_ROOM: unique symbol = Symbol('no room');

/** Texts up to this many UTF-16 units are written in JavaScript if they are ASCII; a call out of it costs more. */
const MAX_SHORT = 31;
/** Compiled functions for objects that begin with the same name, tried one after the other. */
const MAX_PER_NAME = 8;

/** Writes one value after the other. Not to be entered again by a getter of what it writes. */
export class Writer implements RecordTarget {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;
  #depth = 0;
  #full = false;
  /** A double and its bytes. */
  readonly #double = new DataView(new ArrayBuffer(8));
  readonly #octets = new Uint8Array(this.#double.buffer);
  /** Compiled functions by first name. */
  readonly #writers = new Map<string | undefined, WriteRecord[]>();
  #last: WriteRecord | undefined;
  readonly #shapes = new Shapes(compileWriter);

  /**
   * Writes `value` into `bytes` from `from` to at most before `to`; answers with the position behind it, {@link NO_ROOM}, or
   * {@link NOT_PLAIN}. Bytes behind what it has written may have changed. Throws what getters throw.
   */
  write(
    value: unknown,
    bytes: Buffer,
    from: number,
    to: number,
  ): number | typeof NO_ROOM | typeof NOT_PLAIN {
    this.bytes = bytes;
    this.at = from;
    this.end = to;
    this.#depth = 0;
    this.#full = false;
    if (this.value(value)) return this.at;
    return this.#full ? NO_ROOM : NOT_PLAIN;
  }

  full(): boolean {
    this.#full = true;
    return false;
  }

  value(value: unknown): boolean {
    // The longest number, and the longest head.
    if (this.end - this.at < 10) return this.full();
    switch (typeof value) {
      case 'number':
        this.#number(value);
        return true;
      case 'string':
        return this.#text(value);
      case 'boolean':
        this.#token(value ? 0xc3 : 0xc2);
        return true;
      case 'object':
        return this.#object(value);
      case 'undefined':
        this.#token(0xd4);
        this.#uint16(0);
        return true;
      case 'bigint':
      case 'function':
      case 'symbol':
      default:
        return false;
    }
  }

  /** Integers of 32 bits in the shortest form, everything else as a double. */
  #number(value: number): void {
    const { bytes, at } = this;
    if (value >>> 0 === value) {
      if (value < 0x80) {
        bytes[at] = value;
        this.at = at + 1;
      } else if (value < 0x100) this.#byte(0xcc, value);
      else if (value < 0x1_0000) {
        this.#token(0xcd);
        this.#uint16(value);
      } else {
        this.#token(0xce);
        this.#uint32(value);
      }
    } else if (value >> 0 === value) {
      if (value >= -0x20) {
        bytes[at] = value;
        this.at = at + 1;
      } else if (value >= -0x80) this.#byte(0xd0, value);
      else if (value >= -0x8000) {
        this.#token(0xd1);
        this.#uint16(value);
      } else {
        this.#token(0xd2);
        this.#uint32(value);
      }
    } else {
      const octets = this.#octets;
      this.#double.setFloat64(0, value);
      bytes[at] = 0xcb;
      bytes[at + 1] = octets[0] as number;
      bytes[at + 2] = octets[1] as number;
      bytes[at + 3] = octets[2] as number;
      bytes[at + 4] = octets[3] as number;
      bytes[at + 5] = octets[4] as number;
      bytes[at + 6] = octets[5] as number;
      bytes[at + 7] = octets[6] as number;
      bytes[at + 8] = octets[7] as number;
      this.at = at + 9;
    }
  }

  #token(token: number): void {
    this.bytes[this.at++] = token;
  }

  #byte(token: number, value: number): void {
    const { bytes, at } = this;
    bytes[at] = token;
    bytes[at + 1] = value;
    this.at = at + 2;
  }

  #uint16(value: number): void {
    const { bytes, at } = this;
    bytes[at] = value >> 8;
    bytes[at + 1] = value;
    this.at = at + 2;
  }

  #uint32(value: number): void {
    const { bytes, at } = this;
    bytes[at] = value >> 24;
    bytes[at + 1] = value >> 16;
    bytes[at + 2] = value >> 8;
    bytes[at + 3] = value;
    this.at = at + 4;
  }

  #text(text: string): boolean {
    const { length } = text;
    if (length > MAX_SHORT) return this.#longText(text);
    const { bytes, at } = this;
    if (this.end - at < length + 1) return this.full();
    let all = 0;
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      all |= unit;
      bytes[at + 1 + i] = unit;
    }
    if (all > 0x7f || (length === 9 && isOddText(text))) return this.#longText(text);
    bytes[at] = 0xa0 | length;
    this.at = at + 1 + length;
    return true;
  }

  #longText(text: string): boolean {
    if (isOddText(text) || !text.isWellFormed()) return false;
    const { bytes, at } = this;
    // No more than three bytes for each unit.
    if (this.end - at < 5 + 3 * text.length) return this.full();
    const likely = headOf(text.length);
    const length = bytes.write(text, at + likely, 'utf8');
    const head = headOf(length);
    if (head !== likely) bytes.copyWithin(at + head, at + likely, at + likely + length);
    if (head === 1) this.#token(0xa0 | length);
    else if (head === 2) this.#byte(0xd9, length);
    else if (head === 3) {
      this.#token(0xda);
      this.#uint16(length);
    } else {
      this.#token(0xdb);
      this.#uint32(length);
    }
    this.at += length;
    return true;
  }

  #object(value: object | null): boolean {
    if (value === null) {
      this.#token(0xc0);
      return true;
    }
    if (this.#depth >= MAX_DEPTH) return false;
    this.#depth++;
    const parent: unknown = Object.getPrototypeOf(value);
    const written =
      parent === Object.prototype
        ? this.#record(value as Readonly<Record<string, unknown>>)
        : Array.isArray(value)
          ? this.#list(value)
          : parent === Date.prototype && this.#date(value as Date);
    this.#depth--;
    return written;
  }

  /** Times of the years 1970 to 2106. */
  #date(date: Date): boolean {
    const time = date.getTime();
    const seconds = Math.floor(time / 1_000);
    if (!(seconds >= 0 && seconds < 0x1_0000_0000)) return false;
    const rest = time - seconds * 1_000;
    // With a fraction: 30 bits of nanoseconds and 34 bits of seconds, of which 32 suffice.
    this.#token(rest === 0 ? 0xd6 : 0xd7);
    this.#token(0xff);
    if (rest > 0) this.#uint32(rest * 4_000_000);
    this.#uint32(seconds);
    return true;
  }

  #list(list: readonly unknown[]): boolean {
    const { length } = list;
    this.#head(length, 0x90, 0xdc);
    // By index: a hole is written like undefined.
    for (let i = 0; i < length; i++) if (!this.value(list[i])) return false;
    return true;
  }

  #record(object: Readonly<Record<string, unknown>>): boolean {
    // Most often it is the shape of the one before.
    const last = this.#last;
    const written = last?.(this, object);
    if (written !== undefined) return written;
    const candidates = this.#writers.get(firstName(object));
    if (candidates !== undefined)
      for (let i = 0; i < candidates.length; i++) {
        const write = candidates[i] as WriteRecord;
        if (write === last) continue;
        const done = write(this, object);
        if (done === undefined) continue;
        this.#last = write;
        return done;
      }
    return this.#byName(object);
  }

  #byName(object: Readonly<Record<string, unknown>>): boolean {
    const names = Object.keys(object);
    this.#head(names.length, 0x80, 0xde);
    for (const name of names) if (!this.#text(name) || !this.value(object[name])) return false;
    const compiled = this.#shapes.met(object);
    if (compiled !== undefined) this.#add(names[0], compiled);
    return true;
  }

  #add(first: string | undefined, compiled: WriteRecord): void {
    const candidates = this.#writers.get(first);
    if (candidates === undefined) this.#writers.set(first, [compiled]);
    else if (candidates.length < MAX_PER_NAME) candidates.push(compiled);
  }

  /** The head of a list or of members: `few` with the number in it, or `many` for 16 bits, or the one after it for 32. */
  #head(count: number, few: number, many: number): void {
    if (count < 0x10) this.#token(few | count);
    else if (count < 0x1_0000) {
      this.#token(many);
      this.#uint16(count);
    } else {
      this.#token(many + 1);
      this.#uint32(count);
    }
  }
}

/** Length of the head of a text of so many bytes. */
function headOf(length: number): 1 | 2 | 3 | 5 {
  return length < 0x20 ? 1 : length < 0x100 ? 2 : length < 0x1_0000 ? 3 : 5;
}

function firstName(object: object): string | undefined {
  for (const name in object) return name;
  return undefined;
}
