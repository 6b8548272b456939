/**
 * Agents whose events fail: some once in a while, and are tried again; some always, and go to a topic for dead letters. In front of one of them
 * stands an operator with a state of its own, behind another one a repartition.
 *
 * @module
 */
import { App, deadLetter, retry, unchecked } from '../../src/index.ts';
import { sleep } from '../../src/core/clock.ts';
import { equal, sorted, sumBy } from '../lib/expect.ts';
import { large } from '../lib/scenario.ts';
import type { Declared, Ending, Input, Scenario, Setting } from '../lib/scenario.ts';

/** Tries of an event that fails now and then: more than it ever needs. */
const TRIES = 60;

interface Done {
  readonly id: number;
  /** Which of its user's events it was. */
  readonly number: number;
}

function declare({ sizes, clock, random, options }: Setting): Declared {
  const { partitions, concurrency } = sizes;
  const app = new App('works', options);
  const source = app.topic('jobs', {
    key: unchecked<string>(),
    value: unchecked<Input>(),
    partitions,
    timestamp: (job: Input) => job.at,
  });
  const one = { key: unchecked<string>(), partitions: 1 };
  const done = app.topic('done', { ...one, value: unchecked<Done>() });
  const dead = app.topic('dead', { ...one, value: unchecked<Input>() });
  const sent = app.topic('sent', { ...one, value: unchecked<number>() });
  const moved = app.topic('moved', { ...one, value: unchecked<number>() });
  const tries = app.table('tries', { default: () => 0 });
  const perItem = app.table('items', { default: () => 0 });
  const numbered = source
    .stream()
    .mapState(0, (count, job): readonly [number, readonly [number, Input]] => [
      count + 1,
      [count + 1, job],
    ]);
  app.each(
    'work',
    numbered,
    async ([number, job]) => {
      tries.update(job.user, (count) => count + 1);
      await sent.send(job.id, { key: job.user });
      if (random.below(3) === 0) await sleep(clock, random.below(20));
      if (isBad(job)) throw new Error('a job that never works');
      if (random.below(4) === 0) throw new Error('a job that works later');
      return { id: job.id, number };
    },
    {
      sinks: [done],
      concurrency: concurrency * 2,
      onError: retry({ times: TRIES, backoff: 0 }).orElse(deadLetter(dead)),
    },
  );
  app.agent(
    'move',
    source.stream().groupBy('item', { name: 'moves' }),
    async function* (stream) {
      for await (const job of stream) {
        perItem.update(job.item, (sum) => sum + job.amount);
        if (random.below(4) === 0) await sleep(clock, random.below(30));
        if (random.below(20) === 0) throw new Error('a move that works later');
        yield job.id;
      }
    },
    { sinks: [moved], onError: retry({ times: TRIES, backoff: 0 }) },
  );
  return { app, source };
}

function userOf({ user }: Input): string {
  return user;
}

/** Those that push time on are all good: they are the last ones. */
function isBad({ id, item }: Input): boolean {
  return id % 11 === 3 && item !== 'end';
}

export const agents: Scenario = {
  name: 'agents',
  scale: large,
  group: 'works',
  declare,
  once: {
    jobs: ({ id }: Input) => String(id),
    done: ({ id }: Done) => String(id),
    dead: ({ id }: Input) => String(id),
    sent: (id: number) => String(id),
    moved: (id: number) => String(id),
  },
  complete: ({ values, inputs }) =>
    values('moved').length === inputs.length &&
    values('done').length + values('dead').length === inputs.length,
  check({ inputs, values, rows }: Ending) {
    const good = inputs.filter((job) => !isBad(job));
    const ids = good.map(({ id }) => id);
    const done = values('done') as Done[];
    equal('done', sorted(done.map(({ id }) => id)), ids);
    equal('sent', sorted(values('sent') as number[]), ids);
    equal(
      'dead',
      sorted((values('dead') as Input[]).map(({ id }) => id)),
      inputs.filter(isBad).map(({ id }) => id),
    );
    equal(
      'moved',
      sorted(values('moved') as number[]),
      inputs.map(({ id }) => id),
    );
    equal(
      'tries',
      rows('tries'),
      sumBy(good, userOf, () => 1),
    );
    equal(
      'items',
      rows('items'),
      sumBy(
        inputs,
        ({ item }) => item,
        ({ amount }) => amount,
      ),
    );
    // Events of a user are numbered in the order in which they were sent.
    const numbers = new Map<string, number>();
    const expected = new Map<number, number>();
    for (const job of inputs) {
      const number = (numbers.get(job.user) ?? 0) + 1;
      numbers.set(job.user, number);
      if (!isBad(job)) expected.set(job.id, number);
    }
    equal('numbers', new Map(done.map(({ id, number }) => [id, number])), expected);
  },
};
