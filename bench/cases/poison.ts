/**
 * What failing events cost the others: one in a hundred goes to a dead-letter topic, because its handler throws or because a schema refuses it,
 * against none. Beside it stands what the machine itself takes for such errors, and what it costs to be ready for them: the same app without a
 * policy, which keeps nothing that could be taken back.
 *
 * @module
 */
import { deadLetter } from 'millrace';
import { z } from 'zod';

import type { Figures } from '../lib/figures.ts';
import { fillPayments, paymentsApp } from '../lib/payments.ts';
import type { Case } from '../lib/stage.ts';
import { workThrough } from '../lib/work.ts';

const ACCOUNTS = 10_000;

/** The app refuses negative ones, and so does this. */
const Payment = z.object({
  account: z.string(),
  cents: z.number().positive(),
  at: z.number(),
  shop: z.string(),
});

const poison: Case = {
  name: 'poison',
  title: 'events whose handler throws, or that a schema refuses, under deadLetter',
  parts: {
    fill: (directory, { events, badEvery }) =>
      fillPayments(directory, {
        events: Number(events),
        accounts: ACCOUNTS,
        badEvery: badEvery === undefined ? undefined : Number(badEvery),
      }),
    async work(directory, { events, bad, policy, schema, catches }) {
      const { app } = paymentsApp(
        {
          broker: `file:${directory}`,
          onError: policy === 'fail' ? 'fail' : deadLetter('bad-payments'),
        },
        { schema: schema === 'zod' ? Payment : undefined, catches: catches === 'yes' },
      );
      const figures = await workThrough(app, Number(events));
      if (figures['deadLettered'] !== (catches === 'yes' ? 0 : Number(bad)))
        throw new Error(`${figures['deadLettered']} dead letters instead of ${bad}`);
      return figures;
    },
  },
  run(stage) {
    const events = stage.size(1_000_000);
    const good = stage.make('good', 'fill', { events });
    const bad = stage.make('bad', 'fill', { events, badEvery: 100 });
    const measure = (directory: string, options: Record<string, string> = {}): Figures =>
      stage.bestOnCopies('work', directory, {
        events,
        bad: directory === bad ? events / 100 : 0,
        ...options,
      });
    const goal = (what: string, withSome: Figures, without: Figures): void =>
      stage.goal({
        what: `${what}: slower by`,
        value: 100 * (1 - (withSome['perSecond'] ?? 0) / (without['perSecond'] ?? 1)),
        unit: '%',
        most: 10,
      });

    const unready = measure(good, { policy: 'fail' });
    stage.throughput('all good, no policy', unready, unready);
    const without = measure(good);
    stage.throughput('all good', without, unready);
    // What the machine takes for errors of which millrace never hears.
    const caught = measure(bad, { catches: 'yes' });
    stage.throughput('1 % thrown, and caught by the handler itself', caught, without);
    const thrown = measure(bad);
    stage.throughput('1 % dead letters: a handler throws', thrown, without);
    goal('a handler throws', thrown, without);

    const checked = measure(good, { schema: 'zod' });
    stage.throughput('all good, checked by a zod schema', checked, without);
    const refused = measure(bad, { schema: 'zod' });
    stage.throughput('1 % dead letters: the schema refuses', refused, checked);
    goal('the schema refuses', refused, checked);
  },
};
export default poison;
