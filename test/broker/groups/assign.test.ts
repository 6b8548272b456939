import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { assign } from '../../../src/broker/groups/assign.ts';
import type { Assignment } from '../../../src/broker/groups/assign.ts';
import {
  NOTHING,
  broken,
  brokenNames,
  counts,
  newcomers,
  partOf,
  standbyLoads,
} from './assign-properties.ts';
import type { Question } from './assign-properties.ts';

function answer({ members, tasks, previous, standbys }: Question): Assignment {
  return assign(members, tasks, previous, { standbys });
}

function movedTasks(before: Assignment, after: Assignment): readonly string[] {
  return [...after.active.keys()].filter(
    (task) => before.active.get(task) !== after.active.get(task),
  );
}

const name = fc.integer({ min: 0, max: 59 }).map((i) => `m${i}`);
const sizes = fc.oneof(
  fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 20 }),
  fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 3 }),
  fc.array(fc.constantFrom(1, 2), { maxLength: 60 }),
);
const standbysOf = fc.integer({ min: 0, max: 3 });

function tasksOf(partitions: readonly number[]): readonly string[] {
  return partitions.flatMap((count, part) =>
    Array.from({ length: count }, (_, partition) => `orders-by-day-${part}/${partition}`),
  );
}

/** What happens to a group between two assignments. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ join: fc.array(name, { minLength: 1, maxLength: 3 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({ leave: fc.array(fc.nat(), { minLength: 1, maxLength: 3 }) }),
  },
  { weight: 2, arbitrary: fc.record({ join: fc.array(name), leave: fc.array(fc.nat()) }) },
  { weight: 1, arbitrary: fc.record({ sizes }) },
  { weight: 1, arbitrary: fc.record({ standbys: standbysOf }) },
);

const start = fc.record({
  members: fc.uniqueArray(name, { maxLength: 40 }),
  sizes,
  standbys: standbysOf,
});

function apply(
  question: Question,
  change: typeof step extends fc.Arbitrary<infer T> ? T : never,
): Question {
  let { members, tasks, standbys } = question;
  if ('leave' in change && change.leave !== undefined) {
    const gone = new Set(change.leave.map((i) => members[i % members.length]));
    members = members.filter((member) => !gone.has(member));
  }
  if ('join' in change && change.join !== undefined)
    members = [...new Set([...members, ...change.join])];
  if ('sizes' in change) tasks = tasksOf(change.sizes);
  if ('standbys' in change) standbys = change.standbys;
  return { ...question, members, tasks, standbys };
}

describe('a group through its history', () => {
  it('keeps every property at every step', () => {
    fc.assert(
      fc.property(start, fc.array(step, { maxLength: 12 }), (first, steps) => {
        let question: Question = {
          members: first.members,
          tasks: tasksOf(first.sizes),
          standbys: first.standbys,
          previous: NOTHING,
        };
        let now = answer(question);
        expect(broken(question, now)).toEqual([]);
        for (const change of steps) {
          const before = question;
          question = { ...apply(question, change), previous: now };
          const next = answer(question);
          expect(broken(question, next)).toEqual([]);
          checkJoin(before, question, next);
          checkLeave(before, question, next);
          expect(answer({ ...question, previous: next })).toEqual(next);
          now = next;
        }
      }),
      { numRuns: 300 },
    );
  });

  /** Who joins gets his share, and nothing moves among the others. When it is one alone, the share is all that moves. */
  function checkJoin(before: Question, now: Question, next: Assignment): void {
    const joined = now.members.filter((member) => !before.members.includes(member));
    const left = before.members.some((member) => !now.members.includes(member));
    if (left || joined.length === 0 || before.members.length === 0) return;
    const moved = movedTasks(now.previous, next);
    for (const task of moved) expect(joined).toContain(next.active.get(task));
    const share = Math.floor(now.tasks.length / now.members.length);
    if (joined.length === 1) expect(moved.length).toBe(share);
  }

  /** Who leaves gives his tasks away, to their standbys where there is a place. Others move only to members that had nothing. */
  function checkLeave(before: Question, now: Question, next: Assignment): void {
    const joined = now.members.some((member) => !before.members.includes(member));
    const left = before.members.filter((member) => !now.members.includes(member));
    if (joined || left.length === 0 || now.members.length === 0) return;
    const moved = movedTasks(now.previous, next);
    const orphans = moved.filter((task) => left.includes(now.previous.active.get(task) ?? ''));
    const fresh = newcomers(now);
    for (const task of moved)
      if (!orphans.includes(task)) expect(fresh).toContain(next.active.get(task));
    if (fresh.size > 0) return;

    const totals = counts(now.members, next.active.values());
    const parts = Map.groupBy(now.tasks, partOf);
    for (const task of orphans) {
      const holders = now.previous.standby.get(task) ?? [];
      const owner = next.active.get(task) ?? '';
      if (holders.includes(owner)) continue;
      const its = parts.get(partOf(task)) ?? [];
      const inPart = counts(
        now.members,
        its.flatMap((one) => next.active.get(one) ?? []),
      );
      for (const holder of holders) {
        if (left.includes(holder)) continue;
        const place =
          (inPart.get(holder) ?? 0) < Math.ceil(its.length / now.members.length) &&
          (inPart.get(owner) ?? 0) > Math.floor(its.length / now.members.length) &&
          (totals.get(holder) ?? 0) < Math.ceil(now.tasks.length / now.members.length);
        expect(place, `${task} could have gone to ${holder} instead of ${owner}`).toBe(false);
      }
    }
  }
});

describe('any previous assignment', () => {
  const previous = fc
    .array(fc.tuple(fc.nat(), name, fc.array(name, { maxLength: 4 })), { maxLength: 120 })
    .map((rows) => ({ rows }));

  it('is mended with as few moves as floor and ceil demand', () => {
    fc.assert(
      fc.property(start, previous, ({ members, sizes: partitions, standbys }, { rows }) => {
        const tasks = tasksOf(partitions);
        const at = (i: number): string => tasks[i % tasks.length] ?? 'gone/0';
        const question: Question = {
          members,
          tasks,
          standbys,
          previous: {
            active: new Map(rows.map(([i, owner]) => [at(i), owner])),
            standby: new Map(rows.map(([i, , holders]) => [at(i), holders])),
          },
        };
        const next = answer(question);
        expect(broken(question, next)).toEqual([]);
        expect(answer({ ...question, previous: next })).toEqual(next);
      }),
      { numRuns: 300 },
    );
  });

  it('gives the same answer in whatever order it is asked', () => {
    fc.assert(
      fc.property(
        start,
        previous,
        fc.infiniteStream(fc.nat()),
        ({ members, sizes: partitions, standbys }, { rows }, numbers) => {
          const tasks = tasksOf(partitions);
          const shuffled = <T>(list: readonly T[]): readonly T[] =>
            list
              .map((value) => ({ value, by: numbers.next().value as number }))
              .toSorted((a, b) => a.by - b.by)
              .map(({ value }) => value);
          const byTask = new Map(
            rows.map((row) => [tasks[row[0] % tasks.length] ?? 'gone/0', row]),
          );
          const made = (
            entries: readonly (readonly [string, (typeof rows)[number]])[],
          ): Assignment => ({
            active: new Map(entries.map(([task, [, owner]]) => [task, owner])),
            standby: new Map(entries.map(([task, [, , holders]]) => [task, shuffled(holders)])),
          });
          expect(
            assign(
              shuffled([...members, ...members]),
              shuffled(tasks),
              made(shuffled([...byTask])),
              {
                standbys,
              },
            ),
          ).toEqual(assign(members, tasks, made([...byTask]), { standbys }));
        },
      ),
    );
  });
});

describe('standbys', () => {
  it('are spread as evenly as the active tasks allow', () => {
    const small = fc.record({
      members: fc.uniqueArray(name, { minLength: 2, maxLength: 4 }),
      owners: fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
      standbys: fc.integer({ min: 1, max: 3 }),
      before: fc.array(fc.array(name, { maxLength: 3 }), { minLength: 5, maxLength: 5 }),
    });
    fc.assert(
      fc.property(small, ({ members, owners, standbys, before }) => {
        const tasks = owners.map((_, i) => `part-${i}/0`);
        const previous: Assignment = {
          active: new Map(
            tasks.map((task, i) => [task, members[(owners[i] ?? 0) % members.length] ?? '']),
          ),
          standby: new Map(tasks.map((task, i) => [task, before[i] ?? []])),
        };
        const next = assign(members, tasks, previous, { standbys });
        const loads = [...standbyLoads(members, next).values()];
        const copies = Math.min(standbys, members.length - 1);
        const all = distributions(members, tasks, next.active, copies);
        expect(Math.max(...loads)).toBe(Math.min(...all.map((one) => Math.max(...one))));
        expect(Math.min(...loads)).toBe(Math.max(...all.map((one) => Math.min(...one))));
      }),
    );
  });

  it('of one member are spread over the others, so that not one inherits them all', () => {
    const members = ['a', 'b', 'c', 'd'];
    const tasks = Array.from({ length: 12 }, (_, i) => `part-${i}/0`);
    const before = assign(members, tasks, NOTHING, { standbys: 1 });
    for (const gone of members) {
      const rest = members.filter((member) => member !== gone);
      const after = assign(rest, tasks, before, { standbys: 1 });
      expect([...counts(rest, after.active.values()).values()]).toEqual([4, 4, 4]);
      for (const task of movedTasks(before, after))
        expect(before.standby.get(task)).toEqual([after.active.get(task)]);
    }
  });

  it('who hands a task over is the first choice for following it', () => {
    const before: Assignment = {
      active: new Map([
        ['clicks/0', 'z'],
        ['clicks/1', 'z'],
        ['clicks/2', 'y'],
      ]),
      standby: new Map(),
    };
    const after = assign(['c', 'y', 'z'], [...before.active.keys()], before, { standbys: 1 });
    expect(movedTasks(before, after)).toEqual(['clicks/1']);
    expect(after.standby.get('clicks/1')).toEqual(['z']);
  });

  it('inherit no more than their share', () => {
    const tasks = Array.from({ length: 6 }, (_, i) => `part-${i}/0`);
    const before: Assignment = {
      active: new Map(tasks.map((task, i) => [task, ['a', 'b', 'c'][i % 3] ?? ''])),
      standby: new Map(tasks.map((task, i) => [task, i % 3 === 1 ? ['c'] : ['b']])),
    };
    const after = assign(['b', 'c'], tasks, before, { standbys: 1 });
    expect(counts([], after.active.values())).toEqual(new Map(Object.entries({ b: 3, c: 3 })));
  });

  it('decide what a new member gets', () => {
    const tasks = Array.from({ length: 6 }, (_, i) => `part-${i}/0`);
    const before: Assignment = {
      active: new Map(tasks.map((task) => [task, 'a'])),
      standby: new Map(['part-1/0', 'part-3/0', 'part-4/0'].map((task) => [task, ['b']])),
    };
    const after = assign(['a', 'b'], tasks, before, { standbys: 1 });
    expect(movedTasks(before, after)).toEqual(['part-1/0', 'part-3/0', 'part-4/0']);
  });

  it('refuses a number that is not whole', () => {
    for (const standbys of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => assign(['a'], ['clicks/0'], NOTHING, { standbys })).toThrowError(
        expect.objectContaining({ code: 'MR_ARGUMENT_INVALID' }) as Error,
      );
  });
});

describe('edges', () => {
  it('nobody gets nothing, and nothing goes to nobody', () => {
    expect(assign([], ['clicks/0'], NOTHING, { standbys: 2 })).toEqual(NOTHING);
    expect(assign(['a'], [], NOTHING, { standbys: 2 })).toEqual(NOTHING);
  });

  it('a new member gets its share of many sub-topologies of one task each', () => {
    const tasks = Array.from({ length: 10 }, (_, i) => `part-${i}/0`);
    const alone = assign(['a'], tasks, NOTHING);
    const four = assign(['a', 'b', 'c', 'd'], tasks, alone);
    expect(counts([], four.active.values())).toEqual(
      new Map(Object.entries({ a: 4, b: 2, c: 2, d: 2 })),
    );
  });

  it('a new member takes what has no owner before what has one', () => {
    const tasks = Array.from({ length: 7 }, (_, i) => `part-${i}/0`);
    const before: Assignment = {
      active: new Map(
        tasks.map((task, i) => [task, ['b', 'b', 'b', 'b', 'a', 'a', 'gone'][i] ?? '']),
      ),
      standby: new Map([['part-6/0', ['a']]]),
    };
    const after = assign(['a', 'b', 'c'], tasks, before);
    expect(after.active.get('part-6/0')).toBe('c');
    expect(movedTasks(before, after).length).toBe(2);
  });

  it('partitions are sorted as numbers, and a task without a slash stands for itself', () => {
    const { active } = assign(['a', 'b'], ['clicks/10', 'clicks/9', 'alone', 'clicks'], NOTHING);
    expect([...active.keys()]).toEqual(['alone', 'clicks', 'clicks/9', 'clicks/10']);
  });
});

/** The loads of every way to give each task standbys beside its active member. */
function distributions(
  members: readonly string[],
  tasks: readonly string[],
  active: ReadonlyMap<string, string>,
  copies: number,
): readonly (readonly number[])[] {
  let all: readonly (readonly number[])[] = [members.map(() => 0)];
  for (const task of tasks) {
    const ways = Array.from({ length: 2 ** members.length }, (_, bits) =>
      members.map((_member, i) => (bits >> i) & 1),
    ).filter(
      (way) =>
        way.reduce((sum, one) => sum + one, 0) === copies &&
        way[members.indexOf(active.get(task) ?? '')] === 0,
    );
    all = all.flatMap((loads) => ways.map((way) => loads.map((load, i) => load + (way[i] ?? 0))));
  }
  return all;
}

/** One assignment that Faust 0.15.3 made, and which properties it breaks. */
interface Recorded {
  readonly note?: string | undefined;
  readonly partitions: number;
  readonly standbys: number;
  readonly members: readonly string[];
  readonly previous: RecordedAssignment;
  readonly result: RecordedAssignment;
  readonly breaks: readonly string[];
}

type RecordedAssignment = Readonly<
  Record<string, { readonly active: readonly number[]; readonly standby: readonly number[] }>
>;

/**
 * Faust is right in all of these but one, where the standbys are uneven. In 1,800 random assignments it was also seen to leave members below the
 * floor or idle, to move tasks between old members when one joined, and to take tasks from survivors when one left; the histories above look for
 * each of these.
 */
describe('the histories in which Faust was recorded', () => {
  const recorded = JSON.parse(
    readFileSync(new URL('./assign-vectors.json', import.meta.url), 'utf8'),
  ) as readonly Recorded[];

  function read(assignment: RecordedAssignment): Assignment {
    const active = new Map<string, string>();
    const standby = new Map<string, string[]>();
    for (const [member, its] of Object.entries(assignment)) {
      for (const partition of its.active) active.set(`events/${partition}`, member);
      for (const partition of its.standby) {
        const task = `events/${partition}`;
        standby.set(task, [...(standby.get(task) ?? []), member].toSorted());
      }
    }
    return { active, standby };
  }

  it.for(recorded)('$partitions partitions, $standbys standbys, $members', (one) => {
    const question: Question = {
      members: one.members,
      tasks: Array.from({ length: one.partitions }, (_, i) => `events/${i}`),
      previous: read(one.previous),
      standbys: one.standbys,
    };
    expect(brokenNames(question, read(one.result))).toEqual(one.breaks);
    expect(broken(question, answer(question))).toEqual([]);
  });
});
