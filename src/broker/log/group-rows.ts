/**
 * Rows of groups, their members and their tasks.
 *
 * ```
 * groups    group              → { round, seenAt, hash }, topology
 * members   group, 0, member   → { address, boot, deadlineMs, leaseMs, pid, joinedAt, hash }
 * tasks     group, 0, task id  → { epoch, stateId, owner, target, positions, meta: whether there is one }, meta
 * ```
 *
 * @module
 */
import type { KvReader, KvTransaction } from '../../kv/kv.ts';
import type { Position } from '../broker.ts';
import type { GroupState, MemberState, Roster, TaskState } from '../groups/roster.ts';
import { decodeRow, encodeRow, textKey } from './rows.ts';

/** The zero byte cannot occur in names, so nothing of a group lies between what belongs to another. */
function keyIn(group: string, name: string): Buffer {
  return textKey(`${group}\u0000${name}`);
}

function* rowsOf(
  kv: KvReader,
  table: string,
  group: string,
): Generator<{ name: string; row: Uint8Array }> {
  const range = { from: keyIn(group, ''), to: textKey(`${group}\u0001`) };
  const skip = keyIn(group, '').length;
  for (const { key, value } of kv.range(table, range))
    yield { name: Buffer.from(key).toString('utf8', skip), row: value };
}

export function readGroup(kv: KvReader, group: string): GroupState | undefined {
  const row = kv.get('groups', textKey(group));
  if (row === undefined) return undefined;
  const { head, payload } = decodeRow(row, () => `the row of group ${group}`);
  const { round, seenAt, hash } = head as Omit<GroupState, 'topology'>;
  return { round, seenAt, hash, topology: Buffer.from(payload).toString('utf8') };
}

export function writeGroup(txn: KvTransaction, group: string, state: GroupState): void {
  const { round, seenAt, hash, topology } = state;
  txn.put(
    'groups',
    textKey(group),
    encodeRow({ round, seenAt, hash }, Buffer.from(topology, 'utf8')),
  );
}

/** Names of all groups, in the order of their bytes. */
export function readGroupNames(kv: KvReader): string[] {
  return Array.from(kv.range('groups', {}), ({ key }) => Buffer.from(key).toString('utf8'));
}

export function readMember(kv: KvReader, group: string, member: string): MemberState | undefined {
  const row = kv.get('members', keyIn(group, member));
  return row === undefined ? undefined : decodeMember(row, group, member);
}

export function readMembers(kv: KvReader, group: string): MemberState[] {
  return Array.from(rowsOf(kv, 'members', group), ({ name, row }) =>
    decodeMember(row, group, name),
  );
}

function decodeMember(row: Uint8Array, group: string, member: string): MemberState {
  const { head } = decodeRow(row, () => `the row of member ${member} of group ${group}`);
  return { ...(head as Omit<MemberState, 'member'>), member };
}

export function writeMember(txn: KvTransaction, group: string, state: MemberState): void {
  const { member, ...head } = state;
  txn.put('members', keyIn(group, member), encodeRow(head));
}

export function removeMember(txn: KvTransaction, group: string, member: string): void {
  txn.remove('members', keyIn(group, member));
}

export function readTask(kv: KvReader, group: string, id: string): TaskState | undefined {
  const row = kv.get('tasks', keyIn(group, id));
  return row === undefined ? undefined : decodeTask(row, group, id);
}

export function readTasks(kv: KvReader, group: string): TaskState[] {
  return Array.from(rowsOf(kv, 'tasks', group), ({ name, row }) => decodeTask(row, group, name));
}

function decodeTask(row: Uint8Array, group: string, id: string): TaskState {
  const { head, payload } = decodeRow(row, () => `the row of task ${id} of group ${group}`);
  const { epoch, stateId, owner, target, positions, meta } = head as Omit<
    TaskState,
    'id' | 'meta'
  > & { readonly meta: boolean };
  return { id, epoch, stateId, owner, target, positions, meta: meta ? payload : undefined };
}

export function writeTask(txn: KvTransaction, group: string, task: TaskState): void {
  const { id, epoch, stateId, owner, target, meta } = task;
  const positions = task.positions.map(({ topic, partition, offset }): Position => ({
    topic,
    partition,
    offset,
  }));
  const head = { epoch, stateId, owner, target, positions, meta: meta !== undefined };
  txn.put('tasks', keyIn(group, id), encodeRow(head, meta));
}

/** Everything of a group, in one look. */
export function readRoster(kv: KvReader, group: string): Roster {
  return {
    group: readGroup(kv, group),
    members: new Map(readMembers(kv, group).map((state) => [state.member, state])),
    tasks: new Map(readTasks(kv, group).map((state) => [state.id, state])),
  };
}
