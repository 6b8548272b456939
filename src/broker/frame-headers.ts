/**
 * The header area of a frame: headers of all its records, one after the other. The layout is in `frame.ts`.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { Headers } from '../core/types.ts';

/** Most headers of a record. */
const MAX_HEADERS = 65_535;

/** Encoded length of the headers of one record, in bytes. @throws `MR_ARGUMENT_INVALID` for headers that a frame cannot carry. */
export function headerLength(headers: Headers): number {
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
    if (typeof value !== 'string' && !((value as unknown) instanceof Uint8Array))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `header ${JSON.stringify(name)} is a value of type ${typeof value}; give a string or a Uint8Array`,
      );
    bytes += 5 + nameBytes + (typeof value === 'string' ? Buffer.byteLength(value) : value.length);
  }
  return bytes;
}

/** Encodes the headers of all records of a frame. */
export function encodeHeaders(all: readonly (Headers | null)[]): Buffer {
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
export function decodeHeaders(bytes: Buffer, start: number, count: number): (Headers | null)[] {
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
