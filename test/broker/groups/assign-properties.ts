/** What must hold of every assignment, as a check that names what is broken. */
import type { Assignment } from '../../../src/broker/groups/assign.ts';

/** What was asked and what came before. */
export interface Question {
  readonly members: readonly string[];
  readonly tasks: readonly string[];
  readonly previous: Assignment;
  readonly standbys: number;
}

export const NOTHING: Assignment = { active: new Map(), standby: new Map() };

/** The names of the properties that `answer` breaks, each with what shows it. */
export function broken(question: Question, answer: Assignment): readonly string[] {
  return [...placement(question, answer), ...movement(question, answer)];
}

/** Only the names. */
export function brokenNames(question: Question, answer: Assignment): readonly string[] {
  return [...new Set(broken(question, answer).map((text) => text.slice(0, text.indexOf(':'))))];
}

export function partOf(task: string): string {
  return task.slice(0, task.lastIndexOf('/'));
}

/** How often each member occurs, those that do not included. */
export function counts(
  members: readonly string[],
  owners: Iterable<string>,
): ReadonlyMap<string, number> {
  const found = new Map(members.map((member) => [member, 0]));
  for (const owner of owners) found.set(owner, (found.get(owner) ?? 0) + 1);
  return found;
}

/** Largest minus smallest. */
function spread(loads: ReadonlyMap<string, number>): number {
  return loads.size === 0 ? 0 : Math.max(...loads.values()) - Math.min(...loads.values());
}

export function standbyLoads(
  members: readonly string[],
  { standby }: Assignment,
): ReadonlyMap<string, number> {
  return counts(members, [...standby.values()].flat());
}

/** Members that had no active task of those that there are. */
export function newcomers({ members, tasks, previous }: Question): ReadonlySet<string> {
  const had = new Set(tasks.map((task) => previous.active.get(task)));
  return new Set(members.filter((member) => !had.has(member)));
}

function* placement(question: Question, { active, standby }: Assignment): Generator<string> {
  const { members, tasks, standbys } = question;
  const known = new Set(members);
  if (members.length === 0) {
    if (active.size + standby.size > 0) yield 'nobody: tasks are assigned without members';
    return;
  }
  for (const task of tasks)
    if (!known.has(active.get(task) ?? '')) yield `one active: ${task} has none`;
  for (const task of [...active.keys(), ...standby.keys()])
    if (!tasks.includes(task)) yield `one active: ${task} does not exist`;

  const parts = Map.groupBy(tasks, partOf);
  for (const [part, its] of parts) {
    const owners = its.flatMap((task) => active.get(task) ?? []);
    for (const [member, count] of counts(members, owners)) {
      if (count < Math.floor(its.length / members.length))
        yield `floor: ${member} has ${count} of the ${its.length} of ${part}`;
      if (count > Math.ceil(its.length / members.length))
        yield `ceil: ${member} has ${count} of the ${its.length} of ${part}`;
    }
  }
  const totals = counts(members, active.values());
  const fresh = tasks.every((task) => !members.includes(question.previous.active.get(task) ?? ''));
  const uneven = [...parts.values()].filter((its) => its.length % members.length > 0).length;
  if (fresh && question.previous.standby.size === 0 && spread(totals) > 1)
    yield `even totals: they differ by ${spread(totals)}`;
  if (spread(totals) > uneven) yield `bounded totals: they differ by ${spread(totals)}`;
  const share = Math.floor(tasks.length / members.length);
  for (const member of newcomers(question))
    if ((totals.get(member) ?? 0) < share) yield `share: ${member} has ${totals.get(member)}`;

  const copies = Math.min(standbys, members.length - 1);
  for (const task of tasks) {
    const holders = standby.get(task) ?? [];
    if (holders.length !== copies) yield `copies: ${task} has ${holders.length} standbys`;
    if (new Set(holders).size !== holders.length) yield `distinct: ${task} has ${holders.join()}`;
    if (holders.includes(active.get(task) ?? '')) yield `beside: ${task} is also active`;
    for (const holder of holders) if (!known.has(holder)) yield `copies: ${holder} does not exist`;
  }
  const loads = standbyLoads(members, { active, standby });
  const fewest = Math.min(...loads.values());
  const inTheWay = Math.max(
    ...members
      .filter((member) => loads.get(member) === fewest)
      .map((member) => totals.get(member) ?? 0),
  );
  const most = parts.size === 1 ? 1 : Math.max(1, inTheWay);
  if (spread(loads) > most) yield `even standbys: they differ by ${spread(loads)}`;
}

function* movement(question: Question, { active }: Assignment): Generator<string> {
  const { members, tasks, previous } = question;
  if (members.length === 0) return;
  const fresh = newcomers(question);
  const known = new Set(members);
  const moved = tasks.filter((task) => {
    const before = previous.active.get(task) ?? '';
    return known.has(before) && active.get(task) !== before;
  });
  // In each sub-topology a member keeps ⌊n/m⌋ of its tasks, and n mod m members keep one more.
  let forced = 0;
  for (const its of Map.groupBy(tasks, partOf).values()) {
    const owned = its.map((task) => previous.active.get(task) ?? '').filter((it) => known.has(it));
    const floor = Math.floor(its.length / members.length);
    const before = [...counts(members, owned).values()];
    const kept = before.reduce((sum, count) => sum + Math.min(count, floor), 0);
    const more = before.filter((count) => count > floor).length;
    forced += owned.length - kept - Math.min(more, its.length % members.length);
  }
  const share = Math.floor(tasks.length / members.length);
  if (moved.length > forced + share * fresh.size)
    yield `movement: ${moved.length} moves where ${forced} are necessary`;
  const amongOld = moved.filter((task) => !fresh.has(active.get(task) ?? ''));
  if (amongOld.length > forced) yield `movement: ${amongOld.join()} moved among old members`;
}
