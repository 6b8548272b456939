/**
 * One worker that works through what is stored.
 *
 * @module
 */
import type { App } from 'millrace';

import { measured } from './figures.ts';
import type { Figures } from './figures.ts';

/** Runs a worker until all events of the input are processed and committed, and whatever they bring about. An event counts once. */
export async function workThrough(app: App, events: number): Promise<Figures> {
  const running = await app.start();
  const figures = await measured(async () => {
    await running.settled();
    return events;
  });
  const { commits, events: taken, deadLettered } = running.stats;
  return { ...figures, commits, taken, deadLettered };
}
