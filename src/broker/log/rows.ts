/**
 * Keys and rows of the log. Every row but the frames (which carry their own checksums) and the change counter begins with
 * a CRC-32 of the rest, so that a flipped bit is an error and never another position, epoch or end.
 *
 * ```
 * frames     topic id u32, partition u16, base offset u64      → frame
 * ends       topic id u32, partition u16                       → u32 crc, f64 start, f64 end, f64 last received at, f64 bytes of frames,
 *                                                                f64 sparse below
 * tasks      group, 0, task id                                 → u32 crc, u32 n, n bytes of JSON, meta
 * producers  id                                                → u32 crc, u32 n, n bytes of JSON, position
 * groups     group                                             → u32 crc, u32 n, n bytes of JSON
 * meta       "format", "changes", "ids", "topic:" name,        → u32 crc, u32 n, n bytes of JSON ("changes": f64)
 *            "maintained", "deletions", "garbage:" group,
 *            "compacted:" topic id ":" partition
 * ```
 *
 * Numbers in keys are big-endian, so that bytewise order is numeric order; numbers in rows are little-endian.
 *
 * @module
 */
import { crc32 } from 'node:zlib';

import { MillraceError } from '../../core/errors.ts';

const PARTITION_BYTES = 6;
const FRAME_KEY_BYTES = 14;
const ENDS_BYTES = 44;

/** Bounds, clock and size of a partition. Its row is there from the creation of the topic to its end. */
export interface Ends {
  start: number;
  end: number;
  receivedAt: number;
  /** Of all its frames. */
  bytes: number;
  /** Below this offset compaction may have left gaps between frames; at and above it each frame begins where the last one ended. */
  sparseBelow: number;
}

/** What a sealed row holds: a small JSON object, and bytes that are the caller's. */
export interface Row {
  readonly head: object;
  readonly payload: Uint8Array;
}

export function textKey(text: string): Buffer {
  return Buffer.from(text, 'utf8');
}

export function partitionKey(topicId: number, partition: number): Buffer {
  const key = Buffer.allocUnsafe(PARTITION_BYTES);
  key.writeUInt32BE(topicId, 0);
  key.writeUInt16BE(partition, 4);
  return key;
}

/** What the frames of a partition are sealed for. */
export function homeOf(topicId: number, partition: number): number {
  return crc32(partitionKey(topicId, partition));
}

export function frameKey(topicId: number, partition: number, baseOffset: number): Buffer {
  const key = Buffer.allocUnsafe(FRAME_KEY_BYTES);
  key.writeUInt32BE(topicId, 0);
  key.writeUInt16BE(partition, 4);
  return moveFrameKey(key, baseOffset);
}

/** Where the rows of a task's state begin in table `state`; the rest of such keys belongs to the layer above. */
export function stateKey(stateId: number): Buffer {
  const key = Buffer.allocUnsafe(4);
  key.writeUInt32BE(stateId, 0);
  return key;
}

/** Points a frame key at another offset of the same partition. */
export function moveFrameKey(key: Buffer, baseOffset: number): Buffer {
  key.writeUInt32BE(Math.floor(baseOffset / 2 ** 32), 6);
  key.writeUInt32BE(baseOffset % 2 ** 32, 10);
  return key;
}

/** The range of keys of all frames of a partition whose base offset lies in `from ≤ x < to`. */
export function frameRange(
  topicId: number,
  partition: number,
  from: number,
  to: number,
): { readonly from: Buffer; readonly to: Buffer } {
  return { from: frameKey(topicId, partition, from), to: frameKey(topicId, partition, to) };
}

/** Whether a key of table `frames` is of a frame: its offset can be counted on from. Others come from damage between the pages of the store. */
export function isFrameKey(key: Uint8Array): boolean {
  return key.length === FRAME_KEY_BYTES && key[6] === 0 && (key[7] as number) < 0x20;
}

/** Whether a key of table `ends` has the length of one. */
export function isPartitionKey(key: Uint8Array): boolean {
  return key.length === PARTITION_BYTES;
}

/** The base offset that a frame key names. @throws `MR_CORRUPT` for a key of another kind. */
export function offsetOfKey(key: Uint8Array): number {
  if (!isFrameKey(key)) throw corrupt('the table of frames', 'it holds a key that is of no frame');
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  return view.getUint32(6) * 2 ** 32 + view.getUint32(10);
}

export function encodeEnds(ends: Ends): Buffer {
  const bytes = Buffer.allocUnsafe(ENDS_BYTES);
  bytes.writeDoubleLE(ends.start, 4);
  bytes.writeDoubleLE(ends.end, 12);
  bytes.writeDoubleLE(ends.receivedAt, 20);
  bytes.writeDoubleLE(ends.bytes, 28);
  bytes.writeDoubleLE(ends.sparseBelow, 36);
  return seal(bytes);
}

/** @throws `MR_CORRUPT` naming `what`. */
export function decodeEnds(row: Uint8Array, what: () => string): Ends {
  const bytes = unseal(row, what);
  if (bytes.length !== ENDS_BYTES) throw corrupt(what(), `it has ${bytes.length} bytes`);
  return {
    start: bytes.readDoubleLE(4),
    end: bytes.readDoubleLE(12),
    receivedAt: bytes.readDoubleLE(20),
    bytes: bytes.readDoubleLE(28),
    sparseBelow: bytes.readDoubleLE(36),
  };
}

export function encodeRow(head: object, payload: Uint8Array = new Uint8Array(0)): Buffer {
  const text = Buffer.from(JSON.stringify(head), 'utf8');
  const bytes = Buffer.allocUnsafe(8 + text.length + payload.length);
  bytes.writeUInt32LE(text.length, 4);
  bytes.set(text, 8);
  bytes.set(payload, 8 + text.length);
  return seal(bytes);
}

/** @throws `MR_CORRUPT` naming `what`. */
export function decodeRow(row: Uint8Array, what: () => string): Row {
  const bytes = unseal(row, what);
  if (bytes.length < 8 || bytes.length < 8 + bytes.readUInt32LE(4))
    throw corrupt(what(), 'its lengths do not add up');
  const headEnd = 8 + bytes.readUInt32LE(4);
  return {
    head: parseHead(bytes.toString('utf8', 8, headEnd), what),
    // A copy: callers keep it, and it must not pin or share what the store handed out.
    payload: Uint8Array.prototype.slice.call(bytes, headEnd),
  };
}

function parseHead(text: string, what: () => string): object {
  let head: unknown;
  try {
    head = JSON.parse(text);
  } catch {
    throw corrupt(what(), 'it is not JSON');
  }
  if (typeof head !== 'object' || head === null) throw corrupt(what(), 'it is not an object');
  return head;
}

function seal(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

function unseal(row: Uint8Array, what: () => string): Buffer {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  if (bytes.length < 4 || bytes.readUInt32LE(0) !== crc32(bytes.subarray(4)))
    throw corrupt(what(), 'its checksum is wrong');
  return bytes;
}

/** The error of a row that is not what it must be. */
export function corrupt(what: string, why: string): MillraceError {
  return new MillraceError(
    'MR_CORRUPT',
    `${what} is damaged: ${why}; restore the directory from a backup`,
    { domain: 'external', details: { what } },
  );
}
