/**
 * What may be deleted from the front of a partition: by age and size where a source topic says so, and in a repartition topic what every
 * task that reads it has committed.
 *
 * @module
 */
import type { Kv, KvReader, KvTransaction } from '../../kv/kv.ts';
import { readPlace } from '../frame.ts';
import type { TaskState } from '../groups/roster.ts';
import { deleteFront, type Deletable } from './front.ts';
import { readEnds } from './partitions.ts';
import { frameRange, homeOf } from './rows.ts';
import { readTopic, type StoredTopic } from './topics.ts';

/** Called between two steps. @throws `MR_ABORTED` when no further one is wanted. */
export type Pause = () => Promise<void>;

/** The tasks of a group, as `reader` sees them. */
export type TasksOf = (reader: KvReader, group: string) => readonly TaskState[];

/**
 * Deletes the frames of a source topic's partition that are too old or too many. The last frame stays, however large it is; however old, it
 * goes, and the partition is empty then.
 *
 * Returns how many records were deleted.
 */
export async function retain(
  kv: Kv,
  topic: StoredTopic,
  partition: number,
  now: number,
  pause: Pause,
): Promise<number> {
  return await deleteWhile(kv, topic, partition, pause, (reader) => {
    // Another process may declare something else at any time, between two steps too.
    const keep = readTopic(reader, topic.spec.name)?.spec.keep;
    if (keep === undefined) return undefined;
    const oldest = keep.retentionMs === null ? -Infinity : now - keep.retentionMs;
    const most = keep.retentionBytes ?? Infinity;
    return ({ receivedAt, last }, ends) => receivedAt < oldest || (!last && ends.bytes > most);
  });
}

/** Deletes what every reader of a repartition topic's partition has committed. Returns how many records were deleted. */
export async function release(
  kv: Kv,
  topic: StoredTopic,
  partition: number,
  tasksOf: TasksOf,
  pause: Pause,
): Promise<number> {
  const { owner } = topic.spec;
  if (owner === undefined) return 0;
  return await deleteWhile(kv, topic, partition, pause, (reader) => {
    const floor = leastPosition(topic.spec.name, partition, tasksOf(reader, owner));
    return floor === undefined ? undefined : ({ end }) => end <= floor;
  });
}

/**
 * The least offset that a reader of `topic[partition]` still needs, `undefined` when that is not known.
 *
 * Which task reads what is told by the positions that it has committed; a commit lists all of its inputs. A task that has not committed yet
 * reads what the same sub-topology reads elsewhere, on its own partition; one of a sub-topology that never committed anywhere may read
 * anything. Better keep what nobody needs than delete what somebody has not seen.
 */
export function leastPosition(
  topic: string,
  partition: number,
  tasks: readonly TaskState[],
): number | undefined {
  // Without a target a task is not part of the group's topology any more.
  const present = tasks.filter(({ target, owner }) => target !== null || owner !== null);
  const known = new Map<string, boolean>();
  for (const { id, positions } of present)
    if (positions.length > 0) {
      const { sub } = partsOf(id);
      const reads = positions.some((position) => position.topic === topic);
      known.set(sub, known.get(sub) === true || reads);
    }
  let least: number | undefined;
  for (const { id, positions } of present) {
    const position = positions.find((at) => at.topic === topic && at.partition === partition);
    if (position !== undefined) {
      least = Math.min(least ?? Infinity, position.offset);
      continue;
    }
    const { sub, number } = partsOf(id);
    const elsewhere = number === undefined ? positions.length > 0 : number !== partition;
    if (!elsewhere && known.get(sub) !== false) return undefined;
  }
  return least;
}

/** A task is `<sub-topology>/<partition>`. Of another id nothing is known. */
function partsOf(id: string): { readonly sub: string; readonly number: number | undefined } {
  const [, sub, digits] = /^(.*)\/(\d+)$/.exec(id) ?? [];
  return sub === undefined ? { sub: id, number: undefined } : { sub, number: Number(digits) };
}

/** Deletes from the front, step by step. The rule is made anew for each step, from what is stored then. */
async function deleteWhile(
  kv: Kv,
  topic: StoredTopic,
  partition: number,
  pause: Pause,
  ruleOf: (reader: KvReader) => Deletable | undefined,
): Promise<number> {
  let deleted = 0;
  for (;;) {
    // Most of the time there is nothing to do, and nobody has to wait to find that out.
    if (!isDue(kv, topic, partition, ruleOf(kv))) return deleted;
    const step = await kv.transact((txn: KvTransaction) => {
      const rule = ruleOf(txn);
      return rule === undefined ? undefined : deleteFront(txn, topic, partition, rule);
    });
    deleted += step?.deletedRecords ?? 0;
    if (step?.done !== false) return deleted;
    await pause();
  }
}

function isDue(
  kv: KvReader,
  topic: StoredTopic,
  partition: number,
  rule: Deletable | undefined,
): boolean {
  if (rule === undefined) return false;
  const ends = readEnds(kv, topic, partition);
  const range = frameRange(topic.id, partition, ends.start, ends.end);
  for (const { value } of kv.range('frames', { ...range, limit: 1 })) {
    const place = readPlace(value, homeOf(topic.id, partition));
    // Whether a damaged one is to go depends on the next one: the step finds out.
    if (place === undefined) return true;
    const end = place.baseOffset + place.count;
    return rule({ end, receivedAt: place.receivedAt, last: end >= ends.end }, ends);
  }
  return false;
}
