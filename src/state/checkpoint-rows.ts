/**
 * How a checkpoint is stored: rows of the broker's store.
 *
 * ```
 * table 'state':  u32 state id, 0x00          → u32 CRC-32, f64 position, f64 writes
 *                 u32 state id, 0x01, row key → page (`page.ts`): the rows from that row key on
 *                 u32 state id, 0x02, head    → u32 CRC-32, u32 length, row key, value   — for a row key too long for the store
 * ```
 *
 * The head of a long row key is what stands in front of the canonical key, then the SHA-256 of all of it: long rows sort by window
 * as well, so that expiry is two ranges. Checksums cover the key in the store behind its first five bytes, then what follows them. The position
 * is the offset up to which the changelog is applied; `writes` grows with each transaction, see `checkpoint.ts`.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

import { excerptHex, excerptText } from '../codec/excerpt.ts';
import { MillraceError } from '../core/errors.ts';
import type { KvEntry, KvReader } from '../kv/kv.ts';
import { defectOfPage, Page } from './page.ts';
import { WINDOWED } from './row-key.ts';

/** The table of all checkpoints. */
export const TABLE = 'state';

const HEAD = 0;
const PAGE = 1;
const LONG_ROW = 2;

/** What stands in front of a row key. */
const ADDRESS_BYTES = 5;
const HEAD_BYTES = 20;

/** Longest row key that stands in a page, in bytes: every store takes it as a key, with the five bytes in front. */
export const MAX_ROW_KEY_BYTES = 1_000;

/** How far a checkpoint is. */
export interface CheckpointHead {
  /** Offset of the first changelog record that is not in it. */
  readonly position: number;
  /** Transactions that have changed it. */
  readonly writes: number;
}

/** A page where it is stored. */
export interface StoredPage {
  /** The row key from which on it holds the rows. */
  readonly rowKey: Uint8Array;
  readonly page: Page;
}

/** A checkpoint for reading. `task` names it in errors. */
export class CheckpointReader {
  readonly #kv: KvReader;
  readonly #stateId: number;
  readonly #task: string;

  constructor(kv: KvReader, stateId: number, task: string = `state ${stateId}`) {
    this.#kv = kv;
    this.#stateId = stateId;
    this.#task = task;
  }

  /** Position 0 where there is no checkpoint. @throws `MR_CORRUPT` */
  head(): CheckpointHead {
    const key = headAddress(this.#stateId);
    const value = this.#kv.get(TABLE, key);
    if (value === undefined) return { position: 0, writes: 0 };
    this.#check(key, value);
    const head = bufferOf(value);
    return { position: head.readDoubleLE(4), writes: head.readDoubleLE(12) };
  }

  /** The page that holds the row of `rowKey`, if it is stored and not long. @throws `MR_CORRUPT` */
  pageOf(rowKey: Uint8Array): StoredPage | undefined {
    const range = {
      from: pageAddress(this.#stateId),
      // Behind the key itself, and before any other.
      to: pageAddress(this.#stateId, Buffer.concat([rowKey, ZERO])),
      reverse: true,
      limit: 1,
    };
    for (const entry of this.#kv.range(TABLE, range)) return this.#page(entry);
    return undefined;
  }

  /** Pages that begin from `from` (included) to `to` (not included), ascending. @throws `MR_CORRUPT` */
  *pages(from?: Uint8Array, to?: Uint8Array): Generator<StoredPage> {
    const range = {
      from: pageAddress(this.#stateId, from),
      to: to === undefined ? longAddress(this.#stateId) : pageAddress(this.#stateId, to),
    };
    for (const entry of this.#kv.range(TABLE, range)) yield this.#page(entry);
  }

  /** The value of a long row. @throws `MR_CORRUPT` */
  long(rowKey: Uint8Array): Uint8Array | undefined {
    const key = longAddress(this.#stateId, headOfLong(rowKey));
    const value = this.#kv.get(TABLE, key);
    if (value === undefined) return undefined;
    return this.#longRow(key, value)[1];
  }

  /** Long rows whose heads begin from `from` (included) to `to` (not included), in no order that means something. @throws `MR_CORRUPT` */
  *longRows(
    from?: Uint8Array,
    to?: Uint8Array,
  ): Generator<readonly [rowKey: Uint8Array, value: Uint8Array]> {
    const range = {
      from: longAddress(this.#stateId, from),
      to: to === undefined ? address(this.#stateId, LONG_ROW + 1) : longAddress(this.#stateId, to),
    };
    for (const { key, value } of this.#kv.range(TABLE, range)) yield this.#longRow(key, value);
  }

  #page({ key, value }: KvEntry): StoredPage {
    this.#check(key, value);
    return { rowKey: key.subarray(ADDRESS_BYTES), page: new Page(value) };
  }

  #longRow(key: Uint8Array, value: Uint8Array): readonly [Uint8Array, Uint8Array] {
    this.#check(key, value);
    const end = 8 + bufferOf(value).readUInt32LE(4);
    return [value.subarray(8, end), value.subarray(end)];
  }

  #check(key: Uint8Array, value: Uint8Array): void {
    const defect = checkCheckpointRow(key, value);
    if (defect === undefined) return;
    throw new MillraceError(
      'MR_CORRUPT',
      `the checkpoint of ${this.#task} is damaged: ${defect}; restore the directory from a backup`,
      { domain: 'external', details: { task: this.#task, stateId: this.#stateId } },
    );
  }
}

/** Every row of a checkpoint. @throws `MR_CORRUPT` */
export function* checkpointRows(
  kv: KvReader,
  stateId: number,
  task?: string,
): IterableIterator<readonly [rowKey: Uint8Array, value: Uint8Array]> {
  const reader = new CheckpointReader(kv, stateId, task);
  for (const { page } of reader.pages())
    for (let i = 0; i < page.count; i++) yield [page.key(i), page.rawValue(i)];
  yield* reader.longRows();
}

/** What is wrong with a row of table `'state'`, in words that name it; `undefined` when its checksum is right. */
export function checkCheckpointRow(key: Uint8Array, value: Uint8Array): string | undefined {
  if (key.length < ADDRESS_BYTES) return `a key has ${key.length} bytes, fewer than any`;
  const kind = key[ADDRESS_BYTES - 1];
  const rest = key.subarray(ADDRESS_BYTES);
  if (kind === HEAD) {
    const wrong = value.length !== HEAD_BYTES || !isSealed(rest, value);
    return wrong ? 'the checksum of its position is wrong' : undefined;
  }
  if (kind === PAGE) {
    const defect = defectOfPage(rest, value);
    return defect === undefined ? undefined : `the page of rows from ${name(rest)} on: ${defect}`;
  }
  if (kind !== LONG_ROW) return `a key is of no kind that is known, ${kind}`;
  const sound =
    value.length >= 8 &&
    isSealed(rest, value) &&
    bufferOf(value).readUInt32LE(4) + 8 <= value.length;
  return sound ? undefined : `the checksum of the row with ${hashName(rest)} is wrong`;
}

/** Key in the store of the position. */
export function headAddress(stateId: number): Buffer {
  return address(stateId, HEAD);
}

/** Key in the store of the page that begins at a row key; of the first one when left out. */
export function pageAddress(stateId: number, rowKey?: Uint8Array): Buffer {
  return address(stateId, PAGE, rowKey);
}

/** Key in the store of a long row, by its head; in front of all of them when left out. */
export function longAddress(stateId: number, head?: Uint8Array): Buffer {
  return address(stateId, LONG_ROW, head);
}

/** What stands in the store for a position. */
export function headValue({ position, writes }: CheckpointHead): Buffer {
  const value = Buffer.alloc(HEAD_BYTES);
  value.writeDoubleLE(position, 4);
  value.writeDoubleLE(writes, 12);
  return seal(EMPTY, value);
}

/** What stands in the store for a long row. */
export function longValue(head: Uint8Array, rowKey: Uint8Array, value: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(8 + rowKey.length + value.length);
  bytes.writeUInt32LE(rowKey.length, 4);
  bytes.set(rowKey, 8);
  bytes.set(value, 8 + rowKey.length);
  return seal(head, bytes);
}

/** The head of a long row key. */
export function headOfLong(rowKey: Uint8Array): Buffer {
  const hash = createHash('sha256').update(rowKey).digest();
  return Buffer.concat([rowKey.subarray(0, keyPlace(rowKey)), hash]);
}

/** Where the canonical key begins in a row key, or would begin in a longer one. */
export function keyPlace(rowKey: Uint8Array): number {
  const kindAt = 1 + (rowKey[0] ?? 0);
  return kindAt + (rowKey[kindAt] === WINDOWED ? 9 : 1);
}

const ZERO: Uint8Array = Uint8Array.of(0);
const EMPTY: Uint8Array = Uint8Array.of();

function seal(key: Uint8Array, value: Buffer): Buffer {
  value.writeUInt32LE(crc32(value.subarray(4), crc32(key)), 0);
  return value;
}

function isSealed(key: Uint8Array, value: Uint8Array): boolean {
  const bytes = bufferOf(value);
  return bytes.length >= 4 && bytes.readUInt32LE(0) === crc32(bytes.subarray(4), crc32(key));
}

function address(stateId: number, kind: number, rest: Uint8Array = EMPTY): Buffer {
  const bytes = Buffer.allocUnsafe(ADDRESS_BYTES + rest.length);
  bytes.writeUInt32BE(stateId, 0);
  bytes[4] = kind;
  bytes.set(rest, ADDRESS_BYTES);
  return bytes;
}

/** A row key for people: table and beginning of the key. */
function name(rowKey: Uint8Array): string {
  const end = 1 + (rowKey[0] ?? 0);
  const table = excerptText(rowKey.subarray(1, end));
  const key = excerptText(rowKey.subarray(keyPlace(rowKey)));
  return rowKey.length === 0 ? 'the first' : `${JSON.stringify(key)} of table ${table}`;
}

/** The head of a long row for people: table, and what stands for the key. */
function hashName(head: Uint8Array): string {
  const table = excerptText(head.subarray(1, 1 + (head[0] ?? 0)));
  return `key hash ${excerptHex(head.subarray(-32))} of table ${table}`;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
