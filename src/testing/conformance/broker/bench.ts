/**
 * What the cases of the broker suite share.
 *
 * @module
 */
import assert from 'node:assert/strict';

import type {
  Broker,
  JoinOptions,
  Membership,
  Outgoing,
  Placed,
  RecordLog,
  TaskCommit,
  TopicSpec,
} from '../../../broker/broker.ts';
import type { Frame } from '../../../broker/frame.ts';
import { FrameBuilder } from '../../../broker/frame-builder.ts';
import type { FrameView } from '../../../broker/frame-view.ts';
import type { VirtualClock } from '../../../core/clock.ts';

/** What a case about topics and records gets: an empty log. */
export interface LogBench {
  readonly broker: RecordLog;
  readonly reopen: () => Promise<RecordLog>;
}

/** What a case gets: an empty broker, and the clock that it lives by, standing at {@link START_MS}. */
export interface Bench extends LogBench {
  readonly broker: Broker;
  readonly reopen: () => Promise<Broker>;
  readonly clock: VirtualClock;
}

export type LogCases = Readonly<Record<string, (bench: LogBench) => Promise<void>>>;
export type Cases = Readonly<Record<string, (bench: Bench) => Promise<void>>>;

/** Wall clock at the beginning of each case, in milliseconds. */
export const START_MS = 1_000_000;

export function topicSpec(name: string, overrides: Partial<TopicSpec> = {}): TopicSpec {
  return { name, partitions: 1, codec: 'json', role: 'source', ...overrides };
}

/** A frame with one record per text, in binary form, without keys. */
export function frameOf(...texts: string[]): Frame {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: 1 << 26 });
  for (const text of texts) builder.add(1, null, Buffer.from(text));
  return builder.build();
}

/** `count` frames with one record each for `t[0]`. */
export function framesOf(count: number, text: string): Outgoing[] {
  return Array.from({ length: count }, () => ({ topic: 't', partition: 0, frame: frameOf(text) }));
}

export async function append(
  broker: RecordLog,
  topic: string,
  partition: number,
  ...texts: string[]
): Promise<Placed> {
  const placed = await broker.append([{ topic, partition, frame: frameOf(...texts) }]);
  assert.equal(placed?.length, 1);
  return placed[0] as Placed;
}

export async function produce(
  broker: RecordLog,
  epoch: number,
  sequence: number,
  position: string | undefined,
  ...texts: string[]
): Promise<readonly Placed[] | undefined> {
  return await broker.append([{ topic: 't', partition: 0, frame: frameOf(...texts) }], {
    id: 'loader',
    epoch,
    sequence,
    position: position === undefined ? undefined : Buffer.from(position),
  });
}

export function commitOf(task: string, epoch: number, outputs: readonly Outgoing[]): TaskCommit {
  return { task, epoch, positions: [], meta: new Uint8Array(0), outputs };
}

/** Offset and text of every record from `from` on. */
export async function readAll(
  broker: RecordLog,
  topic: string,
  partition: number,
  from = 0,
): Promise<[number, string][]> {
  const records: [number, string][] = [];
  const reader = broker.reader(topic, partition, from);
  for (let view = await reader.next(); view !== undefined; view = await reader.next())
    for (let i = 0; i < view.count; i++) records.push([view.baseOffset + i, textAt(view, i)]);
  return records;
}

/** Asserts that a partition cannot be read from an offset: a broker may find out with the reader, or with the first frame. */
export async function failsToRead(
  broker: RecordLog,
  topic: string,
  partition: number,
  from: number,
  code: string,
): Promise<void> {
  await fails(async () => await broker.reader(topic, partition, from).next(), code);
}

export function values(records: readonly [number, string][]): string[] {
  return records.map(([, text]) => text);
}

export function textAt(view: FrameView, i: number): string {
  return decode(view.value(i)) as string;
}

export function decode(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('utf8');
}

/** Joins and takes what there is to be had. */
export async function joined(
  broker: Broker,
  group: string,
  tasks: readonly string[],
  options: Partial<JoinOptions> = {},
): Promise<Membership> {
  const membership = await broker.join(group, {
    tasks: tasks.map((id) => ({ id })),
    topology: '',
    ...options,
  });
  await membership.tend();
  return membership;
}

/** Tends members in turn, and gives back at once what they are to give back, until nothing changes any more. */
export async function settled(...members: readonly Membership[]): Promise<void> {
  for (let still = 0, turns = 0; still < members.length; turns++) {
    assert.ok(turns < 100 * members.length, 'the group settles');
    const member = members[turns % members.length] as Membership;
    const { gained, revoked, lost } = await member.tend();
    if (revoked.length > 0) await member.release(revoked);
    still = gained.length + revoked.length + lost.length > 0 ? 0 : still + 1;
  }
}

/** Ids of what a member owns, sorted. */
export function owned({ tasks }: Membership): string[] {
  return tasks.map(({ id }) => id).toSorted();
}

/** Lets messages between broker objects arrive that need no time. */
export async function quiet(clock: VirtualClock): Promise<void> {
  for (let i = 0; i < 5; i++) await clock.turn();
}

/** Asserts that a call fails with `code` and returns its error. */
export async function fails(
  call: Promise<unknown> | (() => Promise<unknown>),
  code: string,
): Promise<Record<string, unknown>> {
  let caught: unknown;
  await assert.rejects(call, (error: unknown) => {
    caught = error;
    assert.equal((error as { code?: unknown }).code, code, String(error));
    return true;
  });
  return caught as Record<string, unknown>;
}
