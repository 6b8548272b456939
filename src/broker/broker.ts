/**
 * The contract of a broker: durable, partitioned logs, and groups of tasks that read them and commit atomically.
 *
 * Not in it: decoding of values, tables, windows, error policies, retries. Those are the same on every broker and live above.
 *
 * Fault model: callers may die at any point; what a promise has resolved is there after a restart of process and machine
 * (`capabilities.durable`). A commit is there whole or not at all. A call that rejects with `MR_IO` has an unknown outcome;
 * every other rejection means that nothing was changed.
 *
 * @module
 */
import type { Kv } from '../kv/kv.ts';
import type { Frame } from './frame.ts';
import type { FrameView } from './frame-view.ts';

/** What a broker can promise. Asking an app for more than this is an error at start. */
export interface BrokerCapabilities {
  /** Positions, state and outputs of a task can be committed as one. */
  readonly exactlyOnce: boolean;
  /** What was acknowledged survives the end of the process. */
  readonly durable: boolean;
}

/** A topic as it was created. */
export interface TopicSpec {
  readonly name: string;
  /** 1 to 1,024. Fixed for the life of the topic: keys would move otherwise. */
  readonly partitions: number;
  /** Name of the value codec; a second declaration with another one is refused. */
  readonly codec: string;
  /** `'source'` topics are the user's. The others belong to one app and hold what its tasks hand to each other or to their heirs. */
  readonly role: 'source' | 'repartition' | 'changelog';
  /** The group that the topic belongs to, for topics that are not the user's: two apps whose names happen to meet must not share one. */
  readonly owner?: string | undefined;
}

/** Bounds of a partition: offsets `start ≤ x < end` can be read. */
export interface PartitionBounds {
  readonly start: number;
  readonly end: number;
}

/** A frame on its way to a partition. The broker writes its place into the frame: give each one to a single append at a time. */
export interface Outgoing {
  readonly topic: string;
  readonly partition: number;
  readonly frame: Frame;
}

/** Where a frame of an append or commit went. */
export interface Placed {
  /** Offset of its first record. */
  readonly baseOffset: number;
  /** When it was appended: wall clock, made never to go backwards within a partition. Milliseconds. */
  readonly receivedAt: number;
}

/** Where a producer with an id stands. */
export interface ProducerState {
  /** Grows by one with every opening of the id; a smaller one is refused from then on. */
  readonly epoch: number;
  /** Number of the last acknowledged append, 0 before the first. */
  readonly sequence: number;
  /** What the caller gave with it. */
  readonly position: Uint8Array | undefined;
}

/** An append by a producer with an id. */
export interface ProducerAppend {
  readonly id: string;
  readonly epoch: number;
  /** One more than that of the last acknowledged append. */
  readonly sequence: number;
  /** Saved with the append and handed to whoever opens the id next. At most 64 KiB. */
  readonly position: Uint8Array | undefined;
}

/** Reads one partition in order. Not safe for two callers at once. */
export interface PartitionReader {
  /** Offset of the next record to be read. */
  readonly offset: number;
  /**
   * The frame that holds `offset`, or `undefined` at the end of the partition. The first frame may begin before `offset`:
   * skip its leading records. May return a promise; the embedded brokers answer at once.
   *
   * @throws `MR_CORRUPT` for a frame whose checksum is wrong, `MR_OFFSET_LOST` when `offset` lies below the start of the partition.
   */
  next(): FrameView | undefined | Promise<FrameView | undefined>;
  /** Moves to `offset`. */
  seek(offset: number): void;
}

/** A unit of ownership, commit and fencing; see `runtime/task.ts`. */
export interface TaskSpec {
  /** Durable within its group. */
  readonly id: string;
}

/** A position in an input. */
export interface Position {
  readonly topic: string;
  readonly partition: number;
  /** Offset of the first record that is not yet part of the task's state. */
  readonly offset: number;
}

/** A task as its new owner finds it. */
export interface OwnedTask {
  readonly id: string;
  /** Grows by one with every change of owner. */
  readonly epoch: number;
  /** Names the task's rows in {@link Broker.state}; never reused within a broker. */
  readonly stateId: number;
  /** As last committed; empty for a task that never committed. */
  readonly positions: readonly Position[];
  /** What the last commit carried, `undefined` before the first. */
  readonly meta: Uint8Array | undefined;
}

/** One atomic step of a task. */
export interface TaskCommit {
  readonly task: string;
  readonly epoch: number;
  /** All positions of the task: one that is not listed is forgotten. */
  readonly positions: readonly Position[];
  /** Stream times, counters and the like; opaque to the broker, at most 64 KiB. */
  readonly meta: Uint8Array;
  /** Outputs and changelog. Appended in this order. */
  readonly outputs: readonly Outgoing[];
}

/** What joining takes. */
export interface JoinOptions {
  /** Tasks that the group consists of. */
  readonly tasks: readonly TaskSpec[];
  /** Describes the group's topology; stored with it and given to whoever asks with {@link Broker.describeGroup}. */
  readonly topology: string;
}

/** A member of a group. */
export interface Membership {
  readonly tasks: readonly OwnedTask[];
  /**
   * Makes one step of one task durable, whole or not at all. Commits of several tasks may be under way at once; those of one task
   * are called one after the other. The result has one entry per output.
   *
   * @throws `MR_FENCED` when the task has another owner now: drop its state. `MR_CLOSED` after {@link Membership.leave}. `MR_DISK_FULL` (retryable) and `MR_IO`: drop
   * the task's state and load what is stored; never call again with the same commit.
   */
  commit(commit: TaskCommit): Promise<readonly Placed[]>;
  /** Gives the tasks back. Uncommitted work is dropped. Idempotent. */
  leave(): Promise<void>;
}

/** What a broker stores of a group. */
export interface GroupInfo {
  readonly topology: string;
  readonly tasks: readonly OwnedTask[];
}

/** An open broker. */
export interface Broker {
  /** The URL it was opened with, without secrets. */
  readonly url: string;
  readonly capabilities: BrokerCapabilities;
  /** Where checkpoints of task state are kept: table `'state'` of this store. */
  readonly state: Kv;

  /**
   * Creates the topic, or does nothing if it is there with the same specification.
   *
   * @throws `MR_TOPIC_CONFLICT` when it is there with another number of partitions, codec or role.
   */
  createTopic(spec: TopicSpec): Promise<void>;
  describeTopic(name: string): Promise<TopicSpec | undefined>;
  topics(): Promise<readonly TopicSpec[]>;
  /** @throws `MR_UNKNOWN_TOPIC`. */
  bounds(topic: string, partition: number): Promise<PartitionBounds>;
  /**
   * Deletes whole frames that end at or below `before`, in transactions of about 4 MiB, so that writers do not wait long.
   * Resolves to the new start when all of them are gone.
   */
  truncate(topic: string, partition: number, before: number): Promise<number>;

  /**
   * Appends all frames, or none. With `producer`, an append whose sequence was already acknowledged is not repeated: the result
   * is then `undefined`.
   *
   * @throws `MR_FENCED` when the producer id has been opened again. `MR_UNKNOWN_TOPIC`. `MR_ARGUMENT_INVALID` for a partition
   * that the topic does not have, a gap in the sequence, or more than 256 MiB at once.
   */
  append(
    frames: readonly Outgoing[],
    producer?: ProducerAppend,
  ): Promise<readonly Placed[] | undefined>;
  /** Opens a producer id: fences whoever used it before and tells where it stood. */
  openProducer(id: string): Promise<ProducerState>;

  /** A reader that starts at `from`. @throws `MR_UNKNOWN_TOPIC`. */
  reader(topic: string, partition: number, from: number): PartitionReader;
  /**
   * Resolves when something may have been appended since the call before, by this or another process, or when `timeoutMs` have passed.
   * May wake for nothing. What was seen is kept per broker object: all who wait at the same time are woken, but a program with
   * several loops that take turns in waiting opens a broker for each.
   *
   * @throws `MR_ABORTED`, and `MR_CLOSED` when the broker is closed meanwhile.
   */
  changed(timeoutMs: number, signal?: AbortSignal): Promise<void>;

  /** Joins `group` and takes its tasks, with new epochs. */
  join(group: string, options: JoinOptions): Promise<Membership>;
  describeGroup(group: string): Promise<GroupInfo | undefined>;

  /** Ends running calls, then releases everything. Idempotent. */
  close(): Promise<void>;
}
