/**
 * The active member of every task: rules 1 to 6 of `assign.ts`.
 *
 * Of a sub-topology with `n` tasks every one of `m` members gets `⌊n/m⌋`, and `n mod m` of them get one more, which is called an extra here.
 * What everybody gets is the same for all, so who gets the extras decides both what moves and how even the totals are: an extra saves a move
 * where a member had more than `⌊n/m⌋`.
 *
 * @module
 */
import { assert } from '../../core/errors.ts';
import { evenOut } from './assign-even.ts';
import { FlowNetwork } from './assign-flow.ts';
import type { Model } from './assign-model.ts';

/** One sub-topology. */
interface Part {
  /** What everybody gets at least. */
  readonly floor: number;
  /** By member: its tasks. */
  readonly has: number[][];
  readonly nobodys: number[];
  /** Members that had more than `floor`: an extra for them is a move less. */
  readonly wanting: ReadonlySet<number>;
  /** Members with an extra. */
  readonly extra: Set<number>;
  /** How many extras are not given yet. */
  left: number;
}

/** By task: its active member. */
export function assignActives(model: Model): readonly number[] {
  const parts = model.parts.map((tasks) => partOf(model, tasks));
  /** Extras by member. */
  const loads = model.members.map(() => 0);
  keepExtras(parts, loads);
  const extras = parts.reduce((sum, { left, extra }) => sum + left + extra.size, 0);
  for (const part of parts) placeWarm(model, part, loads, Math.ceil(extras / loads.length));
  giveExtras(parts, loads);
  for (const part of parts) placeRest(part);
  giveShares(model, parts, loads);
  const active: number[] = [];
  for (const { has } of parts)
    for (const [member, tasks] of has.entries()) for (const task of tasks) active[task] = member;
  return active;
}

function partOf(model: Model, tasks: readonly number[]): Part {
  const members = model.members.length;
  const has: number[][] = model.members.map(() => []);
  const nobodys: number[] = [];
  for (const task of tasks) {
    const owner = model.owner[task];
    (owner === undefined ? nobodys : (has[owner] as number[])).push(task);
  }
  const floor = Math.floor(tasks.length / members);
  const wanting = new Set<number>();
  for (const [member, its] of has.entries()) if (its.length > floor) wanting.add(member);
  return { floor, has, nobodys, wanting, extra: new Set(), left: tasks.length % members };
}

/** Gives extras to those who would have to hand over a task without; if they are more than there are extras, to the ones with least load. */
function keepExtras(parts: readonly Part[], loads: number[]): void {
  const contested = parts.filter(({ wanting, left }) => wanting.size > left);
  for (const part of parts) if (!contested.includes(part)) give(part, [...part.wanting], loads);
  for (const part of contested)
    give(part, lightest([...part.wanting], loads).slice(0, part.left), loads);
  evenOut(
    contested.map(({ wanting, extra }) => ({ on: extra, may: (member) => wanting.has(member) })),
    loads,
  );
}

/**
 * Gives tasks that nobody has, or that must be handed over, to members that follow them: as many as possible, as a flow from tasks to places.
 * Nobody gets an extra who has `limit` of them: else one member could inherit all that another had, and keep it.
 */
function placeWarm(model: Model, part: Part, loads: number[], limit: number): void {
  const network = new FlowNetwork();
  const extras = network.node();
  network.edge(extras, network.sink, part.left);
  const places = new Map<number, { readonly node: number; readonly extra: () => number }>();
  const placeOf = (member: number): number => {
    let place = places.get(member);
    if (place === undefined) {
      const node = network.node();
      network.edge(node, network.sink, -surplus(part, member));
      place = {
        node,
        extra: network.edge(node, extras, (loads[member] as number) < limit ? 1 : 0),
      };
      places.set(member, place);
    }
    return place.node;
  };
  const moves: { task: number; from: number[]; to: number; flow: () => number }[] = [];
  const offer = (from: number[], most: number): void => {
    const giver = network.node();
    network.edge(network.source, giver, most);
    for (const task of from) {
      const ways = (model.followers[task] ?? []).filter((member) => !part.wanting.has(member));
      if (ways.length === 0) continue;
      const node = network.node();
      network.edge(giver, node, 1);
      for (const to of ways)
        moves.push({ task, from, to, flow: network.edge(node, placeOf(to), 1) });
    }
  };
  offer(part.nobodys, part.nobodys.length);
  for (const member of part.wanting) {
    const most = surplus(part, member);
    if (most > 0) offer(part.has[member] as number[], most);
  }
  if (moves.length === 0) return;
  network.fill();
  for (const { task, from, to, flow } of moves) {
    if (flow() === 0) continue;
    remove(from, task);
    part.has[to]?.push(task);
  }
  for (const [member, { extra }] of places) if (extra() > 0) give(part, [member], loads);
}

/** Gives the extras that are left to the members with least load. */
function giveExtras(parts: readonly Part[], loads: number[]): void {
  const free = parts.flatMap((part) => {
    if (part.left === 0) return [];
    const fixed = new Set(part.extra);
    const may = (member: number): boolean => !fixed.has(member);
    const given = lightest([...loads.keys()].filter(may), loads).slice(0, part.left);
    give(part, given, loads);
    return { part, fixed, thing: { on: new Set(given), may } };
  });
  evenOut(
    free.map(({ thing }) => thing),
    loads,
  );
  for (const { part, fixed, thing } of free) {
    part.extra.clear();
    for (const member of [...fixed, ...thing.on]) part.extra.add(member);
  }
}

/** Takes tasks from those who have too many, and gives what nobody has to those who have too few. */
function placeRest(part: Part): void {
  for (const member of part.wanting) {
    const tasks = part.has[member] as number[];
    part.nobodys.push(...tasks.splice(tasks.length - surplus(part, member)));
  }
  part.nobodys.sort((a, b) => a - b);
  for (const [member, tasks] of part.has.entries())
    tasks.push(...part.nobodys.splice(0, -surplus(part, member)));
}

/** Rule 3: members that had nothing take extras from others, until they have their share. */
function giveShares(model: Model, parts: readonly Part[], loads: number[]): void {
  const had = new Set(model.owner);
  const share = Math.floor(loads.reduce((sum, load) => sum + load, 0) / loads.length);
  for (const taker of loads.keys()) {
    if (had.has(taker)) continue;
    while ((loads[taker] as number) < share) {
      const { part, task, giver } = bestGift(model, parts, loads, { taker, share });
      remove(part.has[giver] as number[], task);
      part.has[taker]?.push(task);
      part.extra.delete(giver);
      loads[giver] = (loads[giver] as number) - 1;
      part.left++;
      give(part, [taker], loads);
    }
  }
}

interface Gift {
  readonly part: Part;
  readonly task: number;
  readonly giver: number;
}

/**
 * What a member above its share can give: best a task that has just come to it, then one that the taker follows, then one of the member with
 * the highest load. There is one: as the taker is below the share, somebody is above it, who has at least two extras more.
 */
function bestGift(
  model: Model,
  parts: readonly Part[],
  loads: readonly number[],
  { taker, share }: { readonly taker: number; readonly share: number },
): Gift {
  let best: Gift | undefined;
  let least: readonly number[] = [];
  for (const part of parts) {
    if (part.extra.has(taker)) continue;
    for (const giver of part.extra) {
      const load = loads[giver] as number;
      if (load <= share) continue;
      for (const task of part.has[giver] as number[]) {
        const follows = model.followers[task]?.includes(taker) === true;
        const cost = [model.owner[task] === giver ? 1 : 0, follows ? 0 : 1, -load, giver];
        if (best !== undefined && !isLess(cost, least)) continue;
        best = { part, task, giver };
        least = cost;
      }
    }
  }
  assert(best !== undefined, `nobody has a task to give to member ${taker}`);
  return best;
}

/** In the order of dictionaries. */
function isLess(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at >= 0 && (a[at] as number) < (b[at] as number);
}

function give(part: Part, members: readonly number[], loads: number[]): void {
  for (const member of members) {
    part.extra.add(member);
    part.left--;
    loads[member] = (loads[member] as number) + 1;
  }
}

/** How many tasks the member has too many; negative: too few. */
function surplus({ has, floor, extra }: Part, member: number): number {
  return (has[member] as number[]).length - floor - (extra.has(member) ? 1 : 0);
}

/** Those with least load first, and in their order among equals. */
function lightest(members: readonly number[], loads: readonly number[]): readonly number[] {
  return members.toSorted((a, b) => (loads[a] as number) - (loads[b] as number) || a - b);
}

function remove(from: number[], task: number): void {
  from.splice(from.indexOf(task), 1);
}
