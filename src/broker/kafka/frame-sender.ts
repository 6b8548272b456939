/**
 * Frames on their way to partitions, under the identity of one producer: batches with sequence numbers, by which brokers drop what comes twice.
 *
 * A produce request carries one batch for each partition, so several frames of a partition share a batch while they fit, and what does not fit goes
 * with the next round. Rounds are sent one after the other; of one round, the requests for different leaders at once.
 *
 * @module
 */
import type { Outgoing, Placed } from '../broker.ts';
import type { Cluster } from './cluster.ts';
import { passes, troubleOf } from './errors.ts';
import { addFrame } from './frames.ts';
import { BatchWriter } from './record-batch.ts';
import type { Checksum, Compressor } from './record-batch.ts';
import type { ProduceBatch, ProduceResult } from './requests.ts';
import type { Compression } from './url.ts';

/** Who sends. */
export interface ProducerIdentity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** `null`: outside of transactions. */
  readonly transactionalId: string | null;
  /** Next sequence number of each partition, by `topic/partition`. */
  readonly sequences: Map<string, number>;
}

/** How frames are sent. */
export interface SendOptions {
  readonly compression: Compression;
  /** Frames share a batch up to about so many bytes. Default 900,000: brokers take 1 MiB if nobody has told them otherwise. */
  readonly maxBatchBytes?: number | undefined;
}

/** What became of a frame. */
export type Sent = { readonly placed: Placed } | { readonly error: unknown };

const MAX_BATCH_BYTES = 900_000;
/** What one request carries at most, about. */
const MAX_REQUEST_BYTES = 16 * 1024 * 1024;
const PRODUCE_MS = 30_000;
const SEQUENCES = 2 ** 31;

/** A batch on its way, and the frames in it. */
interface Parcel {
  readonly topic: string;
  readonly partition: number;
  readonly frames: readonly { readonly index: number; readonly at: number }[];
  readonly batch: Buffer;
}

/** Sends frames. Calls of one identity must not overlap: they would take each other's sequence numbers. */
export class FrameSender {
  readonly #cluster: Cluster;
  readonly #checksum: Checksum;
  readonly #compressor: Compressor | undefined;
  readonly #maxBatchBytes: number;
  readonly #writer = new BatchWriter();

  constructor(cluster: Cluster, { compression, maxBatchBytes = MAX_BATCH_BYTES }: SendOptions) {
    const { crc32c, compressionsAlgorithms } = cluster.library;
    this.#cluster = cluster;
    this.#checksum = crc32c;
    this.#maxBatchBytes = maxBatchBytes;
    if (compression !== 'none') {
      const { bitmask, compressSync } = compressionsAlgorithms[compression];
      this.#compressor = { bits: bitmask, compress: compressSync };
    }
  }

  /**
   * Sends frames and waits until all replicas that are in sync have them. The result has one entry for each frame. After an error nothing more is
   * sent to its partition, and the identity is not to be used any more: whether the batch is there is not known.
   */
  async send(identity: ProducerIdentity, frames: readonly Outgoing[]): Promise<readonly Sent[]> {
    const sent: (Sent | undefined)[] = Array.from({ length: frames.length });
    const waiting = byPartition(frames);
    while (waiting.length > 0) {
      const parcels = this.#round(identity, frames, waiting);
      const leaders = new Map<number, Parcel[]>();
      for (const parcel of parcels) {
        const leader = await this.#cluster.leader(parcel.topic, parcel.partition);
        const there = leaders.get(leader);
        if (there === undefined) leaders.set(leader, [parcel]);
        else there.push(parcel);
      }
      await Promise.all(
        [...leaders.values()].map(async (group) => {
          await this.#deliver(identity, group, sent);
        }),
      );
      for (const line of waiting)
        for (const index of line.indexes) {
          const result = sent[index];
          if (result === undefined || !('error' in result)) continue;
          for (const rest of line.indexes) sent[rest] ??= result;
        }
      for (let i = waiting.length - 1; i >= 0; i--)
        if ((waiting[i] as Line).indexes.every((index) => sent[index] !== undefined))
          waiting.splice(i, 1);
    }
    return sent as Sent[];
  }

  /** The next batch of each partition, as many as fit into a request. */
  #round(
    { producerId, producerEpoch, transactionalId, sequences }: ProducerIdentity,
    frames: readonly Outgoing[],
    waiting: readonly Line[],
  ): Parcel[] {
    const parcels: Parcel[] = [];
    let bytes = 0;
    for (const line of waiting) {
      if (bytes >= MAX_REQUEST_BYTES) break;
      const taken: { index: number; at: number }[] = [];
      const several = line.indexes.length - line.next > 1;
      while (line.next < line.indexes.length) {
        const index = line.indexes[line.next] as number;
        const { frame } = frames[index] as Outgoing;
        if (taken.length > 0 && this.#writer.byteLength + frame.bytes.length > this.#maxBatchBytes)
          break;
        taken.push({ index, at: this.#writer.count });
        addFrame(this.#writer, frame, several);
        line.next++;
      }
      if (taken.length === 0) continue;
      const place = `${line.topic}/${line.partition}`;
      const baseSequence = sequences.get(place) ?? 0;
      sequences.set(place, (baseSequence + this.#writer.count) % SEQUENCES);
      const batch = this.#writer.finish(
        { producerId, producerEpoch, baseSequence, transactional: transactionalId !== null },
        this.#checksum,
        this.#compressor,
      );
      bytes += batch.length;
      parcels.push({ topic: line.topic, partition: line.partition, frames: taken, batch });
    }
    return parcels;
  }

  /** Sends parcels of one leader until each has an answer that stays. */
  async #deliver(
    identity: ProducerIdentity,
    parcels: readonly Parcel[],
    sent: (Sent | undefined)[],
  ): Promise<void> {
    let left = parcels;
    const [first] = parcels as readonly [Parcel];
    const what = `records cannot be appended to ${first.topic}[${first.partition}]${parcels.length > 1 ? ` and ${parcels.length - 1} other partitions` : ''}`;
    const details = { topic: first.topic, partition: first.partition };
    try {
      await this.#cluster.retry({ what, details }, async () => {
        left = await this.#attempt(identity, left, sent);
      });
    } catch (error) {
      for (const { frames } of left) for (const { index } of frames) sent[index] = { error };
    }
  }

  /** What is left to be sent again stands in the error's place: throws when something is. */
  async #attempt(
    identity: ProducerIdentity,
    parcels: readonly Parcel[],
    sent: (Sent | undefined)[],
  ): Promise<readonly Parcel[]> {
    let left: readonly Parcel[] = parcels.filter(
      ({ frames }) => sent[(frames[0] as { index: number }).index] === undefined,
    );
    if (left.length === 0) return left;
    const { topic, partition } = left[0] as Parcel;
    const batches: ProduceBatch[] = left.map((parcel) => ({
      topic: parcel.topic,
      partition: parcel.partition,
      batch: parcel.batch,
    }));
    const results = await this.#cluster.attempt(
      { kind: 'leader', topic, partition },
      this.#cluster.requests.produce,
      [identity.transactionalId, PRODUCE_MS, batches],
      'writes',
    );
    const byPlace = new Map(results.map((result) => [placeOf(result), result]));
    let trouble: unknown;
    for (const parcel of left) {
      const result = byPlace.get(placeOf(parcel));
      if (result?.errorCode === 0) {
        this.#placed(parcel, result, sent);
        continue;
      }
      const error = new this.#cluster.library.ProtocolError(
        result?.errorCode ?? -1,
        result?.errorMessage ?? null,
      );
      this.#cluster.forgetTopic(parcel.topic);
      trouble = error;
      if (!passes(troubleOf(error))) break;
    }
    left = left.filter(({ frames }) => sent[(frames[0] as { index: number }).index] === undefined);
    if (trouble !== undefined) throw trouble;
    return left;
  }

  #placed(parcel: Parcel, result: ProduceResult, sent: (Sent | undefined)[]): void {
    const receivedAt = result.appendedAt >= 0 ? result.appendedAt : this.#cluster.clock.now();
    for (const { index, at } of parcel.frames)
      sent[index] = { placed: { baseOffset: result.baseOffset + at, receivedAt } };
  }
}

/** Frames of one partition, in their order, and how many of them are under way. */
interface Line {
  readonly topic: string;
  readonly partition: number;
  readonly indexes: number[];
  next: number;
}

function byPartition(frames: readonly Outgoing[]): Line[] {
  const lines = new Map<string, Line>();
  for (const [index, outgoing] of frames.entries()) {
    const { topic, partition } = outgoing;
    const line = lines.get(placeOf(outgoing));
    if (line === undefined)
      lines.set(placeOf(outgoing), { topic, partition, indexes: [index], next: 0 });
    else line.indexes.push(index);
  }
  return [...lines.values()];
}

function placeOf(place: { readonly topic: string; readonly partition: number }): string {
  return `${place.topic}/${place.partition}`;
}
