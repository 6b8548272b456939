/**
 * Deletes the oldest frames of a partition, whole ones, in steps that hold the writers' lock for a short time. Truncation and retention
 * differ only in which frames they mean.
 *
 * A frame ends where its own header says, or, if that is damaged, where the next one begins: damaged frames can be deleted too.
 *
 * @module
 */
import type { Kv, KvTransaction } from '../../kv/kv.ts';
import { checkOffset } from '../checks.ts';
import { readPlace } from '../frame.ts';
import { readEnds, writeEnds } from './partitions.ts';
import { frameRange, homeOf, offsetOfKey, type Ends } from './rows.ts';
import type { StoredTopic } from './topics.ts';

/** One step looks at no more than this, but for a single frame. */
export const STEP_BYTES: number = 4 * 1024 * 1024;
const STEP_FRAMES = 1000;

/** The oldest frame of a partition, as a rule sees it. */
export interface OldFrame {
  /** Offset behind its last record. */
  readonly end: number;
  /** When it was received; not later than that. */
  readonly receivedAt: number;
  /** Whether there is no frame behind it. */
  readonly last: boolean;
}

/** Whether a frame is to be deleted. `ends` are the partition's before that, older frames being gone already. */
export type Deletable = (frame: OldFrame, ends: Readonly<Ends>) => boolean;

/** What a step did. */
export interface FrontStep {
  /** Where the partition begins now. */
  readonly start: number;
  readonly deletedRecords: number;
  /** Whether the oldest frame that is left is to stay. */
  readonly done: boolean;
}

interface Seen {
  readonly key: Uint8Array;
  readonly byteLength: number;
  readonly baseOffset: number;
  readonly count: number | undefined;
  readonly receivedAt: number | undefined;
}

/** {@link Broker.truncate}: one transaction per step, until nothing below `before` is left. */
export async function truncate(
  kv: Kv,
  topic: StoredTopic,
  partition: number,
  before: number,
): Promise<number> {
  checkOffset(`the offset to truncate ${topic.spec.name}[${partition}] at`, before);
  for (;;) {
    const step = await kv.transact((txn) =>
      deleteFront(txn, topic, partition, ({ end }) => end <= before),
    );
    if (step.done) return step.start;
  }
}

/** One step: deletes frames from the oldest on, until one is to stay or the step is long enough. */
export function deleteFront(
  txn: KvTransaction,
  topic: StoredTopic,
  partition: number,
  deletable: Deletable,
): FrontStep {
  const ends = readEnds(txn, topic, partition);
  const { start } = ends;
  const doomed: Uint8Array[] = [];
  let deletedRecords = 0;
  const take = (frame: Seen, next: Seen | undefined): boolean => {
    const nextOffset = next?.baseOffset ?? ends.end;
    const own = frame.baseOffset + (frame.count ?? Infinity);
    const end = own <= nextOffset ? own : nextOffset;
    // Nothing is received before what stands in front of it.
    const receivedAt = frame.receivedAt ?? next?.receivedAt ?? ends.receivedAt;
    if (!deletable({ end, receivedAt, last: next === undefined }, ends)) return false;
    doomed.push(frame.key);
    deletedRecords += end - frame.baseOffset;
    ends.start = end;
    ends.bytes -= frame.byteLength;
    return true;
  };

  const home = homeOf(topic.id, partition);
  let done = true;
  let bytes = 0;
  let oldest: Seen | undefined;
  for (const { key, value } of txn.range(
    'frames',
    frameRange(topic.id, partition, start, ends.end),
  )) {
    const place = readPlace(value, home);
    const next: Seen = {
      key,
      byteLength: value.length,
      baseOffset: offsetOfKey(key),
      count: place?.count,
      receivedAt: place?.receivedAt,
    };
    const goesOn = oldest === undefined || take(oldest, next);
    oldest = goesOn ? next : undefined;
    if (!goesOn) break;
    if (bytes > STEP_BYTES || doomed.length >= STEP_FRAMES) {
      done = false;
      break;
    }
    bytes += value.length;
  }
  if (done && oldest !== undefined) take(oldest, undefined);
  for (const key of doomed) txn.remove('frames', key);
  if (doomed.length > 0) writeEnds(txn, topic, partition, ends);
  return { start: ends.start, deletedRecords, done };
}
