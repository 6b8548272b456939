/**
 * Asynchronous code: agents that do nothing, and functions that wait for a millisecond, as those that ask somebody do.
 *
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { App } from 'millrace';

import { measured } from '../lib/figures.ts';
import type { Figures } from '../lib/figures.ts';
import { loopLimit } from '../lib/limit.ts';
import { fillPayments, paymentsTopic } from '../lib/payments.ts';
import type { Case, Stage } from '../lib/stage.ts';
import { workThrough } from '../lib/work.ts';

const ACCOUNTS = 1_000;
const WAIT_MS = 1;

async function agent(directory: string, concurrency: number, events: number): Promise<Figures> {
  const app = new App('payments', { broker: `file:${directory}` });
  app.agent(
    'idle',
    paymentsTopic(app),
    async (payments) => {
      for await (const payment of payments) void payment;
    },
    { concurrency },
  );
  return await workThrough(app, events);
}

/** On one partition, so that `concurrency` is how many wait at a time. */
async function each(directory: string, concurrency: number, events: number): Promise<Figures> {
  const app = new App('payments', { broker: `file:${directory}` });
  app.each('asking', paymentsTopic(app, 1), async () => await sleep(WAIT_MS), {
    concurrency,
  });
  return await workThrough(app, events);
}

/** The least that waiting takes: so many loops that wait in turn. */
async function waitLimit(concurrency: number, events: number): Promise<Figures> {
  let left = events;
  const loop = async (): Promise<void> => {
    while (left-- > 0) await sleep(WAIT_MS);
  };
  return await measured(async () => {
    await Promise.all(Array.from({ length: concurrency }, loop));
    return events;
  });
}

function idle(stage: Stage): void {
  const events = stage.size(300_000);
  const input = stage.make('idle', 'fill', { events, partitions: 8 });
  const limit = stage.best('loop-limit', input);
  stage.throughput('limit: frames, JSON.parse, async generator', limit, limit);
  for (const concurrency of [1, 8]) {
    const figures = stage.bestOnCopies('agent', input, { events, concurrency });
    stage.throughput(`agent with an empty body, concurrency ${concurrency}`, figures, limit);
  }
}

function waiting(stage: Stage, concurrency: number, full: number): void {
  const events = stage.size(full);
  const input = stage.make(`waiting-${concurrency}`, 'fill', { events, partitions: 1 });
  const limit = stage.best('wait-limit', input, { events, concurrency });
  const figures = stage.bestOnCopies('each', input, { events, concurrency });
  stage.throughput(`limit: loops that wait 1 ms, ${concurrency} at a time`, limit, limit);
  stage.throughput(`each with a wait of 1 ms, concurrency ${concurrency}`, figures, limit);
}

const agents: Case = {
  name: 'agents',
  title: 'agents on 8 partitions, each on one',
  parts: {
    fill: (directory, { events, partitions }) =>
      fillPayments(directory, { events: Number(events), accounts: ACCOUNTS }, Number(partitions)),
    'loop-limit': (directory) => loopLimit(directory),
    'wait-limit': (_, { concurrency, events }) => waitLimit(Number(concurrency), Number(events)),
    agent: (directory, { concurrency, events }) =>
      agent(directory, Number(concurrency), Number(events)),
    each: (directory, { concurrency, events }) =>
      each(directory, Number(concurrency), Number(events)),
  },
  run(stage) {
    idle(stage);
    waiting(stage, 1, 1_000);
    waiting(stage, 64, 40_000);
  },
};
export default agents;
