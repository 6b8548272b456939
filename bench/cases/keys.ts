/**
 * What many distinct keys cost: a table of payments by account, all accounts taking turns.
 *
 * @module
 */
import type { Figures } from '../lib/figures.ts';
import { countLimit } from '../lib/limit.ts';
import { fillPayments, paymentsApp } from '../lib/payments.ts';
import type { Payment } from '../lib/payments.ts';
import type { Case } from '../lib/stage.ts';
import { workThrough } from '../lib/work.ts';

/** The young generation as it is in Node 20 and 22; Node 24 lets it grow to four times that where memory is plentiful. */
const FLAGS = '--max-semi-space-size=16';

const keys: Case = {
  name: 'keys',
  title: 'a table with many keys, one process, JSON',
  parts: {
    fill: (directory, { events, accounts }) =>
      fillPayments(directory, { events: Number(events), accounts: Number(accounts) }),
    work: (directory, { events }) =>
      workThrough(paymentsApp({ broker: `file:${directory}` }).app, Number(events)),
    limit: (directory) => countLimit(directory, ({ account }: Payment) => account),
  },
  run(stage) {
    const events = stage.size(1_500_000);
    let small: Figures = {};
    const sizes = [1_000, 100_000, 1_000_000].map((full) => {
      const accounts = stage.size(full);
      const input = stage.make(`keys-${accounts}`, 'fill', { events, accounts });
      const limit = stage.best('limit', input);
      const work = stage.bestOnCopies('work', input, { events });
      const named = `${accounts.toLocaleString('en-US')} keys`;
      stage.throughput(`limit: read frames, JSON.parse, Map, ${named}`, limit, limit);
      stage.throughput(named, work, limit);
      if (full === 1_000_000) {
        small = stage.bestOnCopies('work', input, { events, nodeFlags: FLAGS });
        stage.throughput(`${named}, node ${FLAGS}`, small, limit);
      }
      return work;
    });
    const [few = {}, , many = {}] = sizes;
    stage.goal({
      what: 'an event of 1,000,000 keys',
      value: (few['perSecond'] ?? 0) / (many['perSecond'] ?? 1),
      unit: 'times one of 1,000',
      most: 3,
    });
    stage.goal({
      what: `private memory at 1,000,000 keys, node ${FLAGS}`,
      value: small['megabytes'] ?? Infinity,
      unit: 'MB',
      most: 400,
    });
  },
};
export default keys;
