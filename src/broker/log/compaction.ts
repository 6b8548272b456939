/**
 * Compaction: of the records with one key in a partition only the last is kept, and a record without a value goes a day after it came.
 * Records without a key, control frames, damaged frames and the last frame of the partition stay as they are.
 *
 * A partition is clean up to some offset and dirty behind it. A pass notes the last offset of every key in the dirty part, as many keys as
 * fit into memory, then sweeps everything up to where it got and drops what has a later record. Since a sweep reads the clean part too, it
 * waits until there is enough dirt for it: work is proportional to what is appended. Small partitions are swept whenever there is any.
 *
 * A crash, or another process that does the same, leaves a sweep that is not finished: every step leaves a readable partition, and the clean
 * part grows only at the end, if nobody has changed a frame meanwhile.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Kv, KvReader, KvTransaction } from '../../kv/kv.ts';
import { HEADER_BYTES } from '../frame.ts';
import { FrameView } from '../frame-view.ts';
import { readCompaction, writeCompaction, type CompactionState } from './compaction-state.ts';
import { STEP_BYTES } from './front.ts';
import { readEnds, writeEnds } from './partitions.ts';
import type { Pause } from './retention.ts';
import { rewrite, type Rewritten } from './rewrite.ts';
import { frameKey, frameRange, homeOf, offsetOfKey } from './rows.ts';
import { readTopic, type StoredTopic } from './topics.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const HOUR_MS = 60 * 60 * 1000;

/** How long a record without a value stays, so that whoever reads along learns of the deletion. */
const TOMBSTONE_MS = DAY_MS;
/** Partitions of at most this size are swept for any dirt at all. */
const SMALL_BYTES = 1024 * 1024;
/** One step writes about so many rows, and one stretch of work keeps others waiting for about so long, besides {@link STEP_BYTES}. */
const STEP_RUNS = 1000;
const STRETCH_MS = 10;
/** Most that the keys of one pass may take in memory, with what a map needs for each. */
const MAX_KEYS_BYTES = 64 * 1024 * 1024;
const KEY_BYTES = 64;

/** What a compaction needs. */
export interface CompactionContext {
  readonly kv: Kv;
  readonly clock: Clock;
  /** Wall clock of the round. */
  readonly now: number;
  readonly pause: Pause;
  /** Bound of the keys of one pass, for tests. Bytes. */
  readonly maxKeysBytes?: number | undefined;
}

/** Compacts a partition if that is worth it. Returns how many records were deleted. */
export async function compact(
  context: CompactionContext,
  topic: StoredTopic,
  partition: number,
): Promise<number> {
  const due = whatIsDue(context, topic, partition);
  if (due === undefined) return 0;
  let deleted = 0;
  for (let at = due.clean; ;) {
    const keys = await lastOffsets(context, topic, partition, at, due.head);
    const swept = await sweep(context, topic, partition, keys);
    deleted += swept.deleted;
    at = keys.until;
    if (!swept.complete || at >= due.head) return deleted;
  }
}

interface Due {
  readonly clean: number;
  /** Base offset of the last frame: up to here the partition is compacted. */
  readonly head: number;
}

function whatIsDue(
  { kv, now }: CompactionContext,
  topic: StoredTopic,
  partition: number,
): Due | undefined {
  const ends = readEnds(kv, topic, partition);
  const state = readCompaction(kv, topic, partition);
  let head = ends.start;
  let headBytes = 0;
  const range = frameRange(topic.id, partition, ends.start, ends.end);
  for (const { key, value } of kv.range('frames', { ...range, reverse: true, limit: 1 })) {
    head = offsetOfKey(key);
    headBytes = value.length;
  }
  const clean = Math.min(Math.max(state.clean, ends.start), head);
  const cleanBytes = clean === ends.start ? 0 : Math.min(state.cleanBytes, ends.bytes);
  const dirtyBytes = ends.bytes - headBytes - cleanBytes;
  const sinceMs = state.passedAt === null ? Infinity : Math.max(0, now - state.passedAt);
  const dirty =
    head > clean &&
    (ends.bytes <= SMALL_BYTES || dirtyBytes * 2 >= cleanBytes || sinceMs >= DAY_MS);
  const tombstones =
    state.tombstoneAt !== null && state.tombstoneAt <= now - TOMBSTONE_MS && sinceMs >= HOUR_MS;
  if (dirty) return { clean, head };
  return tombstones && clean > ends.start ? { clean, head: clean } : undefined;
}

/** The last offset of each key, from the dirty part of a partition. */
interface LastOffsets {
  readonly last: ReadonlyMap<string, number>;
  /** Where the pass ends: the beginning of a frame, all frames below it have been seen. */
  readonly until: number;
}

async function lastOffsets(
  { kv, clock, pause, maxKeysBytes = MAX_KEYS_BYTES }: CompactionContext,
  topic: StoredTopic,
  partition: number,
  from: number,
  head: number,
): Promise<LastOffsets> {
  const last = new Map<string, number>();
  let keysBytes = 0;
  let until = from;
  while (until < head) {
    let bytes = 0;
    let next: number | undefined;
    const begunMs = clock.monotonic();
    for (const { key, value } of kv.range('frames', frameRange(topic.id, partition, until, head))) {
      const baseOffset = offsetOfKey(key);
      // Full: but one frame is taken in however many keys it has.
      if (keysBytes >= maxKeysBytes) return { last, until: baseOffset };
      const view = openIntact(value, topic, partition, baseOffset);
      next = baseOffset + 1;
      for (let i = 0; view !== undefined && i < view.count; i++) {
        const name = keyOf(view, i);
        if (name === undefined) continue;
        if (!last.has(name)) keysBytes += name.length + KEY_BYTES;
        last.set(name, baseOffset + i);
      }
      bytes += value.length;
      if (bytes > STEP_BYTES || clock.monotonic() - begunMs > STRETCH_MS) break;
    }
    if (next === undefined) break;
    until = next;
    await pause();
  }
  return { last, until: head };
}

interface Swept {
  readonly deleted: number;
  /** Whether all below the end of the pass is clean now. */
  readonly complete: boolean;
}

/** A frame that is to be replaced. */
interface Replacement {
  readonly baseOffset: number;
  /** Its header, by which it is recognised. */
  readonly header: Uint8Array;
  readonly rewritten: Rewritten;
}

/** Drops what has a later record, or is a tombstone that is old enough, from the start of the partition to the end of the pass. */
async function sweep(
  context: CompactionContext,
  topic: StoredTopic,
  partition: number,
  { last, until }: LastOffsets,
): Promise<Swept> {
  const { kv, clock, now, pause } = context;
  let deleted = 0;
  let cleanBytes = 0;
  let tombstoneAt: number | null = null;
  const keeps = (view: FrameView, i: number): boolean => {
    const name = keyOf(view, i);
    if (name === undefined) return true;
    if ((last.get(name) ?? -1) > view.baseOffset + i) return false;
    if (view.value(i) !== null) return true;
    if (view.receivedAt <= now - TOMBSTONE_MS) return false;
    tombstoneAt = Math.min(tombstoneAt ?? Infinity, view.receivedAt);
    return true;
  };

  const home = homeOf(topic.id, partition);
  let at = readEnds(kv, topic, partition).start;
  while (at < until) {
    const replacements: Replacement[] = [];
    let bytes = 0;
    let rows = 0;
    const begunMs = clock.monotonic();
    let next: number | undefined;
    for (const { key, value } of kv.range('frames', frameRange(topic.id, partition, at, until))) {
      const baseOffset = offsetOfKey(key);
      next = baseOffset + 1;
      bytes += value.length;
      const view = openIntact(value, topic, partition, baseOffset);
      const rewritten =
        view === undefined ? undefined : rewrite(view, home, (i) => keeps(view, i), STEP_RUNS);
      if (rewritten === undefined) {
        cleanBytes += value.length;
      } else {
        replacements.push({ baseOffset, header: value.slice(0, HEADER_BYTES), rewritten });
        const { runs, until: seen } = rewritten;
        rows += 1 + runs.length;
        for (const run of runs) if (run.baseOffset < seen) cleanBytes += run.bytes.length;
        if (seen < (view as FrameView).end) {
          // The rest becomes a frame with this step and is looked at by the next one.
          next = seen;
          break;
        }
      }
      if (bytes > STEP_BYTES || rows > STEP_RUNS || clock.monotonic() - begunMs > STRETCH_MS) break;
    }
    if (next === undefined) break;
    at = next;
    if (replacements.length > 0) {
      const step = await kv.transact((txn) => replace(txn, topic, partition, until, replacements));
      deleted += step.deleted;
      if (!step.complete) return { deleted, complete: false };
    }
    await pause();
  }
  const complete = await kv.transact((txn) => {
    if (!isCompacted(txn, topic)) return false;
    const state: CompactionState = { clean: until, cleanBytes, tombstoneAt, passedAt: now };
    writeCompaction(txn, topic, partition, state);
    return true;
  });
  return { deleted, complete };
}

/** One step of a sweep. Gaps may appear below `until` from now on. */
function replace(
  txn: KvTransaction,
  topic: StoredTopic,
  partition: number,
  until: number,
  replacements: readonly Replacement[],
): Swept {
  if (!isCompacted(txn, topic)) return { deleted: 0, complete: false };
  const ends = readEnds(txn, topic, partition);
  ends.sparseBelow = Math.max(ends.sparseBelow, until);
  let deleted = 0;
  let complete = true;
  for (const { baseOffset, header, rewritten } of replacements) {
    // Deleted from the front meanwhile.
    if (baseOffset < ends.start) continue;
    const key = frameKey(topic.id, partition, baseOffset);
    const there = txn.get('frames', key);
    if (there === undefined || Buffer.compare(there.subarray(0, HEADER_BYTES), header) !== 0) {
      // Another process compacts too, and may not have dropped all that this pass knows of. Going on could drop a tombstone whose
      // key has an older record here.
      complete = false;
      break;
    }
    txn.remove('frames', key);
    ends.bytes -= there.length;
    for (const run of rewritten.runs) {
      txn.put('frames', frameKey(topic.id, partition, run.baseOffset), run.bytes);
      ends.bytes += run.bytes.length;
    }
    deleted += rewritten.dropped;
  }
  writeEnds(txn, topic, partition, ends);
  return { deleted, complete };
}

function isCompacted(kv: KvReader, topic: StoredTopic): boolean {
  const there = readTopic(kv, topic.spec.name);
  return there?.id === topic.id && there.spec.keep?.compact === true;
}

/** A frame with records; `undefined` for a control frame and for a damaged one, which `verify` reports. */
function openIntact(
  bytes: Uint8Array,
  topic: StoredTopic,
  partition: number,
  baseOffset: number,
): FrameView | undefined {
  try {
    const home = homeOf(topic.id, partition);
    const view = FrameView.open(bytes, topic.spec.name, partition, baseOffset, home);
    return view.control ? undefined : view;
  } catch {
    return undefined;
  }
}

function keyOf(view: FrameView, i: number): string | undefined {
  const start = view.keyStart(i);
  return start < 0 ? undefined : view.bytes.toString('latin1', start, view.keyEnd(i));
}
