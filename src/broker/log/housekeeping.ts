/**
 * One round of housekeeping: what {@link Broker.maintain} does, in this order.
 *
 * Several processes may each start rounds: every step checks in its transaction that it is still right, so two at a time do no harm, and a
 * note of the last round lets one of them do it for all.
 *
 * @module
 */
import { abortError, type Clock } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Kv, KvReader } from '../../kv/kv.ts';
import type { MaintainOptions, Maintained } from '../broker.ts';
import type { TaskState } from '../groups/roster.ts';
import { compact } from './compaction.ts';
import { collectGarbage, expireGroups } from './expiry.ts';
import { readTasks } from './group-rows.ts';
import { release, retain, type Pause, type TasksOf } from './retention.ts';
import { decodeRow, encodeRow, textKey } from './rows.ts';
import { readTopics, type StoredTopic } from './topics.ts';

const LAST_ROUND = textKey('maintained');

/** What a round needs of the log around it. */
export interface HousekeepingContext {
  readonly kv: Kv;
  readonly clock: Clock;
}

/**
 * Does one round.
 *
 * @throws `MR_ABORTED` between two steps; what was done by then stays done. `MR_CORRUPT` for the first partition that is damaged, after all
 * others were seen to. `MR_OPTION_INVALID`.
 */
export async function maintain(
  { kv, clock }: HousekeepingContext,
  options: MaintainOptions,
): Promise<Maintained> {
  const { notWithinMs = 0, groupExpiryMs, signal } = options;
  checkMs('notWithinMs', notWithinMs, 0);
  if (groupExpiryMs !== undefined) checkMs('groupExpiryMs', groupExpiryMs, 1);
  if (signal?.aborted === true) throw abortError(signal);
  const now = clock.now();
  if (!(await claimRound(kv, now, notWithinMs))) return { deleted: {}, expired: [] };
  const pause: Pause = async () => {
    await clock.turn();
    if (signal?.aborted === true) throw abortError(signal);
  };

  const deleted: Record<string, number> = {};
  const add = (topic: string, records: number): void => {
    if (records > 0) deleted[topic] = (deleted[topic] ?? 0) + records;
  };
  const expired =
    groupExpiryMs === undefined ? [] : await expireGroups(kv, clock, now, groupExpiryMs, pause);
  for (const { records } of expired)
    for (const [topic, count] of Object.entries(records)) add(topic, count);
  await collectGarbage(kv, pause);

  const tasksOf = tasksReader(kv);
  let damage: unknown;
  for (const topic of readTopics(kv))
    for (let partition = 0; partition < topic.spec.partitions; partition++) {
      try {
        const round = { kv, clock, now, pause, tasksOf };
        add(topic.spec.name, await tidy(round, topic, partition));
      } catch (error) {
        // The disk must not fill up because one partition is damaged.
        if (!MillraceError.is(error) || error.code !== 'MR_CORRUPT') throw error;
        damage ??= error;
      }
      if (partition % 64 === 63) await pause();
    }
  if (damage !== undefined) throw damage;
  return { deleted, expired: expired.map(({ group }) => group) };
}

/**
 * Tasks of groups. Outside a transaction those of the beginning of the round will do: their positions are behind at worst, and whatever is
 * deleted is decided in a transaction.
 */
function tasksReader(kv: Kv): TasksOf {
  const known = new Map<string, readonly TaskState[]>();
  return (reader, group) => {
    if (reader !== kv) return readTasks(reader, group);
    let tasks = known.get(group);
    if (tasks === undefined) known.set(group, (tasks = readTasks(kv, group)));
    return tasks;
  };
}

interface Round extends HousekeepingContext {
  readonly now: number;
  readonly pause: Pause;
  readonly tasksOf: TasksOf;
}

async function tidy(
  { kv, clock, now, pause, tasksOf }: Round,
  topic: StoredTopic,
  partition: number,
): Promise<number> {
  const { role, keep } = topic.spec;
  try {
    if (role === 'repartition') return await release(kv, topic, partition, tasksOf, pause);
    if (keep === undefined) return 0;
    let deleted = await retain(kv, topic, partition, now, pause);
    if (keep.compact) deleted += await compact({ kv, clock, now, pause }, topic, partition);
    return deleted;
  } catch (error) {
    // Its group was forgotten by another process.
    if (MillraceError.is(error) && error.code === 'MR_UNKNOWN_TOPIC') return 0;
    throw error;
  }
}

/** Notes that a round begins, unless another one began less than `notWithinMs` ago. */
async function claimRound(kv: Kv, now: number, notWithinMs: number): Promise<boolean> {
  if (isRecent(kv, now, notWithinMs)) return false;
  return await kv.transact((txn) => {
    if (isRecent(txn, now, notWithinMs)) return false;
    txn.put('meta', LAST_ROUND, encodeRow({ at: now }));
    return true;
  });
}

function isRecent(kv: KvReader, now: number, notWithinMs: number): boolean {
  const row = kv.get('meta', LAST_ROUND);
  if (row === undefined) return false;
  const { at } = decodeRow(row, () => 'the row of the last round of housekeeping').head as {
    readonly at: number;
  };
  // A clock that was set back must not stop housekeeping until it has caught up.
  return at <= now && now - at < notWithinMs;
}

function checkMs(option: string, value: number, least: number): void {
  if (!Number.isFinite(value) || value < least)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${option} is ${String(value)}; give milliseconds, at least ${least}`,
      { details: { option } },
    );
}
