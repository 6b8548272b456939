/**
 * What a group or window gathers: all values, or one for each key.
 *
 * @module
 */

/** How values are gathered in a `G`. */
export interface Gathering<G> {
  /** Nothing yet. */
  start(): G;
  /** How many values there are with this one. */
  add(gathered: G, value: unknown): number;
  /** The values, in order. An array that the gathering does not keep. */
  values(gathered: G): unknown[];
}

/** All values. */
export const all: Gathering<unknown[]> = {
  start: () => [],
  add: (gathered, value) => gathered.push(value),
  values: (gathered) => gathered,
};

/** One value for each key: the first, or the last, which then stands last. */
export function onePerKey(
  key: ((value: unknown) => unknown) | undefined,
  keep: 'first' | 'last',
): Gathering<Map<unknown, unknown>> {
  return {
    start: () => new Map(),
    add(gathered, value) {
      const id = key === undefined ? value : key(value);
      if (keep === 'last') gathered.delete(id);
      else if (gathered.has(id)) return gathered.size;
      gathered.set(id, value);
      return gathered.size;
    },
    values: (gathered) => [...gathered.values()],
  };
}
