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
import type { Awaitable } from '../core/types.ts';
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
  /** Name of the codec of keys, as for values. Left out for canonical key bytes. */
  readonly keyCodec?: string | undefined;
  /** `'source'` topics are the user's. The others belong to one app and hold what its tasks hand to each other or to their heirs. */
  readonly role: 'source' | 'repartition' | 'changelog';
  /** The group that the topic belongs to, for topics that are not the user's: two apps whose names happen to meet must not share one. */
  readonly owner?: string | undefined;
  /** What may be deleted; source topics only. Left out: what is stored stays as it is; of a new topic everything is kept. */
  readonly keep?: TopicKeep | undefined;
  /** Who declares {@link TopicSpec.keep}: it may change its own declaration; another one that differs is refused, naming both. */
  readonly declaredBy?: string | undefined;
}

/** How long the records of a source topic are kept. What a rule allows to be deleted is deleted by {@link Broker.maintain}, whole frames at a time. */
export interface TopicKeep {
  /** Frames that were received longer ago than this are deleted. `null`: for ever. At least 1,000. */
  readonly retentionMs: number | null;
  /** The oldest frames of a partition, never its last one, are deleted while it holds more than this. `null`: no limit. At least 1 MiB. */
  readonly retentionBytes: number | null;
  /**
   * Of the records with one key only the last is kept, and a record without a value deletes its key, and is itself deleted a day later.
   * The others keep their offsets. Records without a key stay, and so does the last frame of a partition. A large partition is compacted when
   * a third of it is new, or a day after the last time.
   */
  readonly compact: boolean;
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
   * The frame that holds `offset`, or the next one if none does (compaction leaves gaps, and so do the ends of transactions on some brokers), or
   * `undefined` at the end of the partition. The first frame
   * may begin before `offset`: skip its leading records. May return a promise; the embedded brokers answer at once.
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
  /**
   * Describes the group's topology; stored with it and given to whoever asks with {@link Broker.describeGroup}. While members with
   * different ones are there, those that agree with what is stored go on and the others get no tasks; when the last of them has left, what
   * the others say is stored.
   */
  readonly topology: string;
  /** A member that has not been heard of for so long loses its tasks. Milliseconds, 500 to 600,000. Default 10,000. */
  readonly leaseMs?: number | undefined;
  /**
   * Answers {@link Broker.ask} about a task that this member owns. Called between the member's own steps, never during one. What it throws is
   * the asker's error if it is a `MillraceError`, else `MR_INTERNAL`.
   */
  readonly answer?: ((task: string, question: Uint8Array) => Awaitable<Uint8Array>) | undefined;
}

/** What has become of a member's tasks since it was asked last. A task is in one of the lists at most. */
export interface GroupChange {
  /** Owned from now on, under a new epoch. */
  readonly gained: readonly OwnedTask[];
  /** To be given back: finish what is under way, commit, and {@link Membership.release} them. Listed until they are released. */
  readonly revoked: readonly string[];
  /** Somebody else's now: this member had not been heard of. Nothing of them can be committed any more. */
  readonly lost: readonly string[];
}

/**
 * A member of a group. Tasks come and go: a member asks with {@link Membership.tend} at the latest when `tendAt` is reached, and whenever
 * {@link Broker.changed} has woken it.
 *
 * The owners of tasks are chosen by the one function of `groups/assign.ts`, by whichever member notices first that it has to be done, in one
 * transaction. Only tasks that move change their epoch; the commits of all others are not disturbed.
 */
export interface Membership {
  /** Names the member; nobody else ever has this name. */
  readonly member: string;
  /** Tasks that it owns, the revoked ones included. */
  readonly tasks: readonly OwnedTask[];
  /** Whether its topology and tasks are those of the group, as of the last tending. While they are not, it gets none; see {@link JoinOptions.topology}. */
  readonly agrees: boolean;
  /** When {@link Membership.tend} is due, on the monotonic clock. Not in the future once something has happened to the group. */
  readonly tendAt: number;
  /**
   * Renews the lease, gives the tasks of the dead to the living, takes what is free for this member, and tells what changed. A member
   * that was given up for dead meanwhile joins anew: all it had is then lost or gained again. Calls must not overlap.
   *
   * @throws `MR_CLOSED` after {@link Membership.leave}; `MR_DISK_FULL` (retryable) and `MR_IO` of the store, then try again.
   */
  tend(): Promise<GroupChange>;
  /** Gives some tasks back; what is not committed of them is dropped. Those that are not (any longer) this member's are passed over. */
  release(tasks: readonly string[]): Promise<void>;
  /**
   * Makes one step of one task durable, whole or not at all. Commits of several tasks may be under way at once; those of one task
   * are called one after the other. The result has one entry per output.
   *
   * @throws `MR_FENCED` when the task has another owner now: drop its state. `MR_CLOSED` after {@link Membership.leave}. `MR_DISK_FULL` (retryable) and `MR_IO`: drop
   * the task's state and load what is stored; never call again with the same commit.
   */
  commit(commit: TaskCommit): Promise<readonly Placed[]>;
  /**
   * Gives the tasks back. Uncommitted work is dropped. Idempotent.
   *
   * @throws `MR_DISK_FULL` (retryable) and `MR_IO` of the store. Then the broker goes on trying, until the lease is over or it is closed: in both
   * cases others free the tasks.
   */
  leave(): Promise<void>;
}

/** A task as it is stored, for whoever looks from outside. */
export interface StoredTask extends OwnedTask {
  /** The member that owns it, `null` when nobody does. */
  readonly owner: string | null;
}

/** A member as it is stored. */
export interface MemberInfo {
  readonly member: string;
  /** Process id, and when it joined, milliseconds since 1970: for people. */
  readonly pid: number;
  readonly joinedAt: number;
  /** Whether it agrees with the group's topology. */
  readonly agrees: boolean;
}

/** What a broker stores of a group. */
export interface GroupInfo {
  readonly topology: string;
  readonly tasks: readonly StoredTask[];
  readonly members: readonly MemberInfo[];
  /** When a member was last heard of, milliseconds since 1970, within about a minute. */
  readonly seenAt: number;
}

/** How {@link Broker.maintain} is done. */
export interface MaintainOptions {
  /** Nothing is done when somebody did it less than this ago. Milliseconds. Default 0. */
  readonly notWithinMs?: number | undefined;
  /** Groups that nobody has been a member of for so long are forgotten: positions, state, internal topics. Milliseconds. Default: never. */
  readonly groupExpiryMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What {@link Broker.maintain} did. */
export interface Maintained {
  /** Records deleted, by topic. */
  readonly deleted: Readonly<Record<string, number>>;
  /** Groups that were forgotten. */
  readonly expired: readonly string[];
}

/** Topics and what is in them: the part of a broker that knows nothing of groups. */
export interface RecordLog {
  /** The URL it was opened with, without secrets. */
  readonly url: string;
  readonly capabilities: BrokerCapabilities;

  /**
   * Creates the topic, or does nothing if it is there with the same specification.
   *
   * A `keep` that differs from the stored one replaces it if `declaredBy` is who declared that.
   *
   * @throws `MR_TOPIC_CONFLICT` when it is there with another number of partitions, codec or role, or with a `keep` of somebody else.
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
   * is then `undefined`. Without one a broker of several machines may fail with `MR_IO` when only some partitions have their frames.
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

  /** A reader that starts at `from`. @throws `MR_UNKNOWN_TOPIC` and `MR_ARGUMENT_INVALID`, here or with the first `next`. */
  reader(topic: string, partition: number, from: number): PartitionReader;

  /**
   * A number that grows with every append and commit of this broker object, and when there is more, by whoever it is, in a partition that a reader of
   * this object has come to the end of. It may grow for less. Take it before you look for new records, and give it to
   * {@link RecordLog.changed} when there were none.
   */
  changes(): number;
  /**
   * Resolves when {@link RecordLog.changes} is no longer `since`, when something happened to a group that this broker object is in, or when
   * `timeoutMs` have passed. May wake for nothing.
   *
   * @throws `MR_ABORTED`, and `MR_CLOSED` when the broker is closed meanwhile.
   */
  changed(since: number, timeoutMs: number, signal?: AbortSignal): Promise<void>;

  /** Ends running calls, then releases everything. Idempotent. */
  close(): Promise<void>;
}

/** An open broker. */
export interface Broker extends RecordLog {
  /** Where checkpoints of task state are kept: table `'state'` of this store. */
  readonly state: Kv;

  /** Bytes of what can be read of a partition, as it is stored. @throws `MR_UNKNOWN_TOPIC`. */
  storedBytes(topic: string, partition: number): Promise<number>;
  /**
   * One round of housekeeping, in transactions of about 4 MiB: deletes what {@link TopicKeep} allows, what every task of the owner of a
   * repartition topic has committed, and forgets groups. Source topics are never spared for a group that sleeps: it finds `MR_OFFSET_LOST`.
   */
  maintain(options?: MaintainOptions): Promise<Maintained>;

  /**
   * Joins `group`. The membership begins without tasks: the first {@link Membership.tend} gives all of them to a member that is alone, and
   * later ones its share as the others give theirs back.
   */
  join(group: string, options: JoinOptions): Promise<Membership>;
  describeGroup(group: string): Promise<GroupInfo | undefined>;
  /** Names of all groups. */
  groups(): Promise<readonly string[]>;
  /**
   * Asks the member that owns a task, wherever it runs; see {@link JoinOptions.answer}. Questions and answers of at most 4 MiB.
   *
   * @throws `MR_NO_OWNER` (retryable) when nobody owns the task, `MR_TIMEOUT` (retryable) after `timeoutMs`, default 5,000;
   * `MR_ABORTED`; what the answer throws.
   */
  ask(
    group: string,
    task: string,
    question: Uint8Array,
    options?: {
      readonly timeoutMs?: number | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<Uint8Array>;
}
