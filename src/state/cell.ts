/**
 * Cells: one row of a store in memory, as small as it can be, since there may be a million of them.
 *
 * A cell keeps the id of its key, from which key and bytes can be made again, and nothing else that can be derived. A row that came out of a
 * checkpoint or a changelog keeps its bytes until somebody reads it: its value is then the whole that they came with, and `at` says
 * which of them they are.
 *
 * @module
 */
import { keyRefOfId } from '../codec/key.ts';
import type { KeyRef } from '../core/event.ts';

/** The next commit writes it. */
export const DIRTY = 1;
/** `value` and `at` say where its bytes are; nobody has decoded them yet. */
export const RAW = 2;
/** Somebody has looked for it since the cache last passed by. */
export const USED = 4;
/** What a write adds to `state`; the bits above the flags count writes. */
const WRITE = 8;
/** Keeps `state` a small integer. Two writes are told apart unless there are 2^27 between them. */
const STATE = 0x3fff_ffff;
const FLAGS: number = DIRTY | RAW | USED;

/** Encoded rows that are kept together: those of a changelog frame, or of a page of a checkpoint. */
export interface RawRows {
  /** A view of the bytes of row `i`. */
  rawValue(i: number): Uint8Array;
}

/** One row. Only stores look inside. */
export class Cell {
  /** Decoded, `undefined` for no row; with {@link RAW} a `Uint8Array`, or {@link RawRows} if `at` is not negative. */
  value: unknown = undefined;
  at: number = -1;
  /** Flags, and above them a count of writes. */
  state: number = 0;
  /** The commit that took it last; 0 for a row that comes from a checkpoint, or was never committed. */
  taken: number = 0;
  readonly id: string;

  constructor(id: string) {
    this.id = id;
  }

  /** Its key. Made anew at each call. */
  get ref(): KeyRef {
    return keyRefOfId(this.id);
  }

  /** The next commit writes it. */
  get dirty(): boolean {
    return (this.state & DIRTY) !== 0;
  }
}

/** Whether a cell says that there is no row. */
export function isAbsent(cell: Cell): boolean {
  return cell.value === undefined && (cell.state & RAW) === 0;
}

/** `state` after a write: dirty, decoded, one write more. */
export function written(state: number): number {
  return (((state + WRITE) & STATE) | DIRTY) & ~RAW;
}

/** Whether two states are of the same write. */
export function sameWrite(a: number, b: number): boolean {
  return ((a ^ b) & ~FLAGS) === 0;
}

/** A view of the bytes of a raw cell. */
export function rawOf(cell: Cell): Uint8Array {
  return cell.at < 0 ? (cell.value as Uint8Array) : (cell.value as RawRows).rawValue(cell.at);
}

/** Gives a cell a decoded value that is as good as the one of its last write. Its other flags stay. */
export function setValue(cell: Cell, value: unknown): void {
  cell.value = value;
  cell.at = -1;
  cell.state &= ~RAW;
}

/** Gives a cell bytes that are to be decoded when somebody reads it. Its other flags stay. */
export function setRaw(cell: Cell, rows: RawRows | Uint8Array, at: number): void {
  cell.value = rows;
  cell.at = at;
  cell.state |= RAW;
}
