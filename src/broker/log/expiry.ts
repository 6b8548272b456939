/**
 * Forgetting groups that nobody has been a member of for long: positions, state and internal topics.
 *
 * One transaction takes away what makes them findable (the rows of the group, its tasks and its topics) and leaves a note of the rest, which
 * may be large and is deleted step by step. A process that dies meanwhile leaves the note, and the next round goes on with it. Should the
 * group come back at any moment, it begins anew under other numbers.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Kv, KvReader, KvTransaction } from '../../kv/kv.ts';
import { readGroup, readGroupNames, readMembers, readTasks, removeMember } from './group-rows.ts';
import { STEP_BYTES } from './front.ts';
import { readEnds } from './partitions.ts';
import type { Pause } from './retention.ts';
import { corrupt, decodeRow, encodeRow, frameKey, stateKey, textKey } from './rows.ts';
import { readTopics, removeTopic } from './topics.ts';

const STEP_ROWS = 1000;
const PREFIX = 'garbage:';
/** Numbers of topics and states are below; the one behind it is the end of a range. */
const MAX_ID = 2 ** 32 - 1;

/** What is left of a forgotten group. */
export interface Garbage {
  readonly topics: readonly number[];
  readonly states: readonly number[];
}

/** A group that was forgotten. */
export interface Expired {
  readonly group: string;
  /** Records of its internal topics, by topic. */
  readonly records: Readonly<Record<string, number>>;
}

/** Forgets the groups that were last seen longer than `expiryMs` ago. */
export async function expireGroups(
  kv: Kv,
  clock: Clock,
  now: number,
  expiryMs: number,
  pause: Pause,
): Promise<readonly Expired[]> {
  const expired: Expired[] = [];
  for (const group of readGroupNames(kv)) {
    if (!isExpired(kv, clock, group, now - expiryMs)) continue;
    const records = await kv.transact((txn) =>
      isExpired(txn, clock, group, now - expiryMs) ? forget(txn, group) : undefined,
    );
    if (records !== undefined) expired.push({ group, records });
    await pause();
  }
  return expired;
}

/** Deletes what forgotten groups have left, this round's and earlier ones'. */
export async function collectGarbage(kv: Kv, pause: Pause): Promise<void> {
  for (const { key, garbage } of [...garbageOf(kv)]) {
    const { topics, states } = garbage;
    for (const id of topics)
      await deleteRange(kv, 'frames', frameKey(id, 0, 0), frameKey(id + 1, 0, 0), pause);
    for (const id of states) await deleteRange(kv, 'state', stateKey(id), stateKey(id + 1), pause);
    await kv.transact((txn) => txn.remove('meta', key));
  }
}

/** What is noted to be deleted. */
function* garbageOf(
  kv: KvReader,
): Generator<{ readonly key: Uint8Array; readonly garbage: Garbage }> {
  const range = { from: textKey(PREFIX), to: textKey('garbage;') };
  for (const { key, value } of kv.range('meta', range))
    yield { key, garbage: decodeGarbage(key, value) };
}

/** Whether a key of table `meta` is that of such a note. */
export function isGarbage(key: Uint8Array): boolean {
  return Buffer.from(key).toString('utf8').startsWith(PREFIX);
}

/** @throws `MR_CORRUPT` */
export function decodeGarbage(key: Uint8Array, value: Uint8Array): Garbage {
  const what = (): string => `the row ${Buffer.from(key).toString()}`;
  const { topics, states } = decodeRow(value, what).head as Partial<Garbage>;
  if (!isIds(topics) || !isIds(states))
    throw corrupt(what(), 'it does not say what is to be deleted');
  return { topics, states };
}

function isIds(ids: unknown): ids is readonly number[] {
  return (
    Array.isArray(ids) && ids.every((id) => Number.isSafeInteger(id) && id >= 0 && id < MAX_ID)
  );
}

/**
 * A group with a living member is never forgotten, even if the wall clock has been set forward: leases are on the monotonic clock.
 */
function isExpired(kv: KvReader, clock: Clock, group: string, before: number): boolean {
  const state = readGroup(kv, group);
  return (
    state !== undefined &&
    state.seenAt < before &&
    readMembers(kv, group).every(
      ({ boot, deadlineMs }) => boot !== clock.boot || deadlineMs <= clock.monotonic(),
    )
  );
}

function forget(txn: KvTransaction, group: string): Record<string, number> {
  const records: Record<string, number> = {};
  const topics = readTopics(txn).filter(({ spec }) => spec.owner === group);
  for (const topic of topics) {
    let count = 0;
    for (let partition = 0; partition < topic.spec.partitions; partition++) {
      const { start, end } = readEnds(txn, topic, partition);
      count += end - start;
    }
    if (count > 0) records[topic.spec.name] = count;
    removeTopic(txn, topic);
  }
  const tasks = readTasks(txn, group);
  for (const { id } of tasks) txn.remove('tasks', textKey(`${group}\u0000${id}`));
  for (const { member } of readMembers(txn, group)) removeMember(txn, group, member);
  txn.remove('groups', textKey(group));
  const garbage: Garbage = {
    topics: topics.map(({ id }) => id),
    states: tasks.map(({ stateId }) => stateId),
  };
  // A group may be forgotten again before all of its first life is gone.
  txn.put('meta', textKey(`${PREFIX}${group}:${tasks[0]?.stateId ?? 0}`), encodeRow(garbage));
  return records;
}

async function deleteRange(
  kv: Kv,
  table: string,
  from: Uint8Array,
  to: Uint8Array,
  pause: Pause,
): Promise<void> {
  for (;;) {
    if ([...kv.range(table, { from, to, limit: 1 })].length === 0) return;
    await kv.transact((txn) => {
      const keys: Uint8Array[] = [];
      let bytes = 0;
      for (const { key, value } of txn.range(table, { from, to, limit: STEP_ROWS })) {
        keys.push(key);
        if ((bytes += value.length) > STEP_BYTES) break;
      }
      for (const key of keys) txn.remove(table, key);
    });
    await pause();
  }
}
