/**
 * Building frames. The layout is in `frame.ts`.
 *
 * @module
 */
import type { Codec } from '../codec/codec.ts';
import { keyBytesOfId, writeKeyOfId } from '../codec/key.ts';
import { assert, MillraceError } from '../core/errors.ts';
import type { Headers } from '../core/types.ts';
import { HeaderArea, StoredHeaders } from './frame-headers.ts';
import {
  CONTROL,
  HEADER_BYTES,
  HEADERS,
  IDLE,
  MAX_KEY_BYTES,
  NO_KEY,
  NO_VALUE,
  TEXT,
  WIDE,
  writeHeader,
} from './frame.ts';
import type { Frame, FrameOrigin } from './frame.ts';

/** What stands in a frame of texts for no value. */
const NULL: Uint8Array = Buffer.from('null');

/** Room that a codec finds for a value, at least. */
const VALUE_ROOM = 512;

/** A frame of several records that is full: about seven pages of the store, so that one small record more does not take it beyond eight. */
const FULL_BYTES = 28 * 1024;
/** What a record takes in the index, at most. */
const INDEX_BYTES = 14;

/** Headers of a record that is added. */
export type RecordHeaders = Headers | StoredHeaders | null;

/** Collects records and builds frames from them. Reusable: {@link FrameBuilder.build} empties it. */
export class FrameBuilder {
  readonly #text: boolean;
  readonly #maxRecordBytes: number;
  #count = 0;
  #timestamps = new Float64Array(64);
  #keyLengths = new Uint16Array(64);
  #valueLengths = new Uint32Array(64);
  #keys: Buffer = Buffer.allocUnsafe(1024);
  #keyBytes = 0;
  #values: Buffer = Buffer.allocUnsafe(4096);
  #valueBytes = 0;
  #headers: HeaderArea | undefined;
  /** A codec is writing behind the values; whoever else writes meanwhile needs another place. */
  #lent = false;

  /** `text`: every value is added with {@link FrameBuilder.addText}. */
  constructor(options: { readonly text: boolean; readonly maxRecordBytes: number }) {
    this.#text = options.text;
    this.#maxRecordBytes = options.maxRecordBytes;
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes of keys, values and headers so far. */
  get bytes(): number {
    return this.#keyBytes + this.#valueBytes + (this.#headers?.used ?? 0);
  }

  /**
   * Whether it is time to build this frame and to begin the next one. The store keeps a frame in one piece: where many large ones come and go,
   * what is free is cut up until none of them fits, and the file grows for hours.
   */
  get full(): boolean {
    return this.bytes + this.#count * INDEX_BYTES >= FULL_BYTES;
  }

  /** Whether values are added with {@link FrameBuilder.addText}. */
  get text(): boolean {
    return this.#text;
  }

  /**
   * Adds a record. Bytes are copied.
   *
   * @throws `MR_RECORD_TOO_LARGE` when key, value and headers together exceed the limit, `MR_KEY_INVALID` for a key over
   * {@link MAX_KEY_BYTES}, `MR_TIMESTAMP_INVALID` for a timestamp that is not a whole number of milliseconds,
   * `MR_ARGUMENT_INVALID` for headers that a frame cannot carry. Nothing is added then.
   */
  add(
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: RecordHeaders = null,
  ): void {
    const bytes = value === null && this.#text ? NULL : value;
    const length = bytes === null ? 0 : bytes.length;
    this.#check(timestamp, lengthOf(key), length, headers);
    this.#reserveValue(length + 1);
    if (this.#text) this.#values[this.#valueBytes++] = this.#separator();
    if (bytes !== null) {
      this.#values.set(bytes, this.#valueBytes);
      this.#valueBytes += length;
    }
    this.#finish(timestamp, key, value === null ? (NO_VALUE | length) >>> 0 : length, headers);
  }

  /** Adds a record whose value is a JSON text, `null` for no value. Same errors as {@link FrameBuilder.add}. */
  addText(
    timestamp: number,
    key: Uint8Array | null,
    text: string | null,
    headers: RecordHeaders = null,
  ): void {
    if (text === null) {
      this.add(timestamp, key, null, headers);
      return;
    }
    // A text has at least as many bytes as characters: no room is made for one that cannot fit.
    if (text.length > this.#maxRecordBytes)
      this.#check(timestamp, lengthOf(key), Buffer.byteLength(text), headers);
    this.#reserveValue(text.length * 3 + 1);
    const at = this.#valueBytes;
    const written = this.#values.write(text, at + 1, 'utf8');
    this.#check(timestamp, lengthOf(key), written, headers);
    this.#values[at] = this.#separator();
    this.#valueBytes = at + 1 + written;
    this.#finish(timestamp, key, written, headers);
  }

  /**
   * Adds a record with the bytes that `codec` makes of `value`, written in place where it can.
   *
   * @throws as {@link FrameBuilder.add}, and what the codec throws; nothing is added then.
   */
  addValue<T>(
    timestamp: number,
    key: Uint8Array | null,
    codec: Codec<T>,
    value: T,
    headers: RecordHeaders = null,
  ): void {
    if (this.#text || codec.encodeInto === undefined) {
      this.add(timestamp, key, codec.encode(value), headers);
      return;
    }
    this.#reserveValue(VALUE_ROOM);
    const target = this.#values;
    const at = this.#valueBytes;
    let end: number;
    this.#lent = true;
    try {
      end = codec.encodeInto(value, target, at);
    } finally {
      this.#lent = false;
    }
    if (end < 0) {
      this.add(timestamp, key, codec.encode(value), headers);
    } else if (this.#values !== target || this.#valueBytes !== at) {
      // A getter of the value has sent something itself, which comes first.
      this.add(timestamp, key, target.subarray(at, end), headers);
    } else {
      this.#check(timestamp, lengthOf(key), end - at, headers);
      this.#valueBytes = end;
      this.#finish(timestamp, key, end - at, headers);
    }
  }

  /**
   * Adds the record of a row: its key is the one of an id (see `codec/key.ts`) behind `prefix`, its value as of {@link FrameBuilder.addValue}.
   * Nothing is allocated for it.
   *
   * @throws as {@link FrameBuilder.addValue}; nothing is added then.
   */
  addRow<T>(timestamp: number, prefix: Uint8Array, id: string, codec: Codec<T>, value: T): void {
    this.#reserveKey(prefix.length + id.length);
    const keys = this.#keys;
    const keyEnd = writeKeyOfId(id, prefix, keys, this.#keyBytes);
    if (this.#text || codec.encodeInto === undefined || keyEnd < 0) {
      this.addValue(timestamp, keyBytesOfId(id, prefix), codec, value);
      return;
    }
    const keyLength = keyEnd - this.#keyBytes;
    this.#reserveValue(VALUE_ROOM);
    const target = this.#values;
    const at = this.#valueBytes;
    let end: number;
    this.#lent = true;
    try {
      end = codec.encodeInto(value, target, at);
    } finally {
      this.#lent = false;
    }
    // Too long for the room, or a getter of the value has added something itself.
    if (end < 0 || this.#values !== target || this.#valueBytes !== at || this.#keys !== keys) {
      this.add(timestamp, keyBytesOfId(id, prefix), codec.encode(value));
      return;
    }
    this.#check(timestamp, keyLength, end - at, null);
    this.#valueBytes = end;
    this.#keyBytes = keyEnd;
    this.#index(timestamp, keyLength, end - at, null);
  }

  /** What stands before the next value of a frame of texts. */
  #separator(): number {
    return this.#count === 0 ? 0x5b : 0x2c;
  }

  /**
   * Throws what adding such a record would throw, see {@link FrameBuilder.add}. Gives its headers as they will be stored: who adds it later adds
   * these, whatever becomes of the object that they were given in.
   */
  check(
    timestamp: number,
    key: Uint8Array | null,
    valueBytes: number,
    headers: RecordHeaders,
  ): StoredHeaders | null {
    this.#check(timestamp, lengthOf(key), valueBytes, headers);
    return headers === null || headers instanceof StoredHeaders
      ? headers
      : (this.#headers as HeaderArea).stored();
  }

  /** Leaves the headers behind those of the records before, encoded, where {@link FrameBuilder.#index} finds them. */
  #check(timestamp: number, keyBytes: number, valueBytes: number, headers: RecordHeaders): void {
    // Offsets to the least timestamp are stored as integers: a fraction would be cut off silently.
    if (!Number.isSafeInteger(timestamp))
      throw new MillraceError(
        'MR_TIMESTAMP_INVALID',
        `the timestamp of a record is ${String(timestamp)}; give whole milliseconds since 1970`,
        { details: { timestamp } },
      );
    const headerBytes = headers === null ? 0 : (this.#headers ??= new HeaderArea()).encode(headers);
    const bytes = keyBytes + valueBytes + headerBytes;
    if (bytes > this.#maxRecordBytes)
      throw new MillraceError(
        'MR_RECORD_TOO_LARGE',
        `a record of ${bytes} bytes (key ${keyBytes}, value ${valueBytes}) exceeds maxRecordBytes, ${this.#maxRecordBytes}; send less, or raise maxRecordBytes`,
        { details: { bytes, maxRecordBytes: this.#maxRecordBytes } },
      );
    if (keyBytes > MAX_KEY_BYTES)
      throw new MillraceError(
        'MR_KEY_INVALID',
        `a key of ${keyBytes} bytes exceeds the limit of ${MAX_KEY_BYTES}`,
        {
          details: { bytes: keyBytes },
        },
      );
  }

  #finish(
    timestamp: number,
    key: Uint8Array | null,
    valueLength: number,
    headers: RecordHeaders,
  ): void {
    if (key === null) {
      this.#index(timestamp, NO_KEY, valueLength, headers);
      return;
    }
    this.#reserveKey(key.length);
    const target = this.#keys;
    let at = this.#keyBytes;
    if (key.length < 32) for (let j = 0; j < key.length; j++) target[at++] = key[j] as number;
    else target.set(key, at);
    this.#keyBytes += key.length;
    this.#index(timestamp, key.length, valueLength, headers);
  }

  /** Counts a record whose bytes are there. */
  #index(timestamp: number, keyLength: number, valueLength: number, headers: RecordHeaders): void {
    const i = this.#count;
    if (i === this.#timestamps.length) this.#growIndex();
    this.#timestamps[i] = timestamp;
    this.#keyLengths[i] = keyLength;
    this.#valueLengths[i] = valueLength;
    if (this.#headers !== undefined) {
      if (headers === null) this.#headers.skip();
      else this.#headers.keep(i);
    }
    this.#count = i + 1;
  }

  #reserveKey(bytes: number): void {
    if (this.#keyBytes + bytes > this.#keys.length)
      this.#keys = grow(this.#keys, this.#keyBytes, bytes);
  }

  #reserveValue(bytes: number): void {
    if (!this.#lent && this.#valueBytes + bytes <= this.#values.length) return;
    this.#values = grow(this.#values, this.#valueBytes, bytes);
    this.#lent = false;
  }

  #growIndex(): void {
    const size = this.#timestamps.length * 2;
    const timestamps = new Float64Array(size);
    timestamps.set(this.#timestamps);
    this.#timestamps = timestamps;
    const keyLengths = new Uint16Array(size);
    keyLengths.set(this.#keyLengths);
    this.#keyLengths = keyLengths;
    const valueLengths = new Uint32Array(size);
    valueLengths.set(this.#valueLengths);
    this.#valueLengths = valueLengths;
  }

  /** The frame of what was added, at least one record; the builder is empty afterwards. */
  build(origin: FrameOrigin | null = null): Frame {
    const count = this.#count;
    assert(count > 0, 'a frame without records is built');
    let least = Infinity;
    let greatest = -Infinity;
    for (let i = 0; i < count; i++) {
      const timestamp = this.#timestamps[i] as number;
      if (timestamp < least) least = timestamp;
      if (timestamp > greatest) greatest = timestamp;
    }
    const wide = greatest - least > 0xffff_ffff;
    const step = wide ? 14 : 10;
    const valueBytes = this.#valueBytes + (this.#text ? 1 : 0);
    const headerBytes = this.#headers?.length ?? 0;
    const bodyBytes = count * step + this.#keyBytes + valueBytes + headerBytes;
    const bytes = Buffer.allocUnsafeSlow(HEADER_BYTES + bodyBytes);
    let at = HEADER_BYTES;
    for (let i = 0; i < count; i++) {
      const timestamp = this.#timestamps[i] as number;
      if (wide) at = bytes.writeDoubleLE(timestamp, at);
      else {
        const delta = timestamp - least;
        bytes[at] = delta;
        bytes[at + 1] = delta >>> 8;
        bytes[at + 2] = delta >>> 16;
        bytes[at + 3] = delta >>> 24;
        at += 4;
      }
      const keyLength = this.#keyLengths[i] as number;
      bytes[at] = keyLength;
      bytes[at + 1] = keyLength >>> 8;
      const valueLength = this.#valueLengths[i] as number;
      bytes[at + 2] = valueLength;
      bytes[at + 3] = valueLength >>> 8;
      bytes[at + 4] = valueLength >>> 16;
      bytes[at + 5] = valueLength >>> 24;
      at += 6;
    }
    at += this.#keys.copy(bytes, at, 0, this.#keyBytes);
    at += this.#values.copy(bytes, at, 0, this.#valueBytes);
    if (this.#text) bytes[at++] = 0x5d;
    if (headerBytes > 0) this.#headers?.copyTo(bytes, at);
    const flags = (this.#text ? TEXT : 0) | (headerBytes === 0 ? 0 : HEADERS) | (wide ? WIDE : 0);
    writeHeader(bytes, count, flags, least, greatest, origin);
    this.#count = 0;
    this.#keyBytes = 0;
    this.#valueBytes = 0;
    this.#headers?.clear();
    if (this.#values.length > 4 * 1024 * 1024) this.#values = Buffer.allocUnsafe(4096);
    return { bytes, count };
  }
}

/** A frame that only says how far its writer has come, or that it has nothing left to do. Takes one offset. */
export function controlFrame(origin: FrameOrigin, idle: boolean): Frame {
  const bytes = Buffer.alloc(HEADER_BYTES);
  writeHeader(bytes, 1, CONTROL | (idle ? IDLE : 0), origin.streamTime, origin.streamTime, origin);
  return { bytes, count: 1 };
}

function lengthOf(key: Uint8Array | null): number {
  return key === null ? 0 : key.length;
}

function grow(buffer: Buffer, used: number, more: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.max(buffer.length * 2, used + more));
  buffer.copy(larger, 0, 0, used);
  return larger;
}
