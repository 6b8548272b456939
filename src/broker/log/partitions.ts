/**
 * Partitions: a run of frames and a row that says where it begins and ends. The row changes in the same transaction as the
 * frames, so appending leaves no gaps whoever appends.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { Clock } from '../../core/clock.ts';
import type { KvReader, KvTransaction } from '../../kv/kv.ts';
import type { Outgoing, PartitionBounds, Placed } from '../broker.ts';
import { checkFrames } from '../checks.ts';
import { place } from '../frame.ts';
import { decodeEnds, encodeEnds, frameKey, homeOf, partitionKey, type Ends } from './rows.ts';
import { unknownTopic } from '../topic-spec.ts';
import { readTopic, type StoredTopic, type Topics } from './topics.ts';

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

/** @throws `MR_UNKNOWN_TOPIC` when the topic has been deleted since it was looked up. */
export function readEnds(kv: KvReader, topic: StoredTopic, partition: number): Ends {
  const { name } = topic.spec;
  const row = kv.get('ends', partitionKey(topic.id, partition));
  if (row !== undefined)
    return decodeEnds(row, () => `the row with the ends of ${name}[${partition}]`);
  if (readTopic(kv, name)?.id !== topic.id) throw unknownTopic(name);
  throw new MillraceError(
    'MR_CORRUPT',
    `the row with the ends of ${name}[${partition}] is missing; restore the directory from a backup`,
    { domain: 'external', details: { topic: name, partition } },
  );
}

export function writeEnds(
  txn: KvTransaction,
  topic: StoredTopic,
  partition: number,
  ends: Ends,
): void {
  txn.put('ends', partitionKey(topic.id, partition), encodeEnds(ends));
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
  const partitions = new Map<number, { readonly frame: Routed; readonly ends: Ends }>();
  for (const frame of frames) {
    const { to, partition } = frame;
    const id = partitionNumber(to, partition);
    if (!partitions.has(id)) partitions.set(id, { frame, ends: readEnds(txn, to, partition) });
  }
  // One reading, so that all of an append was received at once. A clock that was set back must not take windows with it.
  const now = clock.now();
  for (const { ends } of partitions.values()) ends.receivedAt = Math.max(ends.receivedAt, now);
  const placed = frames.map(({ to, partition, frame }) => {
    const { ends } = partitions.get(partitionNumber(to, partition)) as { ends: Ends };
    const baseOffset = ends.end;
    place(frame.bytes, baseOffset, ends.receivedAt, homeOf(to.id, partition));
    txn.put('frames', frameKey(to.id, partition, baseOffset), frame.bytes);
    ends.end += frame.count;
    ends.bytes += frame.bytes.length;
    return { baseOffset, receivedAt: ends.receivedAt };
  });
  for (const { frame, ends } of partitions.values())
    writeEnds(txn, frame.to, frame.partition, ends);
  return placed;
}

function partitionNumber(topic: StoredTopic, partition: number): number {
  return topic.id * 65_536 + partition;
}
