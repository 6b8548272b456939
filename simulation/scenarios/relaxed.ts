/**
 * An app that is at-least-once: records may come again, but none is missing, and those of a key come in their order for the first time.
 *
 * @module
 */
import { App, unchecked } from '../../src/index.ts';
import { sleep } from '../../src/core/clock.ts';
import { equal, sorted, sumBy } from '../lib/expect.ts';
import { small } from '../lib/scenario.ts';
import type { Declared, Ending, Input, Scenario, Setting } from '../lib/scenario.ts';
import { Violation } from '../lib/violation.ts';

function declare({ sizes, clock, random, options }: Setting): Declared {
  const { partitions, concurrency } = sizes;
  const app = new App('relaxed', { ...options, processing: 'at-least-once' });
  const source = app.topic('parcels', {
    key: unchecked<string>(),
    value: unchecked<Input>(),
    partitions,
    timestamp: (parcel: Input) => parcel.at,
  });
  const one = { key: unchecked<string>(), value: unchecked<Input>(), partitions: 1 };
  const passed = app.topic('passed', one);
  const weighed = app.topic('weighed', one);
  const moved = app.topic('moved', one);
  const left = app.table('left', { default: () => 0 });
  const weights = app.table('weights', { default: () => 0 });
  const parcels = source.stream();
  parcels.update(left, (count) => count + 1);
  parcels.sink(passed);
  parcels.groupBy('item', { name: 'moves' }).sink(moved);
  app.agent(
    'weigh',
    source,
    async function* (stream) {
      for await (const parcel of stream) {
        if (random.below(3) === 0) await sleep(clock, random.below(30));
        weights.update(parcel.user, (sum) => sum + parcel.amount);
        yield parcel;
      }
    },
    { sinks: [weighed], concurrency },
  );
  return { app, source };
}

const nameOf = ({ id }: Input): string => String(id);

export const relaxed: Scenario = {
  name: 'relaxed',
  scale: small,
  group: 'relaxed',
  declare,
  once: { parcels: nameOf },
  often: { passed: nameOf, weighed: nameOf, moved: nameOf },
  complete: ({ values, inputs }) =>
    ['passed', 'weighed', 'moved'].every((topic) => idsOf(values(topic)).size === inputs.length),
  check({ inputs, values, rows }: Ending) {
    const ids = inputs.map(({ id }) => id);
    for (const topic of ['passed', 'weighed', 'moved'])
      equal(topic, sorted([...idsOf(values(topic))]), ids);
    for (const topic of ['passed', 'weighed']) checkOrder(topic, values(topic) as Input[]);
    const counts = sumBy(
      inputs,
      ({ user }) => user,
      () => 1,
    );
    const sums = sumBy(
      inputs,
      ({ user }) => user,
      ({ amount }) => amount,
    );
    checkLeast('left', rows('left'), counts);
    checkLeast('weights', rows('weights'), sums);
  },
};

function idsOf(values: readonly unknown[]): Set<number> {
  return new Set((values as Input[]).map(({ id }) => id));
}

/** Those of a key are sent in the order of their ids. */
function checkOrder(topic: string, values: readonly Input[]): void {
  const last = new Map<string, number>();
  const seen = new Set<number>();
  for (const { id, user } of values) {
    if (seen.has(id)) continue;
    seen.add(id);
    const before = last.get(user) ?? -1;
    if (id < before)
      throw new Violation(
        'order',
        `${topic} has ${id} of ${user} for the first time after ${before}`,
      );
    last.set(user, id);
  }
}

function checkLeast(
  table: string,
  rows: ReadonlyMap<string, unknown>,
  least: ReadonlyMap<string, number>,
): void {
  for (const [key, count] of least)
    if (((rows.get(key) ?? 0) as number) < count)
      throw new Violation(
        'model',
        `${table} has ${String(rows.get(key))} for ${key}, less than ${count}`,
      );
}
