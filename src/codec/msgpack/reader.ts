/**
 * Reading plain values, several times as fast as msgpackr: see `plain.ts` for what is plain.
 *
 * What it answers is what `general.ts` answers for the same bytes. Wherever that is in doubt (bytes that are missing or left
 * over, UTF-8 that is not valid, extensions, keys that are not text, integers beyond the safe range) it says so and answers nothing.
 *
 * Fixed-length values are read without a look at where the message ends: the position only grows, and is compared at the end.
 *
 * @module
 */
import { MAX_DEPTH, NOT_PLAIN } from './plain.ts';
import { compileReader } from './record-reader.ts';
import type { ReadRecord, RecordSource } from './record-reader.ts';
import { Shapes } from './shapes.ts';
import { Texts } from './texts.ts';

/** Slots for compiled functions; those whose shapes begin alike share one. */
const SLOTS = 64;
/** How often a message may be read over, in all. */
const AGAIN = 4;
/** Compiled functions in a slot, tried one after the other. */
const MAX_IN_SLOT = 8;

/** Messages up to this length, in bytes, are copied before they are read unless they lie beside others: views cost more. */
const ROOM = 2_048;

/** Reads one message after the other. Keeps the memory that {@link Reader.readAt} was given last reachable. */
export class Reader implements RecordSource {
  at = 0;
  /** The memory that is being read, as bytes and as numbers. */
  #bytes: Buffer;
  #view: DataView;
  readonly #room: Buffer = Buffer.allocUnsafeSlow(ROOM);
  readonly #roomView: DataView = new DataView(this.#room.buffer);
  /** The array that was read in place last, and all of the memory under it. */
  #array: Uint8Array | undefined;
  #arrayBytes: Buffer = this.#room;
  #arrayView: DataView = this.#roomView;
  #end = 0;
  #depth = 0;
  /** How many bytes may still be read again, because they belong to an object of another shape than it seemed. */
  #again = 0;
  readonly #texts = new Texts();
  readonly #slots: (ReadRecord[] | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  readonly #shapes = new Shapes(compileReader);

  constructor() {
    this.#bytes = this.#room;
    this.#view = this.#roomView;
  }

  /** The value in `array`, all of its bytes, or {@link NOT_PLAIN}. Throws nothing. */
  read(array: Uint8Array): unknown {
    const { length } = array;
    if (length > ROOM) return this.readAt(array, 0, length);
    this.#room.set(array);
    this.#bytes = this.#room;
    this.#view = this.#roomView;
    return this.#read(0, length);
  }

  /** The value in `array` from `from` to before `to`, or {@link NOT_PLAIN}. For arrays that hold many. */
  readAt(array: Uint8Array, from: number, to: number): unknown {
    if (array !== this.#array) this.#open(array);
    this.#bytes = this.#arrayBytes;
    this.#view = this.#arrayView;
    return this.#read(array.byteOffset + from, array.byteOffset + to);
  }

  #open(array: Uint8Array): void {
    const memory = array.buffer;
    if (memory !== this.#arrayView.buffer) {
      this.#arrayBytes = Buffer.from(memory);
      this.#arrayView = new DataView(memory);
    }
    this.#array = array;
  }

  #read(start: number, end: number): unknown {
    this.at = start;
    this.#end = end;
    this.#depth = 0;
    this.#again = AGAIN * (end - start);
    try {
      const value = this.value();
      return this.at === end ? value : NOT_PLAIN;
    } catch (error) {
      // A number that reaches beyond the memory.
      if (error instanceof RangeError) return NOT_PLAIN;
      throw error;
    }
  }

  value(): unknown {
    const { at } = this;
    const token = this.#bytes[at] as number;
    if (token < 0x80) {
      this.at = at + 1;
      return token;
    }
    if (token < 0x90) return this.#object(at + 1, token & 0x0f);
    if (token < 0xa0) return this.#list(at + 1, token & 0x0f);
    if (token < 0xc0) return this.#text(at + 1, token & 0x1f);
    if (token >= 0xe0) {
      this.at = at + 1;
      return token - 0x100;
    }
    const view = this.#view;
    switch (token) {
      case 0xc0:
        this.at = at + 1;
        return null;
      case 0xc2:
        this.at = at + 1;
        return false;
      case 0xc3:
        this.at = at + 1;
        return true;
      case 0xca:
        this.at = at + 5;
        return view.getFloat32(at + 1);
      case 0xcb:
        this.at = at + 9;
        return view.getFloat64(at + 1);
      case 0xcc:
        this.at = at + 2;
        return view.getUint8(at + 1);
      case 0xcd:
        this.at = at + 3;
        return view.getUint16(at + 1);
      case 0xce:
        this.at = at + 5;
        return view.getUint32(at + 1);
      case 0xcf:
        return this.#wide(at + 1, view.getUint32(at + 1));
      case 0xd0:
        this.at = at + 2;
        return view.getInt8(at + 1);
      case 0xd1:
        this.at = at + 3;
        return view.getInt16(at + 1);
      case 0xd2:
        this.at = at + 5;
        return view.getInt32(at + 1);
      case 0xd3:
        return this.#wide(at + 1, view.getInt32(at + 1));
      case 0xd4:
      case 0xd6:
      case 0xd7:
        return this.#extension(at + 1, token);
      case 0xd9:
        return this.#text(at + 2, view.getUint8(at + 1));
      case 0xda:
        return this.#text(at + 3, view.getUint16(at + 1));
      case 0xdb:
        return this.#text(at + 5, view.getUint32(at + 1));
      case 0xdc:
        return this.#list(at + 3, view.getUint16(at + 1));
      case 0xdd:
        return this.#list(at + 5, view.getUint32(at + 1));
      case 0xde:
        return this.#object(at + 3, view.getUint16(at + 1));
      default:
        return NOT_PLAIN;
    }
  }

  /** A 64-bit integer within the safe range; `high` is its upper half. */
  #wide(at: number, high: number): unknown {
    if (high >= 0x20_0000 || high < -0x20_0000) return NOT_PLAIN;
    this.at = at + 8;
    return high * 0x1_0000_0000 + this.#view.getUint32(at + 4);
  }

  /** `undefined`, or a time of the years 1970 to 2514; `at` is behind the token. */
  #extension(at: number, token: number): unknown {
    const view = this.#view;
    const type = view.getInt8(at);
    if (token === 0xd4) {
      if (type !== 0) return NOT_PLAIN;
      this.at = at + 2;
      return undefined;
    }
    if (type !== -1) return NOT_PLAIN;
    const word = view.getUint32(at + 1);
    if (token === 0xd6) {
      this.at = at + 5;
      return new Date(word * 1_000);
    }
    // 30 bits of nanoseconds, 34 bits of seconds.
    const seconds = (word & 3) * 0x1_0000_0000 + view.getUint32(at + 5);
    this.at = at + 9;
    return new Date((word >>> 2) / 1_000_000 + seconds * 1_000);
  }

  #text(at: number, length: number): string | typeof NOT_PLAIN {
    const end = at + length;
    if (end > this.#end) return NOT_PLAIN;
    this.at = end;
    return this.#texts.read(this.#bytes, at, length) ?? NOT_PLAIN;
  }

  #list(at: number, count: number): unknown[] | typeof NOT_PLAIN {
    if (count > this.#end - at || this.#depth >= MAX_DEPTH) return NOT_PLAIN;
    this.#depth++;
    this.at = at;
    const list: unknown[] = [];
    for (let i = 0; i < count; i++) {
      const member = this.value();
      if (member === NOT_PLAIN) return NOT_PLAIN;
      list.push(member);
    }
    this.#depth--;
    return list;
  }

  #object(at: number, count: number): object | typeof NOT_PLAIN {
    if (2 * count > this.#end - at || this.#depth >= MAX_DEPTH) return NOT_PLAIN;
    this.#depth++;
    const object = this.#ofShape(at, count) ?? this.#ofNames(at, count);
    this.#depth--;
    return object;
  }

  /** By a compiled function, if there is one for its shape. */
  #ofShape(at: number, count: number): object | typeof NOT_PLAIN | undefined {
    // Each level of nesting would multiply what is read again.
    if (this.#again < 0) return undefined;
    const bytes = this.#bytes;
    const candidates = this.#slots[slotOf(count, bytes[at] as number, bytes[at + 1] as number)];
    if (candidates === undefined) return undefined;
    for (let i = 0; i < candidates.length && this.#again >= 0; i++) {
      const read = candidates[i] as ReadRecord;
      const object = read(this, bytes, this.#view, at, this.#end, count);
      if (object !== undefined) return object;
      this.#again -= this.at - at;
    }
    return undefined;
  }

  /** Name by name. */
  #ofNames(at: number, count: number): object | typeof NOT_PLAIN {
    this.at = at;
    const object: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const name = this.#name();
      if (name === NOT_PLAIN) return NOT_PLAIN;
      const member = this.value();
      if (member === NOT_PLAIN) return NOT_PLAIN;
      object[name] = member;
    }
    const compiled = this.#shapes.met(object);
    if (compiled !== undefined) this.#add(compiled, at, count);
    return object;
  }

  #name(): string | typeof NOT_PLAIN {
    const { at } = this;
    const token = this.#bytes[at] as number;
    const name =
      token >= 0xa0 && token < 0xc0
        ? this.#text(at + 1, token & 0x1f)
        : token === 0xd9
          ? this.#text(at + 2, this.#view.getUint8(at + 1))
          : NOT_PLAIN;
    return name === '__proto__' ? NOT_PLAIN : name;
  }

  #add(compiled: ReadRecord, at: number, count: number): void {
    const slot = slotOf(count, this.#bytes[at] as number, this.#bytes[at + 1] as number);
    const candidates = (this.#slots[slot] ??= []);
    if (candidates.length < MAX_IN_SLOT) candidates.push(compiled);
  }
}

/** By the number of members, and the head and first byte of the first name. */
function slotOf(count: number, head: number, first: number): number {
  return (count * 5 + head * 3 + first * 11) & (SLOTS - 1);
}
