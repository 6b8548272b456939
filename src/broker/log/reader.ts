/**
 * Reads one partition. In sequence, the next frame begins where the last one ended, and one look-up by its exact key is all
 * there is to do; a search happens only at the end, and after a seek into the middle of a frame.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { KvReader } from '../../kv/kv.ts';
import type { PartitionReader } from '../broker.ts';
import { checkOffset } from '../checks.ts';
import { FrameView } from '../frame-view.ts';
import { offsetLost, readEnds } from './partitions.ts';
import { frameKey, moveFrameKey, offsetOfKey } from './rows.ts';
import type { StoredTopic } from './topics.ts';

export class LogReader implements PartitionReader {
  readonly #kv: () => KvReader;
  readonly #topic: StoredTopic;
  readonly #partition: number;
  readonly #key: Buffer;
  #offset: number;

  /** `kv` throws `MR_CLOSED` once the broker is closed. */
  constructor(kv: () => KvReader, topic: StoredTopic, partition: number, from: number) {
    checkOffset(`the offset to read ${topic.spec.name}[${partition}] from`, from);
    this.#kv = kv;
    this.#topic = topic;
    this.#partition = partition;
    this.#key = frameKey(topic.id, partition, 0);
    this.#offset = from;
  }

  get offset(): number {
    return this.#offset;
  }

  seek(offset: number): void {
    checkOffset(`the offset to seek to in ${this.#topic.spec.name}[${this.#partition}]`, offset);
    this.#offset = offset;
  }

  next(): FrameView | undefined {
    const kv = this.#kv();
    const bytes = kv.get('frames', moveFrameKey(this.#key, this.#offset));
    return bytes === undefined ? this.#search(kv) : this.#take(bytes, this.#offset);
  }

  /** No frame begins at the offset: it is the end of the partition, or lies within a frame, or something is wrong. */
  #search(kv: KvReader): FrameView | undefined {
    const { start, end } = readEnds(kv, this.#topic, this.#partition);
    const offset = this.#offset;
    if (offset < start) throw offsetLost(this.#topic.spec.name, this.#partition, offset, start);
    if (offset >= end) return undefined;
    const range = {
      from: frameKey(this.#topic.id, this.#partition, start),
      to: frameKey(this.#topic.id, this.#partition, offset + 1),
      reverse: true,
      limit: 1,
    };
    for (const { key, value } of kv.range('frames', range)) {
      const view = this.#take(value, offsetOfKey(key));
      if (view !== undefined) return view;
    }
    // Truncated by another process between the two look-ups?
    const now = readEnds(kv, this.#topic, this.#partition);
    if (offset < now.start)
      throw offsetLost(this.#topic.spec.name, this.#partition, offset, now.start);
    throw new MillraceError(
      'MR_CORRUPT',
      `${this.#topic.spec.name}[${this.#partition}] reaches from offset ${now.start} to ${now.end}, but the frame with offset ${offset} is missing; restore the directory from a backup`,
      {
        domain: 'external',
        details: { topic: this.#topic.spec.name, partition: this.#partition, offset },
      },
    );
  }

  /** Opens a frame and moves behind it, or stays where it is: an unreadable frame is not skipped. */
  #take(bytes: Uint8Array, baseOffset: number): FrameView | undefined {
    const view = FrameView.open(bytes, this.#topic.spec.name, this.#partition, baseOffset);
    if (view.end <= this.#offset) return undefined;
    this.#offset = view.end;
    return view;
  }
}
