/**
 * The functions that recorded cases name.
 *
 * @module
 */

/** A function of a case; what it is given is up to the case. */
export type CaseFunction = (...args: unknown[]) => unknown;

/** The directory tree of the recorded crawl. */
const TREE: Readonly<Record<string, readonly string[]>> = {
  './': ['a', 'b', 'README'],
  a: ['a/x', 'a/y'],
  b: ['b/z', 'a'],
  'a/y': ['a/y/1'],
};

const add = (a: number, b: number): number => a + b;

/** By the names that the cases use. Keyword arguments of a case are appended as an object. */
export const functions: Readonly<Record<string, CaseFunction>> = {
  inc: (x: number) => x + 1,
  dec: (x: number) => x - 1,
  dbl: (x: number) => x * 2,
  sq: (x: number) => x ** 2,
  sq1: (x: number) => x ** 2 + 1,
  neg: (x: number) => 0 - x,
  str: String,
  none: () => null,
  ident: (x: unknown) => x,
  add,
  add3: (a: number, b: number, c: number) => a + b + c,
  mulby: (x: number, { by }: { by: number }) => x * by,
  addk: (a: number, b: number, { k }: { k: number }) => a + b + k,
  count: (n: number) => n + 1,
  enum: ([n]: [number], x: unknown) => [
    [n + 1, x],
    [n, x],
  ],
  avg: ([sum, n]: [number, number], x: number) => [[sum + x, n + 1], (sum + x) / (n + 1)],
  even: (x: number) => x % 2 === 0,
  odd: (x: number) => x % 2 === 1,
  gt: (x: number, than = 0) => x > than,
  gt2: (x: number) => x > 2,
  mod2: (x: number) => x % 2,
  mod3: (x: number) => x % 3,
  len: (x: string) => x.length,
  lower: (x: string) => x.toLowerCase(),
  sum: (numbers: number[]) => numbers.reduce(add, 0),
  inv: (x: number) => {
    if (x === 0) throw new RangeError('zero');
    return 10 / x;
  },
  addOr3: (a: number, b: number) => {
    if (b === 3) throw new Error('three');
    return a + b;
  },
  collatz: (x: number) => (x % 2 === 0 ? x / 2 : 3 * x + 1),
  half: (x: number) => (x > 1 ? [Math.floor(x / 2), Math.floor(x / 2) - 1] : []),
  isdir: (path: string) => Object.hasOwn(TREE, path),
  listdir: (path: string) => TREE[path],
  tenfold: (x: number) => x * 10,
  not1: (x: number) => {
    if (x === 1) throw new Error('one');
    return x;
  },
} as Readonly<Record<string, (...args: never[]) => unknown>> as Readonly<
  Record<string, CaseFunction>
>;
