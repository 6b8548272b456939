/**
 * What a task sends: held back until its commit, then appended with it.
 *
 * @module
 */
import type { Outgoing } from '../broker/broker.ts';
import { controlFrame, FrameBuilder } from '../broker/frame-builder.ts';
import type { FrameOrigin } from '../broker/frame.ts';
import { partitionOf } from '../codec/partition.ts';
import { MillraceError } from '../core/errors.ts';
import type { Effects } from '../core/effects.ts';
import { rawValueOf } from '../core/event.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import type { Headers } from '../core/types.ts';
import { addEncoded, addRecord, checkKeyOf, encodeRecord, isText } from './format.ts';
import type { EncodedRecord, TopicFormat } from './format.ts';

/** Outputs to one topic. */
class TopicOutput {
  readonly format: TopicFormat;
  readonly #text: boolean;
  readonly #builders: (FrameBuilder | undefined)[];
  #ready: Outgoing[] = [];

  constructor(format: TopicFormat, text: boolean) {
    this.format = format;
    this.#text = text;
    this.#builders = Array.from({ length: format.partitions });
  }

  builder(partition: number): FrameBuilder {
    let builder = this.#builders[partition];
    if (builder === undefined) {
      builder = new FrameBuilder({
        text: this.#text,
        maxRecordBytes: this.format.maxRecordBytes,
      });
      this.#builders[partition] = builder;
    }
    return builder;
  }

  /** Closes the frame of a partition when it is full. */
  settle(partition: number, builder: FrameBuilder): void {
    if (!builder.full) return;
    this.#ready.push({ topic: this.format.topic, partition, frame: builder.build() });
  }

  /** Everything, per partition in order. `origin` goes with the last frame of each partition. */
  take(origin?: (partition: number) => FrameOrigin): Outgoing[] {
    const out = this.#ready;
    this.#builders.forEach((builder, partition) => {
      if (builder === undefined || builder.count === 0) return;
      const frame = builder.build(origin?.(partition) ?? null);
      out.push({ topic: this.format.topic, partition, frame });
    });
    this.#ready = [];
    return out;
  }
}

/** A repartition topic that the task feeds. */
interface Feed {
  readonly output: TopicOutput;
  readonly delayMs: number;
  /** Stream time that each partition was last told. */
  readonly told: Float64Array;
}

/** All outputs of a task since its last commit. */
export class TaskOutputs {
  readonly #topics = new Map<string, TopicOutput>();
  readonly #storedTopics = new Map<string, TopicOutput>();
  readonly #feeds: Feed[] = [];
  readonly #upstream: number;
  #bytes = 0;
  #idle = false;

  /** `upstream` is the number of the task among those that feed its repartition topics: its partition. */
  constructor(upstream: number) {
    this.#upstream = upstream;
  }

  /** Bytes held back: keys, values and headers. Counted and not summed up, since it is looked at for every event. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a record. Without a partition, a keyed record goes where its key lives, another to the task's own partition number. */
  send(
    format: TopicFormat,
    value: unknown,
    key: KeyRef | null,
    timestamp: number,
    headers: Headers | null,
    options: {
      readonly explicitTime: boolean;
      readonly partition: number | undefined;
      /** Those of the event on whose behalf it is sent: with them the record waits for the event's success. */
      readonly effects: Effects | null;
    },
  ): void {
    // Here and not when the topic is read: a record that its readers refuse would be in their way for good.
    checkKeyOf(format, key);
    const output = this.#output(format);
    const partition = options.partition ?? this.#home(format, key);
    checkPartition(format, partition);
    this.#add(
      output,
      partition,
      value,
      key,
      timestamp,
      options.explicitTime,
      headers,
      options.effects,
    );
  }

  /** Adds a record whose key and value are stored bytes: they are passed on as they are. `to` as in {@link TaskOutputs.send}. */
  sendStored(
    format: TopicFormat,
    key: KeyRef | null,
    to: number | undefined,
    record: EncodedRecord,
    effects: Effects | null,
  ): void {
    const partition = to ?? this.#home(format, key);
    const output = this.#stored(format);
    if (effects === null) {
      this.#addEncoded(output, partition, record);
      return;
    }
    const { timestamp, key: keyBytes, value } = record;
    const length = value === null ? 0 : value.length;
    const headers = output.builder(partition).check(timestamp, keyBytes, length, record.headers);
    this.#hold(effects, output, partition, { ...record, headers });
  }

  #home(format: TopicFormat, key: KeyRef | null): number {
    return key === null
      ? this.#upstream % format.partitions
      : partitionOf(key.bytes, format.partitions);
  }

  #output(format: TopicFormat): TopicOutput {
    let output = this.#topics.get(format.topic);
    if (output === undefined) {
      output = new TopicOutput(format, isText(format));
      this.#topics.set(format.topic, output);
    }
    return output;
  }

  /** Stored bytes need not be JSON texts, whatever the codec of the topic is, so they have frames of their own. */
  #stored(format: TopicFormat): TopicOutput {
    let output = this.#storedTopics.get(format.topic);
    if (output === undefined) {
      output = new TopicOutput(format, false);
      this.#storedTopics.set(format.topic, output);
    }
    return output;
  }

  #add(
    output: TopicOutput,
    partition: number,
    value: unknown,
    key: KeyRef | null,
    timestamp: number,
    explicitTime: boolean,
    headers: Headers | null,
    effects: Effects | null,
  ): void {
    const builder = output.builder(partition);
    const { format } = output;
    if (effects !== null) {
      const record = encodeRecord(builder, format, value, key, timestamp, explicitTime, headers);
      this.#hold(effects, output, partition, record);
      return;
    }
    const before = builder.bytes;
    addRecord(builder, format, value, key, timestamp, explicitTime, headers);
    this.#bytes += builder.bytes - before;
    output.settle(partition, builder);
  }

  /** The record waits until its event has succeeded. */
  #hold(effects: Effects, output: TopicOutput, partition: number, record: EncodedRecord): void {
    const bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0);
    effects.hold(() => this.#addEncoded(output, partition, record), bytes);
  }

  #addEncoded(output: TopicOutput, partition: number, record: EncodedRecord): void {
    const builder = output.builder(partition);
    const before = builder.bytes;
    addEncoded(builder, record);
    this.#bytes += builder.bytes - before;
    output.settle(partition, builder);
  }

  /** A writer for a repartition topic. With `raw`, the stored bytes of the value are passed on. */
  feed(
    format: TopicFormat,
    delayMs: number,
    raw: boolean,
  ): (value: unknown, key: KeyRef, event: EventCell) => void {
    const output = new TopicOutput(format, isText(format));
    this.#feeds.push({
      output,
      delayMs,
      told: new Float64Array(format.partitions).fill(-Infinity),
    });
    return (value, key, event) => {
      const partition = partitionOf(key.bytes, format.partitions);
      const { timestamp, headers, effects } = event;
      const bytes = raw ? rawValueOf(event) : null;
      if (bytes === null) {
        this.#add(output, partition, value, key, timestamp, true, headers, effects);
        return;
      }
      const builder = output.builder(partition);
      if (effects !== null) {
        const stored = builder.check(timestamp, key.bytes, bytes.length, headers);
        const record = { timestamp, key: key.bytes, value: bytes, headers: stored };
        this.#hold(effects, output, partition, record);
        return;
      }
      const before = builder.bytes;
      builder.add(timestamp, key.bytes, bytes, headers);
      this.#bytes += builder.bytes - before;
      output.settle(partition, builder);
    };
  }

  get feeds(): boolean {
    return this.#feeds.length > 0;
  }

  /** Whether a commit is needed to tell the tasks behind that this one is idle. */
  needsIdleMark(): boolean {
    return this.#feeds.length > 0 && !this.#idle;
  }

  /**
   * Everything since the last call, for one commit. Each partition of a repartition topic learns the task's stream time: with
   * its last frame, or, when it gets no records, in a control frame if there is news.
   */
  take(streamTime: number, idle: boolean): Outgoing[] {
    const out: Outgoing[] = [];
    for (const topics of [this.#topics, this.#storedTopics])
      for (const topic of topics.values()) out.push(...topic.take());
    for (const feed of this.#feeds) {
      const { output, told } = feed;
      const { topic, partitions } = output.format;
      const reached = streamTime - feed.delayMs;
      const origin: FrameOrigin = { upstream: this.#upstream, streamTime: reached };
      const withRecords = new Set<number>();
      out.push(
        ...output.take((partition) => {
          withRecords.add(partition);
          told[partition] = reached;
          return origin;
        }),
      );
      for (let partition = 0; partition < partitions; partition++) {
        const news = reached > (told[partition] as number) && !withRecords.has(partition);
        if (!news && (!idle || this.#idle)) continue;
        told[partition] = reached;
        out.push({ topic, partition, frame: controlFrame(origin, idle) });
      }
    }
    this.#idle = idle;
    this.#bytes = 0;
    return out;
  }
}

/** @throws `MR_ARGUMENT_INVALID` */
export function checkPartition(format: TopicFormat, partition: number): void {
  if (!Number.isInteger(partition) || partition < 0 || partition >= format.partitions)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `topic ${format.topic} has partitions 0 to ${format.partitions - 1}, not ${String(partition)}`,
      { details: { topic: format.topic, partition } },
    );
}
