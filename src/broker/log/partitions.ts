/**
 * Partitions: a run of frames and a row that says where it begins and ends. The row changes in the same transaction as the
 * frames, so offsets have no gaps whoever appends.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { Clock } from '../../core/clock.ts';
import type { Kv, KvReader, KvTransaction } from '../../kv/kv.ts';
import type { Outgoing, PartitionBounds, Placed } from '../broker.ts';
import { checkFrames, checkOffset } from '../checks.ts';
import { place } from '../frame.ts';
import { decodeEnds, encodeEnds, frameKey, offsetOfKey, partitionKey, type Ends } from './rows.ts';
import type { StoredTopic, Topics } from './topics.ts';

/** One transaction of {@link truncate} holds the writers' lock for no more than this. */
const TRUNCATE_BYTES = 4 * 1024 * 1024;
const TRUNCATE_FRAMES = 1000;

/** A frame whose topic was looked up. */
export interface Routed extends Outgoing {
  readonly to: StoredTopic;
}

/** Looks every topic up, outside the transaction. @throws `MR_UNKNOWN_TOPIC`, `MR_ARGUMENT_INVALID`. */
export function route(topics: Topics, frames: readonly Outgoing[]): readonly Routed[] {
  checkFrames(frames);
  return frames.map(({ topic, partition, frame }) => ({
    topic,
    partition,
    frame,
    to: topics.need(topic, partition),
  }));
}

export function readEnds(kv: KvReader, topic: StoredTopic, partition: number): Ends {
  return decodeEnds(
    kv.get('ends', partitionKey(topic.id, partition)),
    () => `the row with the ends of ${topic.spec.name}[${partition}]`,
  );
}

export function readBounds(kv: KvReader, topic: StoredTopic, partition: number): PartitionBounds {
  const { start, end } = readEnds(kv, topic, partition);
  return { start, end };
}

/** The writing half of an append: gives every frame its place. Reads all ends before it writes anything. */
export function appendFrames(
  txn: KvTransaction,
  frames: readonly Routed[],
  clock: Clock,
): readonly Placed[] {
  const partitions = new Map<number, { readonly key: Buffer; readonly ends: Ends }>();
  for (const { to, partition } of frames) {
    const id = partitionNumber(to, partition);
    if (!partitions.has(id))
      partitions.set(id, {
        key: partitionKey(to.id, partition),
        ends: readEnds(txn, to, partition),
      });
  }
  // One reading, so that all of an append was received at once. A clock that was set back must not take windows with it.
  const now = clock.now();
  for (const { ends } of partitions.values()) ends.receivedAt = Math.max(ends.receivedAt, now);
  const placed = frames.map(({ to, partition, frame }) => {
    const { ends } = partitions.get(partitionNumber(to, partition)) as { ends: Ends };
    const baseOffset = ends.end;
    place(frame.bytes, baseOffset, ends.receivedAt);
    txn.put('frames', frameKey(to.id, partition, baseOffset), frame.bytes);
    ends.end += frame.count;
    return { baseOffset, receivedAt: ends.receivedAt };
  });
  for (const { key, ends } of partitions.values()) txn.put('ends', key, encodeEnds(ends));
  return placed;
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
    const step = await kv.transact((txn) => truncateStep(txn, topic, partition, before));
    if (step.done) return step.start;
  }
}

function truncateStep(
  txn: KvTransaction,
  topic: StoredTopic,
  partition: number,
  before: number,
): { readonly start: number; readonly done: boolean } {
  const ends = readEnds(txn, topic, partition);
  const limit = Math.min(before, ends.end);
  if (limit <= ends.start) return { start: ends.start, done: true };
  const doomed: Uint8Array[] = [];
  let bytes = 0;
  let previous: Uint8Array | undefined;
  let { start } = ends;
  let done = true;
  // A frame ends where the next one begins: what it says of itself need not be believed, nor even be readable.
  const range = {
    from: frameKey(topic.id, partition, ends.start),
    to: frameKey(topic.id, partition, limit + 1),
  };
  for (const { key, value } of txn.range('frames', range)) {
    if (previous !== undefined) {
      doomed.push(previous);
      start = offsetOfKey(key);
    }
    if (bytes > TRUNCATE_BYTES || doomed.length >= TRUNCATE_FRAMES) {
      done = false;
      break;
    }
    previous = key;
    bytes += value.length;
  }
  // The last frame of the partition is followed by its end.
  if (done && limit === ends.end && previous !== undefined) {
    doomed.push(previous);
    start = ends.end;
  }
  for (const key of doomed) txn.remove('frames', key);
  if (start !== ends.start)
    txn.put('ends', partitionKey(topic.id, partition), encodeEnds({ ...ends, start }));
  return { start, done };
}

/** The error of reading below the start of a partition. */
export function offsetLost(
  topic: string,
  partition: number,
  offset: number,
  start: number,
): MillraceError {
  return new MillraceError(
    'MR_OFFSET_LOST',
    `offset ${offset} of ${topic}[${partition}] has been deleted: the partition begins at ${start}, ${start - offset} records are gone; continue at ${start} if that is acceptable`,
    { domain: 'external', details: { topic, partition, offset, start, lost: start - offset } },
  );
}

function partitionNumber(topic: StoredTopic, partition: number): number {
  return topic.id * 65_536 + partition;
}
