/**
 * Reading frames. The layout is in `frame.ts`.
 *
 * @module
 */
import { crc32 } from 'node:zlib';

import { MillraceError } from '../core/errors.ts';
import type { Headers } from '../core/types.ts';
import { decodeHeaders, endOfHeaders } from './frame-headers.ts';
import {
  CONTROL,
  HEADER_BYTES,
  HEADERS,
  IDLE,
  MAGIC,
  MAX_LENGTH,
  NO_KEY,
  NO_VALUE,
  TEXT,
  WIDE,
} from './frame.ts';

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
  /** End of each value, from where the first begins. */
  #valueEnds!: Uint32Array;
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
   * Opens a frame that should begin at `baseOffset` of `topic[partition]`. `home`: that of the partition, as given to {@link place}.
   *
   * @throws `MR_CORRUPT` naming the place and what is wrong, for bytes that {@link FrameBuilder} and {@link place} did not write.
   */
  static open(
    bytes: Uint8Array,
    topic: string,
    partition: number,
    baseOffset: number,
    home = 0,
  ): FrameView {
    const buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const wrong = defectOf(buffer, baseOffset, home);
    if (wrong !== undefined)
      throw new MillraceError(
        'MR_CORRUPT',
        `the frame at offset ${baseOffset} of ${topic}[${partition}] is damaged: ${wrong}; restore the directory from a backup`,
        { domain: 'external', details: { topic, partition, offset: baseOffset } },
      );
    const view = new FrameView(buffer);
    if (view.control ? !isControl(view) : !view.#index())
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

  /** Where the value of record `i` lies in {@link FrameView.bytes}; -1 for no value. */
  valueStart(i: number): number {
    const length = this.#valueLength(i);
    return (length & NO_VALUE) !== 0 ? -1 : this.valueEnd(i) - (length & MAX_LENGTH);
  }

  valueEnd(i: number): number {
    return this.#valueStart + (this.#valueEnds[i] as number);
  }

  value(i: number): Uint8Array | null {
    const start = this.valueStart(i);
    return start < 0 ? null : this.#bytes.subarray(start, this.valueEnd(i));
  }

  /** As {@link FrameView.value}, by offset. */
  valueAt(offset: number): Uint8Array | null {
    return this.value(offset - this.baseOffset);
  }

  headers(i: number): Headers | null {
    if ((this.#flags & HEADERS) === 0) return null;
    this.#headers ??= decodeHeaders(this.#bytes, this.#headerStart, this.count);
    return this.#headers[i] ?? null;
  }

  /** The whole frame; positions from {@link FrameView.keyStart} and {@link FrameView.valueStart} point into it. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** All values at once, for a frame of JSON texts. @throws SyntaxError for a text that is not JSON. */
  json(): unknown[] {
    return JSON.parse(
      this.#bytes.toString('utf8', this.#valueStart, this.#headerStart),
    ) as unknown[];
  }

  /** Finds the keys and where the values lie. False when lengths do not fit the body: nothing that is read later reaches beyond it. */
  #index(): boolean {
    const view = this.#view;
    const { count } = this;
    const step = this.#step;
    let keyAt = HEADER_BYTES + count * step;
    if (count === 0 || keyAt > this.byteLength) return false;
    const keyEnds = new Uint32Array(count + 1);
    keyEnds[count] = keyAt;
    const separator = (this.#flags & TEXT) === 0 ? 0 : 1;
    const valueEnds = new Uint32Array(count);
    let valueBytes = 0;
    for (let i = 0, at = HEADER_BYTES + step - 6; i < count; i++, at += step) {
      const keyLength = view.getUint16(at, true);
      if (keyLength !== NO_KEY) keyAt += keyLength;
      keyEnds[i] = keyLength === NO_KEY ? keyAt + NO_VALUE : keyAt;
      valueBytes += separator + (view.getUint32(at + 2, true) & MAX_LENGTH);
      valueEnds[i] = valueBytes;
    }
    this.#keyEnds = keyEnds;
    this.#valueStart = keyAt;
    this.#valueEnds = valueEnds;
    this.#headerStart = keyAt + valueBytes + separator;
    const end =
      (this.#flags & HEADERS) === 0
        ? this.#headerStart
        : endOfHeaders(this.#bytes, this.#headerStart, count);
    return end === this.byteLength;
  }

  #valueLength(i: number): number {
    return this.#view.getUint32(HEADER_BYTES + (i + 1) * this.#step - 4, true);
  }
}

/** One offset and nothing else: a reader that is told of none would come back to it for ever. */
function isControl({ count, byteLength }: FrameView): boolean {
  return count === 1 && byteLength === HEADER_BYTES;
}

/** What is wrong with a frame, or `undefined`. */
function defectOf(bytes: Buffer, baseOffset: number, home: number): string | undefined {
  if (bytes.length < HEADER_BYTES) return `it has ${bytes.length} bytes, fewer than a header`;
  if (bytes.readUInt32LE(0) !== MAGIC) return 'it does not begin with the mark of a frame';
  if (bytes.readUInt32LE(4) !== crc32(bytes.subarray(8, HEADER_BYTES), home))
    return 'the checksum of its header is wrong, or it is the frame of another partition';
  if (bytes.readUInt32LE(12) !== bytes.length - HEADER_BYTES) return 'its length is wrong';
  if (bytes.readUInt32LE(8) !== crc32(bytes.subarray(HEADER_BYTES)))
    return 'the checksum of its records is wrong';
  if (bytes.readDoubleLE(16) !== baseOffset)
    return `it says that it begins at offset ${bytes.readDoubleLE(16)}`;
  return undefined;
}
