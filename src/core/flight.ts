/**
 * Events that wait in a queue while others are under way: they can be taken back from there, so that nobody has to wait until it is their turn; and
 * when it is, they go on as themselves.
 *
 * @module
 */
import { AsyncLocalStorage } from 'node:async_hooks';

import type { EventCell, Flight } from './event.ts';

/** An event has come to a queue. Tells whether it may wait there: not if it was taken back, before or because it has come. */
export function mayWait(event: EventCell | null): boolean {
  const flight = event?.flight ?? null;
  if (flight === null) return true;
  if (flight.withdrawn) return false;
  flight.queues++;
  flight.onQueued?.();
  return !isWithdrawn(flight);
}

/** It leaves a queue that is not an agent's. Tells whether it may go on. */
export function mayLeave(event: EventCell | null): boolean {
  const flight = event?.flight ?? null;
  if (flight === null) return true;
  flight.queues--;
  return !flight.withdrawn;
}

/** Calls a function as what it is given is called now. */
export type Resume = <T>(fn: () => T) => T;

/**
 * For an event that will be gone on with when another one has got so far: code behind finds its event by the async context, which would be that of
 * the other one.
 */
export function keepContext(event: EventCell | null): Resume {
  return event?.flight == null ? asItIs : AsyncLocalStorage.snapshot();
}

function asItIs<T>(fn: () => T): T {
  return fn();
}

function isWithdrawn(flight: Flight): boolean {
  return flight.withdrawn;
}
