/**
 * Checkpoints: the changelog of a task, applied to rows of its broker's store up to a position.
 *
 * ```
 * table 'state':  u32 state id, 0x00          → f64 position: the changelog is applied up to here
 *                 u32 state id, 0x01, row key → value
 *                 u32 state id, 0x02, head    → u32 length, row key, value   — for row keys too long for the store
 * ```
 *
 * The head of a long row key is what stands in front of the canonical key, then the SHA-256 of all of it: long rows sort by window
 * as well, so that expiry is two ranges.
 *
 * A step applies whole changelog frames and moves the position in the same transaction, so a checkpoint is always exactly
 * some prefix of the changelog. It is taken from the changelog and never from memory: what is not committed cannot get in.
 * A step that finds the position moved by another changes nothing: a former owner that wakes up late does no harm.
 *
 * @module
 */
import { createHash } from 'node:crypto';

import type { Broker, PartitionReader } from '../broker/broker.ts';
import type { FrameView } from '../broker/frame-view.ts';
import { MillraceError } from '../core/errors.ts';
import type { KvReader, KvTransaction } from '../kv/kv.ts';
import { readRow, rowPrefixes, windowedRow } from './row-key.ts';

const TABLE = 'state';
const POSITION = 0;
const ROW = 1;
const LONG_ROW = 2;

/** Longest row key that is stored as it is, in bytes: every store takes it with the five bytes in front. */
const MAX_ROW_KEY_BYTES = 1_000;

/** How many rows are listed at once before they are removed. */
const RANGE = 1_000;

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
 * Call again until it is complete. Two callers at once do no harm: one of them gets nothing done.
 *
 * @throws `MR_CORRUPT` when checkpoint and changelog do not belong together.
 */
export async function checkpointStep(
  broker: Broker,
  changelog: string,
  partition: number,
  stateId: number,
): Promise<CheckpointStep> {
  const from = checkpointPosition(broker.state, stateId);
  const { start, end } = await broker.bounds(changelog, partition);
  const moved = checkpointPosition(broker.state, stateId);
  if (!Object.is(moved, from)) return { position: moved, complete: false };
  checkPosition(changelog, partition, from, start, end);
  const { frames, complete } = await nextFrames(broker.reader(changelog, partition, from));
  const last = frames.at(-1);
  if (last === undefined) {
    // A step that was interrupted may have left them.
    if (start < from) await broker.truncate(changelog, partition, from);
    return { position: from, complete };
  }
  const rows = latestRows(frames);
  const position = await broker.state.transact((txn) => {
    const now = checkpointPosition(txn, stateId);
    if (now !== from) return now;
    for (const [rowKey, value] of rows.values()) applyRow(txn, stateId, rowKey, value);
    const row = Buffer.alloc(8);
    row.writeDoubleLE(last.end);
    txn.put(TABLE, rowAddress(stateId, POSITION), row);
    return last.end;
  });
  if (position !== last.end) return { position, complete: false };
  await broker.truncate(changelog, partition, position);
  return { position, complete };
}

/**
 * Checks that the changelog goes on where the checkpoint ends.
 *
 * @throws `MR_CORRUPT`
 */
export function checkPosition(
  changelog: string,
  partition: number,
  position: number,
  start: number,
  end: number,
): void {
  if (Number.isSafeInteger(position) && position >= start && position <= end) return;
  throw new MillraceError(
    'MR_CORRUPT',
    `the checkpoint of ${changelog}[${partition}] stands at position ${position}, but the changelog reaches from ${start} to ${end}: rows are missing; restore the directory from a backup`,
    { domain: 'external', details: { changelog, partition, position, start, end } },
  );
}

async function nextFrames(
  reader: PartitionReader,
): Promise<{ frames: readonly FrameView[]; complete: boolean }> {
  const frames: FrameView[] = [];
  for (let bytes = 0; bytes < MAX_STEP_BYTES;) {
    const frame = await reader.next();
    if (frame === undefined) return { frames, complete: true };
    frames.push(frame);
    bytes += frame.byteLength;
  }
  return { frames, complete: false };
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
): void {
  const row = readRow(rowKey);
  if (row.expired) {
    const prefixes = rowPrefixes(row.store);
    const to = windowedRow(prefixes, row.start, new Uint8Array());
    for (const kind of [ROW, LONG_ROW])
      removeRange(txn, rowAddress(stateId, kind, prefixes.windowed), rowAddress(stateId, kind, to));
    return;
  }
  const long = rowKey.length > MAX_ROW_KEY_BYTES;
  const address = long
    ? rowAddress(stateId, LONG_ROW, headOf(rowKey, row.key))
    : rowAddress(stateId, ROW, rowKey);
  if (value === null) txn.remove(TABLE, address);
  else txn.put(TABLE, address, long ? withRowKey(rowKey, value) : value);
}

function removeRange(txn: KvTransaction, from: Uint8Array, to: Uint8Array): void {
  for (let at = from; ;) {
    const keys = Array.from(txn.range(TABLE, { from: at, to, limit: RANGE }), ({ key }) => key);
    for (const key of keys) txn.remove(TABLE, key);
    const last = keys.at(-1);
    if (last === undefined || keys.length < RANGE) return;
    at = last;
  }
}

function headOf(rowKey: Uint8Array, key: Uint8Array): Buffer {
  const hash = createHash('sha256').update(rowKey).digest();
  return Buffer.concat([rowKey.subarray(0, rowKey.length - key.length), hash]);
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
