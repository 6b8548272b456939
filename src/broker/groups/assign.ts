/**
 * Who processes which task: a pure function from the members of a group and their previous assignment to the next one.
 *
 * What is wanted, in the order of importance; nothing is given up for what stands below it:
 *
 * 1. Every task has exactly one active member.
 * 2. Of each sub-topology's `n` tasks every one of `m` members has `⌊n/m⌋` to `⌈n/m⌉`. That is possible for any `n` and `m`.
 * 3. A member that held nothing gets its share of all `T` tasks, `⌊T/m⌋`: with many small sub-topologies, of which 2 asks nothing for it, a
 *    new member would stay idle.
 * 4. No other active task moves. So a join costs the tasks that the new member must get, a leave the tasks of the one that has left, and the
 *    same members and tasks as before cost nothing.
 * 5. Of the tasks that move, as many as possible go to members that have a standby of them, where 2 leaves a place and the member does not get
 *    above `⌈T/m⌉` in all: else one member would inherit all that another had, and by 4 would keep it.
 * 6. The totals are even. Those of a group that starts afresh differ by one at most. Later ones may differ by as many as there are
 *    sub-topologies whose tasks cannot be divided evenly, since 4 forbids moves among old members that would only mend totals.
 * 7. Standbys: never beside the active one, no two on one member, as many as are asked for or as there are other members.
 * 8. The numbers of standbys per member are as even as 7 allows: no other choice has a smaller largest or a larger smallest number. Where
 *    they differ by more than one, they do so by at most the active tasks of the member that has fewest. They stay where they are as far as
 *    that allows, and a member that hands a task over is the first choice for its new standby.
 *
 * The result depends on the sets of members and tasks, not on their order, so that every member could compute it for itself.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { assignActives } from './assign-actives.ts';
import { modelOf } from './assign-model.ts';
import { assignStandbys } from './assign-standbys.ts';

/** Who has what. */
export interface Assignment {
  /** Task → the member that processes it. */
  readonly active: ReadonlyMap<string, string>;
  /** Task → the members that follow its state, sorted by name. Tasks without standbys have no entry. */
  readonly standby: ReadonlyMap<string, readonly string[]>;
}

/** See {@link assign}. */
export interface AssignOptions {
  /** Standbys per task, a whole number. Default 0. */
  readonly standbys?: number | undefined;
}

/**
 * The next assignment.
 *
 * @param members Names of the members; repeated ones count once. Without members nothing is assigned.
 * @param tasks Ids `<sub-topology>/<partition>`: the sub-topology is what stands before the last slash.
 * @param previous What was assigned before. Members and tasks in it that are not in `members` and `tasks` are gone.
 * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` when `standbys` is not a whole number.
 */
export function assign(
  members: readonly string[],
  tasks: readonly string[],
  previous: Assignment,
  options: AssignOptions = {},
): Assignment {
  const { standbys = 0 } = options;
  if (!Number.isSafeInteger(standbys) || standbys < 0)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `standbys is ${String(standbys)}; use a whole number, 0 for none`,
    );
  const model = modelOf(members, tasks, previous);
  if (model.members.length === 0) return { active: new Map(), standby: new Map() };
  const active = assignActives(model);
  const standby = assignStandbys(model, active, Math.min(standbys, model.members.length - 1));
  const nameOf = (member: number): string => model.members[member] as string;
  return {
    active: new Map(model.tasks.map((task, i) => [task, nameOf(active[i] as number)])),
    standby: new Map(
      model.tasks.flatMap((task, i) => {
        const holders = standby[i]?.map(nameOf) ?? [];
        return holders.length === 0 ? [] : [[task, holders]];
      }),
    ),
  };
}
