/**
 * One input of a task: frames from a partition, decoded, record by record.
 *
 * @module
 */
import type { PartitionReader } from '../broker/broker.ts';
import type { FrameView } from '../broker/frame-view.ts';
import { KeyInterner } from '../codec/key.ts';
import type { MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import { isPromise } from '../core/types.ts';
import type { Receive } from '../stream/operator.ts';
import type { InputTime } from '../window/stream-time.ts';
import { decodeFrame } from './format.ts';
import type { TopicFormat } from './format.ts';

const KEYS = 4096;

/** What a task is made of on its input side. */
export interface TaskInputOptions {
  readonly topic: string;
  readonly partition: number;
  readonly format: TopicFormat;
  readonly reader: PartitionReader;
  readonly time: InputTime;
  readonly receive: Receive;
  /** Whether somebody behind needs the stored bytes of values. */
  readonly keepRaw: boolean;
}

/** Reads one partition on behalf of a task. */
export class TaskInput {
  readonly topic: string;
  readonly partition: number;
  readonly time: InputTime;
  readonly receive: Receive;
  readonly #format: TopicFormat;
  readonly #reader: PartitionReader;
  readonly #keepRaw: boolean;
  readonly #keys: KeyInterner;
  #frame: FrameView | undefined;
  #values: readonly unknown[] = [];
  #good = 0;
  #error: MillraceError | undefined;
  #at = 0;
  #position: number;
  #fetching: Promise<void> | undefined;
  #fetchError: unknown;
  #atEnd = false;
  /** Monotonic time since which it has been at its end; NaN while it is not. Kept by the task. */
  endSince: number = Number.NaN;

  constructor(options: TaskInputOptions) {
    this.topic = options.topic;
    this.partition = options.partition;
    this.time = options.time;
    this.receive = options.receive;
    this.#format = options.format;
    this.#reader = options.reader;
    this.#keepRaw = options.keepRaw;
    this.#position = options.reader.offset;
    const { keyCodec } = options.format;
    this.#keys =
      keyCodec === undefined
        ? new KeyInterner(KEYS)
        : new KeyInterner(KEYS, (bytes) => keyCodec.decode(bytes));
  }

  /** Offset of the first record that has not been processed. */
  get position(): number {
    return this.#position;
  }

  /** Whether the last look at the partition found nothing more. */
  get atEnd(): boolean {
    return this.#atEnd;
  }

  /** The look at the partition that is under way, if it takes time. Never rejects: {@link TaskInput.fill} throws. */
  get fetching(): Promise<void> | undefined {
    return this.#fetching;
  }

  /** Makes the next record ready if there is one; tells whether one is ready now. Throws what the broker throws. */
  fill(): boolean {
    while (this.#frame === undefined) {
      if (this.#fetching !== undefined) return false;
      if (this.#fetchError !== undefined) throw this.#fetchError;
      const next = this.#reader.next();
      if (isPromise(next)) {
        this.#fetching = next
          .then(
            (frame) => this.#open(frame),
            (error: unknown) => {
              this.#fetchError = error;
            },
          )
          .finally(() => {
            this.#fetching = undefined;
          });
        return false;
      }
      this.#open(next);
      if (this.#atEnd) return false;
    }
    return true;
  }

  #open(frame: FrameView | undefined): void {
    this.#atEnd = frame === undefined;
    if (frame === undefined) return;
    if (frame.control) {
      this.time.heard(frame.upstream, frame.streamTime, frame.idle);
      this.#position = frame.end;
      return;
    }
    const decoded = decodeFrame(this.#format, frame);
    this.#values = decoded.values;
    this.#good = decoded.good;
    this.#error = decoded.error;
    this.#at = Math.max(0, this.#position - frame.baseOffset);
    this.#frame = frame;
  }

  /** Event time of the record that is ready. */
  get nextTimestamp(): number {
    return (this.#frame as FrameView).timestamp(this.#at);
  }

  /** Records that are ready in the current frame. */
  get ready(): number {
    return this.#frame === undefined ? 0 : this.#frame.count - this.#at;
  }

  /**
   * Points `cell` at the record that is ready and returns its value.
   *
   * @throws the error of a record that cannot be decoded.
   */
  load(cell: EventCell): unknown {
    const frame = this.#frame as FrameView;
    const at = this.#at;
    cell.topic = this.topic;
    cell.partition = this.partition;
    cell.offset = frame.baseOffset + at;
    cell.timestamp = frame.timestamp(at);
    cell.headers = frame.headers(at);
    cell.raw = this.#keepRaw ? frame.value(at) : null;
    const start = frame.keyStart(at);
    cell.key = null;
    if (start >= 0) cell.key = this.#key(frame, start, at);
    if (at >= this.#good) throw this.#error as MillraceError;
    this.time.observe(cell.timestamp);
    return this.#values[at];
  }

  #key(frame: FrameView, start: number, at: number): KeyRef {
    const ref = this.#keys.ref(frame.bytes, start, frame.keyEnd(at));
    this.#format.checkKey?.(ref.key);
    return ref;
  }

  /** The record that was loaded is done with. */
  done(): void {
    const frame = this.#frame as FrameView;
    this.#at++;
    this.#position = frame.baseOffset + this.#at;
    if (this.#at < frame.count) return;
    // What a frame says of its writer is true only behind its records.
    if (frame.upstream >= 0) this.time.heard(frame.upstream, frame.streamTime, frame.idle);
    this.#frame = undefined;
    this.#values = [];
  }
}
