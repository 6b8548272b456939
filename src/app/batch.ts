/**
 * A batch of records on its way to the partitions of one topic.
 *
 * @module
 */
import type { Outgoing } from '../broker/broker.ts';
import { FrameBuilder } from '../broker/frame-builder.ts';
import { KeyInterner } from '../codec/key.ts';
import { partitionOf } from '../codec/partition.ts';
import type { Clock } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import { kindOf } from '../core/given.ts';
import type { Headers } from '../core/types.ts';
import { addRecord, checkKeyOf, isText } from '../runtime/format.ts';
import type { TopicFormat } from '../runtime/format.ts';
import { checkPartition } from '../runtime/outputs.ts';

/** Keys whose canonical form is remembered. */
const KEYS = 8_192;

/** How a record is sent. */
export interface SendOptions {
  /** Event time, integer milliseconds since 1970. Default: the topic's `timestamp` function, else the clock. */
  readonly timestamp?: number | undefined;
  /** Default: the hash of the key; without a key the partitions take turns. */
  readonly partition?: number | undefined;
  readonly headers?: Headers | undefined;
}

/** Collects records of one topic into frames. */
export class Batch {
  readonly #format: TopicFormat;
  readonly #builders: (FrameBuilder | undefined)[];
  readonly #keys = new KeyInterner(KEYS);
  /** Full ones, in front of what is being built, and how many records of each partition are in them. */
  #closed: Outgoing[] = [];
  #closedBytes = 0;
  readonly #closedCounts: number[];
  #count = 0;
  #turn = 0;

  constructor(format: TopicFormat) {
    this.#format = format;
    this.#builders = Array.from({ length: format.partitions });
    this.#closedCounts = Array.from({ length: format.partitions }, () => 0);
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    let bytes = this.#closedBytes;
    for (const builder of this.#builders) bytes += builder?.bytes ?? 0;
    return bytes;
  }

  /** Adds a record and returns its partition. Throws what {@link addRecord} throws; nothing is added then. */
  add(value: unknown, key: unknown, clock: Clock, options: SendOptions | undefined): number {
    const format = this.#format;
    if (options !== undefined && (typeof options !== 'object' || options === null))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `the options of a send to topic ${format.topic} are ${kindOf(options)}; give an object, such as { key: 'ann' }`,
        { details: { topic: format.topic } },
      );
    const ref = key === undefined || key === null ? null : this.#keys.of(key);
    checkKeyOf(format, ref);
    let partition: number;
    if (options?.partition !== undefined) {
      partition = options.partition;
      checkPartition(format, partition);
    } else {
      partition =
        ref === null ? this.#turn % format.partitions : partitionOf(ref.bytes, format.partitions);
    }
    let builder = this.#builders[partition];
    if (builder === undefined) {
      builder = new FrameBuilder({ text: isText(format), maxRecordBytes: format.maxRecordBytes });
      this.#builders[partition] = builder;
    }
    const timestamp = options?.timestamp;
    // The clock costs more than all else here, and where values say their time it is not asked.
    const now = timestamp ?? (format.timestamp === undefined ? clock.now() : 0);
    addRecord(builder, format, value, ref, now, timestamp !== undefined, options?.headers ?? null);
    this.#count++;
    if (builder.full) this.#close(partition, builder);
    return partition;
  }

  #close(partition: number, builder: FrameBuilder): void {
    this.#closedBytes += builder.bytes;
    this.#closedCounts[partition] = this.countOf(partition);
    this.#closed.push({ topic: this.#format.topic, partition, frame: builder.build() });
  }

  /** Records added to a partition so far. */
  countOf(partition: number): number {
    return (this.#closedCounts[partition] ?? 0) + (this.#builders[partition]?.count ?? 0);
  }

  /** The frames, those of a partition in the order of its records; the batch is empty afterwards. */
  take(): Outgoing[] {
    const out = this.#closed;
    this.#closed = [];
    this.#closedBytes = 0;
    this.#closedCounts.fill(0);
    this.#builders.forEach((builder, partition) => {
      if (builder !== undefined && builder.count > 0)
        out.push({ topic: this.#format.topic, partition, frame: builder.build() });
    });
    this.#count = 0;
    // Without keys a batch stays together, and the next one goes to the next partition.
    this.#turn++;
    return out;
  }
}
