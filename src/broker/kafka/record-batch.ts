/**
 * Record batches of Kafka (magic 2), from and to bytes. All numbers are big-endian; varints are zigzag.
 *
 * ```
 *  0 i64 base offset    8 i32 bytes behind this field    12 i32 leader epoch    16 i8 magic = 2    17 u32 CRC-32C of all that follows
 * 21 i16 attributes: compression (3 bits), log append time, transactional, control
 * 23 i32 last offset delta    27 i64 base timestamp    35 i64 greatest timestamp
 * 43 i64 producer id   51 i16 producer epoch   53 i32 base sequence   57 i32 count   61 records, compressed as one
 * record: varint length, i8 0, varlong timestamp − base, varint offset − base, key, value, varint n, n × { name, value }
 *         key, name, value: varint length (−1: none), bytes
 * ```
 *
 * Times and offsets are numbers: both stay below 2⁵³ for longer than anybody will look. Only producer ids are bigints.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';

const BATCH_HEADER_BYTES = 61;
/** Bytes in front of what the length of a batch counts. */
const LENGTH_PREFIX_BYTES = 12;
const MAGIC = 2;

export const COMPRESSION_BITS = 0x07;
const LOG_APPEND_TIME = 0x08;
export const TRANSACTIONAL = 0x10;
export const CONTROL_BATCH = 0x20;

const HIGH = 0x1_0000_0000;
/** Beyond it a zigzag number is not exact any more. */
const EXACT = 2 ** 52;

/** The header of a batch as it was read. */
export interface BatchHeader {
  readonly baseOffset: number;
  /** Offset of the last record that the batch was written with; compaction may have taken it. */
  readonly lastOffset: number;
  readonly attributes: number;
  readonly baseTimestamp: number;
  readonly maxTimestamp: number;
  readonly producerId: bigint;
  readonly count: number;
  /** Records, compressed or not. */
  readonly records: Buffer;
}

/** What stands in the header of a batch that is written. */
export interface BatchOrigin {
  /** −1 for a producer without an id. */
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly transactional: boolean;
}

/** One record. Bytes are views into the batch. */
export interface BatchRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** In their order; a name may come twice. `null` for none. */
  readonly headers: readonly (readonly [string, Buffer | null])[] | null;
}

/** A checksum, CRC-32C. */
export type Checksum = (bytes: Buffer) => number;

/** Compresses the records of a batch. `bits` are those of the attributes. */
export interface Compressor {
  readonly bits: number;
  readonly compress: (records: Buffer) => Buffer;
}

/** Reads a signed 64-bit number as far as it is exact. */
function readLong(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * HIGH + bytes.readUInt32BE(at + 4);
}

/** Writes a safe integer as a signed 64-bit number. */
function writeLong(bytes: Buffer, value: number, at: number): void {
  bytes.writeInt32BE(Math.floor(value / HIGH), at);
  bytes.writeUInt32BE(((value % HIGH) + HIGH) % HIGH, at + 4);
}

/**
 * The batches in what a broker has sent. The last one may be cut off, since a broker sends as many bytes as it was asked for: it is left out.
 *
 * @param checksum Left out, checksums are not verified.
 * @throws `MR_CORRUPT` for bytes that are no batches; `MR_VERSION_UNSUPPORTED` for batches in a form from before Kafka 0.11.
 */
export function readBatches(
  bytes: Buffer,
  place: string,
  checksum?: Checksum,
): readonly BatchHeader[] {
  const batches: BatchHeader[] = [];
  for (let at = 0; at + LENGTH_PREFIX_BYTES <= bytes.length;) {
    const baseOffset = readLong(bytes, at);
    const end = at + LENGTH_PREFIX_BYTES + bytes.readInt32BE(at + 8);
    if (end > bytes.length) break;
    if (bytes[at + 16] !== MAGIC)
      throw new MillraceError(
        'MR_VERSION_UNSUPPORTED',
        `the records at offset ${baseOffset} of ${place} have format ${String(bytes[at + 16])}; millrace reads format 2, which Kafka writes since 0.11`,
        { domain: 'external', details: { offset: baseOffset } },
      );
    if (end < at + BATCH_HEADER_BYTES) throw damaged(place, baseOffset, 'its length is wrong');
    if (
      checksum !== undefined &&
      checksum(bytes.subarray(at + 21, end)) !== bytes.readUInt32BE(at + 17)
    )
      throw damaged(place, baseOffset, 'its checksum is wrong');
    batches.push({
      baseOffset,
      lastOffset: baseOffset + bytes.readInt32BE(at + 23),
      attributes: bytes.readInt16BE(at + 21),
      baseTimestamp: readLong(bytes, at + 27),
      maxTimestamp: readLong(bytes, at + 35),
      producerId: bytes.readBigInt64BE(at + 43),
      count: bytes.readInt32BE(at + 57),
      records: bytes.subarray(at + BATCH_HEADER_BYTES, end),
    });
    at = end;
  }
  return batches;
}

/** Whether the first batch is there to its end. */
export function wholeBatch(bytes: Buffer): boolean {
  return (
    bytes.length >= BATCH_HEADER_BYTES && bytes.length >= LENGTH_PREFIX_BYTES + bytes.readInt32BE(8)
  );
}

/** What a control batch says. */
export type Marker = 'commit' | 'abort' | 'other';

/** Reads the one record of a control batch. */
export function readMarker(batch: BatchHeader, place: string): Marker {
  const [record] = readRecords(batch, batch.records, place);
  if (record?.key === null || record === undefined || record.key.length < 4) return 'other';
  const type = record.key.readInt16BE(2);
  if (type === 0) return 'abort';
  return type === 1 ? 'commit' : 'other';
}

/**
 * The records of a batch.
 *
 * @param records `batch.records`, decompressed.
 * @throws `MR_CORRUPT` for lengths that do not fit.
 */
export function readRecords(batch: BatchHeader, records: Buffer, place: string): BatchRecord[] {
  const read = new Varints(records);
  const appended = (batch.attributes & LOG_APPEND_TIME) !== 0;
  const out: BatchRecord[] = [];
  for (let i = 0; i < batch.count; i++) {
    const length = read.next();
    const end = read.at + length;
    if (!(length > 0 && end <= records.length))
      throw damaged(place, batch.baseOffset, `record ${i} is longer than it`);
    read.at++;
    const timestamp = batch.baseTimestamp + read.next();
    const offset = batch.baseOffset + read.next();
    const key = read.bytes();
    const value = read.bytes();
    const count = read.next();
    let headers: [string, Buffer | null][] | null = null;
    if (count > 0) {
      headers = [];
      for (let j = 0; j < count && read.at < end; j++)
        headers.push([read.bytes()?.toString('utf8') ?? '', read.bytes()]);
    }
    if (read.at !== end) throw damaged(place, batch.baseOffset, `record ${i} has wrong lengths`);
    out.push({
      offset,
      timestamp: appended ? batch.maxTimestamp : timestamp,
      key,
      value,
      headers,
    });
  }
  return out;
}

/** Collects the records of one batch and encodes it. Reusable: {@link BatchWriter.finish} empties it. */
export class BatchWriter {
  #bytes: Buffer = Buffer.allocUnsafe(16 * 1024);
  #at = BATCH_HEADER_BYTES;
  #count = 0;
  #baseTimestamp = 0;
  #maxTimestamp = 0;

  get count(): number {
    return this.#count;
  }

  /** Bytes so far, before compression. */
  get byteLength(): number {
    return this.#at;
  }

  /** Adds a record. Bytes are copied. */
  add(
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly (readonly [Uint8Array, Uint8Array])[],
  ): void {
    if (this.#count === 0) {
      this.#baseTimestamp = timestamp;
      this.#maxTimestamp = timestamp;
    } else if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
    const sinceBase = timestamp - this.#baseTimestamp;
    let length =
      1 +
      varintBytes(sinceBase) +
      varintBytes(this.#count) +
      fieldBytes(key) +
      fieldBytes(value) +
      varintBytes(headers.length);
    for (const [name, content] of headers) length += fieldBytes(name) + fieldBytes(content);
    this.#reserve(length + 5);
    this.#varint(length);
    this.#bytes[this.#at++] = 0;
    this.#varint(sinceBase);
    this.#varint(this.#count);
    this.#field(key);
    this.#field(value);
    this.#varint(headers.length);
    for (const [name, content] of headers) {
      this.#field(name);
      this.#field(content);
    }
    this.#count++;
  }

  /** The batch of what was added, at least one record. */
  finish(
    { producerId, producerEpoch, baseSequence, transactional }: BatchOrigin,
    checksum: Checksum,
    compressor?: Compressor,
  ): Buffer {
    const plain = this.#bytes.subarray(BATCH_HEADER_BYTES, this.#at);
    const packed = compressor?.compress(plain);
    // What does not get smaller is sent as it is.
    const smaller = packed !== undefined && packed.length < plain.length;
    const records = smaller ? packed : plain;
    const batch = Buffer.allocUnsafe(BATCH_HEADER_BYTES + records.length);
    batch.set(records, BATCH_HEADER_BYTES);
    writeLong(batch, 0, 0);
    batch.writeInt32BE(batch.length - LENGTH_PREFIX_BYTES, 8);
    batch.writeInt32BE(-1, 12);
    batch[16] = MAGIC;
    batch.writeInt16BE(
      (smaller ? (compressor?.bits ?? 0) : 0) | (transactional ? TRANSACTIONAL : 0),
      21,
    );
    batch.writeInt32BE(this.#count - 1, 23);
    writeLong(batch, this.#baseTimestamp, 27);
    writeLong(batch, this.#maxTimestamp, 35);
    batch.writeBigInt64BE(producerId, 43);
    batch.writeInt16BE(producerEpoch, 51);
    batch.writeInt32BE(baseSequence, 53);
    batch.writeInt32BE(this.#count, 57);
    batch.writeUInt32BE(checksum(batch.subarray(21)), 17);
    this.#at = BATCH_HEADER_BYTES;
    this.#count = 0;
    if (this.#bytes.length > 4 * 1024 * 1024) this.#bytes = Buffer.allocUnsafe(16 * 1024);
    return batch;
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + more));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }

  #field(bytes: Uint8Array | null): void {
    this.#varint(bytes === null ? -1 : bytes.length);
    if (bytes === null) return;
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #varint(value: number): void {
    const bytes = this.#bytes;
    if (value >= EXACT || value < -EXACT) {
      let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
      for (; rest > 0x7fn; rest >>= 7n) bytes[this.#at++] = Number(rest & 0x7fn) | 0x80;
      bytes[this.#at++] = Number(rest);
      return;
    }
    let rest = value < 0 ? -2 * value - 1 : 2 * value;
    // Bitwise operators work on 32 bits.
    for (; rest >= 0x8000_0000; rest = Math.floor(rest / 128))
      bytes[this.#at++] = (rest % 128) | 0x80;
    for (; rest > 0x7f; rest >>>= 7) bytes[this.#at++] = (rest & 0x7f) | 0x80;
    bytes[this.#at++] = rest;
  }
}

class Varints {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  next(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.at++] ?? 0;
    if (byte < 0x80) return (byte & 1) === 0 ? byte >>> 1 : -(byte >>> 1) - 1;
    let low = byte & 0x7f;
    for (let shift = 7; shift < 28; shift += 7) {
      byte = bytes[this.at++] ?? 0;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (low & 1) === 0 ? low >>> 1 : -(low >>> 1) - 1;
    }
    return this.#long(low);
  }

  /** Goes on behind the first 28 bits. */
  #long(low: number): number {
    const bytes = this.#bytes;
    let high = 0n;
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = bytes[this.at++] ?? 0;
      high |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const zigzag = high | BigInt(low);
    return Number((zigzag >> 1n) ^ -(zigzag & 1n));
  }

  /** A field that says its length; `null` for none. One that reaches beyond the bytes is cut off: whoever reads compares lengths. */
  bytes(): Buffer | null {
    const length = this.next();
    if (length < 0) return null;
    const start = this.at;
    this.at += length;
    return this.#bytes.subarray(start, this.at);
  }
}

function varintBytes(value: number): number {
  // Exactly as many as are written for all that is exact; beyond it a zigzag number has 54 bits or more, and all of them are written with bigints.
  if (value >= EXACT || value < -EXACT) {
    const zigzag = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
    return Math.ceil(zigzag.toString(2).length / 7);
  }
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  let bytes = 1;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

function fieldBytes(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintBytes(bytes.length) + bytes.length;
}

function damaged(place: string, offset: number, what: string): MillraceError {
  return new MillraceError(
    'MR_CORRUPT',
    `the records at offset ${offset} of ${place} are damaged: ${what}; look at the disk of the broker that sent them`,
    { domain: 'external', details: { offset } },
  );
}
