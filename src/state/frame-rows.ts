/**
 * The values of a changelog frame, in one piece of memory of their own: the keys and the frame need not stay for them.
 *
 * @module
 */
import type { FrameView } from '../broker/frame-view.ts';
import type { RawRows } from './cell.ts';

/** Values by their index in the frame. They stay in memory until the last of them has been decoded or replaced. */
export class FrameRows implements RawRows {
  readonly #bytes: Buffer;
  /** Start and end of each value; the end stands before the start where there is none. */
  readonly #places: Uint32Array;

  constructor(frame: FrameView) {
    const { count } = frame;
    const places = new Uint32Array(2 * count);
    const base = frame.bytes.byteOffset;
    let first = 0;
    let end = 0;
    for (let i = 0; i < count; i++) {
      const value = frame.value(i);
      if (value === null) {
        places[2 * i] = 1;
        continue;
      }
      // Values stand one behind the other.
      if (first === 0) first = value.byteOffset - base;
      const start = value.byteOffset - base - first;
      end = start + value.length;
      places[2 * i] = start;
      places[2 * i + 1] = end;
    }
    this.#places = places;
    this.#bytes = Buffer.allocUnsafeSlow(end);
    frame.bytes.copy(this.#bytes, 0, first, first + end);
  }

  /** Whether record `i` has a value: one without deletes a row. */
  has(i: number): boolean {
    return (this.#places[2 * i] as number) <= (this.#places[2 * i + 1] as number);
  }

  rawValue(i: number): Uint8Array {
    return this.#bytes.subarray(this.#places[2 * i], this.#places[2 * i + 1]);
  }
}
