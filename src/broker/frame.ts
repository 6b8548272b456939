/**
 * Frames: a batch of records as one row of the log, and as one message between tasks.
 *
 * A frame is built without a place; the append transaction gives it one ({@link place}: base offset and receipt time), so
 * records are encoded and checksummed before the lock is taken. All numbers are little-endian.
 *
 * ```
 *  0 u32 magic 'MRF1'          4 u32 CRC-32 of bytes 8 to 63     8 u32 CRC-32 of the body   12 u32 body length
 * 16 f64 base offset          24 f64 received at (ms)            32 f64 least timestamp     40 f64 greatest timestamp
 * 48 f64 stream time of the task that wrote it, -Infinity when it carries none
 * 56 u32 count                60 u16 flags                       62 u16 upstream task + 1, 0 when it carries none
 * 64 body: count × { u32 timestamp − least (flag WIDE: f64 timestamp), u16 key length (0xffff: no key),
 *    u32 value length (top bit: no value) }, keys, values, headers (flag HEADERS): count × { u16 n, n × { u8 length, name, u32 length, value } }
 * ```
 *
 * With flag TEXT the values are JSON texts, stored as one JSON array `[v,v,…]` (no value: `null`), so that a reader can parse
 * a whole batch at once. Checksums find what memory and disks flip; they do not protect against a hostile writer.
 *
 * @module
 */
import { crc32 } from 'node:zlib';

import { assert, MillraceError } from '../core/errors.ts';
import type { Headers } from '../core/types.ts';

const MAGIC = 0x3146524d;
const HEADER_BYTES = 64;
const NO_KEY = 0xffff;
const NO_VALUE = 0x8000_0000;
const MAX_LENGTH = 0x7fff_ffff;

/** Longest encoded key, in bytes. */
export const MAX_KEY_BYTES = 65_534;

/** Most headers of a record. */
const MAX_HEADERS = 65_535;

const TEXT = 1;
const HEADERS = 2;
const WIDE = 4;
const CONTROL = 8;
const IDLE = 16;

/** A built frame, ready to be placed. */
export interface Frame {
  readonly bytes: Buffer;
  /** Records in it: the number of offsets that it takes. */
  readonly count: number;
}

/** What a task says of itself in the frames that it sends to other tasks. */
export interface FrameOrigin {
  /** Number of the task among those that feed the topic. */
  readonly upstream: number;
  /** Stream time of that task at its commit. */
  readonly streamTime: number;
}

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
  #headers: (Headers | null)[] | null = null;
  #headerBytes = 0;

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
    return this.#keyBytes + this.#valueBytes + this.#headerBytes;
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
    headers: Headers | null = null,
  ): void {
    if (this.#text) {
      const text =
        value === null
          ? null
          : Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
      this.#add(timestamp, key, text, 'latin1', headers);
      return;
    }
    const length = value === null ? 0 : value.length;
    this.#check(timestamp, key, length, headers);
    if (value !== null) {
      this.#reserveValue(length);
      this.#values.set(value, this.#valueBytes);
      this.#valueBytes += length;
    }
    this.#finish(timestamp, key, value === null ? NO_VALUE : length, headers);
  }

  /** Adds a record whose value is a JSON text, `null` for no value. Same errors as {@link FrameBuilder.add}. */
  addText(
    timestamp: number,
    key: Uint8Array | null,
    text: string | null,
    headers: Headers | null = null,
  ): void {
    this.#add(timestamp, key, text, 'utf8', headers);
  }

  #add(
    timestamp: number,
    key: Uint8Array | null,
    text: string | null,
    encoding: 'utf8' | 'latin1',
    headers: Headers | null,
  ): void {
    const upperBound = text === null ? 4 : encoding === 'utf8' ? text.length * 3 : text.length;
    this.#reserveValue(upperBound + 2);
    const at = this.#valueBytes;
    const written = this.#values.write(text ?? 'null', at + 1, encoding);
    this.#check(timestamp, key, written, headers);
    this.#values[at] = this.#count === 0 ? 0x5b : 0x2c;
    this.#valueBytes = at + 1 + written;
    this.#finish(timestamp, key, text === null ? (NO_VALUE | written) >>> 0 : written, headers);
  }

  #check(
    timestamp: number,
    key: Uint8Array | null,
    valueBytes: number,
    headers: Headers | null,
  ): void {
    // Offsets to the least timestamp are stored as integers: a fraction would be cut off silently.
    if (!Number.isSafeInteger(timestamp))
      throw new MillraceError(
        'MR_TIMESTAMP_INVALID',
        `the timestamp of a record is ${String(timestamp)}; give whole milliseconds since 1970`,
        { details: { timestamp } },
      );
    const keyBytes = key === null ? 0 : key.length;
    const bytes = keyBytes + valueBytes + (headers === null ? 0 : headerLength(headers));
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
    headers: Headers | null,
  ): void {
    const i = this.#count;
    if (i === this.#timestamps.length) this.#growIndex();
    this.#timestamps[i] = timestamp;
    this.#valueLengths[i] = valueLength;
    if (key === null) {
      this.#keyLengths[i] = NO_KEY;
    } else {
      this.#keyLengths[i] = key.length;
      if (this.#keyBytes + key.length > this.#keys.length)
        this.#keys = grow(this.#keys, this.#keyBytes, key.length);
      const target = this.#keys;
      let at = this.#keyBytes;
      if (key.length < 32) for (let j = 0; j < key.length; j++) target[at++] = key[j] as number;
      else target.set(key, at);
      this.#keyBytes += key.length;
    }
    if (headers !== null || this.#headers !== null) {
      this.#headers ??= Array.from({ length: i }, () => null);
      this.#headers.push(headers);
      this.#headerBytes += headers === null ? 2 : headerLength(headers);
    }
    this.#count = i + 1;
  }

  #reserveValue(bytes: number): void {
    if (this.#valueBytes + bytes > this.#values.length)
      this.#values = grow(this.#values, this.#valueBytes, bytes);
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
    const headerArea = this.#headers === null ? null : encodeHeaders(this.#headers);
    const bodyBytes = count * step + this.#keyBytes + valueBytes + (headerArea?.length ?? 0);
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
    if (headerArea !== null) bytes.set(headerArea, at);
    const flags = (this.#text ? TEXT : 0) | (headerArea === null ? 0 : HEADERS) | (wide ? WIDE : 0);
    writeHeader(bytes, count, flags, least, greatest, origin);
    this.#count = 0;
    this.#keyBytes = 0;
    this.#valueBytes = 0;
    this.#headers = null;
    this.#headerBytes = 0;
    if (this.#values.length > 4 * 1024 * 1024) this.#values = Buffer.allocUnsafe(4096);
    return { bytes, count };
  }
}

/** Whether this is a frame as {@link FrameBuilder.build} and {@link controlFrame} make them. Looks at its mark and lengths only. */
export function isFrame(frame: Frame): boolean {
  const { bytes, count } = frame;
  return (
    Buffer.isBuffer(bytes) &&
    bytes.length >= HEADER_BYTES &&
    bytes.readUInt32LE(0) === MAGIC &&
    bytes.readUInt32LE(12) === bytes.length - HEADER_BYTES &&
    bytes.readUInt32LE(56) === count &&
    count > 0
  );
}

/** A frame that only says how far its writer has come, or that it has nothing left to do. Takes one offset. */
export function controlFrame(origin: FrameOrigin, idle: boolean): Frame {
  const bytes = Buffer.alloc(HEADER_BYTES);
  writeHeader(bytes, 1, CONTROL | (idle ? IDLE : 0), origin.streamTime, origin.streamTime, origin);
  return { bytes, count: 1 };
}

function writeHeader(
  bytes: Buffer,
  count: number,
  flags: number,
  least: number,
  greatest: number,
  origin: FrameOrigin | null,
): void {
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(crc32(bytes.subarray(HEADER_BYTES)), 8);
  bytes.writeUInt32LE(bytes.length - HEADER_BYTES, 12);
  bytes.writeDoubleLE(least, 32);
  bytes.writeDoubleLE(greatest, 40);
  bytes.writeDoubleLE(origin === null ? -Infinity : origin.streamTime, 48);
  bytes.writeUInt32LE(count, 56);
  bytes.writeUInt16LE(flags, 60);
  bytes.writeUInt16LE(origin === null ? 0 : origin.upstream + 1, 62);
  place(bytes, 0, 0);
}

/** Writes base offset and receipt time into a frame and seals its header. */
export function place(bytes: Buffer, baseOffset: number, receivedAt: number): void {
  bytes.writeDoubleLE(baseOffset, 16);
  bytes.writeDoubleLE(receivedAt, 24);
  bytes.writeUInt32LE(crc32(bytes.subarray(8, HEADER_BYTES)), 4);
}

/** A frame as it was read: checked whole when opened, its records decoded on demand. Views share its bytes. */
export class FrameView {
  readonly baseOffset: number;
  readonly count: number;
  readonly receivedAt: number;
  readonly leastTimestamp: number;
  readonly greatestTimestamp: number;
  /** -Infinity: the frame carries none. */
  readonly streamTime: number;
  /** -1: the frame carries none. */
  readonly upstream: number;
  readonly #flags: number;
  readonly #bytes: Buffer;
  /** The same bytes; reads from it compile to a single load each. */
  readonly #view: DataView;
  /** Bytes of an entry of the index at the beginning of the body: 10, or 14 with flag WIDE. */
  readonly #step: number;
  /** End of each key, top bit: no key; then the start of the first. */
  #keyEnds!: Uint32Array;
  #valueEnds: Uint32Array | undefined;
  #valueStart = 0;
  #headerStart = 0;
  #headers: (Headers | null)[] | undefined;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.baseOffset = bytes.readDoubleLE(16);
    this.receivedAt = bytes.readDoubleLE(24);
    this.leastTimestamp = bytes.readDoubleLE(32);
    this.greatestTimestamp = bytes.readDoubleLE(40);
    this.streamTime = bytes.readDoubleLE(48);
    this.count = bytes.readUInt32LE(56);
    this.#flags = bytes.readUInt16LE(60);
    this.upstream = bytes.readUInt16LE(62) - 1;
    this.#step = (this.#flags & WIDE) === 0 ? 10 : 14;
  }

  /**
   * Opens a frame that should begin at `baseOffset` of `topic[partition]`.
   *
   * @throws `MR_CORRUPT` naming the place and what is wrong, for bytes that {@link FrameBuilder} and {@link place} did not write.
   */
  static open(bytes: Uint8Array, topic: string, partition: number, baseOffset: number): FrameView {
    const buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const wrong = defectOf(buffer, baseOffset);
    if (wrong !== undefined)
      throw new MillraceError(
        'MR_CORRUPT',
        `the frame at offset ${baseOffset} of ${topic}[${partition}] is damaged: ${wrong}; restore the directory from a backup`,
        { domain: 'external', details: { topic, partition, offset: baseOffset } },
      );
    const view = new FrameView(buffer);
    if (!view.control && !view.#index())
      throw new MillraceError(
        'MR_CORRUPT',
        `the frame at offset ${baseOffset} of ${topic}[${partition}] has lengths that do not add up`,
        {
          domain: 'external',
          details: { topic, partition, offset: baseOffset },
        },
      );
    return view;
  }

  /** Offset after its last record. */
  get end(): number {
    return this.baseOffset + this.count;
  }

  /** Carries no records for users, only the progress of its writer. */
  get control(): boolean {
    return (this.#flags & CONTROL) !== 0;
  }

  /** Its writer has nothing left to do. */
  get idle(): boolean {
    return (this.#flags & IDLE) !== 0;
  }

  /** Its values are JSON texts; see {@link FrameView.json}. */
  get text(): boolean {
    return (this.#flags & TEXT) !== 0;
  }

  get byteLength(): number {
    return this.#bytes.length;
  }

  timestamp(i: number): number {
    const at = HEADER_BYTES + i * this.#step;
    return this.#step === 10
      ? this.leastTimestamp + this.#view.getUint32(at, true)
      : this.#view.getFloat64(at, true);
  }

  /** Where the key of record `i` lies in {@link FrameView.bytes}; an empty range with `keyStart === -1` for no key. */
  keyStart(i: number): number {
    const start =
      i === 0
        ? (this.#keyEnds[this.count] as number)
        : (this.#keyEnds[i - 1] as number) & MAX_LENGTH;
    return ((this.#keyEnds[i] as number) & NO_VALUE) !== 0 ? -1 : start;
  }

  keyEnd(i: number): number {
    return (this.#keyEnds[i] as number) & MAX_LENGTH;
  }

  key(i: number): Uint8Array | null {
    const start = this.keyStart(i);
    return start < 0 ? null : this.#bytes.subarray(start, this.keyEnd(i));
  }

  value(i: number): Uint8Array | null {
    const ends = (this.#valueEnds ??= this.#findValues());
    const length = this.#valueLength(i);
    const end = ends[i] as number;
    return (length & NO_VALUE) !== 0
      ? null
      : this.#bytes.subarray(end - (length & MAX_LENGTH), end);
  }

  headers(i: number): Headers | null {
    if ((this.#flags & HEADERS) === 0) return null;
    this.#headers ??= decodeHeaders(this.#bytes, this.#headerStart, this.count);
    return this.#headers[i] ?? null;
  }

  /** The whole frame; positions from {@link FrameView.keyStart} point into it. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** All values at once, for a frame of JSON texts. @throws SyntaxError for a text that is not JSON. */
  json(): unknown[] {
    return JSON.parse(
      this.#bytes.toString('utf8', this.#valueStart, this.#headerStart),
    ) as unknown[];
  }

  /** Finds the keys and where the values lie. False when lengths do not fit the body. */
  #index(): boolean {
    const view = this.#view;
    const { count } = this;
    const step = this.#step;
    let keyAt = HEADER_BYTES + count * step;
    if (count === 0 || keyAt > this.byteLength) return false;
    const keyEnds = new Uint32Array(count + 1);
    keyEnds[count] = keyAt;
    let valueBytes = (this.#flags & TEXT) === 0 ? 0 : count + 1;
    for (let i = 0, at = HEADER_BYTES + step - 6; i < count; i++, at += step) {
      const keyLength = view.getUint16(at, true);
      if (keyLength !== NO_KEY) keyAt += keyLength;
      keyEnds[i] = keyLength === NO_KEY ? keyAt + NO_VALUE : keyAt;
      valueBytes += view.getUint32(at + 2, true) & MAX_LENGTH;
    }
    this.#keyEnds = keyEnds;
    this.#valueStart = keyAt;
    this.#headerStart = keyAt + valueBytes;
    return (this.#flags & HEADERS) === 0
      ? this.#headerStart === this.byteLength
      : this.#headerStart <= this.byteLength;
  }

  /** The end of each value. Most readers of JSON texts never ask. */
  #findValues(): Uint32Array {
    const ends = new Uint32Array(this.count);
    const separator = (this.#flags & TEXT) === 0 ? 0 : 1;
    for (let i = 0, at = this.#valueStart; i < ends.length; i++) {
      at += separator + (this.#valueLength(i) & MAX_LENGTH);
      ends[i] = at;
    }
    return ends;
  }

  #valueLength(i: number): number {
    return this.#view.getUint32(HEADER_BYTES + (i + 1) * this.#step - 4, true);
  }
}

/** What is wrong with a frame, or `undefined`. */
function defectOf(bytes: Buffer, baseOffset: number): string | undefined {
  if (bytes.length < HEADER_BYTES) return `it has ${bytes.length} bytes, fewer than a header`;
  if (bytes.readUInt32LE(0) !== MAGIC) return 'it does not begin with the mark of a frame';
  if (bytes.readUInt32LE(4) !== crc32(bytes.subarray(8, HEADER_BYTES)))
    return 'the checksum of its header is wrong';
  if (bytes.readUInt32LE(12) !== bytes.length - HEADER_BYTES) return 'its length is wrong';
  if (bytes.readUInt32LE(8) !== crc32(bytes.subarray(HEADER_BYTES)))
    return 'the checksum of its records is wrong';
  if (bytes.readDoubleLE(16) !== baseOffset)
    return `it says that it begins at offset ${bytes.readDoubleLE(16)}`;
  return undefined;
}

function grow(buffer: Buffer, used: number, more: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.max(buffer.length * 2, used + more));
  buffer.copy(larger, 0, 0, used);
  return larger;
}

function headerLength(headers: Headers): number {
  let bytes = 2;
  const entries = Object.entries(headers);
  if (entries.length > MAX_HEADERS)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `a record with ${entries.length} headers exceeds the limit of ${MAX_HEADERS}`,
    );
  for (const [name, value] of entries) {
    const nameBytes = Buffer.byteLength(name);
    if (nameBytes > 255)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `a header name of ${nameBytes} bytes exceeds the limit of 255`,
      );
    bytes += 5 + nameBytes + (typeof value === 'string' ? Buffer.byteLength(value) : value.length);
  }
  return bytes;
}

function encodeHeaders(all: readonly (Headers | null)[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const headers of all) {
    const entries = headers === null ? [] : Object.entries(headers);
    const count = Buffer.alloc(2);
    count.writeUInt16LE(entries.length);
    parts.push(count);
    for (const [name, value] of entries) {
      const nameBytes = Buffer.from(name);
      const valueBytes = typeof value === 'string' ? Buffer.from(value) : value;
      const length = Buffer.alloc(4);
      length.writeUInt32LE(valueBytes.length);
      parts.push(Uint8Array.of(nameBytes.length), nameBytes, length, valueBytes);
    }
  }
  return Buffer.concat(parts);
}

/** Headers of all records: they have no index, so one pass for the frame is cheaper than one for each record. */
function decodeHeaders(bytes: Buffer, start: number, count: number): (Headers | null)[] {
  const all: (Headers | null)[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    const entries = bytes.readUInt16LE(at);
    at += 2;
    if (entries === 0) {
      all.push(null);
      continue;
    }
    const headers = Object.create(null) as Record<string, Uint8Array>;
    for (let j = 0; j < entries; j++) {
      const nameEnd = at + 1 + (bytes[at] as number);
      const valueStart = nameEnd + 4;
      const valueEnd = valueStart + bytes.readUInt32LE(nameEnd);
      headers[bytes.toString('utf8', at + 1, nameEnd)] = bytes.subarray(valueStart, valueEnd);
      at = valueEnd;
    }
    all.push(headers);
  }
  return all;
}
