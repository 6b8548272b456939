/**
 * The fold of a changelog: what its rows are when every frame is applied in order. A model of recovery that knows nothing of checkpoints.
 *
 * @module
 */
import type { FrameView } from '../../src/broker/frame-view.ts';
import { readRow } from '../../src/state/row-key.ts';

export class Fold {
  /** Values by row key. */
  readonly rows: Map<string, Buffer> = new Map();

  apply(frame: FrameView): void {
    for (let i = 0; i < frame.count; i++) {
      const key = frame.key(i) as Uint8Array;
      const value = frame.value(i);
      const row = readRow(key);
      if (row.expired) this.#expire(row.store, row.start);
      else if (value === null) this.rows.delete(nameOf(key));
      else this.rows.set(nameOf(key), Buffer.from(value));
    }
  }

  #expire(store: string, below: number): void {
    for (const name of [...this.rows.keys()]) {
      const row = readRow(Buffer.from(name, 'latin1'));
      if (row.store === store && row.start < below) this.rows.delete(name);
    }
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
