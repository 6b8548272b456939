/**
 * The standbys of every task: rules 7 and 8 of `assign.ts`.
 *
 * @module
 */
import { evenOut } from './assign-even.ts';
import type { Model } from './assign-model.ts';

/**
 * By task: the members that follow it, in their order.
 *
 * @param active By task: its active member.
 * @param copies Standbys for each task, at most one less than there are members.
 */
export function assignStandbys(
  model: Model,
  active: readonly number[],
  copies: number,
): readonly (readonly number[])[] {
  if (copies === 0) return [];
  const loads = model.members.map(() => 0);
  /** By active member and follower: how many tasks of the one the other follows. */
  const following = loads.map(() => loads.map(() => 0));
  const add = (on: Set<number>, owner: number, member: number): void => {
    const its = following[owner] as number[];
    on.add(member);
    its[member] = (its[member] as number) + 1;
    loads[member] = (loads[member] as number) + 1;
  };
  const things = active.map((owner, task) => {
    /** Who has the state already: a standby that stays, or one who has handed the task over. */
    const warm = new Set(model.followers[task]);
    const before = model.owner[task];
    if (before !== undefined) warm.add(before);
    warm.delete(owner);
    // Those whom it followed before come first in the set.
    const on = new Set<number>();
    for (const member of [...warm].slice(0, copies)) add(on, owner, member);
    return {
      on,
      owner,
      may: (member: number) => member !== owner,
    };
  });
  for (const { on, owner } of things)
    while (on.size < copies) {
      const member = leastOf(loads, following[owner] as number[], on, owner);
      if (member === undefined) break;
      add(on, owner, member);
    }
  evenOut(things, loads);
  return things.map(({ on }) => [...on].toSorted((a, b) => a - b));
}

/** Who has the smallest load; of several the one that follows least of the owner's tasks, so that not one inherits all when the owner dies. */
function leastOf(
  loads: readonly number[],
  following: readonly number[],
  on: ReadonlySet<number>,
  owner: number,
): number | undefined {
  let least: number | undefined;
  for (const [member, load] of loads.entries()) {
    if (member === owner || on.has(member)) continue;
    if (least === undefined) {
      least = member;
      continue;
    }
    const than = loads[least] as number;
    if (
      load < than ||
      (load === than && (following[member] as number) < (following[least] as number))
    )
      least = member;
  }
  return least;
}
