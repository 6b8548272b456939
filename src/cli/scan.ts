/**
 * Records of a topic across its partitions, roughly in the order in which they were stored.
 *
 * @module
 */
import type { Broker, PartitionBounds, PartitionReader } from '../broker/broker.ts';
import type { FrameView } from '../broker/frame-view.ts';
import { MillraceError } from '../core/errors.ts';
import type { Headers } from '../core/types.ts';
import type { From } from './args.ts';
import type { Progress } from './progress.ts';
import { reasonOf } from './terminal.ts';

/** How long a reader that follows waits before it looks again by itself. */
const WAIT_MS = 1_000;

/** A record as it is stored. Its bytes are a view of its frame. */
export interface StoredRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly receivedAt: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: Headers | null;
}

/** What is read. */
export interface ScanOptions {
  readonly topic: string;
  readonly partitions: readonly number[];
  readonly from: From;
  /** Whether to go on at the end, until the signal aborts. */
  readonly follow?: boolean | undefined;
  /** Frames that it refuses are not looked into. */
  readonly wanted?: ((frame: FrameView) => boolean) | undefined;
  readonly signal: AbortSignal;
  readonly progress?: Progress | undefined;
}

interface Lane {
  readonly partition: number;
  readonly reader: PartitionReader;
  readonly start: number;
  /** Where it ends for now; read anew when following. */
  end: number;
  frame: FrameView | undefined;
}

/**
 * Records from a place on, to what was the end when the reading began, or for ever. Within a partition by offset; of several partitions
 * the frame that was received first comes first.
 *
 * @throws `MR_UNKNOWN_TOPIC`; `MR_OFFSET_LOST` for an offset that was asked for and is gone; `MR_CORRUPT`; the reason of the signal.
 */
export async function* scan(broker: Broker, options: ScanOptions): AsyncGenerator<StoredRecord> {
  const { topic, from, signal, progress } = options;
  const lanes = await openLanes(broker, options);
  const total = lanes.reduce((sum, { start, end }) => sum + end - start, 0);
  let done = 0;
  for (;;) {
    const since = options.follow === true ? broker.changes() : 0;
    for (;;) {
      const lane = await nextLane(broker, topic, lanes, from.at !== 'offset');
      if (lane?.frame === undefined) break;
      if (signal.aborted) throw reasonOf(signal);
      const { frame } = lane;
      lane.frame = undefined;
      done += frame.count;
      progress?.at(done, options.follow === true ? undefined : total);
      if (options.wanted?.(frame) === false) continue;
      yield* recordsOf(topic, lane, frame, from);
    }
    if (options.follow !== true) return;
    progress?.end();
    await waitForMore(broker, since, signal);
    for (const lane of lanes) lane.end = (await broker.bounds(topic, lane.partition)).end;
  }
}

/** The partitions of a topic that an option names, all of them without it. @throws `MR_ARGUMENT_INVALID`, `MR_UNKNOWN_TOPIC`. */
export async function partitionsOf(
  broker: Broker,
  topic: string,
  partition: number | undefined,
): Promise<readonly number[]> {
  const spec = await broker.describeTopic(topic);
  if (spec === undefined)
    throw new MillraceError(
      'MR_UNKNOWN_TOPIC',
      `there is no topic ${JSON.stringify(topic)} on ${broker.url}; millrace topics lists those that are`,
      { details: { topic } },
    );
  if (partition === undefined) return Array.from({ length: spec.partitions }, (_, i) => i);
  if (partition >= spec.partitions)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `topic ${topic} has no partition ${partition}; it has ${spec.partitions}, from 0`,
      { details: { topic, partition, partitions: spec.partitions } },
    );
  return [partition];
}

async function openLanes(
  broker: Broker,
  { topic, partitions, from }: ScanOptions,
): Promise<Lane[]> {
  const lanes: Lane[] = [];
  for (const partition of partitions) {
    const bounds = await broker.bounds(topic, partition);
    const start = startOf(from, partition, bounds);
    lanes.push({
      partition,
      reader: broker.reader(topic, partition, start),
      start: Math.min(start, bounds.end),
      end: bounds.end,
      frame: undefined,
    });
  }
  return lanes;
}

function startOf(from: From, partition: number, { start, end }: PartitionBounds): number {
  if (from.at === 'end') return end;
  if (from.at === 'offsets') return from.ends.get(partition) ?? start;
  return from.at === 'offset' ? from.offset : start;
}

/** The lane whose next frame was received first. Fills the lanes. */
async function nextLane(
  broker: Broker,
  topic: string,
  lanes: readonly Lane[],
  skipLost: boolean,
): Promise<Lane | undefined> {
  let first: Lane | undefined;
  for (const lane of lanes) {
    while (lane.frame === undefined && lane.reader.offset < lane.end) {
      const frame = await nextFrame(broker, topic, lane, skipLost);
      if (frame === undefined) break;
      if (!frame.control) lane.frame = frame;
    }
    if (
      lane.frame !== undefined &&
      (first?.frame === undefined || lane.frame.receivedAt < first.frame.receivedAt)
    )
      first = lane;
  }
  return first;
}

async function nextFrame(
  broker: Broker,
  topic: string,
  lane: Lane,
  skipLost: boolean,
): Promise<FrameView | undefined> {
  try {
    return await lane.reader.next();
  } catch (error) {
    if (!skipLost || !MillraceError.is(error) || error.code !== 'MR_OFFSET_LOST') throw error;
    // Retention was faster; nobody asked for just these records.
    lane.reader.seek((await broker.bounds(topic, lane.partition)).start);
    return lane.reader.offset < lane.end ? await lane.reader.next() : undefined;
  }
}

function* recordsOf(
  topic: string,
  { partition, start, end }: Lane,
  frame: FrameView,
  from: From,
): Generator<StoredRecord> {
  const { baseOffset, count, receivedAt } = frame;
  for (let i = Math.max(0, start - baseOffset); i < count && baseOffset + i < end; i++) {
    const timestamp = frame.timestamp(i);
    if (from.at === 'time' && timestamp < from.time) continue;
    yield {
      topic,
      partition,
      offset: baseOffset + i,
      timestamp,
      receivedAt,
      key: frame.key(i),
      value: frame.value(i),
      headers: frame.headers(i),
    };
  }
}

async function waitForMore(broker: Broker, since: number, signal: AbortSignal): Promise<void> {
  try {
    await broker.changed(since, WAIT_MS, signal);
  } catch (error) {
    throw signal.aborted ? reasonOf(signal) : error;
  }
}
