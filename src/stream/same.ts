/** Whether two values are one key: as `Map` compares, `NaN` is itself, and `0` is `-0`. */
export function same(a: unknown, b: unknown): boolean {
  return a === b || Object.is(a, b);
}
