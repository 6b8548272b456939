/**
 * What operators do, as plain folds over arrays: the models that the laws compare streams with. Slow and obvious on purpose.
 *
 * @module
 */
import type { Stream } from '../../../src/stream/stream.ts';

/** An operator and its model. `n` is a small number from 1 that a law draws: a size, a count, whatever the operator takes. */
export interface Law {
  readonly name: string;
  readonly build: <K>(stream: Stream<number, K>, n: number) => Stream<unknown, K>;
  /** What comes out when the last of these values comes in, of all that have come so far. */
  readonly step: (seen: readonly number[], n: number) => readonly unknown[];
  /** What `close` still sends. */
  readonly rest?: (seen: readonly number[], n: number) => readonly unknown[];
  /** Whether it keeps something from one value to the next: per key behind `groupBy`, in snapshots, for `peek`. */
  readonly stateful?: true;
}

const last = (seen: readonly number[]): number => seen.at(-1) as number;
const key = (x: number): number => ((x % 3) + 3) % 3;

/** What the values before the last one leave behind, and the last one adds. */
function fold<S>(
  seen: readonly number[],
  start: S,
  step: (state: S, value: number) => { state: S; out: readonly unknown[] },
): { state: S; out: readonly unknown[] } {
  let result: { state: S; out: readonly unknown[] } = { state: start, out: [] };
  for (const value of seen) result = step(result.state, value);
  return result;
}

/** Groups of `n`: the open one, and the full one if the last value filled it. */
function group(seen: readonly number[], n: number): { state: number[]; out: readonly unknown[] } {
  return fold<number[]>(seen, [], (open, value) =>
    open.length + 1 === n
      ? { state: [], out: [[...open, value]] }
      : { state: [...open, value], out: [] },
  );
}

function uniqueGroup(
  seen: readonly number[],
  n: number,
  keyOf: (x: number) => number,
  keep: 'first' | 'last',
): { state: number[]; out: readonly unknown[] } {
  return fold<number[]>(seen, [], (open, value) => {
    const held = open.some((x) => keyOf(x) === keyOf(value));
    if (held && keep === 'first') return { state: open, out: [] };
    const next = [...open.filter((x) => keyOf(x) !== keyOf(value)), value];
    return next.length === n ? { state: [], out: [next] } : { state: next, out: [] };
  });
}

/** The keys of the values, the most recent first, each once. */
function recent(seen: readonly number[], keyOf: (x: number) => unknown): unknown[] {
  return [...new Set(seen.toReversed().map(keyOf))];
}

const notEmpty = (values: readonly number[]): readonly unknown[] =>
  values.length > 0 ? [values] : [];
const identity = (x: number): number => x;
const stateful = true;

export const laws: readonly Law[] = [
  { name: 'map', build: (s, n) => s.map((x) => x * n), step: (v, n) => [last(v) * n] },
  {
    name: 'filter',
    build: (s) => s.filter((x) => x > 0),
    step: (v) => (last(v) > 0 ? [last(v)] : []),
  },
  { name: 'tap', build: (s) => s.tap(() => 'ignored'), step: (v) => [last(v)] },
  {
    name: 'starmap',
    build: (s) => s.map((x) => [x, 1] as [number, number]).starmap((a, b) => a + b),
    step: (v) => [last(v) + 1],
  },
  {
    name: 'pluck',
    build: (s) => s.map((x) => ({ x, y: x + 1 })).pluck(['y', 'x']),
    step: (v) => [[last(v) + 1, last(v)]],
  },
  {
    name: 'flatten',
    build: (s, n) => s.map((x) => Array.from({ length: Math.abs(x) % n }, () => x)).flatten(),
    step: (v, n) => Array.from({ length: Math.abs(last(v)) % n }, () => last(v)),
  },
  {
    name: 'pipe',
    build: (s, n) => s.pipe((t) => t.map((x) => x - n)),
    step: (v, n) => [last(v) - n],
  },
  {
    name: 'branch',
    build: <K>(s: Stream<number, K>) => {
      const {
        even,
        small,
        rest: others,
      } = s.branch({ even: (x) => x % 2 === 0, small: (x) => x < 5 });
      return even
        .map((x): [string, number] => ['even', x])
        .union(
          small.map((x): [string, number] => ['small', x]),
          others.map((x): [string, number] => ['rest', x]),
        );
    },
    step: (v) => [[last(v) % 2 === 0 ? 'even' : last(v) < 5 ? 'small' : 'rest', last(v)]],
  },
  {
    name: 'union with itself and others',
    build: (s, n) =>
      s.union(
        s.map((x) => x + n),
        s.filter((x) => x > 0),
      ),
    // In the order in which they were declared.
    step: (v, n) => [last(v) + n, ...(last(v) > 0 ? [last(v)] : []), last(v)],
  },
  {
    name: 'enumerate',
    build: (s, n) => s.enumerate(n),
    step: (v, n) => [[v.length - 1 + n, last(v)]],
    stateful,
  },
  {
    name: 'slice(n)',
    build: (s, n) => s.slice(n),
    step: (v, n) => (v.length > n ? [last(v)] : []),
    stateful,
  },
  {
    name: 'slice(0, 2n)',
    build: (s, n) => s.slice(0, 2 * n),
    step: (v, n) => (v.length <= 2 * n ? [last(v)] : []),
    stateful,
  },
  {
    name: 'slice(n, 4n, 2)',
    build: (s, n) => s.slice(n, 4 * n, 2),
    step: (v, n) => {
      const i = v.length - 1;
      return i >= n && i < 4 * n && (i - n) % 2 === 0 ? [last(v)] : [];
    },
    stateful,
  },
  {
    name: 'pairwise',
    build: (s) => s.pairwise(),
    step: (v) => (v.length > 1 ? [v.slice(-2)] : []),
    stateful,
  },
  {
    name: 'distinct',
    build: (s) => s.distinct(),
    step: (v) => (v.at(-2) === last(v) ? [] : [last(v)]),
    stateful,
  },
  {
    name: 'distinct by key',
    build: (s) => s.distinct({ key }),
    step: (v) => (v.length > 1 && key(v.at(-2) as number) === key(last(v)) ? [] : [last(v)]),
    stateful,
  },
  {
    name: 'unique',
    build: (s) => s.unique(),
    step: (v) => (v.indexOf(last(v)) === v.length - 1 ? [last(v)] : []),
    stateful,
  },
  {
    name: 'unique of n',
    build: (s, n) => s.unique({ maxsize: n }),
    step: (v, n) =>
      recent(v.slice(0, -1), identity).slice(0, n).includes(last(v)) ? [] : [last(v)],
    stateful,
  },
  {
    name: 'unique by key',
    build: (s) => s.unique({ maxsize: 2, key }),
    step: (v) =>
      recent(v.slice(0, -1), key)
        .slice(0, 2)
        .includes(key(last(v)))
        ? []
        : [last(v)],
    stateful,
  },
  {
    name: 'accumulate',
    build: (s) => s.accumulate((sum, x) => sum + x),
    step: (v) => [v.reduce((sum, x) => sum + x)],
    stateful,
  },
  {
    name: 'accumulate from a start',
    build: (s, n) => s.accumulate((sum, x) => sum + x, { start: n }),
    step: (v, n) => [v.reduce((sum, x) => sum + x, n)],
    stateful,
  },
  {
    name: 'accumulate with state',
    build: (s) =>
      s.accumulate((all: number[], x) => [...all, x].slice(-3), { start: [], withState: true }),
    step: (v) => [[v.slice(-3), v.slice(-3)]],
    stateful,
  },
  {
    name: 'accumulate returning state and output',
    build: (s) => s.accumulate((n, x) => [n + 1, `${n} ${x}`], { start: 0, returnsState: true }),
    step: (v) => [`${v.length - 1} ${last(v)}`],
    stateful,
  },
  {
    name: 'accumulate returning both, with state',
    build: (s) =>
      s.accumulate((n: number, x) => [n + 1, `${n} ${x}`], {
        start: 0,
        returnsState: true,
        withState: true,
      }),
    step: (v) => [[v.length, `${v.length - 1} ${last(v)}`]],
    stateful,
  },
  {
    name: 'mapState',
    build: (s) => s.mapState(0, (sum, x) => [sum + x, sum]),
    step: (v) => [v.slice(0, -1).reduce((sum, x) => sum + x, 0)],
    stateful,
  },
  {
    name: 'partition',
    build: (s, n) => s.partition(n),
    step: (v, n) => group(v, n).out,
    rest: (v, n) => notEmpty(group(v, n).state),
    stateful,
  },
  {
    name: 'partition by key',
    build: (s, n) => s.partition(n, { key }),
    step: (v, n) =>
      group(
        v.filter((x) => key(x) === key(last(v))),
        n,
      ).out,
    rest: (v, n) => {
      const open = [0, 1, 2].map((k) => {
        const indexes = [...v.keys()].filter((i) => key(v[i] as number) === k);
        return indexes.slice(indexes.length - (indexes.length % n));
      });
      return open
        .filter((indexes) => indexes.length > 0)
        .toSorted(([a = 0], [b = 0]) => a - b)
        .map((indexes) => indexes.map((i) => v[i]));
    },
    stateful,
  },
  {
    name: 'partitionUnique',
    build: (s, n) => s.partitionUnique(n),
    step: (v, n) => uniqueGroup(v, n, identity, 'first').out,
    rest: (v, n) => notEmpty(uniqueGroup(v, n, identity, 'first').state),
    stateful,
  },
  {
    name: 'partitionUnique by key, the last of each',
    build: (s, n) => s.partitionUnique(Math.min(n, 3), { key, keep: 'last' }),
    step: (v, n) => uniqueGroup(v, Math.min(n, 3), key, 'last').out,
    rest: (v, n) => notEmpty(uniqueGroup(v, Math.min(n, 3), key, 'last').state),
    stateful,
  },
  {
    name: 'take',
    build: (s, n) => s.take(n),
    step: (v, n) => group(v, n).out,
    rest: (v, n) => notEmpty(group(v, n).state),
    stateful,
  },
  {
    name: 'slidingWindow',
    build: (s, n) => s.slidingWindow(n),
    step: (v, n) => [v.slice(-n)],
    stateful,
  },
  {
    name: 'slidingWindow, full ones only',
    build: (s, n) => s.slidingWindow(n, { returnPartial: false }),
    step: (v, n) => (v.length < n ? [] : [v.slice(-n)]),
    stateful,
  },
  {
    name: 'partition of pairs',
    build: (s, n) => s.pairwise().partition(n),
    step: (v, n) =>
      v.length > 1 && (v.length - 1) % n === 0
        ? [Array.from({ length: n }, (_, i) => v.slice(v.length - n + i - 1, v.length - n + i + 1))]
        : [],
    rest: (v, n) => {
      const open = Math.max(0, v.length - 1) % n;
      return open === 0
        ? []
        : [
            Array.from({ length: open }, (_, i) =>
              v.slice(v.length - open + i - 1, v.length - open + i + 1),
            ),
          ];
    },
    stateful,
  },
];

/** Outputs of each value in turn. */
export function steps({ step }: Law, values: readonly number[], n: number): (readonly unknown[])[] {
  return values.map((_, i) => step(values.slice(0, i + 1), n));
}

/** What `close` sends behind these values. */
export function rest(
  { rest: left }: Law,
  values: readonly number[],
  n: number,
): readonly unknown[] {
  return left?.(values, n) ?? [];
}
