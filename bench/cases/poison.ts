/**
 * What failing events cost the others: one in a hundred goes to a dead-letter topic, against none.
 *
 * @module
 */
import { deadLetter } from 'millrace';

import { fillPayments, paymentsApp } from '../lib/payments.ts';
import type { Case } from '../lib/stage.ts';
import { workThrough } from '../lib/work.ts';

const ACCOUNTS = 10_000;

const poison: Case = {
  name: 'poison',
  title: 'events whose handler throws, under deadLetter',
  parts: {
    fill: (directory, { events, badEvery }) =>
      fillPayments(directory, {
        events: Number(events),
        accounts: ACCOUNTS,
        badEvery: badEvery === undefined ? undefined : Number(badEvery),
      }),
    async work(directory, { events, bad }) {
      const { app } = paymentsApp({
        broker: `file:${directory}`,
        onError: deadLetter('bad-payments'),
      });
      const figures = await workThrough(app, Number(events));
      if (figures['deadLettered'] !== Number(bad))
        throw new Error(`${figures['deadLettered']} dead letters instead of ${bad}`);
      return figures;
    },
  },
  run(stage) {
    const events = stage.size(1_000_000);
    const good = stage.make('good', 'fill', { events });
    const bad = stage.make('bad', 'fill', { events, badEvery: 100 });
    const without = stage.bestOnCopies('work', good, { events, bad: 0 });
    const withSome = stage.bestOnCopies('work', bad, { events, bad: events / 100 });
    stage.throughput('all good', without, without);
    stage.throughput('1 % dead letters', withSome, without);
    stage.goal({
      what: 'slower by',
      value: 100 * (1 - (withSome['perSecond'] ?? 0) / (without['perSecond'] ?? 1)),
      unit: '%',
      most: 10,
    });
  },
};
export default poison;
