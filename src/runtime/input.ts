/**
 * One input of a task: frames from a partition, decoded, record by record.
 *
 * It has two ends. The cursor is behind the record that was loaded last; the position is behind the last record that is done with, and is what a
 * commit stores. A task that processes one event after the other moves both at once ({@link TaskInput.done}); one that has several under way
 * moves the cursor ({@link TaskInput.pass}) and settles what it has passed later, in order.
 *
 * @module
 */
import type { PartitionReader } from '../broker/broker.ts';
import type { FrameView } from '../broker/frame-view.ts';
import { KeyInterner } from '../codec/key.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import { isPromise } from '../core/types.ts';
import { untraced } from '../core/untraced.ts';
import type { Receive } from '../stream/operator.ts';
import { fail } from '../stream/policy.ts';
import type { Policy } from '../stream/policy.ts';
import type { InputTime } from '../window/stream-time.ts';
import { decodeFrame } from './format.ts';
import type { DecodedFrame, TopicFormat } from './format.ts';
import type { FrameShare } from './frame-share.ts';

const KEYS = 4096;

const nothing: DecodedFrame = { values: [], errors: undefined };

/** What a task is made of on its input side. */
export interface TaskInputOptions {
  readonly topic: string;
  readonly partition: number;
  readonly format: TopicFormat;
  readonly reader: PartitionReader;
  readonly time: InputTime;
  readonly receive: Receive;
  /** Decoded frames of the other tasks of the process. */
  readonly share?: FrameShare | undefined;
  /**
   * Given where several events may be under way: then `time` learns of nothing before it is settled, and this one of everything that was taken.
   */
  readonly ahead?: InputTime | undefined;
  /** Offsets behind the position that the last commit covers all the same. */
  readonly done?: readonly number[] | undefined;
  /** See {@link TaskInput.decodePolicy}. Default: fail. */
  readonly decodePolicy?: Policy | undefined;
  /** Called when a fetch that took time has ended. */
  readonly wake?: (() => void) | undefined;
}

/** What lies behind the cursor and is not settled. */
export interface Passed {
  readonly position: number;
  /** Event time, `undefined` for a control frame and for what does not count. */
  readonly timestamp: number | undefined;
  /** What the frame says of its writer, behind its last record. */
  readonly says: FrameView | undefined;
}

/** Reads one partition on behalf of a task. */
export class TaskInput {
  readonly topic: string;
  readonly partition: number;
  readonly time: InputTime;
  readonly receive: Receive;
  readonly #options: TaskInputOptions;
  readonly #reader: PartitionReader;
  readonly #ahead: InputTime | undefined;
  readonly #keys: KeyInterner;
  readonly #doneBefore: Set<number>;
  readonly #doneUntil: number;
  #frame: FrameView | undefined;
  #decoded: DecodedFrame = nothing;
  #at = 0;
  #position: number;
  #cursor: number;
  #control: FrameView | undefined;
  #fetching: Promise<void> | undefined;
  #fetchError: unknown;
  #atEnd = false;
  /** Monotonic time since which it has been at its end; NaN while it is not. Kept by the task. */
  endSince: number = Number.NaN;
  /** Records with a later event time are refused. Set by the task. */
  notAfter: number = Infinity;
  /** What becomes of records that cannot be read. Without retries: they would fail again. */
  readonly decodePolicy: Policy;

  constructor(options: TaskInputOptions) {
    this.topic = options.topic;
    this.partition = options.partition;
    this.time = options.time;
    this.receive = options.receive;
    this.decodePolicy = options.decodePolicy ?? fail;
    this.#options = options;
    this.#reader = options.reader;
    this.#ahead = options.ahead;
    this.#position = options.reader.offset;
    this.#cursor = options.reader.offset;
    this.#doneBefore = new Set(options.done);
    this.#doneUntil = options.done?.at(-1) ?? -1;
    const { keyCodec } = options.format;
    this.#keys =
      keyCodec === undefined
        ? new KeyInterner(KEYS)
        : new KeyInterner(KEYS, (bytes) => keyCodec.decode(bytes));
  }

  /** Offset of the first record that is not done with. */
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
    while (this.#frame === undefined && this.#control === undefined) {
      if (this.#fetching !== undefined) return false;
      if (this.#fetchError !== undefined) {
        const error = this.#fetchError;
        this.#fetchError = undefined;
        throw error;
      }
      const next = this.#reader.next();
      if (isPromise(next)) {
        this.#fetch(next);
        return false;
      }
      this.#open(next);
      if (this.#atEnd) return false;
    }
    return true;
  }

  #fetch(next: Promise<FrameView | undefined>): void {
    this.#fetching = next
      .then((frame) => this.#open(frame))
      .catch((error: unknown) => {
        this.#fetchError = error;
      })
      .finally(() => {
        this.#fetching = undefined;
        this.#options.wake?.();
      });
  }

  #open(frame: FrameView | undefined): void {
    this.#atEnd = frame === undefined;
    if (frame === undefined) return;
    if (frame.control) {
      if (this.#ahead !== undefined) {
        this.#control = frame;
      } else {
        this.time.heard(frame.upstream, frame.streamTime, frame.idle);
        this.#position = frame.end;
        this.#cursor = frame.end;
      }
      return;
    }
    const { format, share } = this.#options;
    this.#decoded =
      share === undefined
        ? decodeFrame(format, frame)
        : share.decoded(this.topic, this.partition, frame, () => decodeFrame(format, frame));
    this.#at = Math.max(0, this.#cursor - frame.baseOffset);
    this.#frame = frame;
  }

  /** A control frame in front of the next record, with several events under way. To be settled in its turn. */
  control(): Passed | undefined {
    const frame = this.#control;
    if (frame === undefined) return undefined;
    this.#control = undefined;
    this.#cursor = frame.end;
    this.#ahead?.heard(frame.upstream, frame.streamTime, frame.idle);
    return { position: frame.end, timestamp: undefined, says: frame };
  }

  /** Event time of the record that is ready. */
  get nextTimestamp(): number {
    return this.#frame === undefined ? -Infinity : this.#frame.timestamp(this.#at);
  }

  /** Whether a record, or what a writer says of itself, is ready without another look. */
  get hasRecord(): boolean {
    return this.#frame !== undefined || this.#control !== undefined;
  }

  /** Records that are ready in the current frame; one at a time while some of them may be {@link TaskInput.isDone done}. */
  get ready(): number {
    if (this.#frame === undefined) return 0;
    return this.#doneBefore.size > 0 ? 1 : this.#frame.count - this.#at;
  }

  /** Whether the record that is ready was processed before the last commit, although it lies behind its position. To be passed or skipped. */
  get isDone(): boolean {
    if (this.#doneBefore.size === 0) return false;
    if (this.#cursor > this.#doneUntil) this.#doneBefore.clear();
    return this.#doneBefore.has(this.#cursor);
  }

  /** Offsets that are done and lie in front of it. */
  get doneAhead(): Iterable<number> {
    return this.#doneBefore;
  }

  /** The record that is ready is done with, without having been loaded. */
  skip(): void {
    const timestamp = this.nextTimestamp;
    this.#doneBefore.delete(this.#cursor);
    if (timestamp <= this.notAfter) this.time.observe(timestamp);
    this.done();
  }

  /**
   * Points `cell` at the record that is ready and returns its value.
   *
   * @throws the error of a record that cannot be decoded; the cell points at it.
   */
  load(cell: EventCell): unknown {
    const frame = this.#frame as FrameView;
    const at = this.#at;
    cell.topic = this.topic;
    cell.partition = this.partition;
    cell.offset = frame.baseOffset + at;
    cell.timestamp = frame.timestamp(at);
    cell.headers = frame.headers(at);
    cell.raw = frame;
    const start = frame.keyStart(at);
    cell.key = null;
    if (start >= 0) cell.key = this.#key(frame, start, at);
    const { values, errors } = this.#decoded;
    const error = errors === undefined ? undefined : errors.get(at);
    if (error !== undefined) throw error;
    if (cell.timestamp > this.notAfter) throw tooFarAhead(cell, this.notAfter);
    (this.#ahead ?? this.time).observe(cell.timestamp);
    return values[at];
  }

  #key(frame: FrameView, start: number, at: number): KeyRef {
    const ref = this.#keys.ref(frame.bytes, start, frame.keyEnd(at));
    this.#options.format.checkKey?.(ref.key);
    return ref;
  }

  /** The record that was loaded is done with. */
  done(): void {
    const frame = this.#frame as FrameView;
    this.#at++;
    this.#cursor = frame.baseOffset + this.#at;
    this.#position = this.#cursor;
    if (this.#at < frame.count) return;
    // What a frame says of its writer is true only behind its records.
    if (frame.upstream >= 0) this.time.heard(frame.upstream, frame.streamTime, frame.idle);
    this.#frame = undefined;
    this.#decoded = nothing;
  }

  /** Moves the cursor behind the record that was loaded, or that is done. */
  pass(): Passed {
    const frame = this.#frame as FrameView;
    const time = frame.timestamp(this.#at);
    // One that was refused for its time does not count.
    const timestamp = time <= this.notAfter ? time : undefined;
    if (this.#doneBefore.delete(this.#cursor) && timestamp !== undefined)
      this.#ahead?.observe(timestamp);
    this.#at++;
    this.#cursor = frame.baseOffset + this.#at;
    const last = this.#at === frame.count;
    if (last) {
      this.#frame = undefined;
      this.#decoded = nothing;
    }
    const says = last && frame.upstream >= 0 ? frame : undefined;
    if (says !== undefined) this.#ahead?.heard(says.upstream, says.streamTime, says.idle);
    return { position: this.#cursor, timestamp, says };
  }

  /** Moves the position behind what was passed. To be called in the order of the passing. */
  settle(passed: Passed): void {
    this.#position = passed.position;
    if (passed.timestamp !== undefined) this.time.observe(passed.timestamp);
    const { says } = passed;
    if (says !== undefined) this.time.heard(says.upstream, says.streamTime, says.idle);
  }
}

function tooFarAhead(cell: EventCell, notAfter: number): MillraceError {
  const { topic, timestamp } = cell;
  const text = `the event time ${timestamp} lies ${timestamp - notAfter} ms further ahead of the clock than maxFuture allows; mend its producer, or raise maxFuture`;
  const details = { topic, timestamp, notAfter };
  return untraced(() => new MillraceError('MR_TIMESTAMP_INVALID', text, { details }));
}
