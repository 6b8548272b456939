/**
 * Reads one partition. In sequence, the next frame begins where the last one ended, and one look-up by its exact key is all
 * there is to do; a search happens only at the end, after a seek into the middle of a frame, and where compaction has left a gap.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { KvEntry, KvReader } from '../../kv/kv.ts';
import type { PartitionReader } from '../broker.ts';
import { checkOffset, offsetLost } from '../checks.ts';
import { FrameView } from '../frame-view.ts';
import { readEnds } from './partitions.ts';
import { frameKey, frameRange, homeOf, moveFrameKey, offsetOfKey, type Ends } from './rows.ts';
import type { StoredTopic } from './topics.ts';

/** Gaps have many small frames between them: so many are fetched at once. */
const AHEAD_FRAMES = 64;
const AHEAD_BYTES = 256 * 1024;

export class LogReader implements PartitionReader {
  readonly #kv: () => KvReader;
  readonly #topic: StoredTopic;
  readonly #partition: number;
  readonly #home: number;
  readonly #key: Buffer;
  #offset: number;
  /** The offset is where a frame ended, so no frame holds it that begins before it. */
  #betweenFrames = false;
  /** The next frames behind a gap, the last one first. */
  #ahead: KvEntry[] = [];

  /** `kv` throws `MR_CLOSED` once the broker is closed. */
  constructor(kv: () => KvReader, topic: StoredTopic, partition: number, from: number) {
    checkOffset(`the offset to read ${topic.spec.name}[${partition}] from`, from);
    this.#kv = kv;
    this.#topic = topic;
    this.#partition = partition;
    this.#home = homeOf(topic.id, partition);
    this.#key = frameKey(topic.id, partition, 0);
    this.#offset = from;
  }

  get offset(): number {
    return this.#offset;
  }

  seek(offset: number): void {
    checkOffset(`the offset to seek to in ${this.#topic.spec.name}[${this.#partition}]`, offset);
    this.#offset = offset;
    this.#betweenFrames = false;
    this.#ahead = [];
  }

  next(): FrameView | undefined {
    const kv = this.#kv();
    const ahead = this.#ahead.pop();
    if (ahead !== undefined) return this.#take(this.#open(ahead.value, offsetOfKey(ahead.key)));
    const bytes = kv.get('frames', moveFrameKey(this.#key, this.#offset));
    return bytes === undefined ? this.#search(kv) : this.#take(this.#open(bytes, this.#offset));
  }

  /** No frame begins at the offset: it is the end of the partition, lies within a frame or in a gap, or something is wrong. */
  #search(kv: KvReader): FrameView | undefined {
    const ends = readEnds(kv, this.#topic, this.#partition);
    const offset = this.#offset;
    if (offset < ends.start)
      throw offsetLost(this.#topic.spec.name, this.#partition, offset, ends.start);
    if (offset >= ends.end) return undefined;
    const found =
      (this.#betweenFrames ? undefined : this.#within(kv, ends)) ?? this.#behindGap(kv, ends);
    if (found !== undefined) return found;
    throw new MillraceError(
      'MR_CORRUPT',
      `${this.#topic.spec.name}[${this.#partition}] reaches from offset ${ends.start} to ${ends.end}, but the frame with offset ${offset} is missing; restore the directory from a backup`,
      {
        domain: 'external',
        details: { topic: this.#topic.spec.name, partition: this.#partition, offset },
      },
    );
  }

  /** The frame that holds the offset and begins before it. */
  #within(kv: KvReader, { start }: Ends): FrameView | undefined {
    const range = frameRange(this.#topic.id, this.#partition, start, this.#offset);
    for (const { key, value } of kv.range('frames', { ...range, reverse: true, limit: 1 })) {
      const view = this.#open(value, offsetOfKey(key));
      if (view.end > this.#offset) return this.#take(view);
    }
    return undefined;
  }

  /** The next frame, if all that is missing in front of it may have been taken by compaction. */
  #behindGap(kv: KvReader, { sparseBelow }: Ends): FrameView | undefined {
    if (this.#offset >= sparseBelow) return undefined;
    const range = frameRange(this.#topic.id, this.#partition, this.#offset, sparseBelow + 1);
    const ahead: KvEntry[] = [];
    let bytes = 0;
    for (const entry of kv.range('frames', { ...range, limit: AHEAD_FRAMES })) {
      ahead.push(entry);
      bytes += entry.value.length;
      if (bytes > AHEAD_BYTES) break;
    }
    const next = ahead.shift();
    if (next === undefined) return undefined;
    const view = this.#take(this.#open(next.value, offsetOfKey(next.key)));
    this.#ahead = ahead.toReversed();
    return view;
  }

  #open(bytes: Uint8Array, baseOffset: number): FrameView {
    return FrameView.open(bytes, this.#topic.spec.name, this.#partition, baseOffset, this.#home);
  }

  /** Moves behind a frame that could be opened; an unreadable one is not skipped. */
  #take(view: FrameView): FrameView {
    this.#offset = view.end;
    this.#betweenFrames = true;
    return view;
  }
}
