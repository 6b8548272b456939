/**
 * Reads one partition in order: what was committed, as frames.
 *
 * Offsets have gaps where transactions have ended, where they were aborted, and where compaction has been.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { PartitionReader } from '../broker.ts';
import { checkOffset, offsetLost } from '../checks.ts';
import type { FrameView } from '../frame-view.ts';
import type { Cluster } from './cluster.ts';
import { committedBatches } from './committed.ts';
import { OFFSET_OUT_OF_RANGE, type Fetcher } from './fetcher.ts';
import { framesOf } from './frames.ts';
import { COMPRESSION_BITS, readBatches, readRecords } from './record-batch.ts';
import type { BatchHeader } from './record-batch.ts';
import type { FetchResult } from './requests.ts';

/** A place to read from. */
export interface ReaderPlace {
  readonly topic: string;
  readonly partition: number;
  readonly from: number;
}

/** See {@link PartitionReader}. `next` returns a promise when nothing has been read ahead. */
export class KafkaReader implements PartitionReader {
  readonly #cluster: Cluster;
  readonly #fetcher: Fetcher;
  readonly #topic: string;
  readonly #partition: number;
  /** Of the next record that is given. */
  #offset: number;
  /** Of the next record that is fetched. */
  #fetchAt: number;
  /** Frames that were read ahead, the next one last. */
  #ahead: FrameView[] = [];
  /** Batches that are still to be opened, the next one last. */
  #batches: BatchHeader[] = [];
  /** A request for what comes behind, under way since before it was asked for. */
  #early: { readonly at: number; readonly result: Promise<FetchResult> } | undefined;

  constructor(cluster: Cluster, fetcher: Fetcher, { topic, partition, from }: ReaderPlace) {
    checkOffset(`the offset to read ${topic}[${partition}] from`, from);
    this.#cluster = cluster;
    this.#fetcher = fetcher;
    this.#topic = topic;
    this.#partition = partition;
    this.#offset = from;
    this.#fetchAt = from;
  }

  get offset(): number {
    return this.#offset;
  }

  /** Everything below was fetched, also where it held no record for readers. */
  get readTo(): number {
    return this.#fetchAt;
  }

  seek(offset: number): void {
    checkOffset(`the offset to seek to in ${this.#topic}[${this.#partition}]`, offset);
    this.#offset = offset;
    this.#fetchAt = offset;
    this.#ahead = [];
    this.#batches = [];
    this.#early = undefined;
  }

  next(): FrameView | undefined | Promise<FrameView | undefined> {
    this.#cluster.assertOpen();
    return this.#take() ?? this.#read();
  }

  /** The next frame of what is there. */
  #take(): FrameView | undefined {
    for (;;) {
      const view = this.#ahead.pop();
      if (view === undefined) {
        const batch = this.#batches.pop();
        if (batch === undefined) return undefined;
        this.#ahead = this.#open(batch).toReversed();
        // The next answer travels while this batch is worked on.
        if (this.#batches.length === 0) this.#early ??= this.#fetchEarly();
      } else if (view.end > this.#offset) {
        this.#offset = view.end;
        return view;
      }
    }
  }

  async #read(): Promise<FrameView | undefined> {
    for (;;) {
      const at = this.#fetchAt;
      const early = this.#early?.at === at ? this.#early : undefined;
      this.#early = undefined;
      const result = await (early?.result ?? this.#fetcher.fetch(this.#topic, this.#partition, at));
      if (this.#fetchAt !== at) continue;
      if (result.errorCode === OFFSET_OUT_OF_RANGE) {
        // Compaction and transactions may have taken what was at the offset, but the start of the partition tells.
        if (at < result.start || result.start < 0) await this.#assertThere(at);
        if (early === undefined) return undefined;
        continue;
      }
      this.#add(result);
      const view = this.#take();
      if (view !== undefined) return view;
      // What was asked for before the call says nothing about the end as of now.
      if (this.#fetchAt === at && early === undefined) return undefined;
    }
  }

  #fetchEarly(): { readonly at: number; readonly result: Promise<FetchResult> } {
    const at = this.#fetchAt;
    const result = this.#fetcher.fetch(this.#topic, this.#partition, at);
    // Nobody may ever ask for it.
    result.catch(() => undefined);
    return { at, result };
  }

  #add({ bytes, aborted }: FetchResult): void {
    const place = `${this.#topic}[${this.#partition}]`;
    const batches = readBatches(bytes, place, this.#cluster.library.crc32c);
    const last = batches.at(-1);
    if (last === undefined) return;
    this.#batches = committedBatches(batches, aborted, place).toReversed();
    this.#fetchAt = Math.max(this.#fetchAt, last.lastOffset + 1);
  }

  #open(batch: BatchHeader): FrameView[] {
    const bits = batch.attributes & COMPRESSION_BITS;
    const { compressionsAlgorithmsByBitmask } = this.#cluster.library;
    const place = `${this.#topic}[${this.#partition}]`;
    let records = batch.records;
    if (bits !== 0) {
      const codec = compressionsAlgorithmsByBitmask[bits];
      if (codec === undefined)
        throw new MillraceError(
          'MR_VERSION_UNSUPPORTED',
          `the records at offset ${batch.baseOffset} of ${place} are compressed in a way that is not known (${bits})`,
          { domain: 'external' },
        );
      records = codec.decompressSync(records);
    }
    return framesOf(readRecords(batch, records, place), {
      topic: this.#topic,
      partition: this.#partition,
      receivedAt: batch.maxTimestamp,
    });
  }

  /** @throws `MR_OFFSET_LOST` when the partition begins behind the offset. */
  async #assertThere(offset: number): Promise<void> {
    const start = await listOffset(this.#cluster, this.#topic, this.#partition, 'start');
    if (offset < start) throw offsetLost(this.#topic, this.#partition, offset, start);
  }
}

const TIMESTAMPS = { start: -2n, end: -1n, written: -1n } as const;

/**
 * Where a partition begins, where what is committed ends, or where what is written ends, transactions that are still open included.
 *
 * @throws `MR_UNKNOWN_TOPIC`, `MR_IO`.
 */
export async function listOffset(
  cluster: Cluster,
  topic: string,
  partition: number,
  which: keyof typeof TIMESTAMPS,
): Promise<number> {
  const answer = await cluster.call(
    { kind: 'leader', topic, partition },
    cluster.library.listOffsetsV7.api,
    [
      -1,
      which === 'written' ? 0 : 1,
      [
        {
          name: topic,
          partitions: [
            { partitionIndex: partition, currentLeaderEpoch: -1, timestamp: TIMESTAMPS[which] },
          ],
        },
      ],
    ],
    { what: `the offsets of ${topic}[${partition}] cannot be read`, details: { topic, partition } },
  );
  return Number(answer.topics[0]?.partitions[0]?.offset ?? 0);
}
