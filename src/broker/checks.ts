/**
 * What every broker asks of its arguments, in one place: a call is checked whole before anything is written.
 *
 * Names: a source topic has a user's name (`core/names.ts`). Repartition and changelog topics, groups and producer ids
 * have internal names, which are built from valid ones: 1 to 249 characters of the same alphabet, starting with a letter
 * or digit, without `..`. A task id is 1 to 249 printable ASCII characters without spaces.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { validName } from '../core/names.ts';
import type { JoinOptions, Outgoing, ProducerAppend, TaskCommit, TopicSpec } from './broker.ts';
import { isFrame } from './frame.ts';

/** Most partitions of a topic. */
const MAX_PARTITIONS = 1024;
/** Largest `position` of a producer and `meta` of a task, in bytes. */
const MAX_META_BYTES = 65_536;
/** Most that one append or commit may carry, in bytes of frames. */
const MAX_APPEND_BYTES: number = 256 * 1024 * 1024;
/** Longest description of a topology, in UTF-16 code units. */
const MAX_TOPOLOGY_LENGTH = 1024 * 1024;
/** Longest question to the owner of a task, and longest answer, in bytes. */
export const MAX_ASK_BYTES: number = 4 * 1024 * 1024;
/** Longest wait that the platform's timers can do, in milliseconds. */
const MAX_TIMEOUT_MS: number = 2 ** 31 - 1;
const MIN_LEASE_MS = 500;
const MAX_LEASE_MS = 600_000;

const internal = /^[A-Za-z0-9][A-Za-z0-9._-]{0,248}$/;
const taskId = /^[\x21-\x7e]{1,249}$/;

/** Returns `name` if it is a valid internal name; see the head of this file. @throws `MR_NAME_INVALID`. */
export function internalName(what: string, name: string): string {
  if (!isInternalName(name))
    throw new MillraceError(
      'MR_NAME_INVALID',
      `${quote(name)} is not a valid ${what} name; use 1 to 249 letters, digits, '.', '_' or '-', starting with a letter or digit, without '..'`,
      { details: { what } },
    );
  return name;
}

/** Whether anything can have this internal name. */
export function isInternalName(name: unknown): name is string {
  return typeof name === 'string' && internal.test(name) && !name.includes('..');
}

/** @throws `MR_NAME_INVALID`, `MR_OPTION_INVALID`. */
export function checkTopicSpec(spec: TopicSpec): void {
  if (spec.role === 'source') validName('topic', spec.name);
  else if (spec.role === 'repartition' || spec.role === 'changelog')
    internalName(`${String(spec.role)} topic`, spec.name);
  else
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `role of topic ${spec.name} is ${quote(spec.role)}; use 'source', 'repartition' or 'changelog'`,
    );
  if (!Number.isInteger(spec.partitions) || spec.partitions < 1 || spec.partitions > MAX_PARTITIONS)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `topic ${spec.name} is declared with ${String(spec.partitions)} partitions; use a whole number from 1 to ${MAX_PARTITIONS}`,
      { details: { topic: spec.name, partitions: spec.partitions } },
    );
  for (const [what, codec] of [
    ['codec', spec.codec],
    ['keyCodec', spec.keyCodec ?? 'none'],
  ] as const)
    if (typeof codec !== 'string' || codec.length < 1 || codec.length > 128)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `${what} of topic ${spec.name} is ${quote(codec)}; use its name, 1 to 128 characters`,
        { details: { topic: spec.name } },
      );
}

/** @throws `MR_ARGUMENT_INVALID` when `topic` has no such partition. */
export function checkPartition(
  topic: Pick<TopicSpec, 'name' | 'partitions'>,
  partition: number,
): void {
  if (!Number.isInteger(partition) || partition < 0 || partition >= topic.partitions)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `topic ${topic.name} has no partition ${String(partition)}; it has ${topic.partitions}, from 0`,
      { details: { topic: topic.name, partition, partitions: topic.partitions } },
    );
}

/** @throws `MR_ARGUMENT_INVALID` for anything but an offset. */
export function checkOffset(what: string, offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${what} is ${String(offset)}, which is not an offset; offsets are whole numbers from 0`,
    );
}

/** Frames of one append: built by `frame.ts`, none of them twice, not too much at once. @throws `MR_ARGUMENT_INVALID`. */
export function checkFrames(frames: readonly Outgoing[]): void {
  let bytes = 0;
  for (const { topic, partition, frame } of frames) {
    if (!isFrame(frame))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `what is to be appended to ${topic}[${partition}] is not a frame; build it with FrameBuilder`,
        { details: { topic, partition } },
      );
    bytes += frame.bytes.length;
  }
  if (bytes > MAX_APPEND_BYTES)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `one append of ${bytes} bytes exceeds the limit of ${MAX_APPEND_BYTES}; commit more often, or append in parts`,
      { details: { bytes, maxBytes: MAX_APPEND_BYTES } },
    );
  // A frame is written into when it gets its place, so one buffer cannot be in two places.
  if (frames.length > 1 && new Set(frames.map(({ frame }) => frame.bytes)).size < frames.length)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      'the same frame is given twice in one append; build one for each place',
    );
}

/** @throws `MR_NAME_INVALID`, `MR_ARGUMENT_INVALID`. */
export function checkProducerAppend(producer: ProducerAppend): void {
  internalName('producer', producer.id);
  if (!Number.isSafeInteger(producer.sequence) || producer.sequence < 1)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `sequence of producer ${producer.id} is ${String(producer.sequence)}; sequences count from 1`,
      { details: { producer: producer.id, sequence: producer.sequence } },
    );
  if (producer.position !== undefined)
    checkMeta(`position of producer ${producer.id}`, producer.position);
}

/** @throws `MR_NAME_INVALID`, `MR_ARGUMENT_INVALID`. */
export function checkJoin(group: string, options: JoinOptions): void {
  internalName('group', group);
  const ids = new Set<string>();
  for (const { id } of options.tasks) {
    if (typeof id !== 'string' || !taskId.test(id)) throw badTask(group, id);
    if (ids.has(id))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `task ${id} is listed twice in group ${group}`,
        {
          details: { group, task: id },
        },
      );
    ids.add(id);
  }
  if (typeof options.topology !== 'string' || options.topology.length > MAX_TOPOLOGY_LENGTH)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `the topology of group ${group} is not a text of at most ${MAX_TOPOLOGY_LENGTH} characters`,
      { details: { group } },
    );
  const { leaseMs } = options;
  if (leaseMs !== undefined && !(leaseMs >= MIN_LEASE_MS && leaseMs <= MAX_LEASE_MS))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `leaseMs of group ${group} is ${String(leaseMs)}; give milliseconds, from ${MIN_LEASE_MS} to ${MAX_LEASE_MS}`,
      { details: { group, leaseMs } },
    );
}

/** @throws `MR_NAME_INVALID`, `MR_ARGUMENT_INVALID`. */
export function checkAsk(
  group: string,
  task: string,
  question: Uint8Array,
  timeoutMs: number | undefined,
): void {
  internalName('group', group);
  if (typeof task !== 'string' || !taskId.test(task)) throw badTask(group, task);
  if (!((question as unknown) instanceof Uint8Array) || question.length > MAX_ASK_BYTES)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `what task ${task} of group ${group} is asked is not a Uint8Array of at most ${MAX_ASK_BYTES} bytes`,
      { details: { group, task } },
    );
  if (timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS))
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `timeoutMs is ${String(timeoutMs)}; give milliseconds, more than 0 and at most ${MAX_TIMEOUT_MS}`,
    );
}

/** @throws `MR_ARGUMENT_INVALID`. */
export function checkCommit(commit: TaskCommit): void {
  const seen = new Set<string>();
  for (const { topic, partition, offset } of commit.positions) {
    const place = `${String(topic)}[${String(partition)}]`;
    checkOffset(`the position of task ${commit.task} in ${place}`, offset);
    if (
      typeof topic !== 'string' ||
      !Number.isInteger(partition) ||
      partition < 0 ||
      partition >= MAX_PARTITIONS ||
      seen.has(place)
    )
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `task ${commit.task} commits a position in ${place}, which is ${seen.has(place) ? 'listed twice' : 'not a partition'}`,
        { details: { task: commit.task, topic, partition } },
      );
    seen.add(place);
  }
  checkMeta(`meta of task ${commit.task}`, commit.meta);
}

function checkMeta(what: string, bytes: Uint8Array): void {
  if (!(bytes instanceof Uint8Array) || bytes.length > MAX_META_BYTES)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      bytes instanceof Uint8Array
        ? `${what} has ${bytes.length} bytes; the limit is ${MAX_META_BYTES}`
        : `${what} is not a Uint8Array`,
    );
}

function badTask(group: string, id: unknown): MillraceError {
  return new MillraceError(
    'MR_NAME_INVALID',
    `${quote(id)} is not a valid task id; use 1 to 249 printable ASCII characters without spaces`,
    { details: { group } },
  );
}

function quote(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 260));
}

/** The error of reading below the start of a partition. */
export function offsetLost(
  topic: string,
  partition: number,
  offset: number,
  start: number,
): MillraceError {
  return new MillraceError(
    'MR_OFFSET_LOST',
    `offset ${offset} of ${topic}[${partition}] has been deleted: the partition begins at ${start}, ${start - offset} records are gone; continue at ${start} if that is acceptable`,
    { domain: 'external', details: { topic, partition, offset, start, lost: start - offset } },
  );
}
