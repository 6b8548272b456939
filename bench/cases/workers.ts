/**
 * Two worker processes against one on the same input, from the moment at which all have their tasks until nothing is left.
 *
 * @module
 */
import { Hand, listen, monotonicMs, say } from '../lib/crew.ts';
import type { Figures } from '../lib/figures.ts';
import { countLimit } from '../lib/limit.ts';
import { beMember } from '../lib/member.ts';
import { fillPayments, paymentsApp } from '../lib/payments.ts';
import type { Payment } from '../lib/payments.ts';
import type { Case } from '../lib/stage.ts';

const PARTITIONS = 8;
const ACCOUNTS = 10_000;

/** Starts workers that share the tasks evenly, and times what is left to do then. */
async function crew(directory: string, workers: number, events: number): Promise<Figures> {
  const hands = Array.from({ length: workers }, () => new Hand('workers', 'member', directory));
  const shared = Promise.all(
    hands.map(
      (hand) =>
        new Promise<void>((resolve) => {
          hand.onSaid = ({ kind, tasks }) => {
            if (kind === 'tasks' && tasks?.length === PARTITIONS / workers) resolve();
          };
        }),
    ),
  );
  const running = Promise.all(hands.map((hand) => hand.said('running')));
  await Promise.all(hands.map((hand) => hand.said('ready')));
  for (const hand of hands) hand.tell('start');
  await Promise.all([shared, running]);
  const marks = Promise.all(hands.map((hand) => hand.said('mark')));
  const settled = Promise.all(hands.map((hand) => hand.said('settled')));
  const startedAt = monotonicMs();
  for (const hand of hands) {
    hand.tell('mark');
    hand.tell('settle');
  }
  const done = (await marks).reduce((sum, { count = 0 }) => sum + count, 0);
  const endedAt = Math.max(...(await settled).map(({ at }) => at));
  await Promise.all(hands.map((hand) => hand.end()));
  if (done > events / 2)
    throw new Error(`${done} of ${events} events were processed before all had their tasks`);
  return { perSecond: (events - done) / ((endedAt - startedAt) / 1_000), before: done };
}

/** The limit in several processes, each with its share of the partitions. */
async function limits(directory: string, workers: number, events: number): Promise<Figures> {
  const hands = Array.from(
    { length: workers },
    (_, remainder) => new Hand('workers', 'share', directory, { remainder, of: workers }),
  );
  await Promise.all(hands.map((hand) => hand.said('ready')));
  const ended = Promise.all(hands.map((hand) => hand.said('ended')));
  const startedAt = monotonicMs();
  for (const hand of hands) hand.tell('go');
  const said = await ended;
  const seen = said.reduce((sum, { count = 0 }) => sum + count, 0);
  if (seen !== events) throw new Error(`the limits have seen ${seen} of ${events} events`);
  const endedAt = Math.max(...said.map(({ at }) => at));
  return { perSecond: events / ((endedAt - startedAt) / 1_000) };
}

const workers: Case = {
  name: 'workers',
  title: 'two worker processes against one, one table, JSON',
  parts: {
    fill: (directory, { events }) =>
      fillPayments(directory, { events: Number(events), accounts: ACCOUNTS }, PARTITIONS),
    crew: (directory, { count, events }) => crew(directory, Number(count), Number(events)),
    limits: (directory, { count, events }) => limits(directory, Number(count), Number(events)),
    member: (directory) =>
      beMember(paymentsApp({ broker: `file:${directory}` }).app, { commits: false }),
    async share(directory, { remainder, of }) {
      await new Promise<void>((resolve) => {
        listen(() => resolve());
        say('ready');
      });
      const figures = await countLimit(directory, ({ account }: Payment) => account, {
        remainder: Number(remainder),
        of: Number(of),
      });
      say('ended', { count: figures['events'] ?? 0 });
      return figures;
    },
  },
  run(stage) {
    // Fewer would be done before the tasks are shared.
    const events = Math.max(1_000_000, stage.size(2_000_000));
    const input = stage.make('input', 'fill', { events });
    const limit = stage.best('limits', input, { count: 1, events });
    const limitOfTwo = stage.best('limits', input, { count: 2, events });
    const one = stage.bestOnCopies('crew', input, { count: 1, events });
    const two = stage.bestOnCopies('crew', input, { count: 2, events });
    stage.throughput('limit: read frames, JSON.parse, Map', limit, limit);
    stage.throughput('limit in two processes, half of the partitions each', limitOfTwo, limit);
    stage.throughput('one worker', one, limit);
    stage.throughput('two workers', two, limit);
    stage.goal({
      what: 'two workers',
      value: (two['perSecond'] ?? 0) / (one['perSecond'] ?? 1),
      unit: 'times one',
      least: 1.5,
    });
  },
};
export default workers;
