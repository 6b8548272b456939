/**
 * Evens out loads: things that each lie on some members, each on any that it may lie on, are shifted until no member has more of them than it
 * must.
 *
 * A shift goes from a member to one that has at least two less, in one step or along a chain of members. When there is no such chain, no other
 * distribution has a smaller largest or a larger smallest load.
 *
 * @see N. Harvey, R. Ladner, L. Lovász, T. Tamir, "Semi-matchings for bipartite graphs and load balancing" (2006)
 * @module
 */

/** Something that lies on some members. */
export interface Thing {
  /** Where it lies. */
  readonly on: Set<number>;
  /** Whether it may lie there. */
  readonly may: (member: number) => boolean;
}

/**
 * Shifts `things`, changing their `on`, and counts in `loads`.
 *
 * @param loads By member; may count more than `things`, which then stays where it is.
 */
export function evenOut(things: readonly Thing[], loads: number[]): void {
  const held: Set<Thing>[] = loads.map(() => new Set());
  for (const thing of things) for (const member of thing.on) held[member]?.add(thing);
  const loadOf = (member: number): number => loads[member] as number;

  /** Shifts one thing away from `heavy`, or adds everybody that can be reached from there to `closed`. */
  const relieve = (heavy: number, closed: Set<number>): boolean => {
    const lightest = loads.map((_, member) => member).toSorted((a, b) => loadOf(a) - loadOf(b));
    const reached = new Map<number, { readonly from: number; readonly thing: Thing } | undefined>([
      [heavy, undefined],
    ]);
    for (const from of reached.keys())
      for (const thing of held[from] as Set<Thing>)
        for (const to of lightest) {
          if (reached.has(to) || thing.on.has(to) || !thing.may(to)) continue;
          reached.set(to, { from, thing });
          if (loadOf(to) > loadOf(heavy) - 2) continue;
          for (let step = { from, thing }, at = to; ;) {
            step.thing.on.delete(step.from);
            step.thing.on.add(at);
            held[step.from]?.delete(step.thing);
            held[at]?.add(step.thing);
            at = step.from;
            const before = reached.get(at);
            if (before === undefined) break;
            step = before;
          }
          loads[heavy] = loadOf(heavy) - 1;
          loads[to] = loadOf(to) + 1;
          return true;
        }
    for (const member of reached.keys()) closed.add(member);
    return false;
  };

  // Each shift makes the sum of the squares of the loads smaller, so this ends.
  for (let shifted = true; shifted;) {
    shifted = false;
    // From a member in here nobody with a load that is two smaller can be reached, nor from one with less load that it reaches.
    const closed = new Set<number>();
    for (const heavy of loads.map((_, i) => i).toSorted((a, b) => loadOf(b) - loadOf(a) || a - b))
      while (!closed.has(heavy) && loadOf(heavy) > Math.min(...loads) + 1)
        if (relieve(heavy, closed)) shifted = true;
  }
}
