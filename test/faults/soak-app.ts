/** The app of the soak: numbers counted and summed per key, behind a `groupBy` by another, and each passed on once. */
import { App, unchecked } from 'millrace';
import type { AppOptions, Table, Topic } from 'millrace';

export const PARTITIONS = 4;
const KEYS = 997;
const OTHER_KEYS = 101;

export interface Sum {
  readonly count: number;
  readonly sum: number;
}

export interface SoakApp {
  readonly app: App;
  readonly numbers: Topic<string, number>;
  readonly passed: Topic<string | null, number>;
  readonly sums: Table<string, Sum, Sum>;
  readonly others: Table<string, Sum, Sum>;
}

export const keyOf = (n: number): string => `key-${n % KEYS}`;
const otherOf = (n: number): string => `other-${n % OTHER_KEYS}`;

const none = (): Sum => ({ count: 0, sum: 0 });
const plus = ({ count, sum }: Sum, n: number): Sum => ({ count: count + 1, sum: sum + n });

/** `retentionBytes`: of each partition of both topics. */
export function soakApp(
  directory: string,
  retentionBytes: number,
  options: AppOptions = {},
): SoakApp {
  const app = new App('soak', { broker: `file:${directory}`, maintainEvery: '1s', ...options });
  const numbers = app.topic('numbers', {
    key: unchecked<string>(),
    value: unchecked<number>(),
    partitions: PARTITIONS,
    retentionBytes,
  });
  const passed = app.topic('passed', {
    value: unchecked<number>(),
    partitions: PARTITIONS,
    retentionBytes,
  });
  const sums = app.table('sums', { default: none });
  const others = app.table('others', { default: none });
  const stream = numbers.stream();
  stream.update(sums, plus);
  stream.sink(passed);
  stream.groupBy(otherOf, { name: 'other' }).update(others, plus);
  return { app, numbers, passed, sums, others };
}

/** What the tables hold when each of 0 … `count` − 1 was counted once. */
export function wantedSums(count: number): {
  readonly sums: Map<string, Sum>;
  readonly others: Map<string, Sum>;
} {
  const [sums, others] = [new Map<string, Sum>(), new Map<string, Sum>()];
  for (const [table, key, size] of [
    [sums, keyOf, KEYS],
    [others, otherOf, OTHER_KEYS],
  ] as const)
    for (let first = 0; first < Math.min(size, count); first++) {
      const members = Math.ceil((count - first) / size);
      const sum = members * first + (size * members * (members - 1)) / 2;
      table.set(key(first), { count: members, sum });
    }
  return { sums, others };
}
