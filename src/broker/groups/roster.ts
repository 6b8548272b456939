/**
 * What is stored of a group, and the one place that decides what becomes of it when members come, go or die: who owns which task, and
 * which topology holds. Pure: the caller reads the rows, has them changed here, and writes them, all in one transaction.
 *
 * Ownership moves in two steps. Each task has a member that *should* own it (`target`) and one that does (`owner`). A new membership changes
 * targets only; an owner that is not the target gives its task back when it is ready; then the target takes it, under a new epoch. So no task
 * is ever taken from a living member, and the tasks that stay are not touched.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { StoredTask } from '../broker.ts';
import { assign } from './assign.ts';

/** The row of a group. */
export interface GroupState {
  /** Grows with every change of members, targets and topology, and with every task that becomes free. */
  readonly round: number;
  /** When a member was last heard of, milliseconds since 1970. */
  readonly seenAt: number;
  /** Names what the members must agree about: topology and tasks. */
  readonly hash: string;
  readonly topology: string;
}

/** The row of a member. */
export interface MemberState {
  readonly member: string;
  /** Where its broker object listens, empty when it does not. */
  readonly address: string;
  /** Boot of the machine that its deadline belongs to. */
  readonly boot: string;
  /** On the monotonic clock: not heard of until then, it is dead. */
  readonly deadlineMs: number;
  readonly leaseMs: number;
  readonly pid: number;
  readonly joinedAt: number;
  readonly hash: string;
}

/** The row of a task. */
export interface TaskState extends StoredTask {
  /** The member that should own it; `null` for a task that is not part of the group's topology. */
  readonly target: string | null;
}

/**
 * How much farther away than its lease allows a deadline may look: processes read their clocks with small differences. Farther means that the
 * machine was started anew, where the platform does not say so.
 */
const CLOCK_SLACK_MS = 1000;

/** Whether the lease of a member is over, or belongs to an earlier run of the machine. */
export function leaseOver(state: MemberState, clock: Clock): boolean {
  const leftMs = state.deadlineMs - clock.monotonic();
  return state.boot !== clock.boot || leftMs <= 0 || leftMs > state.leaseMs + CLOCK_SLACK_MS;
}

/** Everything of one group. Changed in place by {@link settle}. */
export interface Roster {
  group: GroupState | undefined;
  readonly members: Map<string, MemberState>;
  readonly tasks: Map<string, TaskState>;
}

/** What {@link settle} is asked to do. */
export interface SettleOptions {
  /** The member on whose behalf it is done, and what it says the group is. */
  readonly self: {
    readonly member: string;
    readonly hash: string;
    readonly topology: string;
    readonly tasks: readonly string[];
  };
  /** Whether membership has changed since targets were last chosen, apart from what `dead` removes. */
  readonly changed: boolean;
  /** Whether free tasks that it should own are taken for `self`. */
  readonly take: boolean;
  readonly dead: (member: MemberState) => boolean;
  /** A number for the state of a new task. */
  readonly newStateId: () => number;
  /** Wall clock. */
  readonly now: number;
}

/** What {@link settle} has changed. */
export interface Settled {
  /** Members that are gone. */
  readonly removed: readonly string[];
  /** Ids of tasks that changed. */
  readonly tasks: ReadonlySet<string>;
  /** Whether others want to know. */
  readonly changed: boolean;
}

/** Removes the dead, frees their tasks, sees to the topology, chooses targets when members have changed, and takes what is free. */
export function settle(roster: Roster, options: SettleOptions): Settled {
  const { self, dead, now } = options;
  const { members, tasks } = roster;
  const touched = new Set<string>();
  const put = (task: TaskState): void => {
    tasks.set(task.id, task);
    touched.add(task.id);
  };

  const removed = [...members.values()].filter(dead).map(({ member }) => member);
  for (const member of removed) members.delete(member);
  const stays = members.has(self.member);
  const agreed = [...members.values()].some(({ hash }) => hash === roster.group?.hash);
  const adopt = stays && !agreed;
  const adopted = adopt ? self : roster.group;
  let changed = options.changed || removed.length > 0 || adopt;

  for (const task of tasks.values()) {
    if (task.owner === null || members.has(task.owner)) continue;
    put({ ...task, owner: null });
    changed = true;
  }
  if (changed && adopted !== undefined) {
    const wanted = adopt
      ? self.tasks
      : [...tasks.values()].filter(({ target }) => target !== null).map(({ id }) => id);
    chooseTargets(roster, adopted.hash, wanted, options.newStateId, put);
  }
  if (options.take && stays)
    for (const task of tasks.values())
      if (task.target === self.member && task.owner === null)
        put({ ...task, owner: self.member, epoch: task.epoch + 1 });

  if (adopted !== undefined) {
    const { hash, topology } = adopted;
    const round = (roster.group?.round ?? 0) + (changed ? 1 : 0);
    roster.group = { round, seenAt: now, hash, topology };
  }
  return { removed, tasks: touched, changed };
}

/** Whether {@link settle} would find nothing to do but what time brings. */
export function isSettled(roster: Roster, self: string): boolean {
  const { group, members, tasks } = roster;
  if (group === undefined || !members.has(self)) return false;
  if (![...members.values()].some(({ hash }) => hash === group.hash)) return false;
  return [...tasks.values()].every(({ owner, target }) =>
    owner === null ? target !== self : members.has(owner),
  );
}

/** Shares the wanted tasks among those who agree; all others have no target from now on. */
function chooseTargets(
  { members, tasks }: Roster,
  hash: string,
  wanted: readonly string[],
  newStateId: () => number,
  put: (task: TaskState) => void,
): void {
  const agreeing = [...members.values()]
    .filter((member) => member.hash === hash)
    .map(({ member }) => member);
  // The next one to agree chooses; until then the targets say what the group's tasks are.
  if (agreeing.length === 0) return;
  const previous = new Map<string, string>();
  for (const id of wanted) {
    // Where a task is counts more than where it was to go: state is there.
    const { owner = null, target = null } = tasks.get(id) ?? {};
    const member = owner ?? target;
    if (member !== null && members.has(member)) previous.set(id, member);
  }
  const { active } = assign(agreeing, wanted, { active: previous, standby: new Map() });
  for (const id of wanted) {
    const target = active.get(id) ?? null;
    const there = tasks.get(id);
    if (there === undefined) {
      const stateId = newStateId();
      put({ id, epoch: 0, stateId, positions: [], meta: undefined, owner: null, target });
    } else if (there.target !== target) put({ ...there, target });
  }
  for (const task of [...tasks.values()])
    if (task.target !== null && !active.has(task.id)) put({ ...task, target: null });
}
