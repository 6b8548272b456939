/**
 * Dead letters back on their way: the stored bytes, key and headers go to where they came from, and how far that has come is remembered by
 * the broker in the same append. Doing it twice sends nothing twice.
 *
 * @module
 */
import type { Broker, Outgoing, TopicSpec } from '../broker/broker.ts';
import { FrameBuilder } from '../broker/frame-builder.ts';
import type { Codec } from '../codec/codec.ts';
import { encodeKey } from '../codec/key.ts';
import { partitionOf } from '../codec/partition.ts';
import { MillraceError } from '../core/errors.ts';
import type { Letter } from './letters.ts';

/** Letters, and bytes, that travel as one append. */
const BATCH_LETTERS = 500;
const BATCH_BYTES = 4 * 1024 * 1024;
/** Letters sent out of order that one partition can remember. */
const MAX_ALSO = 2_000;
const MAX_RECORD_BYTES = 128 * 1024 * 1024;
const MAX_POSITION_BYTES = 65_536;

/** What has been re-sent of one partition. */
interface Done {
  /** Everything before this offset has. */
  below: number;
  /** And these, from there on. */
  also: number[];
}

/** How letters are re-sent. */
export interface ResendOptions {
  /** The topic that holds the letters. */
  readonly topic: string;
  /** Where they go. Default: where each came from. */
  readonly to?: string | undefined;
  /** How keys of a topic are written, where that is not the canonical form. */
  readonly keyCodec: (topic: string) => Codec<unknown> | undefined;
}

/** Re-sends letters of one topic. */
export class Resender {
  readonly #broker: Broker;
  readonly #options: ResendOptions;
  readonly #id: string;
  readonly #epoch: number;
  #sequence: number;
  readonly #done: Map<number, Done>;
  readonly #specs = new Map<string, TopicSpec>();
  readonly #builders = new Map<
    string,
    { readonly topic: string; readonly partition: number; readonly builder: FrameBuilder }
  >();
  #letters = 0;
  #bytes = 0;
  #turn = 0;
  /** Records stored so far, by topic. */
  readonly sent: Map<string, number> = new Map<string, number>();
  #pending: string[] = [];

  private constructor(
    broker: Broker,
    options: ResendOptions,
    opened: { id: string; epoch: number; sequence: number; done: Map<number, Done> },
  ) {
    this.#broker = broker;
    this.#options = options;
    this.#id = opened.id;
    this.#epoch = opened.epoch;
    this.#sequence = opened.sequence;
    this.#done = opened.done;
  }

  /** Takes up where the last one stopped, and fences it if it still runs. */
  static async open(broker: Broker, options: ResendOptions): Promise<Resender> {
    const id = `dead-letters.resend.${options.topic}`;
    const { epoch, sequence, position } = await broker.openProducer(id);
    return new Resender(broker, options, { id, epoch, sequence, done: doneOf(position) });
  }

  /** Where to begin in each partition: everything before has been re-sent. */
  get begin(): ReadonlyMap<number, number> {
    return new Map([...this.#done].map(([partition, { below }]) => [partition, below]));
  }

  /** Whether the letter has been re-sent before. */
  has({ record: { partition, offset } }: Letter): boolean {
    const done = this.#done.get(partition);
    return done !== undefined && (offset < done.below || done.also.includes(offset));
  }

  /**
   * Takes a letter. `inOrder`: every letter before it in its partition has been taken, too.
   *
   * @throws `MR_UNKNOWN_TOPIC` when there is nowhere to send it; `MR_ARGUMENT_INVALID` when too many were sent out of order; what the
   * append throws, `MR_FENCED` when another one began.
   */
  async add(letter: Letter, inOrder: boolean): Promise<void> {
    const { record, info, headers } = letter;
    const topic = this.#options.to ?? info.origin.topic;
    const spec = await this.#target(topic, letter);
    const partition = this.#partitionOf(spec, letter);
    const key = `${topic}/${partition}`;
    let target = this.#builders.get(key);
    if (target === undefined) {
      // Bytes as they are: what could not be decoded must not spoil the text of a whole frame.
      const builder = new FrameBuilder({ text: false, maxRecordBytes: MAX_RECORD_BYTES });
      target = { topic, partition, builder };
      this.#builders.set(key, target);
    }
    target.builder.add(
      info.origin.timestamp ?? record.timestamp,
      record.key,
      record.value,
      headers,
    );
    this.#remember(record.partition, record.offset, inOrder);
    this.#pending.push(topic);
    this.#letters++;
    this.#bytes += (record.value?.length ?? 0) + (record.key?.length ?? 0);
    if (this.#letters >= BATCH_LETTERS || this.#bytes >= BATCH_BYTES) await this.flush();
  }

  /** Stores what was taken. */
  async flush(): Promise<void> {
    if (this.#letters === 0) return;
    const position = Buffer.from(JSON.stringify(Object.fromEntries(this.#done)));
    if (position.length > MAX_POSITION_BYTES) throw tooMany(this.#options.topic);
    const frames: Outgoing[] = [];
    for (const { topic, partition, builder } of this.#builders.values())
      if (builder.count > 0) frames.push({ topic, partition, frame: builder.build() });
    this.#letters = 0;
    this.#bytes = 0;
    const topics = this.#pending;
    this.#pending = [];
    this.#sequence++;
    await this.#broker.append(frames, {
      id: this.#id,
      epoch: this.#epoch,
      sequence: this.#sequence,
      position,
    });
    for (const topic of topics) this.sent.set(topic, (this.sent.get(topic) ?? 0) + 1);
  }

  #remember(partition: number, offset: number, inOrder: boolean): void {
    const done = this.#done.get(partition) ?? { below: 0, also: [] };
    this.#done.set(partition, done);
    if (inOrder) {
      done.below = Math.max(done.below, offset + 1);
      done.also = done.also.filter((other) => other >= done.below);
      return;
    }
    if (offset < done.below || done.also.includes(offset)) return;
    if (done.also.length >= MAX_ALSO) throw tooMany(this.#options.topic);
    done.also.push(offset);
  }

  async #target(topic: string, { record, info }: Letter): Promise<TopicSpec> {
    let spec = this.#specs.get(topic);
    if (spec !== undefined) return spec;
    spec = await this.#broker.describeTopic(topic);
    if (spec === undefined || spec.role === 'changelog')
      throw new MillraceError(
        'MR_UNKNOWN_TOPIC',
        `the letter at ${record.topic}[${record.partition}]@${record.offset} came from ${info.origin.topic}, and there is no topic ${topic} to send it to; name one with --to`,
        { details: { topic } },
      );
    this.#specs.set(topic, spec);
    return spec;
  }

  /** Where it came from, or where its key belongs. */
  #partitionOf({ name, partitions }: TopicSpec, { record, info }: Letter): number {
    const { origin } = info;
    if (origin.topic === name && origin.partition >= 0 && origin.partition < partitions)
      return origin.partition;
    if (record.key === null) return this.#turn++ % partitions;
    const codec = this.#options.keyCodec(origin.topic);
    const canonical = codec === undefined ? record.key : encodeKey(codec.decode(record.key));
    return partitionOf(canonical, partitions);
  }
}

function doneOf(position: Uint8Array | undefined): Map<number, Done> {
  if (position === undefined) return new Map();
  const stored = JSON.parse(Buffer.from(position).toString()) as Record<string, Done>;
  return new Map(Object.entries(stored).map(([partition, done]) => [Number(partition), done]));
}

function tooMany(topic: string): MillraceError {
  return new MillraceError(
    'MR_ARGUMENT_INVALID',
    `too many single letters of ${topic} have been re-sent to remember each; re-send the rest with --all`,
    { details: { topic } },
  );
}
