/**
 * Checkpoints: the changelog of a task, applied to rows of its broker's store up to a position.
 *
 * ```
 * table 'state':  u32 state id, 0x00                     → f64 position: the changelog is applied up to here
 *                 u32 state id, 0x01, row key            → value
 *                 u32 state id, 0x02, SHA-256 of row key → u32 length, row key, value   — for row keys too long for the store
 * ```
 *
 * A step applies whole changelog frames and moves the position in the same transaction, so a checkpoint is always exactly
 * some prefix of the changelog. It is taken from the changelog and never from memory: what is not committed cannot get in.
 *
 * @module
 */
import { createHash } from 'node:crypto';

import type { Broker } from '../broker/broker.ts';
import type { FrameView } from '../broker/frame-view.ts';
import type { Kv, KvReader, KvTransaction } from '../kv/kv.ts';
import { readRow, rowPrefixes, windowedRow } from './row-key.ts';

const TABLE = 'state';
const POSITION = 0;
const ROW = 1;
const LONG_ROW = 2;

/** Longest row key that is stored as it is, in bytes. */
const MAX_ROW_KEY_BYTES = 1_000;

/** How much of a changelog one step applies, at most, unless a single frame holds more. */
const MAX_STEP_BYTES = 2 * 1024 * 1024;

/** Offset of the first changelog record that is not in the checkpoint; 0 where there is none. */
export function checkpointPosition(kv: KvReader, stateId: number): number {
  const value = kv.get(TABLE, rowAddress(stateId, POSITION));
  return value === undefined ? 0 : Buffer.from(value).readDoubleLE(0);
}

/** Every row of a checkpoint. */
export function* checkpointRows(
  kv: KvReader,
  stateId: number,
): IterableIterator<readonly [rowKey: Uint8Array, value: Uint8Array]> {
  for (const { key, value } of kv.range(TABLE, {
    from: rowAddress(stateId, ROW),
    to: rowAddress(stateId, LONG_ROW),
  }))
    yield [key.subarray(5), value];
  for (const { value } of kv.range(TABLE, {
    from: rowAddress(stateId, LONG_ROW),
    to: rowAddress(stateId, LONG_ROW + 1),
  })) {
    const length = Buffer.from(value.buffer, value.byteOffset, 4).readUInt32LE(0);
    yield [value.subarray(4, 4 + length), value.subarray(4 + length)];
  }
}

/** What a step did. */
export interface CheckpointStep {
  /** The checkpoint's position after the step. */
  readonly position: number;
  /** Whether the changelog held nothing more. */
  readonly complete: boolean;
}

/**
 * Applies the next changelog frames of a task, about 2 MiB of them, then deletes them from the changelog.
 * Call again until it is complete. Not safe for two callers at once.
 */
export async function checkpointStep(
  broker: Broker,
  changelog: string,
  partition: number,
  stateId: number,
): Promise<CheckpointStep> {
  const from = checkpointPosition(broker.state, stateId);
  const { start } = await broker.bounds(changelog, partition);
  const reader = broker.reader(changelog, partition, Math.max(from, start));
  const frames: FrameView[] = [];
  let bytes = 0;
  let complete = false;
  while (bytes < MAX_STEP_BYTES) {
    const frame = await reader.next();
    if (frame === undefined) {
      complete = true;
      break;
    }
    frames.push(frame);
    bytes += frame.byteLength;
  }
  const last = frames.at(-1);
  if (last === undefined) return { position: from, complete };
  const rows = latestRows(frames);
  await broker.state.transact((txn) => {
    for (const [rowKey, value] of rows.values())
      applyRow(txn, stateId, rowKey, value, broker.state);
    const position = Buffer.alloc(8);
    position.writeDoubleLE(last.end);
    txn.put(TABLE, rowAddress(stateId, POSITION), position);
  });
  await broker.truncate(changelog, partition, last.end);
  return { position: last.end, complete };
}

/** The last word of the frames on each row, in the order in which the last words were said. */
function latestRows(
  frames: readonly FrameView[],
): Map<string, readonly [Uint8Array, Uint8Array | null]> {
  const rows = new Map<string, readonly [Uint8Array, Uint8Array | null]>();
  for (const frame of frames)
    for (let i = 0; i < frame.count; i++) {
      const rowKey = frame.key(i) as Uint8Array;
      const id = Buffer.from(rowKey.buffer, rowKey.byteOffset, rowKey.byteLength).toString(
        'latin1',
      );
      rows.delete(id);
      rows.set(id, [rowKey, frame.value(i)]);
    }
  return rows;
}

function applyRow(
  txn: KvTransaction,
  stateId: number,
  rowKey: Uint8Array,
  value: Uint8Array | null,
  kv: Kv,
): void {
  const row = readRow(rowKey);
  if (row.expired) {
    const prefixes = rowPrefixes(row.store);
    const from = rowAddress(stateId, ROW, prefixes.windowed);
    const to = rowAddress(stateId, ROW, windowedRow(prefixes, row.start, new Uint8Array()));
    for (const { key } of [...txn.range(TABLE, { from, to })]) txn.remove(TABLE, key);
    removeLongRows(txn, stateId, row.store, row.start);
    return;
  }
  const long = rowKey.length > Math.min(MAX_ROW_KEY_BYTES, kv.maxKeyBytes - 5);
  const address = long
    ? rowAddress(stateId, LONG_ROW, createHash('sha256').update(rowKey).digest())
    : rowAddress(stateId, ROW, rowKey);
  if (value === null) txn.remove(TABLE, address);
  else txn.put(TABLE, address, long ? withRowKey(rowKey, value) : value);
}

/** Rows with long keys do not sort by window; they are few. */
function removeLongRows(txn: KvTransaction, stateId: number, store: string, start: number): void {
  const range = { from: rowAddress(stateId, LONG_ROW), to: rowAddress(stateId, LONG_ROW + 1) };
  for (const { key, value } of [...txn.range(TABLE, range)]) {
    const length = Buffer.from(value.buffer, value.byteOffset, 4).readUInt32LE(0);
    const row = readRow(value.subarray(4, 4 + length));
    if (row.store === store && row.start < start) txn.remove(TABLE, key);
  }
}

function withRowKey(rowKey: Uint8Array, value: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(rowKey.length);
  return Buffer.concat([length, rowKey, value]);
}

function rowAddress(stateId: number, kind: number, rest?: Uint8Array): Buffer {
  const address = Buffer.allocUnsafe(5 + (rest?.length ?? 0));
  address.writeUInt32BE(stateId, 0);
  address[4] = kind;
  if (rest !== undefined) address.set(rest, 5);
  return address;
}
