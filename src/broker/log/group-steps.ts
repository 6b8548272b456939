/**
 * The steps of a member of a group, each a transaction or a part of one: they read the rows of the group, have `groups/roster.ts` decide, and
 * write what changes.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Kv, KvTransaction } from '../../kv/kv.ts';
import {
  isSettled,
  leaseOver,
  settle,
  type MemberState,
  type Roster,
  type TaskState,
} from '../groups/roster.ts';
import {
  readGroup,
  readMembers,
  readRoster,
  readTask,
  removeMember,
  writeGroup,
  writeMember,
  writeTask,
} from './group-rows.ts';
import { nextId } from './topics.ts';

/** The group's row says when a member was last heard of; for that alone it is not written more often than this. */
const SEEN_EVERY_MS = 30_000;

/** What a member says of itself. */
export interface Self {
  readonly member: string;
  /** Members agree when this is equal. */
  readonly hash: string;
  readonly topology: string;
  readonly tasks: readonly string[];
  readonly leaseMs: number;
  /** Wall clock. */
  readonly joinedAt: number;
}

/** What a step is done with. */
export interface StepContext {
  readonly group: string;
  readonly self: Self;
  readonly clock: Clock;
  /** Where the member's broker object listens, empty when it does not. */
  readonly address: () => string;
  /** Whether it is known that nobody listens there any more. */
  readonly isDead: (address: string) => boolean;
}

/** What a look at the rows has found. */
export interface Seen {
  readonly round: number;
  /** Whether this member and the group agree. */
  readonly agrees: boolean;
  /** When the lease was renewed, on the monotonic clock; `undefined` when it was not. */
  readonly renewedAtMs: number | undefined;
  readonly others: readonly MemberState[];
  /** `undefined` when nothing has changed since the round that was known. */
  readonly tasks: readonly TaskState[] | undefined;
  /** Whether the other members want to know what was changed. */
  readonly changed: boolean;
}

/** What can be seen without a transaction; `undefined` when there is something to write. */
export function glance(kv: Kv, context: StepContext, knownRound: number): Seen | undefined {
  const { group, self } = context;
  const found = readGroup(kv, group);
  if (found === undefined) return undefined;
  const { round } = found;
  const members = readMembers(kv, group);
  if (members.some((state) => isDead(context, state))) return undefined;
  const others = members.filter(({ member }) => member !== self.member);
  if (others.length === members.length) return undefined;
  const agrees = found.hash === self.hash;
  const seen = { round, agrees, renewedAtMs: undefined, others, changed: false };
  if (round === knownRound) return { ...seen, tasks: undefined };
  const roster = readRoster(kv, group);
  return isSettled(roster, self.member)
    ? { ...seen, tasks: [...roster.tasks.values()] }
    : undefined;
}

/** Renews the lease, or registers the member, and does for the group what is to be done. With `take`, takes tasks. */
export function tendStep(
  txn: KvTransaction,
  context: StepContext,
  knownRound: number,
  take: boolean,
): Seen {
  const { group, self, clock } = context;
  const { member, leaseMs, hash } = self;
  const renewedAtMs = clock.monotonic();
  const members = readMembers(txn, group);
  const there = members.find((state) => state.member === member);
  const state: MemberState = {
    member,
    address: context.address(),
    boot: clock.boot,
    deadlineMs: renewedAtMs + leaseMs,
    leaseMs,
    pid: process.pid,
    joinedAt: there?.joinedAt ?? self.joinedAt,
    hash,
  };
  writeMember(txn, group, state);
  const found = readGroup(txn, group);
  const quiet =
    there !== undefined &&
    found?.round === knownRound &&
    !members.some((other) => isDead(context, other));
  if (quiet) {
    noteSeen(txn, context, found.seenAt);
    const others = members.filter((other) => other !== there);
    const agrees = found.hash === hash;
    return { round: knownRound, agrees, renewedAtMs, others, tasks: undefined, changed: false };
  }
  const roster = readRoster(txn, group);
  const changed = write(txn, context, roster, there === undefined, take);
  return {
    round: roster.group?.round ?? 0,
    agrees: roster.group?.hash === hash,
    renewedAtMs,
    others: [...roster.members.values()].filter((other) => other.member !== member),
    tasks: [...roster.tasks.values()],
    changed,
  };
}

/** Frees tasks that have this member and epoch. True if one of them should be taken again. */
export function releaseStep(
  txn: KvTransaction,
  { group, self, clock }: StepContext,
  tasks: readonly { readonly id: string; readonly epoch: number }[],
): boolean {
  const found = readGroup(txn, group);
  let released = false;
  let again = false;
  for (const { id, epoch } of tasks) {
    const there = readTask(txn, group, id);
    if (there?.owner !== self.member || there.epoch !== epoch) continue;
    writeTask(txn, group, { ...there, owner: null });
    released = true;
    again ||= there.target === self.member;
  }
  if (released && found !== undefined)
    writeGroup(txn, group, { ...found, round: found.round + 1, seenAt: clock.now() });
  return again;
}

/** Removes the member and shares its tasks among the others. */
export function leaveStep(txn: KvTransaction, context: StepContext): void {
  const { group, self } = context;
  const roster = readRoster(txn, group);
  const there = roster.members.delete(self.member);
  if (there) removeMember(txn, group, self.member);
  write(txn, context, roster, there, false);
}

/** Has the roster settled and writes what that changes. True if others want to know. */
function write(
  txn: KvTransaction,
  context: StepContext,
  roster: Roster,
  changed: boolean,
  take: boolean,
): boolean {
  const { group, self, clock } = context;
  const settled = settle(roster, {
    self,
    changed,
    take,
    dead: (state) => isDead(context, state),
    newStateId: () => nextId(txn, 'state'),
    now: clock.now(),
  });
  for (const member of settled.removed) removeMember(txn, group, member);
  for (const id of settled.tasks) writeTask(txn, group, roster.tasks.get(id) as TaskState);
  if (settled.changed && roster.group !== undefined) writeGroup(txn, group, roster.group);
  return settled.changed;
}

function noteSeen(txn: KvTransaction, { group, clock }: StepContext, seenAt: number): void {
  const found = readGroup(txn, group);
  const now = clock.now();
  // Either way: the wall clock may have been set back.
  if (found !== undefined && Math.abs(now - seenAt) >= SEEN_EVERY_MS)
    writeGroup(txn, group, { ...found, seenAt: now });
}

function isDead({ self, clock, isDead: gone }: StepContext, state: MemberState): boolean {
  if (state.member === self.member) return false;
  return leaseOver(state, clock) || gone(state.address);
}
