/**
 * The header area of a frame: headers of all its records, one after the other. The layout is in `frame.ts`.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { Headers } from '../core/types.ts';

/** Most headers of a record. */
const MAX_HEADERS = 65_535;

/** Memory of at most this many bytes stays for the next frame. */
const MAX_KEPT = 1024 * 1024;

/** Texts up to this length are written byte by byte, which is quicker than a call for each. */
const SHORT = 48;

/** Headers of a record as they are stored. */
export class StoredHeaders {
  readonly bytes: Uint8Array;

  /** @param bytes Kept. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** Collects the headers of the records of a frame in their encoded form. Reusable, see {@link HeaderArea.clear}. */
export class HeaderArea {
  #bytes: Buffer = Buffer.allocUnsafe(512);
  #used = 0;
  #end = 0;
  /** Records without headers in front of the first that has some: most frames have none at all, and pay nothing for it. */
  #leading = 0;

  /** Bytes of what was kept. */
  get used(): number {
    return this.#used;
  }

  /**
   * Encodes the headers of a record and returns their length in bytes. They are added only by {@link HeaderArea.keep}, before the next call.
   *
   * @throws `MR_ARGUMENT_INVALID` for headers that a frame cannot carry.
   */
  encode(headers: Headers | StoredHeaders): number {
    if (headers instanceof StoredHeaders) {
      this.#end = this.#used;
      this.#append(headers.bytes);
      return headers.bytes.length;
    }
    const names = Object.keys(headers);
    if (names.length > MAX_HEADERS)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `a record with ${names.length} headers exceeds the limit of ${MAX_HEADERS}`,
      );
    this.#end = this.#used;
    this.#reserve(2);
    this.#end = this.#bytes.writeUInt16LE(names.length, this.#end);
    for (const name of names) this.#encodeOne(name, headers[name] as string | Uint8Array);
    return this.#end - this.#used;
  }

  #encodeOne(name: string, value: string | Uint8Array): void {
    const nameAt = this.#end;
    this.#end++;
    this.#text(name);
    const nameBytes = this.#end - nameAt - 1;
    if (nameBytes > 255)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `a header name of ${nameBytes} bytes exceeds the limit of 255`,
      );
    this.#bytes[nameAt] = nameBytes;
    const valueAt = this.#end;
    this.#end += 4;
    if (typeof value === 'string') this.#text(value);
    else if ((value as unknown) instanceof Uint8Array) this.#append(value);
    else
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `header ${JSON.stringify(name)} is a value of type ${typeof value}; give a string or a Uint8Array`,
      );
    this.#bytes.writeUInt32LE(this.#end - valueAt - 4, valueAt);
  }

  /** A copy of what was encoded last. */
  stored(): StoredHeaders {
    const bytes = Buffer.allocUnsafe(this.#end - this.#used);
    this.#bytes.copy(bytes, 0, this.#used, this.#end);
    return new StoredHeaders(bytes);
  }

  /** Adds what was encoded last, as the headers of record `i`. */
  keep(i: number): void {
    if (this.#used === 0) this.#leading = i;
    this.#used = this.#end;
  }

  /** Record `i` has no headers. */
  skip(): void {
    if (this.#used === 0) return;
    this.#end = this.#used;
    this.#reserve(2);
    this.#used = this.#bytes.writeUInt16LE(0, this.#used);
  }

  /** Length of the area of a frame; 0 when none of its records has headers. */
  get length(): number {
    return this.#used === 0 ? 0 : this.#leading * 2 + this.#used;
  }

  /** Writes the area of a frame. */
  copyTo(target: Buffer, at: number): void {
    target.fill(0, at, at + this.#leading * 2);
    this.#bytes.copy(target, at + this.#leading * 2, 0, this.#used);
  }

  clear(): void {
    this.#used = 0;
    this.#end = 0;
    this.#leading = 0;
    if (this.#bytes.length > MAX_KEPT) this.#bytes = Buffer.allocUnsafe(512);
  }

  /** Writes a text as UTF-8, with room behind it for what stands between texts. */
  #text(text: string): void {
    const { length } = text;
    this.#reserve(length * 3 + 4);
    const bytes = this.#bytes;
    let at = this.#end;
    if (length <= SHORT) {
      let i = 0;
      for (; i < length; i++) {
        const unit = text.charCodeAt(i);
        if (unit > 0x7f) break;
        bytes[at++] = unit;
      }
      if (i === length) {
        this.#end = at;
        return;
      }
    }
    this.#end += bytes.write(text, this.#end, 'utf8');
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  #reserve(more: number): void {
    if (this.#end + more <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#end + more));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}

/** Where the headers of `count` records that begin at `start` end, or -1 when their lengths reach beyond the bytes. */
export function endOfHeaders(bytes: Buffer, start: number, count: number): number {
  const { length } = bytes;
  let at = start;
  for (let i = 0; i < count; i++) {
    if (at + 2 > length) return -1;
    let left = bytes.readUInt16LE(at);
    at += 2;
    for (; left > 0; left--) {
      const lengthAt = at + 1 + (bytes[at] ?? length);
      if (lengthAt + 4 > length) return -1;
      at = lengthAt + 4 + bytes.readUInt32LE(lengthAt);
    }
  }
  return at > length ? -1 : at;
}

/** Headers of all records, whose lengths fit: they have no index, so one pass for the frame is cheaper than one for each record. */
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
