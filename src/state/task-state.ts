/**
 * The state of one task: its stores, what a commit writes of them, and how they are rebuilt.
 *
 * A commit writes one changelog frame with the rows that changed. A checkpoint is a copy of the changelog up to some
 * position in the form of rows (`checkpoint.ts`). The state after a restart is the checkpoint with the rest of the changelog
 * applied on top; both hold whole values, so applying a row twice does no harm.
 *
 * @module
 */
import type { FrameBuilder } from '../broker/frame-builder.ts';
import type { FrameView } from '../broker/frame-view.ts';
import type { Codec } from '../codec/codec.ts';
import { MillraceError } from '../core/errors.ts';
import { readRow } from './row-key.ts';
import { KeyedStore, WindowStore } from './store.ts';

/** All stores of a task. */
export class TaskState {
  readonly #keyed = new Map<string, KeyedStore>();
  readonly #windowed = new Map<string, WindowStore>();

  /** The keyed store of that name, made at its first use. */
  keyed(name: string, codec: Codec<unknown>): KeyedStore {
    const store = this.#keyedStore(name);
    store.use(codec);
    return store;
  }

  /** The windowed store of that name, made at its first use. */
  windowed(name: string, codec: Codec<unknown>): WindowStore {
    const store = this.#windowedStore(name);
    store.use(codec);
    return store;
  }

  /** Names of the stores that hold rows or have been used. */
  names(): readonly string[] {
    return [...this.#keyed.keys(), ...this.#windowed.keys()];
  }

  /** Rows that the next commit will write. */
  get dirtyRows(): number {
    let rows = 0;
    for (const store of this.#keyed.values()) rows += store.dirtyRows;
    for (const store of this.#windowed.values()) rows += store.dirtyRows;
    return rows;
  }

  /** Rows in memory. */
  get rows(): number {
    let rows = 0;
    for (const store of this.#keyed.values()) rows += store.size;
    for (const store of this.#windowed.values()) rows += store.size;
    return rows;
  }

  /** Adds every dirty row to `changelog` and calls it clean. */
  takeDirty(changelog: FrameBuilder): void {
    const write = (key: Uint8Array, value: Uint8Array | null): void => changelog.add(0, key, value);
    for (const store of this.#keyed.values()) store.takeDirty(write);
    for (const store of this.#windowed.values()) store.takeDirty(write);
  }

  /** Applies the records of a changelog frame, from offset `from` on. Rows are copied: they must not keep a frame alive. */
  applyFrame(frame: FrameView, from = 0): void {
    for (let i = Math.max(0, from - frame.baseOffset); i < frame.count; i++) {
      const value = frame.value(i);
      this.apply(
        new Uint8Array(frame.key(i) as Uint8Array),
        value === null ? null : new Uint8Array(value),
      );
    }
  }

  /** Applies one row of a changelog or checkpoint. `value` is kept. */
  apply(rowKey: Uint8Array, value: Uint8Array | null): void {
    const row = readRow(rowKey);
    if (row.expired) this.#windowedStore(row.store).loadExpired(row.start);
    else if (Number.isNaN(row.start)) this.#keyedStore(row.store).load(row.key, value);
    else this.#windowedStore(row.store).load(row.start, row.key, value);
  }

  #keyedStore(name: string): KeyedStore {
    let store = this.#keyed.get(name);
    if (store === undefined) {
      if (this.#windowed.has(name)) throw kindChanged(name);
      store = new KeyedStore(name);
      this.#keyed.set(name, store);
    }
    return store;
  }

  #windowedStore(name: string): WindowStore {
    let store = this.#windowed.get(name);
    if (store === undefined) {
      if (this.#keyed.has(name)) throw kindChanged(name);
      store = new WindowStore(name);
      this.#windowed.set(name, store);
    }
    return store;
  }
}

function kindChanged(name: string): MillraceError {
  return new MillraceError(
    'MR_TOPOLOGY_CHANGED',
    `table ${name} is stored with windows and used without, or the other way round; give the new table another name, or raise the app's version to start afresh`,
    { details: { table: name } },
  );
}
