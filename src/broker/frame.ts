/**
 * Frames: a batch of records as one row of the log, and as one message between tasks.
 *
 * A frame is built without a place; the append transaction gives it one ({@link place}: base offset, receipt time, and where it belongs),
 * so records are encoded and checksummed before the lock is taken. All numbers are little-endian.
 *
 * ```
 *  0 u32 magic 'MRF1'          4 u32 CRC-32 of bytes 8 to 63, begun with the home     8 u32 CRC-32 of the body   12 u32 body length
 * 16 f64 base offset          24 f64 received at (ms)            32 f64 least timestamp     40 f64 greatest timestamp
 * 48 f64 stream time of the task that wrote it, -Infinity when it carries none
 * 56 u32 count                60 u16 flags                       62 u16 upstream task + 1, 0 when it carries none
 * 64 body: count × { u32 timestamp − least (flag WIDE: f64 timestamp), u16 key length (0xffff: no key),
 *    u32 value length (top bit: no value) }, keys, values, headers (flag HEADERS): count × { u16 n, n × { u8 length, name, u32 length, value } }
 * ```
 *
 * With flag TEXT the values are JSON texts, stored as one JSON array `[v,v,…]` (no value: `null`), so that a reader can parse
 * a whole batch at once. Checksums find what memory and disks flip; they do not protect against a hostile writer. The home is a number that the
 * partition has and hardly any other: where a flipped bit makes the store hand out the frame of another partition, which may well have the
 * same base offset, the checksum is wrong.
 *
 * @module
 */
import { crc32 } from 'node:zlib';

export const MAGIC = 0x3146524d;
export const HEADER_BYTES = 64;
export const NO_KEY = 0xffff;
export const NO_VALUE = 0x8000_0000;
export const MAX_LENGTH = 0x7fff_ffff;

/** Longest encoded key, in bytes. */
export const MAX_KEY_BYTES = 65_534;

export const TEXT = 1;
export const HEADERS = 2;
export const WIDE = 4;
export const CONTROL = 8;
export const IDLE = 16;

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

/** Writes everything but the place. The body is there already. */
export function writeHeader(
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

/** Writes base offset and receipt time into a frame and seals its header for a home, 0 to 2³² − 1. Default 0: in no partition. */
export function place(bytes: Buffer, baseOffset: number, receivedAt: number, home = 0): void {
  bytes.writeDoubleLE(baseOffset, 16);
  bytes.writeDoubleLE(receivedAt, 24);
  bytes.writeUInt32LE(crc32(bytes.subarray(8, HEADER_BYTES), home), 4);
}

/** What the header of a placed frame says of its place and size. */
export interface FramePlace {
  readonly baseOffset: number;
  readonly receivedAt: number;
  readonly count: number;
}

/** Reads the header alone, without the records; `undefined` for one that is damaged or belongs elsewhere than to `home`. */
export function readPlace(frame: Uint8Array, home = 0): FramePlace | undefined {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  if (
    bytes.length < HEADER_BYTES ||
    bytes.readUInt32LE(0) !== MAGIC ||
    bytes.readUInt32LE(4) !== crc32(bytes.subarray(8, HEADER_BYTES), home)
  )
    return undefined;
  return {
    baseOffset: bytes.readDoubleLE(16),
    receivedAt: bytes.readDoubleLE(24),
    count: bytes.readUInt32LE(56),
  };
}
