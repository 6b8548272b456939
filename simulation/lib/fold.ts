/**
 * The fold of a changelog: what its rows are when every frame is applied in order. A model of recovery that knows nothing of checkpoints.
 *
 * @module
 */
import type { FrameView } from '../../src/broker/frame-view.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { readRow } from '../../src/state/row-key.ts';

/** Rows of a store by key, or by `key@start`. */
export type Rows = Map<string, unknown>;

export class Fold {
  /** Values by row key. */
  readonly #rows = new Map<string, Buffer>();
  #stores: ReadonlyMap<string, Rows> | undefined;

  apply(frame: FrameView): void {
    this.#stores = undefined;
    for (let i = 0; i < frame.count; i++) {
      const key = frame.key(i) as Uint8Array;
      const value = frame.value(i);
      const row = readRow(key);
      if (row.expired) this.#expire(row.store, row.start);
      else if (value === null) this.#rows.delete(nameOf(key));
      else this.#rows.set(nameOf(key), Buffer.from(value));
    }
  }

  #expire(store: string, below: number): void {
    for (const name of [...this.#rows.keys()]) {
      const row = readRow(Buffer.from(name, 'latin1'));
      if (row.store === store && row.start < below) this.#rows.delete(name);
    }
  }

  /** The rows, decoded, by store. */
  get stores(): ReadonlyMap<string, Rows> {
    return (this.#stores ??= this.#decoded());
  }

  #decoded(): Map<string, Rows> {
    const stores = new Map<string, Rows>();
    for (const [name, value] of this.#rows) {
      const { store, start, key } = readRow(Buffer.from(name, 'latin1'));
      let rows = stores.get(store);
      if (rows === undefined) stores.set(store, (rows = new Map()));
      const text = Buffer.from(key).toString();
      rows.set(Number.isNaN(start) ? text : `${text}@${start}`, msgpack.decode(value));
    }
    return stores;
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
