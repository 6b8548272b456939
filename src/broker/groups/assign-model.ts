/**
 * The question of an assignment in numbers: members and tasks are their places in sorted lists, so that the answer cannot depend on the order
 * in which they were given.
 *
 * @module
 */
import type { Assignment } from './assign.ts';

/** Everything that an assignment is made from. */
export interface Model {
  /** Sorted by code units, each once. */
  readonly members: readonly string[];
  /** Sorted by sub-topology, then by partition, each once. */
  readonly tasks: readonly string[];
  /** The tasks of each sub-topology. */
  readonly parts: readonly (readonly number[])[];
  /** By task: who had it, if he is still there. */
  readonly owner: readonly (number | undefined)[];
  /** By task: who followed it, of those that are still there. Never the owner. */
  readonly followers: readonly (readonly number[])[];
}

export function modelOf(
  memberNames: readonly string[],
  taskIds: readonly string[],
  previous: Assignment,
): Model {
  const members = [...new Set(memberNames)].toSorted(byCodeUnits);
  const indexOf = new Map(members.map((name, i) => [name, i]));
  const sorted = [...new Set(taskIds)].map(parse).toSorted(byPartAndPartition);
  const parts: number[][] = [];
  for (const [i, { part }] of sorted.entries())
    if (i > 0 && sorted[i - 1]?.part === part) parts.at(-1)?.push(i);
    else parts.push([i]);
  const tasks = sorted.map(({ id }) => id);
  const owner = tasks.map((task) => {
    const name = previous.active.get(task);
    return name === undefined ? undefined : indexOf.get(name);
  });
  const followers = tasks.map((task, i) => {
    const found = new Set<number>();
    for (const name of previous.standby.get(task) ?? []) {
      const member = indexOf.get(name);
      if (member !== undefined && member !== owner[i]) found.add(member);
    }
    return [...found].toSorted((a, b) => a - b);
  });
  return { members, tasks, parts, owner, followers };
}

interface Task {
  readonly id: string;
  readonly part: string;
  readonly partition: string;
}

function parse(id: string): Task {
  const slash = id.lastIndexOf('/');
  // An id without a slash has no siblings: it is a sub-topology of its own.
  return slash < 0
    ? { id, part: id, partition: '' }
    : { id, part: id.slice(0, slash), partition: id.slice(slash + 1) };
}

function byPartAndPartition(a: Task, b: Task): number {
  return (
    byCodeUnits(a.part, b.part) ||
    // Partitions are decimal numbers without leading zeros: the shorter is the smaller.
    a.partition.length - b.partition.length ||
    byCodeUnits(a.partition, b.partition)
  );
}

function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
