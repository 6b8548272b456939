/**
 * What stands under the rows in memory: the rows of a checkpoint, for a state that does not hold all of its rows in memory.
 *
 * Not in it: rows that were committed after the checkpoint's position. Those are in memory, deletions included.
 *
 * @module
 */

/** Rows of a checkpoint, by row key (`row-key.ts`). */
export interface StateBase {
  /** @throws `MR_CORRUPT` for a row whose checksum is wrong. */
  get(rowKey: Uint8Array): Uint8Array | undefined;
  /** Rows from `from` (included) to `to` (not included), ascending by row key. Same errors. */
  range(
    from: Uint8Array,
    to: Uint8Array,
  ): Iterable<readonly [rowKey: Uint8Array, value: Uint8Array]>;
  /** Row key of some row of the first table, or window of a table, at or behind `from`, which is where one begins. Same errors. */
  next(from: Uint8Array): Uint8Array | undefined;
}
