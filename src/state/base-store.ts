/**
 * What all stores have in common: reading and writing cells, and what a commit writes of them.
 *
 * A row that is written becomes dirty once per commit, however often it changes; the commit encodes each dirty row once. Rows that
 * come out of a checkpoint or a changelog keep their bytes until somebody reads them. What an event did is taken back with its
 * effects (`undo.ts`); a task that fails as a whole throws its stores away and loads what is stored.
 *
 * @module
 */
import type { Codec } from '../codec/codec.ts';
import { keyBytesOfId } from '../codec/key.ts';
import type { Effects } from '../core/effects.ts';
import { MillraceError } from '../core/errors.ts';
import { DIRTY, isAbsent, RAW, rawOf, written } from './cell.ts';
import type { Cell } from './cell.ts';
import { flatCopy } from './flat-copy.ts';
import { OpenWrites } from './open-writes.ts';
import { rowPrefixes } from './row-key.ts';
import type { RowPrefixes } from './row-key.ts';
import type { RowSource } from './rows.ts';
import { CellUndo, copyOfRaw, keepValue, WriteUndo } from './undo.ts';
import type { Image, UndoStore } from './undo.ts';

/** Takes the rows that a commit writes, as a builder of changelog frames does. Timestamps are 0. */
export interface RowWriter {
  /** A row's bytes; `null` deletes it. */
  add(timestamp: number, rowKey: Uint8Array, value: Uint8Array | null): void;
  /** The row of the key with that id, in the store or window that `prefix` stands for. */
  addRow<T>(timestamp: number, prefix: Uint8Array, id: string, codec: Codec<T>, value: T): void;
}

/** The rows of one table, or of one stateful operator, in one task. */
export abstract class BaseStore<C extends Cell> implements UndoStore {
  readonly name: string;
  protected readonly prefixes: RowPrefixes;
  protected readonly source: RowSource;
  readonly #openWrites = new OpenWrites();
  #codec: Codec<unknown> | undefined;
  #dirty: C[] = [];
  #dirtyRows = 0;

  constructor(name: string, source: RowSource) {
    this.name = name;
    this.prefixes = rowPrefixes(name);
    this.source = source;
  }

  /** Rows in memory, deleted ones that are not yet committed or not yet in the checkpoint included. */
  abstract get size(): number;

  /** Says how values are encoded. Stores are recovered before anybody has said it. */
  use(codec: Codec<unknown>): void {
    this.#codec = codec;
  }

  /**
   * The value of a cell, decoded at its first reading; `undefined` for no row. With `effects` it is given back as it was when they are rolled
   * back, even if the caller changes it in place.
   *
   * @throws `MR_DECODE_FAILED` for stored bytes that the codec did not write.
   */
  read(cell: C, effects: Effects | null = null): unknown {
    if (effects === null) {
      if ((cell.state & RAW) !== 0) this.#decode(cell);
      return cell.value;
    }
    if (effects.beside) this.#openWrites.read(cell, effects);
    const raw = copyOfRaw(cell);
    if (raw !== undefined) this.#decode(cell);
    const { value } = cell;
    if (value === undefined) {
      if (cell.taken === 0 && (cell.state & DIRTY) === 0) effects.add(new CellUndo(this, cell));
    } else if (this.isMutable(value)) {
      keepValue(this, cell, effects, () => this.#imageOf(value, raw));
    }
    return value;
  }

  /**
   * Gives a cell a value; `undefined` deletes the row. With `effects` the cell becomes what it was when they are rolled back. `time` is the event
   * time of the change, milliseconds since 1970; only stores whose rows expire need it.
   */
  write(cell: C, value: unknown, effects: Effects | null = null, _time?: number): void {
    if (effects !== null) {
      const undo = new WriteUndo(this, cell);
      if (effects.beside) this.#openWrites.add(cell, effects, undo);
      else effects.add(undo);
    }
    cell.value = value;
    const { state } = cell;
    cell.state = written(state);
    if ((state & DIRTY) === 0) {
      this.#dirty.push(cell);
      this.#dirtyRows++;
    }
  }

  /** Number of rows that the next commit will write. */
  get dirtyRows(): number {
    return this.#dirtyRows;
  }

  /** Hands every dirty row to `writer` and calls it clean. Rows that were deleted leave the store. `commit` is the number of the commit. */
  takeDirty(writer: RowWriter, commit: number = 0): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    const codec = this.mustCodec();
    const { horizon } = this.source;
    for (const cell of dirty) {
      // Undone, or here twice because it was undone and written again.
      if ((cell.state & DIRTY) === 0) continue;
      const absent = isAbsent(cell);
      if (this.gone(cell)) {
        cell.state &= ~DIRTY;
        continue;
      }
      if (absent) writer.add(0, this.#rowKey(cell), null);
      else if ((cell.state & RAW) !== 0) writer.add(0, this.#rowKey(cell), rawOf(cell));
      else this.#encode(writer, codec, cell);
      cell.state &= ~DIRTY;
      horizon.take(cell.taken, commit);
      cell.taken = commit;
      if (absent) this.bury(cell);
    }
    this.#dirty = [];
    this.#dirtyRows = 0;
  }

  /** Says that a row differs from what is committed, as `undo.ts` needs it. */
  soil(cell: C): void {
    if ((cell.state & DIRTY) !== 0) return;
    cell.state |= DIRTY;
    this.#dirty.push(cell);
    this.#dirtyRows++;
  }

  /** Takes `soil` back. */
  rinse(cell: C): void {
    if ((cell.state & DIRTY) === 0) return;
    cell.state &= ~DIRTY;
    this.#dirtyRows--;
    // Else it stays until the next commit, which passes it over.
    if (this.#dirty.at(-1) === cell) this.#dirty.pop();
  }

  abstract holds(cell: C): boolean;
  abstract gone(cell: C): boolean;
  abstract forget(cell: C): void;
  protected abstract bury(cell: C): void;
  /** What stands in front of the cell's canonical key in its row key. */
  protected abstract prefixOf(cell: C): Uint8Array;

  /** Whether a decoded value can be changed by whoever has it. */
  protected isMutable(value: unknown): boolean {
    return typeof value === 'object' && value !== null;
  }

  /** A copy of a value that does not change with it, where that is cheap; else `undefined`. */
  protected copyOf(value: unknown): object | undefined {
    return flatCopy(value);
  }

  #imageOf(value: unknown, raw: Uint8Array | undefined): Image | undefined {
    const image = raw ?? this.copyOf(value);
    if (image !== undefined) return image;
    try {
      return this.mustCodec().encode(value);
    } catch {
      // What cannot be encoded cannot be put back either.
      return undefined;
    }
  }

  protected mustCodec(): Codec<unknown> {
    if (this.#codec === undefined)
      throw new MillraceError(
        'MR_INTERNAL',
        `store ${this.name} is used before its codec is known`,
        { domain: 'internal' },
      );
    return this.#codec;
  }

  #decode(cell: C): void {
    cell.value = this.mustCodec().decode(rawOf(cell));
    cell.state &= ~RAW;
  }

  #rowKey(cell: C): Uint8Array {
    return keyBytesOfId(cell.id, this.prefixOf(cell));
  }

  #encode(writer: RowWriter, codec: Codec<unknown>, cell: C): void {
    try {
      writer.addRow(0, this.prefixOf(cell), cell.id, codec, cell.value);
    } catch (error) {
      if (MillraceError.is(error) && error.code !== 'MR_ENCODE_FAILED') throw error;
      throw new MillraceError(
        'MR_ENCODE_FAILED',
        `the row of key ${JSON.stringify(String(cell.ref.key)).slice(0, 80)} in table ${this.name} cannot be encoded as ${codec.name}; store plain data, or give the table a codec`,
        { cause: error, details: { table: this.name } },
      );
    }
  }
}
