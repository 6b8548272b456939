/**
 * What is deleted while others read: topics that are compacted, one of them the source, and one whose records have an age, with wall clocks that
 * jump. Of a key the last record stays, nothing goes before its time, and tables are what the last records say.
 *
 * @module
 */
import { App, unchecked } from '../../src/index.ts';
import { equal } from '../lib/expect.ts';
import { small } from '../lib/scenario.ts';
import type { Declared, Ending, Input, Scenario, Setting } from '../lib/scenario.ts';

function declare({ sizes, options }: Setting): Declared {
  const { partitions } = sizes;
  const app = new App('prices', options);
  const keyed = { key: unchecked<string>(), value: unchecked<Input>(), partitions };
  const source = app.topic('quotes', {
    ...keyed,
    timestamp: (quote: Input) => quote.at,
    compact: true,
  });
  const latest = app.topic('latest', { ...keyed, compact: true });
  const aged = app.topic('aged', { ...keyed, partitions: 1, retention: 1_000 });
  const last = app.table('last', { default: () => -1 });
  const perItem = app.table('per-item', { default: () => 0 });
  const quotes = source.stream();
  quotes.update(last, (_before, { id }) => id);
  quotes.sink(latest);
  const moved = quotes.groupBy('item', { name: 'items' });
  moved.update(perItem, (count) => count + 1);
  moved.sink(aged);
  return { app, source };
}

const nameOf = ({ id }: Input): string => String(id);

export const kept: Scenario = {
  name: 'kept',
  scale: small,
  group: 'prices',
  declare,
  once: { quotes: nameOf, latest: nameOf, aged: nameOf },
  complete: ({ values, inputs }) => {
    const ids = new Set((values('aged') as Input[]).map(({ id }) => id));
    return [...lastOf(inputs).values()].every((id) => ids.has(id));
  },
  check({ inputs, values, rows }: Ending) {
    equal('last', rows('last'), lastOf(inputs));
    equal('latest', lastOf(values('latest') as Input[]), lastOf(inputs));
    const counted = [...rows('per-item').values()].reduce<number>(
      (sum, n) => sum + (n as number),
      0,
    );
    // What was compacted before it was read is in none of them.
    equal('per-item', counted, values('aged').length);
    equal('aged', values('aged').length, values('latest').length);
  },
};

/** The last id of each user. */
function lastOf(inputs: readonly Input[]): Map<string, number> {
  return new Map(inputs.map(({ user, id }) => [user, id]));
}
